"""What is known of a call beside its words: a sidecar file, or the head of a JSON export."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import tzinfo
from typing import Any, cast

from sources.transcripts.model import Reading, Side, Speaker, Transcript, clean_company, clean_name, joined, one_line
from sources.transcripts.stamps import moment, seconds_ms
from sources.transcripts.voices import people, person

Json = Mapping[str, Any]

_TITLE = ("title", "topic", "subject", "meeting_title", "meetingTitle", "meeting_name", "summary_title")
_START = (
    "started_at", "startedAt", "started", "start_time", "startTime", "start", "start_at", "recording_start",
    "scheduled", "meeting_start", "dateString", "date_time", "datetime", "date", "created_at", "createdAt",
    "createdDateTime",
)  # fmt: skip
_ID = (
    "external_id",
    "externalId",
    "call_id",
    "callId",
    "meeting_uuid",
    "uuid",
    "recording_id",
    "recordingId",
    "transcript_id",
    "id",
)
_PEOPLE = ("participants", "attendees", "meeting_attendees", "parties", "invitees", "speakers", "users")
_OWNER = (
    "owner_email",
    "ownerEmail",
    "owner",
    "host_email",
    "hostEmail",
    "organizer_email",
    "organizerEmail",
    "organizer",
    "host",
    "recorded_by",
)
_CRM = ("crm_call_id", "crmCallId", "crm_id", "crmId", "crm_meeting_id", "crm_activity_id", "crm_record_id")
_PLATFORMS = {
    "zoom": "zoom", "teams": "teams", "microsoft teams": "teams", "google meet": "google_meet", "meet": "google_meet",
    "google_meet": "google_meet", "gong": "gong", "fireflies": "fireflies", "otter": "otter", "webex": "webex",
}  # fmt: skip


def mapping(value: Any) -> Json:
    """A JSON object, or an empty one for anything else."""
    return cast("Json", value) if isinstance(value, Mapping) else {}


def listed(value: Any) -> list[Any]:
    """A JSON array, or an empty one for anything else."""
    return cast("list[Any]", value) if isinstance(value, list) else []


def text_of(data: Json, *keys: str) -> str:
    """The first of some fields that holds text or a number, on one line."""
    for key in keys:
        value = data.get(key)
        if isinstance(value, str | int | float) and not isinstance(value, bool) and str(value).strip():
            return one_line(str(value))
    return ""


def described(data: Json, zone: tzinfo) -> Transcript:
    """A transcript without words out of a JSON or YAML object, by the names most tools use for the same things."""
    started = next((found for key in _START if (found := moment(data.get(key), zone)) is not None), None)
    owner = next((found for key in _OWNER if (found := _owner(data.get(key)))), "")
    platform = text_of(data, "platform", "source", "provider", "system").casefold()
    call_id = text_of(data, *_ID)
    direction = text_of(data, "direction").upper()
    return Transcript(
        speakers=tuple(_everybody(data)),
        title=text_of(data, *_TITLE)[:200],
        started_at=started,
        started_how="metadata" if started else None,
        duration_ms=length_ms(data, 1000),
        platform=_PLATFORMS.get(platform, ""),
        language=text_of(data, "language", "language_code", "languageCode", "locale")[:20],
        direction=direction if direction in ("INBOUND", "OUTBOUND") else "",
        external_ids=(f"{_PLATFORMS.get(platform, 'call')}:{call_id}",) if call_id else (),
        crm_call_id=crm_reference(data),
        owner_email=owner,
        format="metadata",
    )


def crm_reference(data: Json) -> str:
    """The CRM's call or meeting: `hubspot:call:123` where system and type are told, else the bare id."""
    for system in ("hubspot", "salesforce"):
        for key, kind in (
            ("call", "call"),
            ("engagement", "call"),
            ("meeting", "meeting"),
            ("task", "call"),
            ("event", "meeting"),
        ):
            found = text_of(data, f"{system}_{key}_id", f"{system}{key.title()}Id")
            if found:
                return f"{system}:{kind}:{found}"
    written = text_of(data, *_CRM)
    crm = data.get("crm")
    inner = mapping(crm)
    system = text_of(data, "crm", "crm_system").casefold() if not inner else text_of(inner, "system", "name").casefold()
    if inner:
        written = written or text_of(inner, "call_id", "meeting_id", "id", "record_id")
    kind = "meeting" if text_of(data, "crm_meeting_id") or text_of(inner, "meeting_id") else "call"
    if written and system in ("hubspot", "salesforce") and ":" not in written:
        return f"{system}:{kind}:{written}"
    return written


