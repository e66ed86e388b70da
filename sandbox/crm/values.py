"""What a property accepts and how HubSpot normalises it: pure functions over a property's definition."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from sandbox.crm.clock import from_ms, iso, to_ms

MAX_TEXT = 65_536  # characters of one text value
_EMAIL = re.compile(r"[^@\s,;<>\"]+@[^@\s,;<>\"]+\.[^@\s.,;<>\"]{2,}")
_WHOLE = re.compile(r"-?\d+")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")

Externals = Mapping[str, frozenset[str]]  # allowed values by referencedObjectType (OWNER, PIPELINE, PIPELINE_STAGE)


@dataclass(frozen=True, slots=True)
class Problem:
    """Why one value is refused. `code` is HubSpot's."""

    name: str
    code: str
    message: str

    def detail(self) -> dict[str, Any]:
        return {"message": self.message, "code": self.code, "context": {"propertyName": [self.name]}}


class ValueRefused(Exception):
    """Raised by the checks below with HubSpot's code and a sentence."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        self.message = message
        super().__init__(message)


def check_properties(
    definitions: Mapping[str, Mapping[str, Any]],
    given: Mapping[str, Any],
    externals: Externals,
    current: Mapping[str, str] | None = None,
) -> tuple[dict[str, str], list[Problem]]:
    """Validates and normalises the properties of one input.

    Args:
        definitions: Live property definitions by name.
        given: What the client sent. `null` is ignored, the empty string clears.
        externals: Allowed values of properties whose options live elsewhere.
        current: The record's values, for multi-selects that append with a leading `;`.

    Returns:
        The values to store (empty string = clear) and the problems; a name is in exactly one of them or was null.
    """
    clean: dict[str, str] = {}
    problems: list[Problem] = []
    for name, raw in given.items():
        definition = definitions.get(name)
        if definition is None:
            problems.append(Problem(name, "PROPERTY_DOESNT_EXIST", f'Property "{name}" does not exist'))
        elif definition["modificationMetadata"]["readOnlyValue"]:
            problems.append(
                Problem(name, "READ_ONLY_VALUE", f'"{name}" is a read only property; its value cannot be set.')
            )
        elif raw is not None:
            try:
                clean[name] = check_value(definition, raw, externals, (current or {}).get(name, ""))
            except ValueRefused as error:
                problems.append(Problem(name, error.code, error.message))
    return clean, problems


def check_value(definition: Mapping[str, Any], raw: Any, externals: Externals, current: str = "") -> str:
    """The stored form of one value.

    Raises:
        ValueRefused: The value does not fit the property's type or options.
    """
    if isinstance(raw, bool):
        raw = "true" if raw else "false"
    elif isinstance(raw, (int, float)):
        raw = repr(raw)
    elif not isinstance(raw, str):
        raise ValueRefused("INVALID_TYPE", f"{definition['name']} must be a string")
    kind = definition["type"]
    if kind == "string":
        return _text(definition, raw)
    value = raw.strip()
    if value == "":
        return ""
    return _CHECKS[kind](definition, value, externals, current)


def _text(definition: Mapping[str, Any], value: str) -> str:
    if len(value) > MAX_TEXT:
        raise ValueRefused("INVALID_LENGTH", f"{definition['name']} was too long: at most {MAX_TEXT} characters")
    normalise = _NORMALISERS.get(definition["name"]) if definition.get("hubspotDefined") else None
    return value if normalise is None else normalise(value)


def normalise_email(value: str) -> str:
    """Trimmed and lower-cased; refused unless it looks like one address."""
    value = value.strip().lower()
    if value and not _EMAIL.fullmatch(value):
        raise ValueRefused("INVALID_EMAIL", f"Email address {value} is invalid")
    return value


def normalise_phone(value: str) -> str:
    """International numbers lose their punctuation (+49 (30) 123-4 becomes +49301234); others are only trimmed."""
    value = value.strip()
    return "+" + re.sub(r"\D", "", value) if value.startswith("+") else value


def normalise_domain(value: str) -> str:
    """Lower-cased host of what was given: no scheme, path or leading `www.`."""
    value = re.sub(r"^[a-z]+://", "", value.strip().lower()).partition("/")[0]
    return value.removeprefix("www.")


_NORMALISERS: dict[str, Callable[[str], str]] = {
    "email": normalise_email,
    "phone": normalise_phone,
    "domain": normalise_domain,
}


def _number(definition: Mapping[str, Any], value: str, externals: Externals, current: str) -> str:
    try:
        finite = Decimal(value).is_finite()
    except InvalidOperation:
        finite = False
    if not finite or "_" in value:
        raise ValueRefused("INVALID_NUMBER", f"{value} was not a valid number.")
    return value


def _bool(definition: Mapping[str, Any], value: str, externals: Externals, current: str) -> str:
    lowered = value.lower()
    if lowered not in ("true", "false"):
        raise ValueRefused("INVALID_OPTION", f"{value} was not one of the allowed options: [true, false]")
    return lowered


def _enumeration(definition: Mapping[str, Any], value: str, externals: Externals, current: str) -> str:
    if definition.get("externalOptions"):
        allowed = externals.get(definition.get("referencedObjectType", ""), frozenset())
    else:
        allowed = frozenset(option["value"] for option in definition["options"])
    if definition["fieldType"] == "checkbox":
        chosen = [part.strip() for part in value.split(";") if part.strip()]
        if value.startswith(";"):  # a leading semicolon appends to what is there
            chosen = list(dict.fromkeys([part for part in current.split(";") if part] + chosen))
    else:
        chosen = [value]
    for part in chosen:
        if part not in allowed:
            shown = ", ".join(sorted(allowed)[:50])
            raise ValueRefused("INVALID_OPTION", f"{part} was not one of the allowed options: [{shown}]")
    return ";".join(chosen)


def parse_instant(value: str) -> datetime:
    """An aware UTC datetime of epoch milliseconds, an ISO date or an ISO date-time (no zone means UTC).

    Raises:
        ValueError: It is none of these.
    """
    try:
        if _WHOLE.fullmatch(value):
            return from_ms(int(value))
        found = datetime.fromisoformat(value)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{value} is not a date or a time") from error


def _date(definition: Mapping[str, Any], value: str, externals: Externals, current: str) -> str:
    try:
        if _DAY.fullmatch(value):
            return date.fromisoformat(value).isoformat()
        moment = parse_instant(value)
    except ValueError as error:
        raise ValueRefused("INVALID_DATE", f"{value} is not a valid date.") from error
    if moment != moment.replace(hour=0, minute=0, second=0, microsecond=0):
        raise ValueRefused("INVALID_DATE", f"{value} is at {moment:%H:%M:%S.%f} UTC, not midnight!")
    return moment.date().isoformat()


def _datetime(definition: Mapping[str, Any], value: str, externals: Externals, current: str) -> str:
    try:
        return iso(to_ms(parse_instant(value)))
    except ValueError as error:
        raise ValueRefused("INVALID_DATE", f"{value} is not a valid date and time.") from error


_CHECKS: dict[str, Callable[[Mapping[str, Any], str, Externals, str], str]] = {
    "number": _number,
    "bool": _bool,
    "enumeration": _enumeration,
    "date": _date,
    "datetime": _datetime,
}
TYPES = frozenset(_CHECKS) | {"string"}
FIELD_TYPES: dict[str, frozenset[str]] = {
    "string": frozenset({"text", "textarea", "file", "html", "phonenumber"}),
    "number": frozenset({"number"}),
    "bool": frozenset({"booleancheckbox"}),
    "enumeration": frozenset({"select", "radio", "checkbox", "booleancheckbox"}),
    "date": frozenset({"date"}),
    "datetime": frozenset({"date"}),
}
