"""Salesforce's types and ours: field definitions, JSON values, and cells of a Bulk API file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from email.utils import format_datetime
from typing import Any, cast

from reverse_etl.crms.protocol import PropertySchema

NULL_CELL = "#N/A"
MAX_CELL = 32_000
CUSTOM = "__c"
_NUMBERS = frozenset({"double", "int", "currency", "percent", "long"})
_OURS = {
    **dict.fromkeys(_NUMBERS, "number"),
    **dict.fromkeys(("string", "textarea", "email", "phone", "url", "combobox", "reference"), "text"),
    "picklist": "enumeration",
    "date": "date",
    "datetime": "datetime",
    "boolean": "boolean",
}
_CHECK = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_ID = re.compile(r"[A-Za-z0-9]{15}([A-Za-z0-5]{3})?")


@dataclass(frozen=True, slots=True)
class Kind:
    """Salesforce's type of a field; `scale` is how many decimals a number keeps."""

    type: str = "string"
    scale: int = 0


TEXT = Kind()


class CannotHold(ValueError):
    """A value that no field of this type can hold; says why, never the value."""


def schema(entry: Mapping[str, Any]) -> PropertySchema:
    """One field of a `describe` answer. What cannot be updated, or is calculated, is read-only.

    `crm_type` holds the size too (`textarea(32768)`, `double(18,4)`), so that a field made smaller makes a plan stale.
    """
    kind = str(entry.get("type"))
    options = cast("list[dict[str, Any]]", entry.get("picklistValues") or [])
    return PropertySchema(
        name=str(entry["name"]),
        label=str(entry.get("label", "")),
        value_type=_OURS.get(kind, "other"),
        crm_type=f"{kind}{_size(entry)}",
        options=tuple(str(o["value"]) for o in options if o.get("active", True)) if kind == "picklist" else (),
        is_read_only=bool(entry.get("calculated")) or not entry.get("updateable"),
    )


def _size(entry: Mapping[str, Any]) -> str:
    if entry.get("precision"):
        return f"({entry['precision']},{entry.get('scale', 0)})"
    return f"({entry['length']})" if entry.get("length") and entry.get("type") != "picklist" else ""


def to_json(kind: Kind, wire: str) -> Any:
    """A wire value as the JSON that a field of this Salesforce type takes; `""` is null, or false for a checkbox.

    Raises:
        CannotHold: Not a number, more decimals than the field keeps (Salesforce would round it without a word), not
            true or false.
    """
    if wire == "":
        return False if kind.type == "boolean" else None
    if kind.type in _NUMBERS:
        return _number(wire, kind.scale)
    if kind.type == "boolean":
        if wire not in ("true", "false"):
            raise CannotHold("not true or false")
        return wire == "true"
    return wire


def _number(wire: str, scale: int) -> int | float:
    try:
        number = Decimal(wire)
    except InvalidOperation as error:
        raise CannotHold("not a number") from error
    if not number.is_finite():
        raise CannotHold("not a finite number")
    if len(format(number, "f").partition(".")[2].rstrip("0")) > scale:
        raise CannotHold(f"the field keeps {scale} decimals, the value has more")
    return int(number) if number == number.to_integral_value() else float(number)


def to_cell(kind: Kind, wire: str) -> str | None:
    """The same as a cell of a Bulk API file: an empty cell would leave the field alone, `#N/A` makes it null.

    Returns:
        None when the text cannot travel in such a file: it is too long, or it is `#N/A` itself.

    Raises:
        CannotHold: Like `to_json`.
    """
    value = to_json(kind, wire)
    if value is None:
        return NULL_CELL
    if value is False:
        return "false"
    if wire.strip() == NULL_CELL or len(wire) > MAX_CELL:
        return None
    return wire


def to_text(value: Any) -> str | None:
    """A JSON value as text."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def moment(text: Any) -> datetime | None:
    """An instant in an answer (`2026-11-17T05:00:00.000+0000`)."""
    try:
        return datetime.fromisoformat(str(text)) if text else None
    except ValueError:
        return None


def http_date(version: str) -> str | None:
    """A record's time stamp as `If-Unmodified-Since` wants it: whole seconds, which is all Salesforce keeps."""
    found = moment(version)
    return None if found is None else format_datetime(found.astimezone(UTC), usegmt=True)


def is_id(text: str) -> bool:
    """Whether this can be a record's id."""
    return _ID.fullmatch(text) is not None


def long_id(record_id: str) -> str:
    """The 18-character form of an id."""
    short, tail = record_id[:15], ""
    for start in (0, 5, 10):
        tail += _CHECK[sum(1 << n for n, letter in enumerate(short[start : start + 5]) if letter.isupper())]
    return short + tail


def quoted(text: str) -> str:
    """A text literal of SOQL."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r")
    return f"'{escaped}'"