def length_ms(data: Json, unit: int) -> int | None:
    """A call's length.

    Args:
        data: The object that holds it.
        unit: Milliseconds of one of a bare `duration`.
    """
    for key, factor in (
        ("duration_ms", 1), ("durationMs", 1), ("duration_seconds", 1000), ("durationSeconds", 1000),
        ("audio_duration", 1000), ("duration_minutes", 60_000), ("durationMinutes", 60_000), ("duration", unit),
    ):  # fmt: skip
        value = data.get(key)
        if isinstance(value, str) and ":" in value:
            return seconds_ms(value)
        seconds = seconds_ms(value)
        if seconds is not None:
            return seconds * factor // 1000
    return None


def read_yaml(text: str, reading: Reading, zone: tzinfo) -> None:
    """A sidecar in YAML."""
    import yaml

    try:
        data: Any = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark is not None else None
        problem = getattr(error, "problem", None) or "not readable"
        reading.trouble(line, f"The YAML is broken ({problem})", "Correct the line.")
        return
    except (RecursionError, ValueError) as error:
        reading.trouble(None, f"The YAML cannot be read ({str(error)[:100]})", "Correct the file.")
        return
    if isinstance(data, Mapping):
        values = {str(key): _plain(value) for key, value in cast("Mapping[Any, Any]", data).items()}
        reading.transcripts.append(described(values, zone))
    else:
        reading.trouble(
            None, "The file holds no fields", "Write `title: ...`, `started_at: ...`, `participants: [...]`."
        )


def _plain(value: Any) -> Any:
    """YAML turns dates into objects; the rest of this module reads text."""
    return value.isoformat() if hasattr(value, "isoformat") else value


def _everybody(data: Json) -> list[Speaker]:
    found: dict[str, Speaker] = {}
    for key in _PEOPLE:
        value = data.get(key)
        named: list[Speaker] = []
        if isinstance(value, str):
            named = people(value)
        for item in listed(value):
            if isinstance(item, str):
                named += people(item) if "," in item and "@" in item else [one for one in [person(item)] if one]
            elif isinstance(item, Mapping):
                one = _somebody(cast("Json", item))
                if one is not None:
                    named.append(one)
        for one in named:
            same = one.email or one.name.casefold()
            twin = next((k for k, other in found.items() if k == same or (one.name and other.name == one.name)), same)
            found[twin] = joined(found[twin], one) if twin in found else one
    return list(found.values())


def _somebody(item: Json) -> Speaker | None:
    name = text_of(item, "name", "displayName", "display_name", "full_name", "username", "user_name")
    if not name:
        name = " ".join(
            part for part in (text_of(item, "first_name", "firstName"), text_of(item, "last_name", "lastName")) if part
        )
    email = text_of(item, "email", "emailAddress", "email_address", "user_email", "mail").casefold()
    written = person(f"{name} <{email}>" if email else name)
    if written is None:
        return None
    company = clean_company(text_of(item, "company", "company_name", "organization", "account"))
    side = text_of(item, "side", "affiliation").casefold()
    is_internal = item.get("is_internal", item.get("internal"))
    sides: dict[str, Side] = {"ours": "ours", "internal": "ours", "theirs": "theirs", "external": "theirs"}
    known: Side | None = sides.get(side)
    if known is None and isinstance(is_internal, bool):
        known = "ours" if is_internal else "theirs"
    return Speaker(
        clean_name(written.name),
        email or written.email,
        company or written.company,
        known,
        text_of(item, "crm_id", "crm_contact_id", "contact_id"),
        spoke=False,
    )


def _owner(value: Any) -> str:
    if isinstance(value, Mapping):
        return text_of(cast("Json", value), "email", "emailAddress", "mail").casefold()
    if isinstance(value, str):
        match = re.search(r"[^\s<>@,;]+@[^\s<>@,;]+", value)
        return match[0].casefold() if match else ""
    return ""
