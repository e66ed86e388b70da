"""Nights with calendars: only what moved is written, the horizon moves on, nothing is taken for deleted by mistake."""

from __future__ import annotations

import os
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest

from nightdesk.erasure.tombstones import Tombstones
from nightdesk.errors import NightdeskError
from sources.calendar import CalendarSettings, load
from sources.kit.report import LoadReport
from tests.calendar_kit import AS_OF, calendar, event

MEETING = event("DTSTART:20261118T090000Z", "SUMMARY:Pilot", "ATTENDEE:mailto:gil@buyer.example", uid="pilot")
OLD = event("DTSTART:20261010T090000Z", "SUMMARY:Long ago", uid="old")
WEEKLY = event("DTSTART:20261103T100000Z", "RRULE:FREQ=WEEKLY", "SUMMARY:Weekly", uid="weekly")


class Nights:
    """A folder with a calendar file, and nights over it."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "ann.ics"
        self.raw = folder / "raw.duckdb"
        self.settings = CalendarSettings(name="ann", path=self.file, past_days=30, future_days=14)
        self._pipelines = folder / "pipelines"
        self._stamp = 1_790_000_000

    def write(self, *events: str, tail: str = "") -> None:
        """Puts the calendar's file in place, dated a second after the last one."""
        text = calendar(*events)
        self.file.write_text(text[: text.index("END:VCALENDAR")] + tail if tail else text)
        self._stamp += 1
        os.utime(self.file, (self._stamp, self._stamp))

    def night(self, as_of: date = AS_OF, **more: object) -> LoadReport:
        settings = more.pop("settings", None) or [self.settings]
        return load(settings, self.raw, self._pipelines, as_of=as_of, **more)  # type: ignore[arg-type]

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        with duckdb.connect(str(self.raw), read_only=True) as connection:
            connection.execute("set timezone = 'UTC'")
            return connection.execute(sql).fetchall()

    def days(self, uid: str) -> list[str]:
        sql = "select strftime(started_at, '%m-%d %H:%M') from calendar.events "
        return [str(day) for (day,) in self.rows(f"{sql} where uid = '{uid}' order by started_at")]


@pytest.fixture
def nights(tmp_path: Path) -> Nights:
    return Nights(tmp_path)


def test_nights_over_one_calendar(nights: Nights) -> None:
    nights.write(MEETING, OLD, WEEKLY)
    first = nights.night(AS_OF - timedelta(days=10))
    assert first.rows_moved["events"] == 1 + 1 + 3  # 7 November: the weekly one on the 3rd, 10th and 17th
    assert first.problems == ()

    # The next night the horizon is ten days on; what falls out of it stays, and 24 November and 1 December are new.
    second = nights.night()
    assert second.rows_moved["events"] == 2
    assert nights.days("weekly") == ["11-03 10:00", "11-10 10:00", "11-17 10:00", "11-24 10:00", "12-01 10:00"]
    assert nights.days("old") == ["10-10 09:00"]

    assert not any(nights.night().rows_moved.values())

    # A new export with new stamps says nothing new.
    nights.write(*(one.replace("DTSTAMP:20261101", "DTSTAMP:20261117") for one in (MEETING, OLD, WEEKLY)))
    again = nights.night()
    assert {name: count for name, count in again.rows_moved.items() if count} == {"files": 1}

    # One is moved, one is new; the rest is not touched.
    nights.write(
        MEETING.replace("20261118T09", "20261119T15"), OLD, WEEKLY, event("DTSTART:20261120T080000Z", uid="new")
    )
    moved = nights.night()
    assert (moved.rows_moved["events"], moved.rows_moved["series"]) == (2, 2)
    assert nights.days("pilot") == ["11-19 15:00"]

    # What vanished from its own file is gone, but for what lies before the horizon.
    nights.write(event("DTSTART:20261120T080000Z", uid="new"))
    gone = nights.night()
    assert gone.rows_moved["events"] == 1 + 5
    assert nights.rows("select uid from calendar.events order by uid") == [("new",), ("old",)]


