"""When a message was written: its Date header, and what stands in for one that is missing or cannot be true."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_tz
from typing import Final, Literal

DateSource = Literal["date", "received", "internal", "none"]

EARLIEST: Final = datetime(1985, 1, 1, tzinfo=UTC)
AHEAD: Final = timedelta(days=1)  # a clock may be wrong, but a message is not written after it has arrived

# Zone names that mail programs write and the standard library does not know, in minutes.
_ZONES: Final = {
    "CET": 60,
    "MEZ": 60,
    "MET": 60,
    "CEST": 120,
    "MESZ": 120,
    "WET": 0,
    "WEST": 60,
    "BST": 60,
    "EET": 120,
    "EEST": 180,
    "MSK": 180,
    "IST": 330,
    "SGT": 480,
    "HKT": 480,
    "JST": 540,
    "KST": 540,
    "AEST": 600,
    "AEDT": 660,
}
_ZONE_NAME: Final = re.compile(r"\b([A-Z]{3,4})\)?\s*$")
_COMMENT: Final = re.compile(r"\([^()]*\)")
# "lun., 16 nov. 2026 09:00:00 +0100": programs that write the user's language, by how a month begins.
_LOCAL: Final = re.compile(r"(\d{1,2})\.?\s+([^\W\d_]{3,10})\.?\s+(\d{4})\s+(\d{1,2}:\d\d(?::\d\d)?.*)")
_MONTHS: Final = {
    "jan": 1, "ene": 1, "gen": 1, "fév": 2, "feb": 2, "fev": 2, "mar": 3, "mär": 3, "mrz": 3, "maa": 3, "mrt": 3,
    "avr": 4, "apr": 4, "abr": 4, "mai": 5, "may": 5, "mag": 5, "mei": 5, "maj": 5, "jun": 6, "giu": 6, "jui": 6,
    "jul": 7, "lug": 7, "aoû": 8, "aug": 8, "ago": 8, "sep": 9, "set": 9, "oct": 10, "okt": 10, "ott": 10, "out": 10,
    "nov": 11, "dec": 12, "déc": 12, "dez": 12, "dic": 12,
}  # fmt: skip
_NAMES: Final = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()  # noqa: SIM905
_ISO: Final = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?\s*(?:Z|[+-]\d{2}:?\d{2})?")


def parse_date(text: str) -> datetime | None:
    """A moment from a header, in UTC; None when the text is no date. Without a zone it counts as UTC."""
    text = text.strip()[:200]
    if not text:
        return None
    try:
        return _parsed(text)
    except (ValueError, OverflowError, TypeError, IndexError):
        return None


def _parsed(text: str) -> datetime | None:
    iso = _ISO.match(text)
    if iso is not None:
        found = datetime.fromisoformat(iso[0].replace(" +", "+").replace(" -", "-").replace(" Z", "Z").strip())
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    bare = _COMMENT.sub(" ", text).strip()
    parts = parsedate_tz(bare)
    if parts is None:
        local = _LOCAL.search(bare)
        month = 0 if local is None else _MONTHS.get(local[2][:3].lower(), 0)
        if local is None or not month:
            return None
        if local[2].lower().startswith("juil"):
            month = 7
        parts = parsedate_tz(f"{local[1]} {_NAMES[month - 1]} {local[3]} {local[4]}")
        if parts is None:
            return None
    seconds = parts[9]
    named = _ZONE_NAME.search(bare)
    if named is not None and named[1] in _ZONES:
        seconds = _ZONES[named[1]] * 60
    if seconds is None or abs(seconds) >= 86_400:
        seconds = 0
    return datetime(*parts[:6], tzinfo=timezone(timedelta(seconds=seconds))).astimezone(UTC)


def received_at(values: list[str]) -> datetime | None:
    """When the message arrived: the date of the topmost Received header that has one."""
    for value in values[:5]:
        _, semicolon, date = value.rpartition(";")
        found = parse_date(" ".join(date.split())) if semicolon else None
        if found is not None and found >= EARLIEST:
            return found
    return None


def written_at(
    date: str, received: datetime | None, internal: datetime | None, now: datetime
) -> tuple[datetime | None, DateSource]:
    """When a message was written, and which header or store said so.

    The Date header counts unless it is missing, no date, before 1985, or later than the arrival (or now) by more than
    a day. Then the time of arrival, then the time the mail store gives.

    Args:
        date: The Date header.
        received: From the Received headers.
        internal: From the store: IMAP's INTERNALDATE, an mbox separator's date.
        now: The clock of the load.
    """
    arrived = next((one for one in (received, internal) if one is not None and EARLIEST <= one <= now + AHEAD), None)
    stated = parse_date(date)
    if stated is not None and EARLIEST <= stated <= min(arrived or now, now) + AHEAD:
        return stated, "date"
    if received is not None and received == arrived:
        return received, "received"
    if internal is not None and EARLIEST <= internal <= now + AHEAD:
        return internal, "internal"
    return None, "none"
