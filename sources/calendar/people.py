"""Who is asked to a meeting: addresses, answers and parts, and the rooms and lists that are none of these."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

from sources.calendar.library import first, listed

_ADDRESS: Final = re.compile(r"[^\s@<>\"',;:()\[\]]+@[^\s@<>\"',;:()\[\]]+\.?[^\s@<>\"',;:()\[\]]*")
# Addresses of rooms and shared calendars where a client forgot to say what they are.
_ROOM: Final = re.compile(r"@(?:[a-z0-9-]+\.)*(?:resource|group)\.calendar\.google\.com$")
_IGNORED: Final = frozenset({"GROUP", "RESOURCE", "ROOM"})
_ANSWERS: Final = frozenset({"NEEDS-ACTION", "ACCEPTED", "DECLINED", "TENTATIVE", "DELEGATED"})


@dataclass(frozen=True, slots=True)
class Person:
    """One participant.

    Attributes:
        email: Lower case, without `mailto:`.
        name: As the calendar shows it; empty where it only repeats the address.
        participation_status: NEEDS-ACTION, ACCEPTED, DECLINED, TENTATIVE or DELEGATED; empty where nobody asked.
        role: REQ-PARTICIPANT, OPT-PARTICIPANT, NON-PARTICIPANT or CHAIR.
        is_organizer: Whether they called the meeting.
    """

    email: str
    name: str
    participation_status: str
    role: str
    is_organizer: bool

    def as_json(self) -> dict[str, Any]:
        """As `attendees_json` holds it."""
        return {
            "email": self.email,
            "name": self.name or None,
            "participation_status": self.participation_status or None,
            "role": self.role or None,
            "is_organizer": self.is_organizer,
        }


def address_of(value: Any) -> str:
    """The address of a calendar user; empty where there is none (Exchange and Apple write other things too)."""
    text = unquote(str(value)).strip()
    if text.lower().startswith("mailto:"):
        text = text[7:]
    found = _ADDRESS.search(text) if "invalid:" not in text.lower() else None
    if found is None:
        found = _ADDRESS.search(str(_parameter(value, "EMAIL")))
    return found.group(0).strip(".").lower() if found else ""


def people(component: Any) -> tuple[list[Person], int, tuple[str, str]]:
    """Everybody asked, in the event's order, the organizer first where not listed.

    Args:
        component: A parsed event.

    Returns:
        (people, how many rooms, lists and entries without an address were left out, the organizer's (address, name)).
    """
    organizer = first(component.get("ORGANIZER"))
    called_by = address_of(organizer) if organizer is not None else ""
    called_name = _name(organizer, called_by) if organizer is not None else ""
    found: dict[str, Person] = {}
    ignored = 0
    for one in listed(component.get("ATTENDEE")):
        email = address_of(one)
        if _parameter(one, "CUTYPE").upper() in _IGNORED or not email or _ROOM.search(email):
            ignored += 1
            continue
        answer = _parameter(one, "PARTSTAT").upper() or "NEEDS-ACTION"
        person = Person(
            email,
            _name(one, email),
            answer if answer in _ANSWERS else "NEEDS-ACTION",
            _parameter(one, "ROLE").upper() or "REQ-PARTICIPANT",
            email == called_by,
        )
        known = found.get(email)
        if known is None or known.participation_status == "NEEDS-ACTION":
            found[email] = person
    if called_by and called_by not in found and not _ROOM.search(called_by):
        caller = Person(called_by, called_name, "", "CHAIR", is_organizer=True)
        return [caller, *found.values()], ignored, (called_by, called_name)
    return list(found.values()), ignored, (called_by, called_name)


def _parameter(value: Any, name: str) -> str:
    found: Any = getattr(value, "params", {}).get(name, "")
    return " ".join(str(one) for one in listed(found))


def _name(value: Any, email: str) -> str:
    name = re.sub(r"\s+", " ", _parameter(value, "CN")).strip().strip('"').strip()
    return "" if name.lower().removeprefix("mailto:") == email else name[:200]