def test_a_file_that_is_broken_or_away_deletes_nothing(nights: Nights) -> None:
    nights.write(MEETING, WEEKLY)
    nights.night()
    before = nights.rows("select id from calendar.events order by id")
    assert before

    nights.write(WEEKLY, tail="BEGIN:VEVENT\r\nUID:pil")
    cut = nights.night()
    assert [problem.position for problem in cut.problems] == ["line 10", "line 11"]
    assert nights.rows("select id from calendar.events order by id") == before
    assert nights.rows("select file, position from calendar.problems order by position") == [
        (str(nights.file), "line 10"),
        (str(nights.file), "line 11"),
    ]

    nights.write(MEETING.replace("DTSTART:20261118", "DTSTART:2026-11-18"), WEEKLY)
    unreadable = nights.night()
    assert [problem.position for problem in unreadable.problems] == ["line 6"]
    assert nights.rows("select id from calendar.events order by id") == before

    nights.file.unlink()
    with pytest.raises(NightdeskError, match="The calendar is away"):
        nights.night()
    other = nights.file.with_name("other.ics")
    other.write_text(calendar())
    away = nights.night(settings=[nights.settings, CalendarSettings(name="other", path=other)])
    assert [str(problem) for problem in away.problems] == [
        f"{nights.file}: the calendar is not there. Check `path`; what is loaded stays."
    ]
    assert nights.rows("select id from calendar.events order by id") == before

    nights.write(MEETING, WEEKLY)
    mended = nights.night()
    assert mended.problems == ()
    assert nights.rows("select count(*) from calendar.problems where file like '%.ics' and position <> ''") == [(0,)]


def test_a_folder_of_invitations_is_read_file_by_file(nights: Nights, tmp_path: Path) -> None:
    folder = tmp_path / "invitations"
    folder.mkdir()

    def message(name: str, method: str, *lines: str, uid: str = "pilot") -> None:
        (folder / name).write_text(calendar(event(*lines, uid=uid), head=[f"METHOD:{method}"]))

    one = [CalendarSettings(name="ann", path=folder)]
    message("1.ics", "REQUEST", "DTSTART:20261118T090000Z", "SUMMARY:Pilot", "SEQUENCE:0")
    message("2.ics", "REQUEST", "DTSTART:20261118T120000Z", "SUMMARY:Other", uid="other")
    nights.night(settings=one)
    assert nights.rows("select uid, is_cancelled from calendar.events order by uid") == [
        ("other", False),
        ("pilot", False),
    ]

    # A cancellation comes in a file of its own; the file with the invitation has not changed, and is read with it.
    message("3.ics", "CANCEL", "DTSTART:20261118T090000Z", "SEQUENCE:1")
    assert nights.night(settings=one).rows_moved["events"] == 1
    assert nights.rows("select uid, is_cancelled, title from calendar.events order by uid") == [
        ("other", False, "Other"),
        ("pilot", True, "Pilot"),
    ]
    # Tidied away, the messages leave what they said.
    (folder / "1.ics").unlink()
    (folder / "3.ics").unlink()
    assert nights.night(settings=one).rows_moved["events"] == 0


def test_other_settings_read_everything_anew(nights: Nights) -> None:
    nights.write(event("DTSTART:20261118T090000", uid="floating"), WEEKLY)
    nights.night()
    other = nights.settings.model_copy(update={"time_zone": "Asia/Tokyo", "future_days": 21})
    # The floating one is meant elsewhere, and the weekly one reaches one week further.
    assert nights.night(settings=[other]).rows_moved["events"] == 2
    assert nights.days("floating") == ["11-18 00:00"]
    assert nights.days("weekly")[-1] == "12-08 10:00"
    with pytest.raises(NightdeskError, match="Two calendars are called `ann`"):
        nights.night(settings=[nights.settings, other])


def test_meetings_of_erased_people_stay_out(nights: Nights) -> None:
    nights.write(MEETING, event("DTSTART:20261118T090000Z", "DESCRIPTION:Ask gil@buyer.example", uid="named"), WEEKLY)
    stones = Tombstones(b"k" * 32)
    stones.learn("email", "gil@buyer.example", "e1")
    report = nights.night(tombstones=stones)
    assert report.erased == {"events": 2}
    assert nights.rows("select distinct uid from calendar.events") == [("weekly",)]
