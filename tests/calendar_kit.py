"""Reads calendars for tests without a database: events by UID, and what was said of the rest. No tests of its own."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from sources.calendar import CalendarSettings
from sources.calendar.load import CalendarLoad
from sources.calendar.tables import TABLES

FIXTURES = Path(__file__).parent / "fixtures" / "calendars"
AS_OF = date(2026, 11, 17)


class Recorder:
    """Stands for a load that nothing came before."""

    def __init__(self) -> None:
        self.rows: dict[str, list[dict[str, str | None]]] = {name: [] for name in TABLES}
        self.problems: list[tuple[str, int | None, str]] = []
        self.requests = 0

    def previous(self, sql: str) -> list[tuple[Any, ...]]:
        return []

    def add(self, table: str, rows: Sequence[Sequence[str | None]]) -> int:
        self.rows[table] += [dict(zip(TABLES[table].names, row, strict=True)) for row in rows]
        return len(rows)

    def replace(self, table: str, column: str, values: Sequence[str]) -> None:
        raise AssertionError("nothing was there to be replaced")

    def file(self, source: str, file: str, **said: Any) -> None:
        self.rows["files"].append({"source": source, "file": file, **said})

    def problem(self, file: str, line: int | None, what: str, todo: str = "") -> None:
        self.problems.append((Path(file).name, line, what))


def read(path: Path, tmp_path: Path, **settings: Any) -> SimpleNamespace:
    """Reads a calendar: its events by UID (a list each), its own row, and its problems."""
    recorder = Recorder()
    given = CalendarSettings(name="test", path=path, **settings)
    CalendarLoad(recorder, given, path, AS_OF, "UTC", tmp_path / "scratch", None).load()  # type: ignore[arg-type]
    events: dict[str, list[dict[str, Any]]] = {}
    for row in sorted(recorder.rows["events"], key=lambda one: str(one["started_at"])):
        events.setdefault(str(row["uid"]), []).append(row)
    (calendar,) = recorder.rows["calendars"] or [None]
    return SimpleNamespace(events=events, calendar=calendar, problems=recorder.problems, recorder=recorder)


def event(*lines: str, uid: str = "one") -> str:
    """One VEVENT."""
    return "\r\n".join(["BEGIN:VEVENT", f"UID:{uid}", "DTSTAMP:20261101T000000Z", *lines, "END:VEVENT"])


def calendar(*events: str, head: Sequence[str] = ()) -> str:
    """A whole calendar."""
    return "\r\n".join(["BEGIN:VCALENDAR", "VERSION:2.0", *head, *events, "END:VCALENDAR", ""])


def read_text(text: str | bytes, tmp_path: Path, **settings: Any) -> SimpleNamespace:
    """Reads a calendar given as text."""
    path = tmp_path / "given.ics"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read(path, tmp_path, **settings)


def starts(found: SimpleNamespace, uid: str = "one") -> list[str]:
    """When an event's instances start, UTC, to the minute."""
    return [str(one["started_at"])[:16].replace("T", " ") for one in found.events.get(uid, [])]
