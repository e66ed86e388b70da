"""Rules agree with `dateutil`, asked on its own: the same instances at the same local times, in any zone."""

from __future__ import annotations

import tempfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from dateutil.rrule import rrulestr
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.calendar_kit import AS_OF, calendar, event, read_text

ZONES = (
    "Europe/Berlin",
    "America/Los_Angeles",
    "America/Sao_Paulo",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Pacific/Auckland",
    "Africa/Casablanca",
    "UTC",
)
DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
FIRST = AS_OF - timedelta(days=100)
LAST = AS_OF + timedelta(days=60)


@st.composite
def rules(draw: st.DrawFn) -> str:
    """A recurrence rule, with its end in words that both sides read alike."""
    frequency = draw(st.sampled_from(("DAILY", "WEEKLY", "MONTHLY", "YEARLY")))
    parts = [f"FREQ={frequency}", f"INTERVAL={draw(st.integers(1, 4))}"]
    if frequency == "WEEKLY" and draw(st.booleans()):
        parts.append("BYDAY=" + ",".join(draw(st.lists(st.sampled_from(DAYS), min_size=1, max_size=4, unique=True))))
        parts.append("WKST=" + draw(st.sampled_from(("MO", "SU"))))
    if frequency == "MONTHLY":
        which = draw(st.integers(0, 3))
        if which == 1:
            parts.append(f"BYMONTHDAY={draw(st.sampled_from((1, 15, 28, 29, 30, 31, -1)))}")
        elif which == 2:
            parts.append(f"BYDAY={draw(st.sampled_from((1, 2, 3, 4, 5, -1)))}{draw(st.sampled_from(DAYS))}")
        elif which == 3:
            parts.append(f"BYDAY=MO,TU,WE,TH,FR;BYSETPOS={draw(st.sampled_from((1, -1, 3)))}")
    if draw(st.booleans()):
        parts.append(f"COUNT={draw(st.integers(1, 60))}")
    return ";".join(parts)


@settings(max_examples=60, deadline=None)
@given(
    rule=rules(),
    zone=st.sampled_from(ZONES),
    day=st.dates(date(2026, 1, 1), date(2026, 12, 31)),
    minute=st.integers(0, 24 * 4 - 1),
    taken_out=st.lists(st.integers(0, 20), max_size=3, unique=True),
)
def test_rules_agree_with_dateutil(rule: str, zone: str, day: date, minute: int, taken_out: list[int]) -> None:
    local = datetime(day.year, day.month, day.day, minute // 4, minute % 4 * 15)
    # Asked in local time without a zone, so that nothing of ours or of the libraries' zones is in the answer.
    wanted: list[datetime] = []
    known: list[datetime] = []
    for one in rrulestr(rule, dtstart=local).xafter(local, inc=True):
        if one.date() > LAST + timedelta(days=2):
            break
        known.append(one)
    if local not in known:
        known.insert(0, local)  # an event takes place at its start, whatever its rule says
    out = {known[index] for index in taken_out if index < len(known)}
    first, after = (datetime(one.year, one.month, one.day, tzinfo=UTC) for one in (FIRST, LAST + timedelta(days=1)))
    for one in known:
        at = one.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
        if one not in out and first <= at < after:
            wanted.append(at)
    lines = [f"DTSTART;TZID={zone}:{local:%Y%m%dT%H%M%S}", "RRULE:" + rule]
    lines += [f"EXDATE;TZID={zone}:{one:%Y%m%dT%H%M%S}" for one in sorted(out)]
    with tempfile.TemporaryDirectory() as folder:
        found = read_text(calendar(event(*lines)), Path(folder), past_days=100, future_days=60)
    assert found.problems == []
    got = [datetime.fromisoformat(str(one["started_at"])) for one in found.events.get("one", [])]
    assert sorted(got) == sorted(wanted)
    # Each instance keeps the local time of the first one, but for hours that a change of the clocks leaves out.
    hours = {one.astimezone(ZoneInfo(zone)).time() for one in got}
    assert all(hour == local.time() or _left_out(one, zone, local) for one, hour in _hours(got, zone)), hours


def _hours(moments: list[datetime], zone: str) -> list[tuple[datetime, object]]:
    return [(one, one.astimezone(ZoneInfo(zone)).time()) for one in moments]


def _left_out(moment: datetime, zone: str, local: datetime) -> bool:
    here = moment.astimezone(ZoneInfo(zone))
    meant = here.replace(hour=local.hour, minute=local.minute)
    return meant.astimezone(UTC).astimezone(ZoneInfo(zone)).time() != local.time()
