"""What a calendar load is told."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

_ADDRESS = r"^[^@\s]+@[^@\s]+$"


class CalendarSettings(BaseModel):
    """One calendar: where it stands, whose it is, and how much of it is read.

    Attributes:
        name: What the calendar is called here; part of every key, so it stays the same for good.
        path: An `.ics` or `.ics.gz` file, or a folder with such files at any depth (an export, one file per event, or a
            pile of invitations: together they are one calendar).
        url: Instead of a path: where the calendar is published (`http` or `https`). Asked with the last answer's ETag.
        owner_email: Whose calendar it is. Without it, a calendar name that is an address says so.
        time_zone: IANA name (or Windows name) of the zone in which times without a zone are meant, where the file names
            none itself.
        past_days: How far back from the night's day events are read.
        future_days: How far ahead; what repeats for ever is written out to here.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
    path: Path | None = None
    url: Annotated[str, StringConstraints(pattern=r"^https?://[^\s/]+(/\S*)?$")] | None = None
    owner_email: Annotated[str, StringConstraints(strip_whitespace=True, to_lower=True, pattern=_ADDRESS)] | None = None
    time_zone: str | None = None
    past_days: Annotated[int, Field(ge=0, le=36_500)] = 400
    future_days: Annotated[int, Field(ge=0, le=3_650)] = 60

    @field_validator("time_zone")
    @classmethod
    def zone_exists(cls, value: str | None) -> str | None:
        """A zone nobody knows would shift every meeting: refused here, not found out by a seller."""
        from sources.calendar.zones import known_zone

        if value is None:
            return None
        found = known_zone(value)
        if found is None:
            raise ValueError(f"`{value}` is not a time zone; use an IANA name such as `Europe/Berlin`")
        return found

    @property
    def place(self) -> str:
        """Where it stands, for people. Who knows a published calendar's address can read it: only its host is shown."""
        return str(self.path) if self.url is None else f"{self.name} at {urlsplit(self.url).hostname}"

    def model_post_init(self, context: object, /) -> None:
        """A calendar comes from one place."""
        if (self.path is None) == (self.url is None):
            raise ValueError(f"calendar `{self.name}` needs `path` or `url`, and only one of them")
