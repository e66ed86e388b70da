"""What a night loads: `sources.yml`, beside dbt_project.yml. Addresses and secrets of CRMs are in the environment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from nightdesk.errors import NightdeskError
from sources.calendar.settings import CalendarSettings
from sources.mailbox.settings import MailboxSettings
from sources.transcripts.settings import TranscriptSettings

FILE: Final = "sources.yml"
CrmName = Literal["hubspot", "salesforce"]
SourceName = Literal["hubspot", "salesforce", "mailbox", "transcripts", "calendar"]


class HubSpotOptions(BaseModel):
    """How HubSpot is read; see `sources.hubspot.settings` for each."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    accept_type_changes: tuple[str, ...] = ()
    accept_missing: tuple[str, ...] = ()


class SalesforceOptions(HubSpotOptions):
    """How a Salesforce org is read; see `sources.salesforce.settings` for each."""

    custom_fields: Mapping[str, str] = Field(default_factory=dict[str, str])
    bulk_threshold: Annotated[int, Field(ge=1)] = 10_000
    quota_share: Annotated[float, Field(gt=0, le=1)] = 0.8


class Sources(BaseModel):
    """What is loaded, in this order.

    Attributes:
        crms: The CRMs that records come from. Where to find them is in the environment.
        hubspot: How HubSpot is read (docs/hubspot-source.md).
        salesforce: How the Salesforce org is read (docs/salesforce-source.md).
        mailboxes: Mailboxes and exported mail (docs/mailbox.md).
        transcripts: Folders with transcripts of calls (docs/transcripts.md).
        calendars: Calendars (docs/calendar.md).
        go_on_without: Sources that may fail: the night goes on with what was loaded of them before, says so, and ends
            with an exit code that is not 0. Without it a source that cannot be read stops the night: what it would have
            said may be somebody's opt-out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    crms: tuple[CrmName, ...] = ("hubspot",)
    hubspot: HubSpotOptions = Field(default_factory=HubSpotOptions)
    salesforce: SalesforceOptions = Field(default_factory=SalesforceOptions)
    mailboxes: tuple[MailboxSettings, ...] = ()
    transcripts: tuple[TranscriptSettings, ...] = ()
    calendars: tuple[CalendarSettings, ...] = ()
    go_on_without: tuple[SourceName, ...] = ()

    @property
    def has_several(self) -> bool:
        """Whether records of one person may come from more than one place."""
        return len(self.crms) > 1 or bool(self.mailboxes or self.transcripts or self.calendars)

    @model_validator(mode="after")
    def _names_are_keys(self) -> Sources:
        if len(set(self.crms)) < len(self.crms):
            raise ValueError("`crms` names one CRM twice")
        for kind in ("mailboxes", "transcripts", "calendars"):
            twice = [name for name, count in Counter(one.name for one in getattr(self, kind)).items() if count > 1]
            if twice:
                raise ValueError(f"two of `{kind}` are called `{twice[0]}`; a name is part of every key")
        if not self.crms:
            raise ValueError("`crms` is empty: without a CRM there is nobody to write about")
        return self


def read(path: Path) -> Sources:
    """The sources of a project; HubSpot alone where there is no file. Paths in it are relative to its folder.

    Raises:
        NightdeskError: The file cannot be read or is not valid (names the place), or another file was named and is
            not there.
    """
    import yaml

    if not path.exists():
        if path.name != FILE:
            raise NightdeskError(
                "The file that says what a night loads is not there",
                where=str(path),
                todo=f"Correct NIGHTDESK_SOURCES; without it {FILE} is read.",
            )
        return Sources()
    try:
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
        problem = error.problem if isinstance(error, yaml.MarkedYAMLError) else None
        raise NightdeskError(
            f"{path.name} is not YAML: {problem or str(error).splitlines()[0]}",
            where=f"{path}, line {mark.line + 1}" if mark else str(path),
            todo="Correct it; docs/sources.md shows an example.",
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise NightdeskError(
            f"{path.name} cannot be read: {error.strerror if isinstance(error, OSError) else 'it is not UTF-8'}",
            where=str(path),
            todo="Let it be a text file that you may read.",
        ) from error
    try:
        found = Sources.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        said = {"extra_forbidden": "there is no such key", "model_type": "it holds no keys such as `crms:`"}
        raise NightdeskError(
            f"{path.name} is not valid: {said.get(first['type'], first['msg'].removeprefix('Value error, '))}",
            where=f"{path}, {place}" if place else str(path),
            todo="Correct it; docs/sources.md lists every key.",
        ) from None
    folder = path.resolve().parent
    return found.model_copy(
        update={kind: _placed(getattr(found, kind), folder) for kind in ("mailboxes", "transcripts", "calendars")}
    )


def _placed(some: tuple[Any, ...], folder: Path) -> tuple[Any, ...]:
    return tuple(
        one.model_copy(update={"path": folder / one.path}) if getattr(one, "path", None) is not None else one
        for one in some
    )
