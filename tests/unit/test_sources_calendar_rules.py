"""When meetings are: repeated, moved, called off, across changes of the clocks, in later versions of invitations."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sources.calendar import expand
from tests.calendar_kit import calendar, event, read, read_text, starts

BERLIN = "TZID=Europe/Berlin"
NEW_YORK = "TZID=America/New_York"


# -- changes of the clocks, worked out by hand ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "utc"),
    [
        # 29 March 2026, Berlin: 02:00 becomes 03:00. What lies in the gap is read with the offset before it.
        (f"{BERLIN}:20260329T013000", "2026-03-29 00:30"),
        (f"{BERLIN}:20260329T023000", "2026-03-29 01:30"),
        (f"{BERLIN}:20260329T033000", "2026-03-29 01:30"),
        # 25 October 2026, Berlin: 03:00 becomes 02:00. What comes twice is meant the first time.
        (f"{BERLIN}:20261025T023000", "2026-10-25 00:30"),
        (f"{BERLIN}:20261025T033000", "2026-10-25 02:30"),
        # 1 November 2026, New York: 02:00 becomes 01:00.
        (f"{NEW_YORK}:20261101T013000", "2026-11-01 05:30"),
        (f"{NEW_YORK}:20261101T020000", "2026-11-01 07:00"),
        # Lord Howe moves its clocks by half an hour, on 4 October 2026.
        ("TZID=Australia/Lord_Howe:20261004T011500", "2026-10-03 14:45"),
        ("TZID=Australia/Lord_Howe:20261004T031500", "2026-10-03 16:15"),
    ],
)
def test_changes_of_the_clocks(start: str, utc: str, tmp_path: Path) -> None:
    assert starts(read_text(calendar(event(f"DTSTART;{start}")), tmp_path)) == [utc]


def test_a_daily_meeting_keeps_its_local_hour_across_the_change(tmp_path: Path) -> None:
    daily = event(f"DTSTART;{BERLIN}:20261023T090000", "DURATION:PT30M", "RRULE:FREQ=DAILY;COUNT=5")
    assert starts(read_text(calendar(daily), tmp_path)) == [
        "2026-10-23 07:00",
        "2026-10-24 07:00",
        "2026-10-25 08:00",
        "2026-10-26 08:00",
        "2026-10-27 08:00",
    ]


def test_the_same_rule_in_a_zone_of_the_files_own(tmp_path: Path) -> None:
    zone = [
        *("BEGIN:VTIMEZONE", "TZID:Home", "BEGIN:STANDARD", "DTSTART:19701025T030000"),
        *("RRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU", "TZOFFSETFROM:+0200", "TZOFFSETTO:+0100", "END:STANDARD"),
        *("BEGIN:DAYLIGHT", "DTSTART:19700329T020000", "RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU"),
        *("TZOFFSETFROM:+0100", "TZOFFSETTO:+0200", "END:DAYLIGHT", "END:VTIMEZONE"),
    ]
    daily = event("DTSTART;TZID=Home:20261023T090000", "RRULE:FREQ=DAILY;COUNT=4", "EXDATE;TZID=Home:20261024T090000")
    assert starts(read_text(calendar(daily, head=zone), tmp_path)) == [
        "2026-10-23 07:00",
        "2026-10-25 08:00",
        "2026-10-26 08:00",
    ]


# -- the end of a rule ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("until", "last"),
    [
        ("20261113T170000Z", "2026-11-13 17:00"),  # 09:00 in Los Angeles, to the second
        ("20261113T165959Z", "2026-11-12 17:00"),
        ("20261113T090000", "2026-11-13 17:00"),  # without Z: meant where the event is
        ("20261113T085959", "2026-11-12 17:00"),
        ("20261113", "2026-11-13 17:00"),  # a day alone: the whole of it
        ("20261114T080000Z", "2026-11-13 17:00"),
    ],
)
def test_until_in_utc_and_in_local_time(until: str, last: str, tmp_path: Path) -> None:
    rule = event("DTSTART;TZID=America/Los_Angeles:20261110T090000", f"RRULE:FREQ=DAILY;UNTIL={until}")
    found = starts(read_text(calendar(rule), tmp_path))
    assert found[0] == "2026-11-10 17:00"
    assert found[-1] == last


def test_whole_days_that_repeat(tmp_path: Path) -> None:
    days = event("DTSTART;VALUE=DATE:20261110", "RRULE:FREQ=DAILY;UNTIL=20261113", "EXDATE;VALUE=DATE:20261111")
    found = read_text(calendar(days), tmp_path, time_zone="Asia/Tokyo")
    assert [one["start_date"] for one in found.events["one"]] == ["2026-11-10", "2026-11-12", "2026-11-13"]
    assert [one["recurrence_id"] for one in found.events["one"]] == ["20261110", "20261112", "20261113"]


def test_added_days_and_periods(tmp_path: Path) -> None:
    listed = event(
        "DTSTART:20261110T090000Z",
        "DTEND:20261110T100000Z",
        "RDATE:20261112T150000Z,20261113T160000Z",
        "RDATE;VALUE=PERIOD:20261114T170000Z/PT2H",
    )
    found = read_text(calendar(listed), tmp_path)
    assert [(one["started_at"][5:16], one["ended_at"][11:16]) for one in found.events["one"]] == [
        ("11-10T09:00", "10:00"),
        ("11-12T15:00", "16:00"),
        ("11-13T16:00", "17:00"),
        ("11-14T17:00", "19:00"),
    ]


def test_an_exception_named_by_its_day_or_in_utc(tmp_path: Path) -> None:
    rule = ("DTSTART;TZID=America/Los_Angeles:20261110T200000", "RRULE:FREQ=DAILY;COUNT=4")
    by_utc = event(*rule, "EXDATE:20261112T040000Z")
    by_day = event(*rule, "EXDATE;VALUE=DATE:20261111")
    for one in (by_utc, by_day):
        assert starts(read_text(calendar(one), tmp_path)) == [
            "2026-11-11 04:00",
            "2026-11-13 04:00",
            "2026-11-14 04:00",
        ]


def test_from_here_on_everything_moves(tmp_path: Path) -> None:
    rule = event(f"DTSTART;{BERLIN}:20261102T090000", "DURATION:PT1H", "RRULE:FREQ=DAILY;COUNT=5", "SUMMARY:Early")
    later = event(
        f"RECURRENCE-ID;RANGE=THISANDFUTURE;{BERLIN}:20261104T090000",
        f"DTSTART;{BERLIN}:20261104T110000",
        f"DTEND;{BERLIN}:20261104T113000",
        "SUMMARY:Later",
    )
    found = read_text(calendar(rule, later), tmp_path)
    assert [(one["started_at"][8:16], one["recurrence_id"][6:13], one["title"]) for one in found.events["one"]] == [
        ("02T08:00", "02T0800", "Early"),
        ("03T08:00", "03T0800", "Early"),
        ("04T10:00", "04T0800", "Later"),
        ("05T10:00", "05T0800", "Later"),
        ("06T10:00", "06T0800", "Later"),
    ]
    assert {one["ended_at"][11:16] for one in found.events["one"]} == {"09:00", "10:30"}


def test_an_instance_moved_out_of_its_order_keeps_its_id(tmp_path: Path) -> None:
    rule = event("DTSTART:20261102T090000Z", "RRULE:FREQ=WEEKLY;COUNT=3")
    moved = event("RECURRENCE-ID:20261109T090000Z", "DTSTART:20261125T120000Z", "SEQUENCE:1")
    found = read_text(calendar(moved, rule), tmp_path)
    assert [(one["started_at"][8:16], one["recurrence_id"][6:8]) for one in found.events["one"]] == [
        ("02T09:00", "02"),
        ("16T09:00", "16"),
        ("25T12:00", "09"),
    ]
    before = read_text(calendar(rule), tmp_path)
    assert {one["id"] for one in before.events["one"]} == {one["id"] for one in found.events["one"]}


def test_an_exception_may_name_its_instance_by_the_day(tmp_path: Path) -> None:
    rule = event("DTSTART;TZID=America/Los_Angeles:20261110T200000", "RRULE:FREQ=DAILY;COUNT=3")
    moved = event("RECURRENCE-ID;VALUE=DATE:20261111", "DTSTART;TZID=America/Los_Angeles:20261111T210000")
    found = read_text(calendar(rule, moved), tmp_path)
    assert starts(found) == ["2026-11-11 04:00", "2026-11-12 05:00", "2026-11-13 04:00"]
    assert [one["recurrence_id"] for one in found.events["one"]] == [
        "20261111T040000Z",
        "20261112T040000Z",
        "20261113T040000Z",
    ]


@pytest.mark.parametrize(
    ("rule", "what"),
    [
        ("FREQ=DAILY;INTERVAL=0", "an event cannot repeat every 0"),
        ("FREQ=HOURLY;BYMONTH=2;BYMONTHDAY=30,31", "the event repeats on a day that no year has"),
        ("FREQ=YEARLY;BYMONTH=4,6;BYMONTHDAY=-31", "the event repeats on a day that no year has"),
        ("FREQ=MINUTELY", "an event that repeats minutely is not a meeting"),
    ],
)
def test_rules_on_which_one_would_wait_for_ever_are_refused(rule: str, what: str, tmp_path: Path) -> None:
    found = read_text(calendar(event("DTSTART:20261117T090000Z", f"RRULE:{rule}")), tmp_path)
    assert found.events == {}
    assert [(line, said) for _, line, said in found.problems] == [(7, what)]


def test_a_leap_day_comes_round(tmp_path: Path) -> None:
    leap = event("DTSTART:20240229T090000Z", "RRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29")
    assert starts(read_text(calendar(leap), tmp_path, past_days=1000, future_days=500)) == [
        "2024-02-29 09:00",
        "2028-02-29 09:00",
    ]


# -- the horizon ------------------------------------------------------------------------------------------------------


def test_nothing_beyond_the_horizon(tmp_path: Path) -> None:
    rule = event("DTSTART:20200101T090000Z", "RRULE:FREQ=DAILY")
    found = starts(read_text(calendar(rule), tmp_path, past_days=2, future_days=1))
    assert found == ["2026-11-15 09:00", "2026-11-16 09:00", "2026-11-17 09:00", "2026-11-18 09:00"]
    alone = calendar(event("DTSTART:20261119T000000Z"), event("DTSTART:20261114T235900Z", uid="two"))
    assert read_text(alone, tmp_path, past_days=2, future_days=1).events == {}


def test_an_event_under_way_at_the_horizon_is_in_it(tmp_path: Path) -> None:
    long = event("DTSTART:20261101T090000Z", "DTEND:20261116T090000Z")
    assert starts(read_text(calendar(long), tmp_path, past_days=2)) == ["2026-11-01 09:00"]


def test_a_rule_that_makes_too_many_meetings_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expand, "MAX_INSTANCES", 100)
    rule = ("DTSTART:20261117T000000Z", "RRULE:FREQ=HOURLY")
    found = read_text(calendar(event(*rule)), tmp_path, future_days=5)
    assert found.events == {}
    assert [(line, what.split(" within")[0]) for _, line, what in found.problems] == [
        (3, "the event's rule makes more than 100 meetings")
    ]
    assert len(read_text(calendar(event(*rule)), tmp_path, future_days=3).events["one"]) == 96


# -- invitations and their later versions -----------------------------------------------------------------------------


def _message(folder: Path, name: str, method: str, *lines: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(calendar(event(*lines), head=[f"METHOD:{method}"]))


def test_the_later_sequence_wins_whichever_file_it_stands_in(tmp_path: Path) -> None:
    folder = tmp_path / "invitations"
    _message(folder, "b.ics", "REQUEST", "DTSTART:20261117T090000Z", "SEQUENCE:0", "SUMMARY:First")
    _message(folder, "a.ics", "REQUEST", "DTSTART:20261118T110000Z", "SEQUENCE:1", "SUMMARY:Second")
    found = read(folder, tmp_path)
    assert [(one["title"], one["sequence"]) for one in found.events["one"]] == [("Second", "1")]
    assert starts(found) == ["2026-11-18 11:00"]


def test_a_cancellation_calls_off_what_was_asked_for(tmp_path: Path) -> None:
    folder = tmp_path / "invitations"
    asked = ("DTSTART:20261110T090000Z", "RRULE:FREQ=WEEKLY;COUNT=3", "SUMMARY:Weekly")
    _message(folder, "a.ics", "REQUEST", *asked, "SEQUENCE:0")
    _message(folder, "b.ics", "CANCEL", "DTSTART:20261110T090000Z", "SEQUENCE:1")
    found = read(folder, tmp_path)
    assert [(one["started_at"][8:10], one["is_cancelled"], one["title"]) for one in found.events["one"]] == [
        ("10", "true", "Weekly"),
        ("17", "true", "Weekly"),
        ("24", "true", "Weekly"),
    ]
    # Asked for anew, it takes place again.
    _message(folder, "c.ics", "REQUEST", "DTSTART:20261201T090000Z", "SEQUENCE:2", "SUMMARY:Once")
    again = read(folder, tmp_path)
    assert [(one["started_at"][:10], one["is_cancelled"]) for one in again.events["one"]] == [("2026-12-01", "false")]


def test_one_instance_called_off_by_message(tmp_path: Path) -> None:
    folder = tmp_path / "invitations"
    _message(folder, "a.ics", "REQUEST", "DTSTART:20261110T090000Z", "RRULE:FREQ=WEEKLY;COUNT=3", "SUMMARY:Weekly")
    _message(folder, "b.ics", "CANCEL", "DTSTART:20261117T090000Z", "RECURRENCE-ID:20261117T090000Z", "SEQUENCE:1")
    found = read(folder, tmp_path)
    assert [(one["started_at"][8:10], one["is_cancelled"]) for one in found.events["one"]] == [
        ("10", "false"),
        ("17", "true"),
        ("24", "false"),
    ]


def test_an_answer_is_not_the_meeting(tmp_path: Path) -> None:
    folder = tmp_path / "invitations"
    asked = "ATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:gil@buyer.example"
    _message(folder, "a.ics", "REQUEST", "DTSTART:20261117T090000Z", "SUMMARY:Asked", asked)
    _message(
        folder, "b.ics", "REPLY", "DTSTART:20261117T230000Z", "SEQUENCE:9", asked.replace("NEEDS-ACTION", "ACCEPTED")
    )
    found = read(folder, tmp_path)
    assert starts(found) == ["2026-11-17 09:00"]
    assert found.events["one"][0]["title"] == "Asked"


def test_an_exception_of_an_earlier_message_does_not_outlive_rescheduling(tmp_path: Path) -> None:
    folder = tmp_path / "invitations"
    _message(folder, "a.ics", "REQUEST", "DTSTART:20261110T090000Z", "RRULE:FREQ=WEEKLY;COUNT=2", "SEQUENCE:0")
    _message(folder, "b.ics", "REQUEST", "DTSTART:20261118T090000Z", "RECURRENCE-ID:20261117T090000Z", "SEQUENCE:0")
    assert starts(read(folder, tmp_path)) == ["2026-11-10 09:00", "2026-11-18 09:00"]
    _message(folder, "c.ics", "REQUEST", "DTSTART:20261111T090000Z", "RRULE:FREQ=WEEKLY;COUNT=2", "SEQUENCE:1")
    assert starts(read(folder, tmp_path)) == ["2026-11-11 09:00", "2026-11-18 09:00"]


def test_a_series_written_out_under_one_uid_keeps_all_its_meetings(tmp_path: Path) -> None:
    days = [event(f"DTSTART:202611{day}T090000Z", "SEQUENCE:0") for day in (10, 17, 24)]
    found = read_text(calendar(*days), tmp_path)
    assert starts(found) == ["2026-11-10 09:00", "2026-11-17 09:00", "2026-11-24 09:00"]
    assert len({one["id"] for one in found.events["one"]}) == 3


def test_what_everybody_answered(tmp_path: Path) -> None:
    asked = event(
        "DTSTART:20261117T090000Z",
        "ORGANIZER:MAILTO:Ann@Ours.example",
        "ATTENDEE;PARTSTAT=DECLINED;CN=Bo:mailto:bo@buyer.example",
        "ATTENDEE;PARTSTAT=X-UNHEARD-OF:mailto:cy@buyer.example",
        "ATTENDEE;CN=Two;ROLE=OPT-PARTICIPANT;PARTSTAT=ACCEPTED:mailto:ann@ours.example",
        "ATTENDEE:mailto:bo@buyer.example",
        "ATTENDEE;CUTYPE=ROOM:mailto:room@ours.example",
        "ATTENDEE:invalid:nomail",
    )
    found = read_text(calendar(asked), tmp_path, owner_email="ann@ours.example")
    (one,) = found.events["one"]
    assert [
        (p["email"], p["participation_status"], p["role"], p["is_organizer"]) for p in json.loads(one["attendees"])
    ] == [
        ("bo@buyer.example", "DECLINED", "REQ-PARTICIPANT", False),
        ("cy@buyer.example", "NEEDS-ACTION", "REQ-PARTICIPANT", False),
        ("ann@ours.example", "ACCEPTED", "OPT-PARTICIPANT", True),
    ]
    assert (one["attendee_count"], one["ignored_attendee_count"]) == ("3", "2")
    assert one["owner_participation"] == "ACCEPTED"
