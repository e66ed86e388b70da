"""Where transcripts lie."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

Platform = Literal["gong", "fireflies", "zoom", "teams", "google_meet", "otter", "webex", "other"]


class TranscriptSettings(BaseModel):
    """One folder (or file) of transcripts.

    Attributes:
        name: What the source is called in reports; part of the key of calls without an id, so keep it.
        path: A folder, read with all folders below it, or one file.
        pattern: Which files in it, as a glob of the file's name; several separated by blanks.
        platform: Who recorded, where files do not say.
        time_zone: Whose clock times without a zone are, as `Europe/Berlin`.
        owner_email: The seller whose calls these are, where files do not say.
        max_bytes: Larger files are named as a problem and not read.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
    path: Path
    pattern: Annotated[str, StringConstraints(min_length=1)] = "*.vtt *.srt *.json *.jsonl *.txt *.yml *.yaml"
    platform: Platform | None = None
    time_zone: str = "UTC"
    owner_email: Annotated[str, StringConstraints(to_lower=True, pattern=r"^[^\s@]+@[^\s@]+$")] | None = None
    max_bytes: Annotated[int, Field(ge=1)] = 64_000_000

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (OSError, ValueError) as error:  # ZoneInfoNotFoundError is a KeyError below
            raise ValueError(f"`{value}` is no time zone") from error
        except KeyError as error:
            raise ValueError(f"`{value}` is no time zone") from error
        return value
