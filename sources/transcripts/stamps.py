"""Times as transcripts write them: offsets into a recording, and the moments a recording began."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo

# 00:01:02.345, 1:02,3, 01:02 and what players write beyond: 100:00:00.000, 00:01:02:345 (frames or ms after a colon).
OFFSET = r"(?:(\d{1,3})[:.])?(\d{1,3}):(\d{1,2})(?:[.,:](\d{1,9}))?"
_OFFSET = re.compile(OFFSET)

_ISO = re.compile(
    r"\d{4}-\d{2}-\d{2}(?:[T ]\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d{1,9})?)?\s*(?:Z|UTC|[+-]\d{2}:?\d{2})?)?", re.I
)
_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "jan january januar janvier",
            "feb february februar",
            "mar march märz",
            "apr april",
            "may mai",
            "jun june juni",
            "jul july juli",
            "aug august",
            "sep sept september",
            "oct october oktober",
            "nov november",
            "dec december dezember",
        ),
        start=1,
    )
    for name in names.split()
}
_SPELLED = re.compile(
    r"(?:(?P<m1>[^\W\d]{3,9})\.?\s+(?P<d1>\d{1,2})(?:st|nd|rd|th)?,?|(?P<d2>\d{1,2})\.?\s+(?P<m2>[^\W\d]{3,9})\.?,?)\s+(?P<y>\d{4})"
    r"(?:\W{0,3}(?:at\s+|um\s+|à\s+)?(?P<h>\d{1,2}):(?P<n>\d{2})(?::(?P<s>\d{2}))?\s*(?P<half>[ap]\.?m\.?)?\s*(?P<utc>UTC|GMT|Z)?\b)?",
    re.IGNORECASE,
)
# What recorders put into file names: 2026-11-03 14.05.09, GMT20261103-140509, 20261103_140509, 2026-11-03T1405.
_IN_NAME = re.compile(
    r"(?P<gmt>GMT[-_ ]?)?(?<!\d)(?P<y>20\d{2})[-_. ]?(?P<m>0[1-9]|1[0-2])[-_. ]?(?P<d>0[1-9]|[12]\d|3[01])"
    r"(?:[-_. T]{1,3}(?:at[-_. ])?(?P<h>[01]\d|2[0-3])[-_.:h]?(?P<n>[0-5]\d)(?:[-_.:m]?(?P<s>[0-5]\d))?"
    r"(?P<z>Z|[-_ ]?UTC|[-_ ]?GMT)?)?(?!\d)",
    re.IGNORECASE,
)
_FIRST = datetime(1990, 1, 1, tzinfo=UTC)
_LAST = datetime(2100, 1, 1, tzinfo=UTC)


def offset_ms(text: str) -> int | None:
    """Milliseconds of a time like `00:01:02.345`, `01:02`, `1:02,3`; None where it is none."""
    match = _OFFSET.fullmatch(text.strip())
    if match is None:
        return None
    hours, minutes, seconds, fraction = match.groups()
    if int(seconds) > 59 or (hours is not None and int(minutes) > 59):
        return None
    whole = (int(hours or 0) * 60 + int(minutes)) * 60 + int(seconds)
    return whole * 1000 + int((fraction or "0").ljust(3, "0")[:3])


def seconds_ms(value: object) -> int | None:
    """Milliseconds of a number of seconds, or of a time in text; None where it is neither, or below nothing."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return _ms(value * 1000)
    text = str(value).strip()
    try:
        return _ms(float(text) * 1000)
    except ValueError:
        return offset_ms(text)


def plain_ms(value: object) -> int | None:
    """A number that is milliseconds already."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return _ms(float(value))
    except ValueError:
        return None


def _ms(value: float) -> int | None:
    return round(value) if 0 <= value < 1000 * 3600 * 1000 else None  # NaN compares false


def moment(value: object, zone: tzinfo) -> datetime | None:
    """A moment in UTC out of ISO 8601, epoch seconds or milliseconds, or a spelled date; None where it is none.

    Args:
        value: Text or number as found.
        zone: Whose clock it is where the value does not say.
    """
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return _epoch(float(value))
    text = str(value)[:300].strip()
    if re.fullmatch(r"\d{9,13}(\.\d+)?", text):
        return _epoch(float(text))
    match = _ISO.search(text)
    found = _iso(match[0], zone) if match else _spelled(text, zone)
    return found if found is not None and _FIRST <= found < _LAST else None


def _epoch(value: float) -> datetime | None:
    seconds = value / 1000 if value >= 1e11 else value
    if not _FIRST.timestamp() <= seconds < _LAST.timestamp():
        return None
    return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=round(seconds * 1000))


def _iso(text: str, zone: tzinfo) -> datetime | None:
    bare = re.sub(r"\s*(?:UTC|Z)$", "+00:00", text.strip(), flags=re.IGNORECASE).replace(",", ".")
    bare = re.sub(r"(\.\d{6})\d+", r"\1", bare)  # Microsoft writes seven digits
    bare = re.sub(r"[T ](\d):", r"T0\1:", bare)
    bare = re.sub(r"\s+(?=[+-])", "", bare)
    try:
        return _utc(datetime.fromisoformat(bare), zone)
    except (ValueError, OverflowError):
        return None


def _spelled(text: str, zone: tzinfo) -> datetime | None:
    for match in _SPELLED.finditer(text):
        month = _MONTHS.get((match["m1"] or match["m2"]).casefold())
        if month is None:
            continue
        hour = int(match["h"] or 0)
        if match["half"]:
            hour = hour % 12 + (12 if match["half"][0] in "pP" else 0)
        try:
            found = datetime(
                int(match["y"]),
                month,
                int(match["d1"] or match["d2"]),
                hour,
                int(match["n"] or 0),
                int(match["s"] or 0),
            )
        except ValueError:
            continue
        return _utc(found.replace(tzinfo=UTC) if match["utc"] else found, zone)
    return None


def moment_in_name(name: str, zone: tzinfo) -> datetime | None:
    """When a recording began by its file's name, UTC; None without a date and a time of day in it."""
    for match in _IN_NAME.finditer(name):
        if match["h"] is None:
            continue
        try:
            found = datetime(*(int(match[part] or 0) for part in "ymdhns"))  # type: ignore[arg-type]
        except ValueError:
            continue
        return _utc(found.replace(tzinfo=UTC) if match["gmt"] or match["z"] else found, zone)
    return None


def has_time_of_day(text: str) -> bool:
    """Whether a date in text says more than the day."""
    return re.search(r"\d{1,2}:\d{2}", text) is not None


def _utc(value: datetime, zone: tzinfo) -> datetime | None:
    try:
        return (value if value.tzinfo else value.replace(tzinfo=zone)).astimezone(UTC)
    except (OverflowError, ValueError):
        return None
