"""Whatever happens to a calendar's file on its way, a load reads what is left of it and says what is wrong."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.calendar_kit import FIXTURES, calendar, event, read_text

WHOLE = {name: (FIXTURES / f"{name}.ics").read_bytes() for name in ("outlook", "google", "apple", "broken")}
UNTOUCHED = event("DTSTART:20261117T090000Z", "SUMMARY:In spite of its neighbours", uid="untouched")


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(sorted(WHOLE)),
    cuts=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 40), st.binary(max_size=12)), min_size=1, max_size=6),
)
def test_no_damage_stops_a_load(name: str, cuts: list[tuple[float, int, bytes]]) -> None:
    data = bytearray(WHOLE[name])
    for where, length, instead in cuts:
        start = int(where * len(data))
        data[start : start + length] = instead
    with tempfile.TemporaryDirectory() as folder:
        found = read_text(bytes(data), Path(folder))
    for rows in found.events.values():
        for row in rows:
            assert row["started_at"] <= row["ended_at"]
            assert row["attendees"].startswith("[")
    assert all(file == "given.ics" and what for file, _, what in found.problems)


VALUES = st.text(st.characters(codec="utf-8", exclude_characters="\r\n", exclude_categories=("Cs",)), max_size=40)
NAMES = st.sampled_from(
    (
        *("DTSTART", "DTEND", "DURATION", "RRULE", "RDATE", "EXDATE", "RECURRENCE-ID", "SEQUENCE", "STATUS", "CLASS"),
        *("ATTENDEE", "ORGANIZER", "SUMMARY", "DESCRIPTION", "LOCATION", "URL", "TRANSP", "CREATED", "LAST-MODIFIED"),
        *("DTSTART;TZID=Europe/Berlin", "DTSTART;VALUE=DATE", "RRULE;X=1", "RECURRENCE-ID;RANGE=THISANDFUTURE"),
    )
)
TIMES = st.sampled_from(
    (
        *("20261117T090000Z", "20261117T090000", "20261117", "20261117T0900", "99991231T235959Z", "00010101T000000Z"),
        *("20261332", "PT1H", "-P1W", "P1D", "FREQ=DAILY", "FREQ=WEEKLY;COUNT=0", "FREQ=DAILY;UNTIL=99999999"),
        *("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "FREQ=DAILY;INTERVAL=0", "FREQ=DAILY;COUNT=3;UNTIL=20270101"),
        *("mailto:a@b.example", "20261117T090000Z/PT1H", "20261117T090000Z,20261118", "-1", "CONFIDENTIAL", ""),
    )
)


@settings(max_examples=80, deadline=None)
@given(lines=st.lists(st.tuples(NAMES, st.one_of(TIMES, VALUES)), max_size=7))
def test_no_event_stops_its_neighbours(lines: list[tuple[str, str]]) -> None:
    odd = event("DTSTART:20261117T090000Z", *(f"{name}:{value}" for name, value in lines), uid="odd")
    with tempfile.TemporaryDirectory() as folder:
        found = read_text(calendar(odd, UNTOUCHED), Path(folder))
    assert [one["title"] for one in found.events["untouched"]] == ["In spite of its neighbours"]
    for row in found.events.get("odd", []):
        assert row["started_at"] <= row["ended_at"]
