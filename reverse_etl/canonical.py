"""One canonical text per value type, so that a plan, a read-back and a history entry can be compared byte for byte.

A CRM sends every value as text and formats it as it likes (`80.0`, `2026-11-17T00:00:00Z`, trailing spaces). Comparing
those directly shows a difference every night. `strict` is for values we want to write: it refuses what the CRM would
not hold. `lenient` is for values a CRM sent: what it cannot read it leaves as it is, so that it compares as different.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation

VALUE_TYPES = ("number", "enumeration", "text", "date", "datetime", "boolean")

# Beyond this exponent a number would be written out as a line of zeros; no CRM property holds such a number.
_MAX_EXPONENT = 30
_MIDNIGHT = re.compile(r"(\d{4}-\d{2}-\d{2})T00:00(:00(\.0+)?)?(Z|\+00:?00)?")
_EPOCH_MS = re.compile(r"-?\d{9,15}")
_DAY_MS = 86_400_000


class InvalidValue(ValueError):
    """A value that must not be written; the message says why and never repeats the value itself."""


def _number(raw: str) -> str:
    try:
        number = Decimal(raw.strip())
    except InvalidOperation as error:
        raise InvalidValue("not a number") from error
    if not number.is_finite():
        raise InvalidValue("not a finite number")
    if number.is_zero():
        return "0"
    if abs(number.adjusted()) > _MAX_EXPONENT:
        raise InvalidValue("number out of range")
    digits = format(number, "f")
    return digits.rstrip("0").rstrip(".") if "." in digits else digits


def _date(raw: str) -> str:
    text = raw.strip()
    midnight = _MIDNIGHT.fullmatch(text)
    if midnight:
        text = midnight.group(1)
    elif _EPOCH_MS.fullmatch(text):
        if int(text) % _DAY_MS:
            raise InvalidValue("a date must be midnight UTC")
        try:
            return datetime.fromtimestamp(int(text) / 1000, tz=UTC).date().isoformat()
        except (OverflowError, ValueError, OSError) as error:
            raise InvalidValue("not a date") from error
    try:
        return date.fromisoformat(text).isoformat() if len(text) == 10 else _refuse_date()
    except ValueError as error:
        raise InvalidValue("not a date (YYYY-MM-DD)") from error


def _datetime(raw: str) -> str:
    """UTC to the second: CRMs keep no more, or not reliably."""
    text = raw.strip()
    try:
        if _EPOCH_MS.fullmatch(text):
            moment = datetime.fromtimestamp(int(text) // 1000, tz=UTC)
        else:
            moment = datetime.fromisoformat(text)
    except (OverflowError, ValueError, OSError) as error:
        raise InvalidValue("not a time (YYYY-MM-DDTHH:MM:SSZ)") from error
    if moment.tzinfo is None:
        raise InvalidValue("a time needs its zone")
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _refuse_date() -> str:
    raise InvalidValue("not a date (YYYY-MM-DD)")


def _boolean(raw: str) -> str:
    text = raw.strip().lower()
    if text not in ("true", "false"):
        raise InvalidValue("not true or false")
    return text


def _text(raw: str) -> str:
    # CRMs trim what they store and unify line ends; what we send must survive that unchanged.
    if "\r" in raw:
        raw = raw.replace("\r\n", "\n").replace("\r", "\n")
    return raw.strip()


def _parse(value_type: str, raw: str) -> str:
    match value_type:
        case "text" | "enumeration":
            return _text(raw)
        case "number":
            return _number(raw)
        case "date":
            return _date(raw)
        case "datetime":
            return _datetime(raw)
        case "boolean":
            return _boolean(raw)
        case _:
            raise InvalidValue(f"unknown value type `{value_type}`")


def strict(value_type: str, raw: str, *, options: Sequence[str] | None = None, max_chars: int | None = None) -> str:
    """Return the canonical text of a value that is to be written.

    Args:
        value_type: One of `VALUE_TYPES`.
        raw: The wanted value; must not be empty (only a clear clears, see `plan_ops.wire_value`).
        options: Internal values an enumeration may take.
        max_chars: Longest text the property may hold.

    Raises:
        InvalidValue: The CRM would refuse, change or misread the value.
    """
    value = _parse(value_type, raw)
    if value == "":
        raise InvalidValue("empty: an empty value would clear the field")
    if "\x00" in value:
        raise InvalidValue("contains a NUL character")
    if value_type == "enumeration" and options is not None and value not in options:
        raise InvalidValue("not one of the property's options")
    if max_chars is not None and len(value) > max_chars:
        raise InvalidValue(f"longer than {max_chars} characters")
    return value


def lenient(value_type: str, raw: str | None) -> str | None:
    """Return the canonical text of a value a CRM sent: `None` stays never set, `''` stays empty, nonsense stays
    itself."""
    if raw is None or raw == "":
        return raw
    try:
        return _parse(value_type, raw)
    except InvalidValue:
        return raw


def same(left: str | None, right: str | None) -> bool:
    """Whether two canonical values count as equal when deciding a write: never set and empty are both empty."""
    return (left or "") == (right or "")
