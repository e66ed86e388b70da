"""One load: finish what was interrupted, read what moved, write it, say what was done."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from nightdesk.errors import NightdeskError
from sources.kit.report import LoadReport
from sources.kit.run import loading, now
from sources.salesforce.tables import DATASET, TABLES

if TYPE_CHECKING:
    import httpx2

    from nightdesk.erasure.tombstones import Tombstones
    from sources.salesforce.settings import SalesforceSourceSettings


def load(
    settings: SalesforceSourceSettings,
    raw_path: Path,
    pipelines_dir: Path,
    on_progress: Callable[[str, int], None] | None = None,
    *,
    full: bool = False,
    tombstones: Tombstones | None = None,
    on_learned: Callable[[], object] = lambda: None,
    transport: httpx2.BaseTransport | None = None,
    sleep: Callable[[float], None] | None = None,
    clock: Callable[[], datetime] = now,
) -> LoadReport:
    """Brings raw.duckdb up to what the org says now. May be killed at any moment and started again.

    Args:
        settings: How to reach the org.
        raw_path: The raw database; created when missing.
        pipelines_dir: Working directory of the loads; may be deleted between them.
        on_progress: Called (from several threads, one at a time) with a stream's name and the rows seen so far.
        full: Read everything anew. Also finds records that were erased for good without a trace.
        tombstones: People who were erased: whatever is theirs is dropped before it is written. None when nobody was.
        on_learned: Called after reading and before anything is loaded: whatever was recognised as an erased person's
            is in `tombstones.learned` then, and must be kept, for the next load does not read it again.
        transport: HTTP transport for tests.
        sleep: Waiting, for tests.
        clock: Now.

    Raises:
        NightdeskError: no session, no rights, wrong address, org down, quota used up, changed type, file in use.
    """
    import duckdb

    from sources.salesforce.api import SalesforceApi
    from sources.salesforce.client import SalesforceClient
    from sources.salesforce.erased import Erased
    from sources.salesforce.extract import Extraction
    from sources.salesforce.previous import Previous

    with loading(DATASET, TABLES, raw_path, pipelines_dir, on_learned=on_learned, clock=clock) as run:
        started = clock()
        erased = None if tombstones is None else Erased(tombstones)
        try:
            with SalesforceClient(settings, transport=transport, sleep=sleep, clock=clock) as client:
                api = SalesforceApi(client, pipelines_dir / DATASET / "results")
                with Previous(raw_path) as previous:
                    extraction = Extraction(
                        client, api, previous, run, full=full, on_progress=on_progress, erased=erased
                    )
                    outcome = extraction.run()
        except (OSError, duckdb.Error) as error:
            first = (str(error) or type(error).__name__).splitlines()[0][:300]
            raise NightdeskError(
                f"What was read from Salesforce could not be written: {first}",
                where=str(raw_path.parent),
                todo="Free disk space (or check the rights of the folder), then load again; what is loaded stays.",
            ) from error
        seen = extraction.rows_seen()
        run.add(
            "load_watermarks",
            [
                (
                    stream,
                    stamp.astimezone(UTC).isoformat() if (stamp := outcome.watermarks.get(stream)) else None,
                    str(seen.get(stream, 0)),
                    started.astimezone(UTC).isoformat(),
                )
                for stream in sorted({*outcome.watermarks, *seen})
            ],
        )
        report = run.finish()
    return report if erased is None else report.model_copy(update={"erased": erased.counts()})
