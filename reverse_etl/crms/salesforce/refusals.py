"""Salesforce's error codes as reasons every CRM shares, and its messages without the values people entered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from reverse_etl.crms.http import RequestRefused
from reverse_etl.crms.protocol import RecordWrite, Refusal, WriteOutcome

_CODES: dict[str, Refusal] = {
    "STRING_TOO_LONG": "bad_value",
    "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST": "bad_value",
    "FIELD_CUSTOM_VALIDATION_EXCEPTION": "bad_value",
    "FIELD_FILTER_VALIDATION_EXCEPTION": "bad_value",
    "REQUIRED_FIELD_MISSING": "bad_value",
    "INVALID_TYPE_ON_FIELD_IN_RECORD": "bad_value",
    "NUMBER_OUTSIDE_VALID_RANGE": "bad_value",
    "INVALID_EMAIL_ADDRESS": "bad_value",
    "INVALID_CROSS_REFERENCE_KEY": "bad_value",
    "JSON_PARSER_ERROR": "bad_value",
    "DUPLICATES_DETECTED": "duplicate",
    "DUPLICATE_VALUE": "duplicate",
    "DUPLICATE_EXTERNAL_ID": "duplicate",
    "UNABLE_TO_LOCK_ROW": "locked",
    "SERVER_UNAVAILABLE": "locked",  # not done, and worth another look
    "ENTITY_IS_DELETED": "gone",
    "NOT_FOUND": "gone",
    "MALFORMED_ID": "gone",
    "CANNOT_UPDATE_CONVERTED_LEAD": "converted",
    "ENTITY_FAILED_IFLASTMODIFIED_ON_UPDATE_CHECK": "stale",
    "INVALID_FIELD": "schema",
    "INVALID_TYPE": "schema",
    "INVALID_FIELD_FOR_INSERT_UPDATE": "no_right",
    "ENTITY_IS_LOCKED": "no_right",  # an approval process holds it; nobody but its approvers may write
    "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY": "automation",
    "CANNOT_EXECUTE_FLOW_TRIGGER": "automation",
    "APEX_ERROR": "automation",
}


def classify(code: str, fields: Iterable[str] = ()) -> Refusal:
    """The shared reason behind an error code."""
    if code == "INVALID_CROSS_REFERENCE_KEY" and not list(fields):
        return "gone"  # about the record's own id, not about one it points to
    if code.startswith("INSUFFICIENT_ACCESS"):
        return "no_right"
    return _CODES.get(code, "other")


def rejected(write: RecordWrite, code: str, message: str, fields: Iterable[str] = ()) -> WriteOutcome:
    """The outcome of a record that Salesforce refused; its message without the values it was refused for."""
    names = [str(one) for one in fields]
    shown = f"{' on '.join(part for part in (code, ', '.join(names)) if part)}: {message}"
    for value in sorted((v for v in write.values.values() if len(v) > 1), key=len, reverse=True):
        shown = shown.replace(value, "…")
    return WriteOutcome("rejected", shown[:500], classify(code, names))


def of_result(write: RecordWrite, result: Mapping[str, Any]) -> WriteOutcome:
    """The outcome that one record's result in a collection says."""
    if result.get("success") is True:
        return WriteOutcome("acknowledged")
    errors = cast("list[dict[str, Any]]", result.get("errors") or [])
    if not errors:
        return WriteOutcome("unknown", "neither a success nor an error")
    first = errors[0]
    return rejected(write, str(first.get("statusCode", "")), str(first.get("message", "")), first.get("fields") or ())


def of_refusal(write: RecordWrite, error: RequestRefused) -> WriteOutcome:
    """The outcome of a record whose request was refused as a whole."""
    if error.status == 412:
        return WriteOutcome("rejected", "changed since it was read (412)", "stale")
    if error.status == 300:
        return WriteOutcome("rejected", "several records have this external id (300)", "duplicate")
    fields = cast("list[str]", error.body.get("fields") or [])
    code = error.category or ("NOT_FOUND" if error.status == 404 else f"HTTP {error.status}")
    return rejected(write, code, error.message, fields)


def of_cell(write: RecordWrite, text: str) -> WriteOutcome:
    """The outcome that a row of a Bulk API job's failed results says: `CODE:message:FIELD FIELD --`."""
    code, _, rest = text.partition(":")
    message, _, tail = rest.rpartition(":")
    fields = [one for one in tail.removesuffix("--").split() if one]
    return rejected(write, code.strip(), message or rest, fields)
