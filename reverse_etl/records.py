"""How people name a record: `123`, `contact:123`, `hubspot:contact:123`, `salesforce:Lead:00Q1`, an email address."""

from __future__ import annotations

import re
from dataclasses import dataclass

from nightdesk.errors import NightdeskError

PLURALS = {
    "contact": "contacts",
    "company": "companies",
    "account": "companies",
    "deal": "deals",
    "meeting": "meetings",
    "email": "emails",
    "call": "calls",
    "note": "notes",
    "task": "tasks",
}
# Object types of other CRMs are named as they are there.
OTHER_CRMS = ("salesforce", "tryton")
# ... but the canonical id of a record that was loaded from there says what kind of record it is: salesforce:lead:00Q1.
_LOADED_TYPES = {
    ("salesforce", "contact"): "Contact",
    ("salesforce", "lead"): "Lead",
    ("salesforce", "company"): "Account",
}
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
SINGULARS = {plural: singular for singular, plural in PLURALS.items() if singular != "account"}


@dataclass(frozen=True, slots=True)
class RecordName:
    """A record as somebody named it; what is None was not said."""

    object_type: str | None = None
    record_id: str | None = None
    email: str | None = None


def parse_record(text: str) -> RecordName:
    """Read a record's name.

    Raises:
        NightdeskError: It is none of the accepted forms.
    """
    parts = text.strip().split(":")
    if len(parts) == 1 and "@" in text:
        return RecordName(email=text.strip().lower())
    if len(parts) == 3 and parts[0] in OTHER_CRMS and _ID.fullmatch(parts[1]) and _ID.fullmatch(parts[2]):
        return RecordName(_LOADED_TYPES.get((parts[0], parts[1]), parts[1]), parts[2])
    if len(parts) == 3 and parts[0].isalnum():
        parts = parts[1:]
    kind = parts[0].lower() if len(parts) == 2 else None
    if len(parts) > 2 or not _ID.fullmatch(parts[-1]) or (kind and kind not in PLURALS and kind not in SINGULARS):
        raise NightdeskError(
            f"`{text}` does not name a record",
            todo="Use 123, contact:123, hubspot:contact:123, salesforce:Lead:00Q1 or an email address.",
        )
    return RecordName(PLURALS.get(kind, kind) if kind else None, parts[-1])


def canonical_id(crm: str, object_type: str, record_id: str) -> str:
    """`hubspot:contact:123` for the record 123 of `contacts`."""
    return f"{crm}:{SINGULARS.get(object_type, object_type)}:{record_id}"
