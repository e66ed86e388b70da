"""Between our wire text and Tryton's JSON values: what Tryton would change without a word is refused here.

Measured on Tryton 8.2 (docs/tryton.md): an integer field cuts `62.7` to 62, a boolean field takes any text for true,
a date or a number that is none ends in an error of the server. A value that a field would not keep is not sent.
"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, cast

from reverse_etl.canonical import lenient

# Tryton's field types -> ours; all others are `other`: readable, never written.
VALUE_TYPES = {
    "integer": "number",
    "float": "number",
    "numeric": "number",
    "selection": "enumeration",
    "char": "text",
    "text": "text",
    "date": "date",
    "datetime": "datetime",
    "timestamp": "datetime",
    "boolean": "boolean",
}
_INTEGER_LIMIT = 2**63


class CannotHold(ValueError):
    """A value that the field would refuse or change; the message says why and never repeats the value itself."""


def encode(kind: str, wire: str) -> Any:
    """Return the JSON value of a wire text for a field of Tryton's type `kind`; `""` clears.

    Raises:
        CannotHold: The field would refuse the value, or keep another one.
    """
    if wire == "":
        return None
    match kind:
        case "char" | "text" | "selection":
            return _text(wire, one_line=kind == "char")
        case "integer" | "float" | "numeric":
            return _number(kind, wire)
        case "date":
            return _date(wire)
        case "datetime" | "timestamp":
            return _datetime(wire)
        case "boolean":
            if wire not in ("true", "false"):
                raise CannotHold("not true or false, which Tryton would take for true")
            return wire == "true"
        case _:
            raise CannotHold(f"fields of Tryton's type {kind} are not written")


def _text(wire: str, *, one_line: bool) -> str:
    try:
        wire.encode("utf-8")
    except UnicodeEncodeError as error:
        raise CannotHold("not valid Unicode") from error
    if "\x00" in wire:
        raise CannotHold("contains a NUL character, which PostgreSQL does not store")
    if one_line and any(character in wire for character in "\t\n\r\x0b\x0c"):
        raise CannotHold("a one-line field holds no line breaks or tabs")
    return wire


def _number(kind: str, wire: str) -> Any:
    try:
        number = Decimal(wire)
    except InvalidOperation as error:
        raise CannotHold("not a number") from error
    if not number.is_finite():
        raise CannotHold("not a finite number")
    if kind == "numeric":
        return {"__class__": "Decimal", "decimal": format(number, "f")}
    if kind == "float":
        nearest = float(number)
        if Decimal(repr(nearest)) != number:
            raise CannotHold("has more digits than a floating-point field keeps")
        return nearest
    if number != number.to_integral_value():
        raise CannotHold("not a whole number: an integer field would cut the fraction off")
    if abs(number) >= _INTEGER_LIMIT:
        raise CannotHold("larger than an integer field holds")
    return int(number)


def _date(wire: str) -> dict[str, Any]:
    try:
        day = date.fromisoformat(wire)
    except ValueError as error:
        raise CannotHold("not a date (YYYY-MM-DD)") from error
    return {"__class__": "date", "year": day.year, "month": day.month, "day": day.day}


def _datetime(wire: str) -> dict[str, Any]:
    try:
        moment = datetime.fromisoformat(wire)
    except ValueError as error:
        raise CannotHold("not a time (YYYY-MM-DDTHH:MM:SSZ)") from error
    if moment.tzinfo is None:
        raise CannotHold("a time needs its zone")
    utc = moment.astimezone(UTC)
    parts = ("year", "month", "day", "hour", "minute", "second", "microsecond")
    return {"__class__": "datetime", **{part: getattr(utc, part) for part in parts}}


def decode(kind: str, value: Any) -> str | None:
    """Return the canonical wire text of a JSON value that Tryton sent for a field of its type `kind`."""
    if value is None:
        return None
    if kind == "boolean":  # SQLite sends 0 and 1, PostgreSQL false and true
        return "true" if value else "false"
    if isinstance(value, dict):
        entry = cast("dict[str, Any]", value)
        if entry.get("__class__") == "Decimal":
            return lenient("number", str(entry["decimal"]))
        if entry.get("__class__") == "date":
            return date(entry["year"], entry["month"], entry["day"]).isoformat()
        if entry.get("__class__") == "datetime":
            return moment(entry).strftime("%Y-%m-%dT%H:%M:%SZ")
        return json.dumps(entry, sort_keys=True)
    return value if isinstance(value, str) else lenient("number", json.dumps(value))


def moment(entry: dict[str, Any]) -> datetime:
    """The time of a JSON `datetime`: Tryton keeps UTC without saying so."""
    parts = ("year", "month", "day", "hour", "minute", "second", "microsecond")
    return datetime(*(int(entry[part]) for part in parts), tzinfo=UTC)
