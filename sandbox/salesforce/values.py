"""What a field takes, and how it is kept: JSON values in, JSON values out, and the cells of a Bulk API file."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Any

from sandbox.salesforce.catalog import Field
from sandbox.salesforce.errors import SalesforceError, malformed
from sandbox.salesforce.ids import is_id, long

TEXT = frozenset({"string", "textarea", "phone", "url", "email", "combobox", "id", "reference", "picklist"})
NUMBERS = frozenset({"double", "int", "currency", "percent"})
NULL_CELL = "#N/A"
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


def parse(field: Field, value: Any) -> Any:
    """A JSON value as Salesforce's JSON reader takes it, before any rule of the object.

    Raises:
        SalesforceError: The value has another type; that spoils the whole request.
    """
    if value is None:
        return None
    if field.type == "boolean":
        if not isinstance(value, bool):
            raise _wrong("boolean", value)
        return value
    if field.type in NUMBERS:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _wrong("double", value)
        return value
    if not isinstance(value, str):
        raise _wrong("string", value)
    if field.type == "date":
        return _date(value)
    if field.type == "datetime":
        return _datetime(value)
    return value


def parse_cell(field: Field, cell: str) -> Any:
    """A non-empty cell of a Bulk API file; a wrong one fails only its row."""
    if cell == NULL_CELL:
        return None
    if field.type == "boolean":
        if cell.lower() not in ("true", "false", "1", "0"):
            raise SalesforceError("INVALID_TYPE_ON_FIELD_IN_RECORD", f"invalid value for {field.name}", [field.name])
        return cell.lower() in ("true", "1")
    if field.type in NUMBERS:
        try:
            return float(cell) if "." in cell or "e" in cell.lower() else int(cell)
        except ValueError as error:
            raise SalesforceError(
                "INVALID_TYPE_ON_FIELD_IN_RECORD", f"value not of required type: {cell}", [field.name]
            ) from error
    try:
        return parse(field, cell)
    except SalesforceError as error:
        raise SalesforceError("INVALID_TYPE_ON_FIELD_IN_RECORD", error.message, [field.name]) from error


def keep(field: Field, value: Any) -> Any:
    """The value as the field holds it, once its own rules are checked; empty text is null.

    Raises:
        SalesforceError: Too long, not an option, not an id, not an email address.
    """
    if value is None:
        if field.type == "boolean":
            raise SalesforceError(
                "INVALID_TYPE_ON_FIELD_IN_RECORD", f"{field.name}: a checkbox cannot be null", [field.name]
            )
        return None
    if field.type in NUMBERS:
        return _number(field, value)
    if not isinstance(value, str):
        return value
    text = value.strip()
    if not text:
        return None
    if field.type in ("id", "reference"):
        if not is_id(text):
            raise SalesforceError("MALFORMED_ID", f"{field.name}: id value of incorrect type: {text}", [field.name])
        return long(text)
    if field.length and len(text) > field.length:
        raise SalesforceError(
            "STRING_TOO_LONG",
            f"{field.label}: data value too large: {text} (max length={field.length})",
            [field.name],
        )
    if field.restricted and text not in field.options:
        raise SalesforceError(
            "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
            f"{field.label}: bad value for restricted picklist field: {text}",
            [field.name],
        )
    if field.type == "email" and not _EMAIL.fullmatch(text):
        raise SalesforceError("INVALID_EMAIL_ADDRESS", f"{field.label}: invalid email address: {text}", [field.name])
    return text.lower() if field.type == "email" else text


def _number(field: Field, value: float) -> float | int:
    if field.type == "int":
        if value != int(value):
            raise SalesforceError("INVALID_TYPE_ON_FIELD_IN_RECORD", f"{field.name}: not an integer", [field.name])
        return int(value)
    whole = len(str(abs(int(value)))) if value else 0
    if field.precision and whole > field.precision - field.scale:
        raise SalesforceError(
            "NUMBER_OUTSIDE_VALID_RANGE", f"{field.label}: value outside of valid range on numeric field", [field.name]
        )
    return round(float(value), field.scale)


def _date(text: str) -> str:
    try:
        return date.fromisoformat(text[:10]).isoformat()
    except ValueError as error:
        raise _wrong("date", text) from error


def _datetime(text: str) -> str:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise _wrong("datetime", text) from error
    return stamp(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def stamp(moment: datetime) -> str:
    """An instant as Salesforce writes it: whole seconds, and an offset without a colon."""
    return moment.astimezone(UTC).isoformat()[:19] + ".000+0000"


def _wrong(kind: str, value: Any) -> SalesforceError:
    name = {"bool": "VALUE_TRUE", "str": "VALUE_STRING", "int": "VALUE_NUMBER_INT", "float": "VALUE_NUMBER_FLOAT"}.get(
        type(value).__name__, "START_OBJECT"
    )
    return malformed(f"Cannot deserialize instance of {kind} from {name} value {str(value)[:80]}")
