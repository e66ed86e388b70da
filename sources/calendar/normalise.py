"""Puts an event's lines in order before they are parsed: zones resolved, floating times placed, UNTIL in UTC.

What calendars write and what RFC 5545 asks for differ most here, and a library that guesses shifts meetings silently.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Final

from sources.calendar.zones import FileZones

_TIMED: Final = re.compile(r"(?i)^(DTSTART|DTEND|RECURRENCE-ID|EXDATE|RDATE)((?:;(?:\"[^\"]*\"|[^:\"])*)?):(.*)$")
_TZID: Final = re.compile(r'(?i);TZID=("[^"]*"|[^;:]*)')
_UNTIL: Final = re.compile(r"(?i)UNTIL=([0-9TZ]+)")
_BOUNDED: Final = re.compile(r"(?i)(?:^|;)UNTIL=")
_SKIPPED: Final = ("ATTACH", "X-ALT-DESC", "DTSTAMP")
_TOO_OFTEN: Final = re.compile(r"(?i)FREQ=(SECONDLY|MINUTELY)")
_LONGEST: Final = {month: 29 if month == 2 else 30 if month in (4, 6, 9, 11) else 31 for month in range(1, 13)}


class Unreadable(Exception):
    """An event that cannot be read. `line` says where."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(what)
        self.line = line
        self.what = what


def normalised(
    lines: Iterable[tuple[int, str]],
    zones: FileZones,
    zone_of: Callable[[str], tzinfo],
    horizon_end: date,
    wrong: Callable[[int, str], None],
) -> tuple[list[tuple[int, str]], str | None]:
    """An event's logical lines, ready for the parser, and the name its start's zone was given.

    Args:
        lines: (line number, text) pairs, without BEGIN and END.
        zones: The zones of the file.
        zone_of: From a name that `zones` resolved to a zone.
        horizon_end: Nothing is wanted after this day, so rules without an end get one shortly after.
        wrong: Told of what was put right by guessing.

    Raises:
        Unreadable: The event repeats every minute or second, or in a way that never comes.
    """
    kept: list[tuple[int, str]] = []
    rules: list[tuple[int, str]] = []
    start_zone: str | None = None
    start_name: str | None = None
    start_is_timed = True
    for number, text in lines:
        upper = text[:14].upper()
        if upper.startswith(_SKIPPED):
            continue
        if upper.startswith("RRULE"):
            rules.append((number, text))
            continue
        found = _TIMED.match(text)
        if found is None:
            kept.append((number, text))
            continue
        name, parameters, value = found.group(1).upper(), found.group(2), found.group(3).strip()
        placed, zone, said = _placed(number, name, parameters, value, zones, wrong)
        if name == "DTSTART":
            start_zone, start_name, start_is_timed = zone, said, "T" in value.upper()
        kept.append((number, placed))
    for number, text in rules:
        kept.append((number, _rule(number, text, start_zone, start_is_timed, zone_of, horizon_end)))
    return kept, start_name


def _placed(
    number: int, name: str, parameters: str, value: str, zones: FileZones, wrong: Callable[[int, str], None]
) -> tuple[str, str | None, str | None]:
    """One property with a time: (line for the parser, zone to look up or None, the zone's name where it has one)."""
    given = _TZID.search(parameters)
    bare = _TZID.sub("", parameters)
    if "T" not in value.upper():  # days have no zone
        return f"{name}{bare}:{value}", None, None
    # A list may mix forms only in theory; the first value speaks for all.
    if value.split(",")[0].rstrip().upper().endswith("Z"):
        return f"{name}{bare}:{value}", "UTC", None
    zone = None
    if given is not None:
        zone = zones.resolve(given.group(1))
        if zone is None:
            wrong(
                number,
                f"{name} names a time zone that nobody knows and the file does not define, "
                f"{given.group(1)[:60]}; read as {zones.fallback}",
            )
    zone = zone or zones.fallback
    shown = None if zone.startswith("nightdesk-") else zone
    return f"{name}{bare};TZID={zone}:{value}", zone, shown


def _rule(
    number: int, text: str, zone: str | None, is_timed: bool, zone_of: Callable[[str], tzinfo], horizon_end: date
) -> str:
    if (often := _TOO_OFTEN.search(text)) is not None:
        raise Unreadable(number, f"an event that repeats {often.group(1).lower()} is not a meeting")
    text = text.rstrip("; \t")
    if (never := _never(text.partition(":")[2])) is not None:
        raise Unreadable(number, never)

    def in_utc(found: re.Match[str]) -> str:
        value = found.group(1).upper()
        try:
            day = date(int(value[:4]), int(value[4:6]), int(value[6:8]))
            if not is_timed:
                return f"UNTIL={value[:8]}"
            if value.endswith("Z"):
                return f"UNTIL={value}"
            # A day alone means the whole of it; a time without Z is meant where the event is.
            at = time(int(value[9:11]), int(value[11:13]), int(value[13:15] or "0")) if "T" in value else time.max
            local = datetime.combine(day, at.replace(microsecond=0)).replace(tzinfo=zone_of(zone or "UTC"))
        except ValueError as error:
            raise Unreadable(number, f"the rule's end `{found.group(0)[:40]}` is not a day ({error})") from None
        return f"UNTIL={local.astimezone(UTC):%Y%m%dT%H%M%SZ}"

    text = _UNTIL.sub(in_utc, text)
    if _BOUNDED.search(text.partition(":")[2]) is None:
        # A month of slack: an instance after the horizon may have been moved into it.
        end = horizon_end + timedelta(days=31)
        text += f";UNTIL={end:%Y%m%d}" + ("T235959Z" if is_timed else "")
    return text


def _never(rule: str) -> str | None:
    """Why a rule can never come round, on which a library would search for ever or to the year 9999; None otherwise."""
    parts = {name.strip().upper(): value for name, _, value in (one.partition("=") for one in rule.split(";"))}
    if (interval := parts.get("INTERVAL", "1").strip()) and re.fullmatch(r"[-+]?\d+", interval) and int(interval) < 1:
        return f"an event cannot repeat every {interval}"
    months, days = _numbers(parts.get("BYMONTH", "")), _numbers(parts.get("BYMONTHDAY", ""))
    if months and days and not any(abs(day) <= _LONGEST.get(month, 0) for month in months for day in days):
        return "the event repeats on a day that no year has"
    return None


def _numbers(text: str) -> list[int]:
    return [int(one) for one in text.split(",") if re.fullmatch(r"[-+]?\d+", one.strip())]
