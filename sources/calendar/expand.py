"""Writes one event out as its instances: rules, exceptions, moved and cancelled ones, later versions over earlier."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from sources.calendar.event import INDEX, Event, texts
from sources.calendar.library import icalendar, reason, recurring
from sources.calendar.normalise import Unreadable
from sources.calendar.tables import EVENTS

# More meetings than that from one event within the horizon is a broken rule.
MAX_INSTANCES: Final = 10_000


@dataclass(frozen=True, slots=True)
class Horizon:
    """The days that are written out, both included."""

    first: date
    last: date

    @property
    def begin(self) -> datetime:
        return datetime(self.first.year, self.first.month, self.first.day, tzinfo=UTC)

    @property
    def end(self) -> datetime:
        after = self.last + timedelta(days=1)
        return datetime(after.year, after.month, after.day, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Instance:
    """One time an event takes place."""

    event: Event
    recurrence_id: str
    start: date | datetime
    end: date | datetime


def current(events: Sequence[Event]) -> tuple[list[Event], bool]:
    """The versions that count, out of all that stand anywhere under one UID.

    Returns:
        (the event itself and its exceptions, whether the whole of it is cancelled).
    """
    masters = sorted((one for one in events if not one.is_override), key=lambda one: one.rank)
    overrides = sorted((one for one in events if one.is_override), key=lambda one: one.rank)
    chosen: list[Event] = []
    cancelled = False
    if masters:
        newest = masters[-1]
        cancelled = newest.is_cancelled
        if newest.method == "CANCEL":
            # A cancellation often carries a bare event: what is cancelled is what was asked for before.
            asked = [one for one in masters if one.method != "CANCEL"]
            newest = asked[-1] if asked else newest
        chosen = [newest]
        if not newest.repeats:
            # Some exports write a series out, with the same UID for each instance and nothing to tell them apart.
            apart = [
                one
                for one in masters
                if one.file == newest.file
                and one.sequence == newest.sequence
                and not one.repeats
                and one.method != "CANCEL"
            ]
            chosen = list({str(one.start): one for one in apart}.values()) or [newest]
    kept: dict[str, Event] = {}
    for one in overrides:
        _name_by_time(one, chosen)
        # An exception in an earlier message does not outlive the rescheduling of the whole.
        if chosen and one.file != chosen[0].file and one.sequence < chosen[0].sequence:
            continue
        key = _recurrence_id(one.component["RECURRENCE-ID"].dt)
        known = kept.get(key)
        kept[key] = _over(known, one) if known is not None else one
    return chosen + list(kept.values()), cancelled


def _name_by_time(override: Event, masters: Sequence[Event]) -> None:
    """An exception that names its instance by the day alone means the one at the event's own hour."""
    named = override.component["RECURRENCE-ID"]
    start = masters[0].start if masters else None
    if isinstance(start, datetime) and not isinstance(named.dt, datetime):
        named.dt = datetime.combine(named.dt, start.timetz())


def _over(earlier: Event, later: Event) -> Event:
    """The later version; a bare cancellation keeps what the earlier one said about the meeting."""
    if later.method != "CANCEL" or "SUMMARY" in later.component:
        return later
    for name, value in earlier.component.items():
        if name not in later.component:
            later.component[name] = value
    return later


def instances(events: Sequence[Event], horizon: Horizon) -> Iterator[Instance]:
    """Every instance of an event that overlaps the horizon.

    Args:
        events: From `current`: one event (or several apart ones) and its exceptions.
        horizon: What is wanted.

    Raises:
        Unreadable: A rule makes no sense, or makes too many instances.
    """
    masters = [one for one in events if not one.is_override]
    alone = len(masters) == len(events) and not any(one.repeats for one in events)
    if alone:
        for one in masters:
            start, end = _span(one.component)
            if _overlaps(start, end, horizon):
                yield Instance(one, _recurrence_id(start) if len(masters) > 1 else "", start, end)
        return
    yield from _series(events, masters, horizon)


def _series(events: Sequence[Event], masters: Sequence[Event], horizon: Horizon) -> Iterator[Instance]:
    import warnings

    calendar = icalendar().Calendar()
    for index, one in enumerate(events):
        one.component[INDEX] = str(index)
        calendar.add_component(one.component)
    line = events[0].line
    seen = 0
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # dateutil minds COUNT together with UNTIL, which bounds its search here
            found: list[Any] = recurring().of(calendar).between(horizon.begin, horizon.end)
    except Exception as error:  # third-party parsers fail in many ways on text from anywhere
        raise Unreadable(line, f"the event's rule cannot be written out ({reason(error)})") from None
    for occurrence in found:
        one = events[int(occurrence[INDEX])]
        start: Any
        end: Any
        start, end = occurrence["DTSTART"].dt, occurrence["DTEND"].dt
        original: Any = start
        if one.is_override:
            original = one.component["RECURRENCE-ID"].dt
            if _is_this_and_future(one):
                original = start - (_as_like(one.start, start) - _as_like(original, start))
        if not _overlaps(start, end, horizon):
            continue
        seen += 1
        if seen > MAX_INSTANCES:
            raise Unreadable(line, f"the event's rule makes more than {MAX_INSTANCES:,} meetings within the horizon")
        yield Instance(one, _recurrence_id(original), start, end)


