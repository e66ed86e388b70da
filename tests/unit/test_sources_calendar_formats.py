"""Calendars as Outlook, Google and Apple write them, and as nobody should: what is read, what is said of the rest."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from sources.calendar import CalendarSettings
from tests.calendar_kit import FIXTURES, calendar, event, read, read_text, starts


def test_outlook(tmp_path: Path) -> None:
    found = read(FIXTURES / "outlook.ics", tmp_path)
    assert found.problems == []
    (plan,) = found.events["040000008200E00074C5B7101A82E00800000000D0"]
    assert (plan["started_at"], plan["time_zone"]) == ("2026-11-17T09:00:00+00:00", "Europe/Berlin")
    assert plan["title"] == "Rollout plan"
    assert plan["conference_url"] == (
        "https://teams.microsoft.com/l/meetup-join/19%3ameeting_abc%40thread.v2/0?context=x"
    )
    assert plan["description"].startswith("We look at the rollout plan together.\n\nJoin:")
    assert [(one["email"], one["name"], one["participation_status"]) for one in json.loads(plan["attendees"])] == [
        ("callum.frost@harbourline.example", "Frost, Callum", None),
        ("gillian@farmer-shipping.example", "Whitehouse, Gillian", "ACCEPTED"),
    ]
    # A room, a list and somebody without an address.
    assert plan["ignored_attendee_count"] == "3"
    assert plan["organizer_email"] == "callum.frost@harbourline.example"


def test_outlook_private_events_give_their_times_and_nothing_else(tmp_path: Path) -> None:
    (private,) = read(FIXTURES / "outlook.ics", tmp_path).events["private-1"]
    assert private["started_at"] == "2026-11-17T16:00:00+00:00"
    assert private["is_private"] == "true"
    told = {name: value for name, value in private.items() if value not in (None, "", "0", "false", "[]")}
    assert "Doctor" not in str(told)
    assert "Clinic" not in str(told)
    assert "doctor@" not in str(told)
    assert "business" not in str(told)


def test_outlook_zone_defined_by_the_file_alone(tmp_path: Path) -> None:
    (tehran,) = read(FIXTURES / "outlook.ics", tmp_path).events["custom-zone-1"]
    assert (tehran["started_at"], tehran["time_zone"]) == ("2026-11-18T05:30:00+00:00", None)
    assert tehran["is_free"] == "true"


def test_outlook_series_with_an_exception_a_move_and_a_cancellation(tmp_path: Path) -> None:
    found = read(FIXTURES / "outlook.ics", tmp_path)
    assert [
        (one["started_at"][:16], one["recurrence_id"][:8], one["is_cancelled"]) for one in found.events["weekly-1"]
    ] == [
        ("2026-10-05T07:00", "20261005", "false"),
        ("2026-10-12T07:00", "20261012", "false"),
        ("2026-10-26T08:00", "20261026", "false"),  # 19 October is taken out; winter time since the 25th
        ("2026-11-03T13:00", "20261102", "false"),  # moved to the next day
        ("2026-11-09T08:00", "20261109", "true"),
        ("2026-11-16T08:00", "20261116", "false"),
        ("2026-11-23T08:00", "20261123", "false"),
        ("2026-11-30T08:00", "20261130", "false"),
    ]


def test_google(tmp_path: Path) -> None:
    found = read(FIXTURES / "google.ics", tmp_path)
    assert found.problems == []
    assert found.calendar["owner_email"] == "luis.barrera@harbourline.example"
    assert found.calendar["time_zone"] == "America/Los_Angeles"
    (late,) = found.events["late@google.com"]
    assert late["title"] == "Renewal, second round; prices"
    assert late["conference_url"] == "https://meet.google.com/abc-defg-hij"
    assert late["owner_participation"] == "ACCEPTED"
    people = json.loads(late["attendees"])
    # The line is folded in the middle of the letter ö's line; the address was percent-encoded.
    assert [(one["email"], one["name"], one["is_organizer"]) for one in people] == [
        ("luis.barrera@harbourline.example", None, True),
        ("ida@valestone.example", "Ida Södergren", False),
    ]
    assert late["ignored_attendee_count"] == "1"


def test_google_whole_days_begin_where_the_calendar_is(tmp_path: Path) -> None:
    (away,) = read(FIXTURES / "google.ics", tmp_path).events["holiday@google.com"]
    assert (away["start_date"], away["end_date"]) == ("2026-11-23", "2026-11-25")
    assert away["started_at"] == "2026-11-23T08:00:00+00:00"
    assert (away["is_all_day"], away["is_free"]) == ("true", "true")


def test_google_what_repeats_for_ever_ends_with_the_horizon(tmp_path: Path) -> None:
    found = read(FIXTURES / "google.ics", tmp_path, future_days=14)
    assert starts(found, "forever@google.com") == [
        "2026-10-27 06:30",  # 23:30 in Los Angeles, summer time
        "2026-11-03 07:30",
        "2026-11-10 07:30",
        "2026-11-17 07:30",
        "2026-11-24 07:30",
        "2026-12-01 07:30",
    ]
    assert all(one["event_status"] == "TENTATIVE" for one in found.events["forever@google.com"])


def test_apple(tmp_path: Path) -> None:
    found = read(FIXTURES / "apple.ics", tmp_path, time_zone="Europe/London", owner_email="Ann@Harbourline.example")
    assert found.problems == []
    (visit,) = found.events["5C9A2F10-AAAA-BBBB-CCCC-000000000001"]
    assert visit["started_at"] == "2026-11-17T14:00:00+00:00"
    assert visit["conference_url"] == "https://zoom.us/j/987654321?pwd=abc"
    # The attendee's and organizer's values are paths and ids; their addresses stand beside them.
    assert [one["email"] for one in json.loads(visit["attendees"])] == [
        "ann@harbourline.example",
        "gillian@farmer-shipping.example",
    ]
    assert found.calendar["owner_email"] == "ann@harbourline.example"


def test_broken_components_are_named_with_their_lines_and_the_rest_is_read(tmp_path: Path) -> None:
    found = read(FIXTURES / "broken.ics", tmp_path)
    assert sorted(uid for uid in found.events if not uid.startswith("without-uid")) == ["good-1", "unknown-zone"]
    said = {(line, what.split(" (")[0]) for _, line, what in found.problems}
    assert (None, "the calendar's time zone `Nowhere/Land` is not known") in said
    assert (4, "`this line belongs to nobody` is not a line of a calendar") in said
    assert (9, "`SEQUENCE:many` cannot be read and was left out") in said
    assert (10, "`a line without a colon` cannot be read and was left out") in said
    assert (12, "the event has no start") in said
    assert (18, "`DTSTART:2026-11-17 at nine` cannot be read, so the event is left out") in said
    assert (21, "`BEGIN:VEVENT` without its END") in said
    assert (33, "`RRULE:FREQ=FORTNIGHTLY;COUNT=3` cannot be read, so the event is left out") in said
    assert (39, "an event that repeats secondly is not a meeting") in said
    assert (42, "the event has no UID; it is known by what it says") in said
    assert (42, "the event ends before it starts; start and end are read the other way round") in said
    assert (47, "`END:VEVENT` without its BEGIN") in said
    assert any(line == 27 and "Mars/Olympus Mons" in what and "read as UTC" in what for line, what in said)
    assert all(file == "broken.ics" for file, _, _ in found.problems)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "no calendar begins here"),
        (b"%PDF-1.7\nnot a calendar\n", "no calendar begins here"),
        (b"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:x\r\nDTSTART:20261117T0900", "without its END"),
        (b"\x1f\x8b\x08\x00broken gzip", "cannot be read"),
        (bytes(range(256)) * 20, "no calendar begins here"),
    ],
)
def test_files_that_are_no_calendars_say_so(content: bytes, what: str, tmp_path: Path) -> None:
    found = read_text(content, tmp_path)
    assert found.events == {}
    assert any(what in said for _, _, said in found.problems)


def test_a_file_cut_short_gives_what_is_whole(tmp_path: Path) -> None:
    whole = calendar(event("DTSTART:20261117T090000Z"), event("DTSTART:20261118T090000Z", uid="two"))
    found = read_text(whole[: whole.index("UID:two") + 20], tmp_path)
    assert list(found.events) == ["one"]
    assert [(line, what) for _, line, what in found.problems] == [
        (8, "`BEGIN:VEVENT` without its END"),
        (10, "the file ends in the middle of the calendar (`END:VCALENDAR` is missing)"),
    ]


def test_packed_utf16_and_old_line_ends(tmp_path: Path) -> None:
    text = calendar(event("DTSTART:20261117T090000Z", "SUMMARY:Kärnten"))
    packed = tmp_path / "given.ics.gz"
    packed.write_bytes(gzip.compress(text.encode()))
    for found in (
        read(packed, tmp_path),
        read_text(text.encode("utf-16"), tmp_path),
        read_text(text.replace("\r\n", "\r").encode(), tmp_path),
        read_text(text.replace("\r\n", "\n").encode(), tmp_path),
        read_text(b"\xef\xbb\xbf" + text.encode(), tmp_path),
    ):
        assert [one["title"] for one in found.events["one"]] == ["Kärnten"]
        assert found.problems == []


def test_a_line_folded_inside_a_letter_is_one_line(tmp_path: Path) -> None:
    text = calendar(event("DTSTART:20261117T090000Z", "SUMMARY:Gr\u00fc\u00dfe aus Kärnten")).encode()
    cut = text.index("\u00fc".encode()) + 1
    found = read_text(text[:cut] + b"\r\n " + text[cut:], tmp_path)
    assert found.events["one"][0]["title"] == "Gr\u00fc\u00dfe aus Kärnten"
    assert found.problems == []


def test_another_encoding_is_guessed_and_said(tmp_path: Path) -> None:
    text = calendar(event("DTSTART:20261117T090000Z", "SUMMARY:Café über Zürich"))
    found = read_text(text.encode("cp1252"), tmp_path)
    assert found.events["one"][0]["title"] == "Café über Zürich"
    assert [(line, what) for _, line, what in found.problems] == [
        (7, "the file is not UTF-8 from here on; read as cp1252")
    ]


@pytest.mark.parametrize(
    ("zone", "utc"),
    [
        ("Europe/Berlin", "2026-11-17 09:00"),
        ('"W. Europe Standard Time"', "2026-11-17 09:00"),
        ("Pacific Standard Time", "2026-11-17 18:00"),
        ("/freeassociation.sourceforge.net/America/Argentina/Buenos_Aires", "2026-11-17 13:00"),
        ("europe/berlin", "2026-11-17 09:00"),
        ("UTC", "2026-11-17 10:00"),
    ],
)
def test_zones_by_whatever_name(zone: str, utc: str, tmp_path: Path) -> None:
    found = read_text(calendar(event(f"DTSTART;TZID={zone}:20261117T100000")), tmp_path)
    assert starts(found) == [utc]
    assert found.problems == []


def test_two_files_may_define_one_name_differently(tmp_path: Path) -> None:
    def own(offset: str) -> str:
        zone = ["BEGIN:VTIMEZONE", "TZID:Our Time", "BEGIN:STANDARD", "DTSTART:19700101T000000"]
        zone += [f"TZOFFSETFROM:{offset}", f"TZOFFSETTO:{offset}", "END:STANDARD", "END:VTIMEZONE"]
        return calendar(event("DTSTART;TZID=Our Time:20261117T120000", uid=offset), head=zone)

    folder = tmp_path / "folder"
    folder.mkdir()
    for offset in ("+0100", "+0545", "-0330"):
        (folder / f"{offset}.ics").write_text(own(offset))
    found = read(folder, tmp_path)
    assert [starts(found, offset) for offset in ("+0100", "+0545", "-0330")] == [
        ["2026-11-17 11:00"],
        ["2026-11-17 06:15"],
        ["2026-11-17 15:30"],
    ]


def test_floating_times_are_the_calendars_then_the_settings_then_the_companys(tmp_path: Path) -> None:
    floating = event("DTSTART:20261117T100000")
    named = calendar(floating, head=["X-WR-TIMEZONE:Asia/Tokyo"])
    assert starts(read_text(named, tmp_path, time_zone="Europe/Berlin")) == ["2026-11-17 01:00"]
    assert starts(read_text(calendar(floating), tmp_path, time_zone="Europe/Berlin")) == ["2026-11-17 09:00"]
    assert starts(read_text(calendar(floating), tmp_path)) == ["2026-11-17 10:00"]


def test_settings_refuse_what_cannot_be_meant(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="is not a time zone"):
        CalendarSettings(name="x", path=tmp_path, time_zone="Nowhere")
    with pytest.raises(ValidationError, match="needs `path` or `url`"):
        CalendarSettings(name="x")
    with pytest.raises(ValidationError):
        CalendarSettings(name="x", path=tmp_path, colour="red")  # type: ignore[call-arg]
    assert CalendarSettings(name="x", path=tmp_path, time_zone="Tokyo Standard Time").time_zone == "Asia/Tokyo"
