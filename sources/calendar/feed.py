"""Fetches a published calendar, only when it changed since the last night."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sources.calendar.settings import CalendarSettings
from sources.kit.run import Run

if TYPE_CHECKING:
    import httpx2

_TIMEOUT_SECONDS: Final = 60.0
_MAX_BYTES: Final = 1_000_000_000
_ASKED_WITH: Final = {"etag": "If-None-Match", "last-modified": "If-Modified-Since"}


def fetched(
    settings: CalendarSettings, folder: Path, run: Run, transport: httpx2.BaseTransport | None = None
) -> Path | None:
    """The calendar as a file: fetched now, or as it was fetched last when nothing is new.

    Args:
        settings: A calendar with a `url`.
        folder: Where fetched calendars are kept with what their server said of them.
        run: Counts requests and takes problems.
        transport: HTTP transport for tests.

    Returns:
        The file; None when there is none yet. The address is never shown: whoever knows it can read the calendar.
    """
    import httpx2

    url = settings.url or ""
    folder.mkdir(parents=True, exist_ok=True)
    name = hashlib.sha256(f"{settings.name}|{url}".encode()).hexdigest()[:24]
    kept, said, part = folder / f"{name}.ics", folder / f"{name}.json", folder / f"{name}.part"
    headers = _remembered(said) if kept.exists() else {}
    shown = settings.place
    run.requests += 1
    try:
        with (
            httpx2.Client(transport=transport, timeout=_TIMEOUT_SECONDS, follow_redirects=True) as client,
            client.stream("GET", url, headers={"Accept": "text/calendar", **headers}) as answer,
        ):
            if answer.status_code == 304 and kept.exists():
                return kept
            if answer.status_code != 200:
                return _as_before(run, shown, f"the calendar's server answers {answer.status_code}", kept)
            size = 0
            with part.open("wb") as stream:
                for chunk in answer.iter_bytes(1 << 16):
                    size += len(chunk)
                    if size > _MAX_BYTES:
                        return _as_before(run, shown, "the calendar is larger than 1 GB", kept)
                    stream.write(chunk)
            os.replace(part, kept)
            said.write_text(
                json.dumps({ask: answer.headers[has] for has, ask in _ASKED_WITH.items() if has in answer.headers}),
                encoding="utf-8",
            )
            return kept
    except httpx2.HTTPError as error:
        return _as_before(run, shown, f"the calendar's server cannot be reached ({type(error).__name__})", kept)
    finally:
        part.unlink(missing_ok=True)


def _remembered(said: Path) -> dict[str, str]:
    try:
        found = json.loads(said.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(key): str(value) for key, value in found.items() if key in _ASKED_WITH.values()}


def _as_before(run: Run, shown: str, what: str, kept: Path) -> Path | None:
    run.problem(shown, None, what, "Check `url`; what is loaded stays, and the next night asks again.")
    return kept if kept.exists() else None