def row(
    instance: Instance, calendar: str, uid: str, series: str, values: dict[str, str | None], zone: str, whole: bool
) -> tuple[str, list[str | None]]:
    """An instance as (its id, its values in the order of the table `events`).

    Args:
        instance: One time it takes place.
        calendar: The calendar's name.
        uid: The event's UID.
        series: Id of the event.
        values: `texts` of the version that counts for this instance.
        zone: The calendar's zone: where its all-day events are meant.
        whole: Whether the whole event is cancelled.
    """
    start, end = instance.start, instance.end
    is_all_day = not isinstance(start, datetime)
    started, ended = utc(start, zone), utc(end, zone)
    key = identity(calendar, uid, instance.recurrence_id)
    own: dict[str, str | None] = {
        "id": key,
        "calendar": calendar,
        "uid": uid,
        "recurrence_id": instance.recurrence_id,
        "series_id": series,
        "is_all_day": "true" if is_all_day else "false",
        "is_recurring": "true" if instance.recurrence_id else "false",
        "is_override": "true" if instance.event.is_override else "false",
        "started_at": started.isoformat(),
        "ended_at": ended.isoformat(),
        "start_date": start.isoformat() if is_all_day else None,
        # DTEND of days is the day after the last one.
        "end_date": (max(start, end - timedelta(days=1))).isoformat() if is_all_day else None,
    }
    if whole:
        own |= {"is_cancelled": "true", "event_status": "CANCELLED"}
    return key, [({**values, **own}).get(name) for name in EVENTS.names]


def identity(*parts: str) -> str:
    """A short key that is the same for what is the same."""
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:24]


def utc(value: date | datetime, zone: str) -> datetime:
    """A day or time as a point in time; a day begins where the calendar is."""
    if not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day, tzinfo=ZoneInfo(zone)).astimezone(UTC)
    return (value if value.tzinfo else value.replace(tzinfo=ZoneInfo(zone))).astimezone(UTC)


def prepared(
    events: Sequence[Event], owner_email: str | None, wrong: Callable[[Event, str], None]
) -> dict[int, dict[str, str | None]]:
    """`texts` of each version, by its place in `events`."""
    found: dict[int, dict[str, str | None]] = {}
    for one in events:
        found[id(one)] = texts(one, owner_email)
        start, end = one.component["DTSTART"].dt, getattr(one.component.get("DTEND"), "dt", None)
        if end is not None and _order(end) < _order(start):
            wrong(one, "the event ends before it starts; start and end are read the other way round")
    return found


def _order(value: date | datetime) -> datetime:
    if not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


def _span(component: Any) -> tuple[date | datetime, date | datetime]:
    start = component["DTSTART"].dt
    end = getattr(component.get("DTEND"), "dt", None)
    if end is None:
        length = getattr(component.get("DURATION"), "dt", None)
        if isinstance(length, timedelta):
            if isinstance(start, datetime) and start.tzinfo is not None:
                # Hours and minutes are real ones, also across a change of the clocks.
                return start, (start.astimezone(UTC) + length).astimezone(start.tzinfo)
            return start, start + length
        return start, start if isinstance(start, datetime) else start + timedelta(days=1)
    if isinstance(end, datetime) != isinstance(start, datetime):
        end = _as_like(end, start)
    return (end, start) if _order(end) < _order(start) else (start, end)


def _overlaps(start: date | datetime, end: date | datetime, horizon: Horizon) -> bool:
    first, last = _order(start), _order(end)
    return first < horizon.end and (last > horizon.begin or first >= horizon.begin)


def _as_like(value: date | datetime, other: date | datetime) -> Any:
    """A value as day or time, in the zone that another one has, so that the two can be subtracted."""
    if not isinstance(other, datetime):
        return value.date() if isinstance(value, datetime) else value
    if not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day, tzinfo=other.tzinfo)
    return value.astimezone(other.tzinfo) if value.tzinfo and other.tzinfo else value


def _is_this_and_future(event: Event) -> bool:
    return str(event.component["RECURRENCE-ID"].params.get("RANGE", "")).upper() == "THISANDFUTURE"


def _recurrence_id(value: date | datetime) -> str:
    if not isinstance(value, datetime):
        return value.strftime("%Y%m%d")
    return _order(value).strftime("%Y%m%dT%H%M%SZ")
