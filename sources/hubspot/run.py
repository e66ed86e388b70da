"""One load: finish what was interrupted, read what moved, write it, say what was done."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from nightdesk.errors import NightdeskError
from sources.hubspot.settings import HubSpotSettings
from sources.hubspot.tables import DATASET, TABLES
from sources.kit.report import LoadReport
from sources.kit.schema import ensure_tables

if TYPE_CHECKING:
    import httpx2

    from nightdesk.erasure.tombstones import Tombstones


def load(
    settings: HubSpotSettings,
    raw_path: Path,
    pipelines_dir: Path,
    on_progress: Callable[[str, int], None] | None = None,
    *,
    full: bool = False,
    tombstones: Tombstones | None = None,
    on_learned: Callable[[], object] = lambda: None,
    transport: httpx2.BaseTransport | None = None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> LoadReport:
    """Brings raw.duckdb up to what the CRM says now. May be killed at any moment and started again.

    Args:
        settings: How to reach the CRM.
        raw_path: The raw database; created when missing.
        pipelines_dir: Working directory of the load; may be deleted between loads.
        on_progress: Called (from several threads, one at a time) with a stream's name and the rows seen so far.
        full: Read everything anew. Also finds engagement associations that changed alone, and records erased for good.
        tombstones: People who were erased: whatever is theirs is dropped before it is written. None when nobody was.
        on_learned: Called after reading and before anything is loaded: whatever was recognised as an erased person's
            is in `tombstones.learned` then, and must be kept, for the next load does not read it again.
        transport: HTTP transport for tests.
        clock: Now, for `load_watermarks.loaded_at`.

    Raises:
        NightdeskError: wrong token, wrong URL, CRM down, changed property type, unreadable value, file in use.
    """
    import duckdb
    from filelock import FileLock, Timeout

    from sources.hubspot.client import HubSpotClient
    from sources.hubspot.erased import Erased
    from sources.hubspot.extract import Extraction
    from sources.hubspot.previous import Previous
    from sources.hubspot.settle import Settlement
    from sources.hubspot.spool import spool_columns
    from sources.hubspot.watermarks import touch_watermarks, watermark_rows
    from sources.kit.pipeline import Loader
    from sources.kit.spool import Spool

    started = time.monotonic()
    pipelines_dir.mkdir(parents=True, exist_ok=True)
    lock = FileLock(pipelines_dir / "load.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise NightdeskError(
            "Another load is running", where=str(pipelines_dir), todo="Wait for it to end, then load again."
        ) from error
    try:
        ensure_tables(raw_path, DATASET, TABLES.values())
        loader = Loader(raw_path, pipelines_dir, DATASET, TABLES)
        loader.finish_pending()
        now = clock()
        erased = None if tombstones is None else Erased(tombstones)
        spool = Spool(pipelines_dir / "spool", spool_columns())
        try:
            with HubSpotClient(settings, transport=transport) as client:
                with Previous(raw_path) as previous:
                    extraction = Extraction(client, previous, spool, full=full, on_progress=on_progress, erased=erased)
                    outcome = extraction.run()
                requests = client.requests
            on_learned()
            spool.add("load_watermarks", watermark_rows(outcome, now))
            spool.finish()
            with Settlement(spool.folder, raw_path) as settlement:
                settlement.check_values()
                counts = settlement.counts()
                quiet = settlement.quiet(counts)
                if not quiet:
                    loader.run(counts, settlement.batches, settlement.close)
            if quiet:
                touch_watermarks(raw_path, outcome, now)
        except (OSError, duckdb.Error) as error:
            raise _unwritten(error, raw_path) from error
        finally:
            spool.remove()
        return LoadReport(
            rows_moved=counts,
            rows_total=_totals(raw_path),
            requests=requests,
            seconds=round(time.monotonic() - started, 3),
            schema_changes=outcome.changes,
            erased={} if erased is None else erased.counts(),
        )
    finally:
        lock.release()


def _unwritten(error: Exception, raw_path: Path) -> NightdeskError:
    """The error for a disk that does not take what was read."""
    first = (str(error) or type(error).__name__).splitlines()[0][:300]
    return NightdeskError(
        f"What was read from the CRM could not be written: {first}",
        where=str(raw_path.parent),
        todo="Free disk space (or check the rights of the folder), then load again; what is loaded stays as it is.",
    )


def _totals(raw_path: Path) -> dict[str, int]:
    import duckdb

    connection = duckdb.connect(str(raw_path), read_only=True)
    try:
        sql = " union all ".join(f"select '{name}', count(*) from {DATASET}.\"{name}\"" for name in TABLES)
        return {str(name): int(count) for name, count in connection.execute(sql).fetchall()}
    finally:
        connection.close()
