"""Time zones as calendars name them: IANA, Windows, vendor prefixes, and definitions of their own."""

from __future__ import annotations

import hashlib
import re
from datetime import datetime
from functools import lru_cache
from typing import Final

from sources.calendar.library import icalendar, reason, windows_zones, zone_provider

# Zones are looked up for one file at a time: two files may define the same name differently.
_UTC_NAMES: Final = frozenset({"utc", "gmt", "z", "etc/utc", "etc/gmt", "coordinated universal time"})


@lru_cache(maxsize=1)
def _names() -> dict[str, str]:
    """Every IANA name by its lower-case form."""
    from zoneinfo import available_timezones

    # `localtime`, `posixrules` and the like depend on the machine, not on the calendar.
    names = {name for name in available_timezones() if "/" in name or name in {"UTC", "GMT", "EST", "MST", "HST"}}
    return {name.lower(): name for name in sorted(names)}


@lru_cache(maxsize=4096)
def known_zone(name: str) -> str | None:
    """The IANA name that a zone's name stands for; None where nobody knows it.

    Args:
        name: `Europe/Berlin`, `W. Europe Standard Time`, `/vendor.example/Europe/Berlin`, in quotes or not.
    """
    cleaned = name.strip().strip('"').strip("/").strip()
    if cleaned.lower() in _UTC_NAMES:
        return "UTC"
    if (found := _names().get(cleaned.lower())) is not None:
        return found
    if (windows := windows_zones().get(cleaned)) is not None:
        return _names().get(windows.lower(), windows)
    parts = cleaned.split("/")
    for start in range(1, len(parts)):
        if (found := _names().get("/".join(parts[start:]).lower())) is not None:
            return found
    return None


class FileZones:
    """What the zone names of one file mean.

    Args:
        fallback: The zone of times that name none, and of names that nobody knows.
    """

    def __init__(self, fallback: str) -> None:
        self.fallback = fallback
        self._own: dict[str, str] = {}

    def define(self, definition: str) -> str | None:
        """Takes a VTIMEZONE component, unfolded. Returns what is wrong with it, or None.

        A known name wins over the definition that stands beside it: those are often years old.
        """
        found = re.search(r"(?mi)^TZID[^:\n]*:(.*)$", definition)
        name = found.group(1).strip() if found else ""
        if not name:
            return "a time zone is defined without a name (TZID)"
        if known_zone(name) is not None:
            return None
        own = "nightdesk-" + hashlib.sha256(definition.encode()).hexdigest()[:24]
        try:
            component = icalendar().Timezone.from_ical(definition)
            component["TZID"] = own
            zone = component.to_tz(zone_provider(), lookup_tzid=False)
            datetime(2026, 7, 1, tzinfo=zone).utcoffset()
            zone_provider().cache_timezone_component(component)
        except Exception as error:  # third-party parsers fail in many ways on text from anywhere
            return f"the time zone `{name}` is defined in a way that cannot be read ({reason(error)})"
        self._own[name.strip('"')] = own
        return None

    def resolve(self, name: str) -> str | None:
        """What to look a zone up by: an IANA name, or the id of this file's own definition; None where unknown."""
        own = self._own.get(name.strip().strip('"'))
        return own if own is not None else known_zone(name)

    @property
    def salt(self) -> str:
        """What times mean here, as text: when it changes, every event is read again."""
        return self.fallback + "|" + "|".join(f"{name}={own}" for name, own in sorted(self._own.items()))
