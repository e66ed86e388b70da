"""Keeps the events of a run as a file and, where a receiver is set, sends them; neither can fail or hold up a night."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nightdesk import lineage, lineage_datasets, logs
from nightdesk.errors import NightdeskError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import httpx2

    from nightdesk.settings import Settings

ENDPOINT = "api/v1/lineage"
SECONDS_PER_EVENT = 2.0
SECONDS_IN_ALL = 5.0


def tell(settings: Settings, run_id: str | None, *, manifest_path: Path | None = None) -> list[lineage.Event]:
    """The events of a run, the newest when `run_id` is None.

    Raises:
        NightdeskError: There is no such run.
    """
    run, rows = lineage.read_run(settings.ledger, run_id)
    data = lineage_datasets.of_run(
        run,
        rows,
        _manifest(manifest_path or Path(os.environ.get("DBT_TARGET_PATH", "target")) / "manifest.json"),
        crm_url=settings.hubspot_url,
        spoken=lineage_datasets.spoken_in(settings.ledger, run.run_id),
        written=lineage_datasets.written_by(settings.ledger, run.run_id) if run.command == "apply" else None,
    )
    return lineage.events(run, rows, data)


def keep(settings: Settings, run_id: str, told: Sequence[lineage.Event]) -> Path:
    """Write `lineage/<run>.ndjson` in one move; the same run again replaces it.

    Raises:
        OSError: The disk refuses.
    """
    folder = settings.data_dir / "lineage"
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{run_id}.ndjson"
    fresh = target.with_suffix(".ndjson.new")
    fresh.write_text(lineage.as_lines(told), encoding="utf-8")
    os.replace(fresh, target)
    return target


def send(url: str, told: Sequence[lineage.Event], *, transport: httpx2.BaseTransport | None = None) -> str | None:
    """Post the events in order until one fails or the time is up.

    Args:
        url: Origin of the receiver; the standard path is added unless it has one of its own.
        told: The events.
        transport: An httpx2 transport; tests give a mock, None is the network.

    Returns:
        What went wrong, in one line; None when all arrived.
    """
    import time

    import httpx2

    target = url if url.rstrip("/").endswith("lineage") else f"{url.rstrip('/')}/{ENDPOINT}"
    until = time.monotonic() + SECONDS_IN_ALL
    try:
        with httpx2.Client(timeout=SECONDS_PER_EVENT, transport=transport) as client:
            for number, event in enumerate(told):
                if time.monotonic() > until:
                    return (
                        f"the lineage receiver is slow: {number} of {len(told)} events arrived, the rest was not sent"
                    )
                response = client.post(target, json=event)
                if response.status_code >= 400:
                    return f"the lineage receiver answers {response.status_code} to event {number + 1} of {len(told)}"
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        return f"the lineage receiver cannot be reached: {type(error).__name__}"
    return None


def after_run(settings: Settings, run_id: str, *, manifest_path: Path | None = None) -> str | None:
    """Tell a run that has just ended. Never raises: lineage is a by-product.

    Returns:
        What went wrong, in one line; None when all went well.
    """
    try:
        told = tell(settings, run_id, manifest_path=manifest_path)
        keep(settings, run_id, told)
        problem = send(settings.openlineage_url, told) if settings.openlineage_url else None
    except (NightdeskError, OSError) as error:
        problem = f"the lineage of this run could not be kept: {error}"
    except Exception as error:
        problem = f"the lineage of this run could not be told: {type(error).__name__}: {error}"[:300]
        logs.LOGGER.error("lineage failed", exc_info=error)
    if problem:
        logs.log("warning", run_id=run_id, warning=problem)
    return problem


def _manifest(path: Path) -> dict[str, Any] | None:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
