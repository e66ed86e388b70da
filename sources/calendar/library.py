"""The calendar libraries, imported on first need; their types tell less than they know, so values are `Any` here."""

from __future__ import annotations

from importlib import import_module
from typing import Any, cast


def icalendar() -> Any:
    """The parser."""
    return import_module("icalendar")


def zone_provider() -> Any:
    """The parser's own zones: where definitions of files are kept, each under an id of ours."""
    return import_module("icalendar.timezone").tzp


def windows_zones() -> dict[str, str]:
    """Windows' zone names to IANA's, by Unicode's list."""
    return import_module("icalendar.timezone.windows_to_olson").WINDOWS_TO_OLSON


def recurring() -> Any:
    """Writes rules out."""
    return import_module("recurring_ical_events")


def listed(value: Any) -> list[Any]:
    """A property that may stand once, several times or not at all."""
    if value is None:
        return []
    return cast("list[Any]", value) if isinstance(value, list) else [value]


def first(value: Any) -> Any:
    """The first of a property that may stand several times; None where it does not stand."""
    found = listed(value)
    return found[0] if found else None


def first_of_period(value: Any) -> Any:
    """Where a period begins; any other value as it is."""
    return cast("tuple[Any, Any]", value)[0] if isinstance(value, tuple) else value


def reason(error: BaseException) -> str:
    """A third-party error in one line."""
    return (str(error) or type(error).__name__).splitlines()[0][:160]
