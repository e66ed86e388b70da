"""One event as its file states it: parsed once, then written out for each of its instances."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from sources.calendar.library import first, icalendar, listed, reason
from sources.calendar.normalise import Unreadable
from sources.calendar.people import people

INDEX: Final = "X-NIGHTDESK-INDEX"

_MAX_TEXT: Final = 20_000
_LINK: Final = re.compile(
    r"https://(?:[a-z0-9-]+\.)*(?:zoom\.us/[jws]/|zoom\.us/my/|teams\.microsoft\.com/(?:l/meetup-join|meet)/|"
    r"teams\.live\.com/meet/|meet\.google\.com/|webex\.com/|gotomeet(?:ing)?\.(?:com|me)/|whereby\.com/|"
    r"meet\.jit\.si/|chime\.aws/|bluejeans\.com/)[^\s<>\"'\\\])]*",
    re.IGNORECASE,
)
_LINK_PROPERTIES: Final = (
    "X-GOOGLE-CONFERENCE",
    "X-MICROSOFT-SKYPETEAMSMEETINGURL",
    "X-MICROSOFT-ONLINEMEETINGEXTERNALLINK",
    "CONFERENCE",
    "URL",
)
_NEEDED: Final = frozenset({"DTSTART", "RECURRENCE-ID", "RRULE"})


@dataclass(frozen=True, slots=True)
class Event:
    """A parsed VEVENT.

    Attributes:
        component: What the library parsed.
        file: The file it stands in, and `order` the file's place among the calendar's.
        line: Line of its BEGIN.
        method: METHOD of its file, upper case, empty where there is none.
        zone: IANA name of its start's zone; None where the file names none or defines its own.
        stamp: DTSTAMP, which decides where SEQUENCE does not.
    """

    component: Any
    file: str
    order: int
    line: int
    method: str
    zone: str | None
    stamp: str

    @property
    def sequence(self) -> int:
        value = self.component.get("SEQUENCE")
        return int(value) if isinstance(value, int) else 0

    @property
    def rank(self) -> tuple[int, str, int, int]:
        """The later one wins: by SEQUENCE, then by stamp, then as it stands."""
        return (self.sequence, self.stamp, self.order, self.line)

    @property
    def is_cancelled(self) -> bool:
        return self.method == "CANCEL" or str(self.component.get("STATUS", "")).upper() == "CANCELLED"

    @property
    def repeats(self) -> bool:
        return any(name in self.component for name in ("RRULE", "RDATE"))

    @property
    def is_override(self) -> bool:
        return "RECURRENCE-ID" in self.component

    @property
    def start(self) -> date | datetime:
        return self.component["DTSTART"].dt


def parse(
    lines: list[tuple[int, str]], line: int, wrong: Callable[[int, str], None], stated: list[tuple[int, str]]
) -> Any:
    """Parses an event's logical lines.

    Args:
        lines: (line number, text) pairs, without BEGIN and END.
        line: Line of its BEGIN.
        wrong: Told of each property that could not be read and was left out.
        stated: The lines as the file has them, for messages.

    Raises:
        Unreadable: It has no start, or one that is not a time, or a rule that cannot be read.
    """
    text = "\r\n".join(["BEGIN:VEVENT", *(part for _, part in lines), "END:VEVENT", ""])
    try:
        component: Any = icalendar().Event.from_ical(text)
    except Exception as error:  # third-party parsers fail in many ways on text from anywhere
        raise Unreadable(line, f"the event cannot be read ({reason(error)})") from None
    for name, message in component.errors:
        place, shown = _place(stated, name, str(message), line)
        if name in _NEEDED:
            raise Unreadable(place, f"`{shown}` cannot be read, so the event is left out")
        wrong(place, f"`{shown}` cannot be read and was left out")
        if name:
            _drop_broken(component, str(name))
    start: Any = component.get("DTSTART")
    if start is None:
        raise Unreadable(line, "the event has no start (DTSTART)")
    if len(listed(start)) > 1:
        wrong(line, "the event has more than one start; the first one counts")
        component["DTSTART"] = first(start)
    for name in ("DTEND", "DURATION", "RECURRENCE-ID", "SEQUENCE", "STATUS", "SUMMARY", "DESCRIPTION", "LOCATION"):
        if len(found := listed(component.get(name))) > 1:
            component[name] = found[0]
    for name, kind in (("DTSTART", date), ("RECURRENCE-ID", date), ("DTEND", date), ("DURATION", timedelta)):
        value = getattr(component.get(name), "dt", None)
        if name not in component or (isinstance(value, kind) and _is_sensible(value)):
            continue
        place, shown = _place(stated, name, "", line)
        if name in _NEEDED:
            raise Unreadable(place, f"`{shown}` is not a time, so the event is left out")
        wrong(place, f"`{shown}` is not {'a time' if kind is date else 'a duration'} and was left out")
        component.pop(name)
    return component


def _is_sensible(value: date | timedelta) -> bool:
    """Whether a time is one that every zone and rule can be reckoned with (birthdays without a year stand in 1604)."""
    return value.year in range(1600, 2501) if isinstance(value, date) else abs(value) < timedelta(days=36_500)


def texts(event: Event, owner_email: str | None) -> dict[str, str | None]:
    """Everything of an event that is the same in all its instances, as column values.

    A private event gives its times and nothing else.
    """
    component = event.component
    is_private = str(component.get("CLASS", "PUBLIC")).upper() in ("PRIVATE", "CONFIDENTIAL")
    status = str(component.get("STATUS", "")).upper() or None
    busy = str(component.get("X-MICROSOFT-CDO-BUSYSTATUS", "")).upper()
    values: dict[str, str | None] = {
        "event_status": "CANCELLED" if event.is_cancelled else status,
        "time_zone": event.zone,
        "sequence": str(event.sequence),
        "is_cancelled": _bool(event.is_cancelled),
        "is_private": _bool(is_private),
        "is_free": _bool(str(component.get("TRANSP", "")).upper() == "TRANSPARENT" or busy == "FREE"),
        "created_at": _moment(component.get("CREATED")),
        "updated_at": _moment(component.get("LAST-MODIFIED")) or _moment(component.get("CREATED")),
        "file": event.file,
        "attendees": "[]",
        "attendee_count": "0",
        "ignored_attendee_count": "0",
    }
    if is_private:
        return values
    found, ignored, (called_by, called_name) = people(component)
    mine = next((one.participation_status for one in found if one.email == owner_email), "")
    description = _text(component.get("DESCRIPTION"))
    location = _text(component.get("LOCATION"))
    values |= {
        "title": _text(component.get("SUMMARY")),
        "description": description,
        "location": location,
        "conference_url": _conference(component, location, description),
        "organizer_email": called_by or None,
        "organizer_name": called_name or None,
        "owner_participation": mine or None,
        "attendees": json.dumps([one.as_json() for one in found], ensure_ascii=False),
        "attendee_count": str(len(found)),
        "ignored_attendee_count": str(ignored),
    }
    return values


def _conference(component: Any, location: str | None, description: str | None) -> str | None:
    for name in _LINK_PROPERTIES:
        for value in listed(component.get(name)):
            text = str(value).strip()
            if (found := _LINK.search(text)) is not None:
                return found.group(0)
            if name not in ("URL", "CONFERENCE") and text.lower().startswith("https://"):
                return text[:2000]
    for text in (location, description):
        if text and (found := _LINK.search(text)) is not None:
            return found.group(0).rstrip(".,;")
    return None


def _text(value: Any) -> str | None:
    """Text as it is meant, without characters that no text has, and no longer than a text is."""
    if value is None:
        return None
    text = "".join(one for one in str(first(value)) if one >= " " or one in "\t\n").strip()
    return text[:_MAX_TEXT] or None


def _moment(value: Any) -> str | None:
    found = getattr(first(value), "dt", None)
    if not isinstance(found, datetime):
        return None
    return (found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)).isoformat()


def _bool(value: bool) -> str:
    return "true" if value else "false"


def _place(lines: list[tuple[int, str]], name: str | None, message: str, line: int) -> tuple[int, str]:
    """Where a broken property stands, and what it says."""
    for number, text in lines:
        if (name and text.upper().startswith(name.upper())) or (name is None and text[:40] in message):
            return number, text[:80]
    return line, (name or message)[:80]


def _drop_broken(component: Any, name: str) -> None:
    kept = [one for one in listed(component.get(name)) if type(one).__name__ != "vBroken"]
    component.pop(name, None)
    if kept:
        component[name] = kept[0] if len(kept) == 1 else kept
