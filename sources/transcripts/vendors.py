"""JSON exports of Gong, Fireflies, Zoom, Teams and their like, told apart by what is in them.

Field names are those of the vendors' public interfaces: Gong's /v2/calls/transcript and /v2/calls/extensive, Fireflies'
GraphQL transcript and its download, Zoom's transcript and timeline files, Microsoft Graph's callTranscript and the
transcript.json of Stream. Anything else with a list of `text` and a speaker is read as that.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, tzinfo
from typing import Any, cast

from sources.transcripts.metadata import (
    Json,
    crm_reference,
    described,
    length_ms,
    listed,
    mapping,
    text_of,
)
from sources.transcripts.model import (
    Cue,
    Reading,
    Speaker,
    Transcript,
    clean_name,
    end_of,
    joined,
    merged_turns,
    speakers_of,
)
from sources.transcripts.stamps import moment, offset_ms, plain_ms, seconds_ms
from sources.transcripts.voices import name_and_company, person

_MISSING = "Export the file again, or leave it if nobody spoke there."
_LISTS = (
    "transcript",
    "turns",
    "segments",
    "utterances",
    "sentences",
    "monologues",
    "entries",
    "items",
    "results",
    "captions",
)
_SAID = ("text", "sentence", "raw_text", "transcript", "content", "words_text", "body")
_WHO = ("speaker_name", "speakerName", "speakerDisplayName", "speaker", "name", "participant", "username", "role")
_START = (
    "start_ms",
    "startMs",
    "start_time_ms",
    "startTimeMs",
    "start",
    "start_time",
    "startTime",
    "startOffset",
    "ts",
    "offset",
    "time",
)
_END = ("end_ms", "endMs", "end_time_ms", "endTimeMs", "end", "end_time", "endTime", "endOffset", "end_ts")


def read_json(data: Any, reading: Reading, zone: tzinfo) -> None:
    """Adds the transcripts of one JSON document to a reading; a document that is none adds nothing.

    Args:
        data: The parsed document.
        reading: Where transcripts and troubles go.
        zone: Whose clock times without a zone are.
    """
    for path, one in _calls(data, "$"):
        found = _one(one, path, reading, zone)
        if found is not None:
            reading.transcripts.append(found)


def _calls(data: Any, path: str) -> Iterator[tuple[str, Json]]:
    """Each call of a document, with its place: exports hold one, or a list, or a list inside an envelope."""
    if isinstance(data, list):
        items = cast("list[Any]", data)
        if items and all(isinstance(one, dict) and _is_entry(cast("Json", one)) for one in items[:20]):
            yield path, {"sentences": items}
        else:
            for number, one in enumerate(items):
                yield from _calls(one, f"{path}[{number}]")
        return
    if not isinstance(data, dict):
        return
    document = cast("Json", data)
    for envelope in ("data", "callData", "payload", "object"):
        inner = document.get(envelope)
        if isinstance(inner, dict) and not _entries(document)[1]:
            yield from _calls(inner, f"{path}.{envelope}")
            return
    for envelope in ("callTranscripts", "calls", "transcripts", "meetings", "value"):
        inner = document.get(envelope)
        if isinstance(inner, list):
            for number, one in enumerate(cast("list[Any]", inner)):
                yield from _calls(one, f"{path}.{envelope}[{number}]")
    inner = document.get("transcript")
    if isinstance(inner, dict):  # Fireflies' data.transcript
        yield from _calls(inner, f"{path}.transcript")
    elif not any(
        isinstance(document.get(one), list) for one in ("callTranscripts", "calls", "transcripts", "meetings", "value")
    ):
        yield path, document


def _one(call: Json, path: str, reading: Reading, zone: tzinfo) -> Transcript | None:
    reader: Callable[[Json, str, Reading, tzinfo], Transcript | None]
    if "metaData" in call or _is_gong_transcript(call):
        reader = _gong
    elif isinstance(call.get("timeline"), list):
        reader = _zoom
    elif "recording_files" in call:
        reader = _zoom_recording
    elif "meetingOrganizer" in call or "transcriptContentUrl" in call or "contentCorrelationId" in call:
        reader = _graph
    else:
        reader = _generic
    found = reader(call, path, reading, zone)
    return found if found is not None and (found.turns or _says_something(found)) else None


def _says_something(found: Transcript) -> bool:
    return bool(found.speakers or found.external_ids or found.started_at or found.crm_call_id or found.title)


def _finished(one: Transcript, cues: Sequence[Cue], people: Sequence[Speaker]) -> Transcript:
    turns = merged_turns(cues)
    return replace(
        one,
        turns=turns,
        speakers=speakers_of(turns, people),
        duration_ms=one.duration_ms if one.duration_ms is not None else end_of(turns),
    )


# -- Gong ------------------------------------------------------------------------------------------------------------


def _is_gong_transcript(call: Json) -> bool:
    parts = [mapping(one) for one in listed(call.get("transcript"))]
    return any("sentences" in one for one in parts) or ("callId" in call and isinstance(call.get("transcript"), list))


def _gong(call: Json, path: str, reading: Reading, zone: tzinfo) -> Transcript | None:
    """A call of /v2/calls/extensive (metaData, parties), of /v2/calls/transcript (callId, transcript), or of both."""
    reading.format = "gong"
    meta = mapping(call.get("metaData")) or call
    names: dict[str, str] = {}
    people: list[Speaker] = []
    sides = {"internal": "ours", "external": "theirs"}
    for party in (mapping(one) for one in listed(call.get("parties"))):
        speaker_id = text_of(party, "speakerId")
        email = text_of(party, "emailAddress", "email").casefold()
        name = name_and_company(text_of(party, "name"))[0] or (email.partition("@")[0] if speaker_id else "")
        if not name and not email:
            continue
        people.append(
            Speaker(
                name,
                email,
                side=cast("Any", sides.get(text_of(party, "affiliation").casefold())),
                crm_id=_gong_record(party),
                spoke=False,
                alias=speaker_id,
            )
        )
        if speaker_id:
            names[speaker_id] = people[-1].name
    cues: list[Cue] = []
    for number, part in enumerate(listed(call.get("transcript"))):
        place = f"{path}.transcript[{number}]"
        monologue = mapping(part)
        speaker_id = text_of(monologue, "speakerId")
        if not listed(monologue.get("sentences")):
            reading.trouble(place, "There is no sentence in it", _MISSING)
        who = names.get(speaker_id, f"Speaker {speaker_id}" if speaker_id else "")
        for position, raw in enumerate(listed(monologue.get("sentences"))):
            sentence = mapping(raw)
            said = text_of(sentence, "text")
            if not said:
                reading.trouble(f"{place}.sentences[{position}]", "The sentence is empty", _MISSING)
                continue
            start, end = plain_ms(sentence.get("start")), plain_ms(sentence.get("end"))
            if start is None:
                reading.trouble(
                    f"{place}.sentences[{position}].start", f"`{str(sentence.get('start'))[:40]}` is no time", _MISSING
                )
            cues.append(Cue(who, said, start, end))
    call_id = text_of(call, "callId") or text_of(meta, "id")
    started = moment(meta.get("started"), zone) or moment(meta.get("scheduled"), zone)
    duration = meta.get("duration")
    owner = text_of(meta, "primaryUserId")
    owners = [mapping(one) for one in listed(call.get("parties")) if owner and text_of(mapping(one), "userId") == owner]
    directions = {"inbound": "INBOUND", "outbound": "OUTBOUND"}
    return _finished(
        Transcript(
            title=text_of(meta, "title"),
            started_at=started,
            started_how="metadata" if started else None,
            duration_ms=seconds_ms(duration) if duration is not None else None,
            platform="gong",
            language=text_of(meta, "language") if text_of(meta, "language").casefold() != "und" else "",
            direction=directions.get(text_of(meta, "direction").casefold(), ""),
            external_ids=tuple(f"gong:{one}" for one in (call_id,) if one),
            crm_call_id=crm_reference(call) or crm_reference(meta),
            owner_email=next((text_of(one, "emailAddress").casefold() for one in owners), ""),
            format="gong",
        ),
        cues,
        people,
    )


def _gong_record(party: Json) -> str:
    """The CRM's contact or lead that Gong links a party to, as `<source>:<type>:<id>`."""
    for context in (mapping(one) for one in listed(party.get("context"))):
        system = text_of(context, "system").casefold()
        for one in (mapping(item) for item in listed(context.get("objects"))):
            kind, record = text_of(one, "objectType").casefold(), text_of(one, "objectId", "id")
            if system in ("salesforce", "hubspot") and kind in ("contact", "lead") and record:
                return f"{system}:{kind}:{record}"
    return ""


# -- Zoom ------------------------------------------------------------------------------------------------------------


def _zoom(call: Json, path: str, reading: Reading, zone: tzinfo) -> Transcript | None:
    """Zoom's transcript JSON (a timeline with text), or its timeline JSON (who was on when, without a word)."""
    reading.format = "zoom"
    cues: list[Cue] = []
    people: dict[str, Speaker] = {}
    has_text = any("text" in mapping(one) for one in listed(call.get("timeline")))
    for number, raw in enumerate(listed(call.get("timeline"))):
        place = f"{path}.timeline[{number}]"
        entry = mapping(raw)
        users = [mapping(one) for one in listed(entry.get("users"))]
        named = [one for user in users if (one := _zoom_user(user)) is not None]
        for one in named:
            people[one.name] = joined(people[one.name], one) if one.name in people else one
        if not has_text:
            continue
        said = text_of(entry, "text")
        if not said:
            reading.trouble(place, "The entry has no text", _MISSING)
            continue
        start = seconds_ms(entry.get("ts"))
        if start is None:
            reading.trouble(f"{place}.ts", f"`{str(entry.get('ts'))[:40]}` is no time", _MISSING)
        # Where several talk at once nobody can be told to have said it.
        cues.append(Cue(named[0].name if len(named) == 1 else "", said, start, seconds_ms(entry.get("end_ts"))))
    meeting = text_of(call, "meeting_uuid", "uuid", "meeting_id")
    ids = [f"zoom:{one}" for one in (text_of(call, "recording_id"), meeting) if one and not one.isdigit()]
    started = moment(call.get("recording_start"), UTC) or moment(call.get("start_time"), UTC)
    ended = moment(call.get("recording_end"), UTC)
    length = int((ended - started).total_seconds() * 1000) if started and ended and ended > started else None
    return _finished(
        Transcript(
            title=text_of(call, "topic"),
            started_at=started,
            started_how="metadata" if started else None,
            duration_ms=length,
            platform="zoom",
            external_ids=tuple(sorted(set(ids))),
            crm_call_id=crm_reference(call),
            owner_email=text_of(call, "host_email").casefold(),
            format="zoom",
        ),
        cues,
        list(people.values()),
    )


def _zoom_user(user: Json) -> Speaker | None:
    name, company = name_and_company(text_of(user, "username", "user_name", "name"))
    if not name or name.casefold() == "unknown speaker":
        return None
    return Speaker(name, text_of(user, "email_address", "email", "user_email").casefold(), company, spoke=False)


def _zoom_recording(call: Json, path: str, reading: Reading, zone: tzinfo) -> Transcript | None:
    """What Zoom's recordings interface says of a meeting; it carries no words."""
    reading.format = "zoom"
    files = [mapping(one) for one in listed(call.get("recording_files"))]
    starts = [found for one in files if (found := moment(one.get("recording_start"), UTC)) is not None]
    started = min(starts, default=None) or moment(call.get("start_time"), UTC)
    ids = {text_of(call, "uuid"), *(text_of(one, "id") for one in files)}
    host = text_of(call, "host_email").casefold()
    return Transcript(
        speakers=(Speaker("", host, spoke=False),) if host else (),
        title=text_of(call, "topic"),
        started_at=started,
        started_how="metadata" if started else None,
        duration_ms=length_ms(call, 60_000),
        platform="zoom",
        external_ids=tuple(sorted(f"zoom:{one}" for one in ids if one and not one.isdigit())),
        owner_email=host,
        format="zoom",
    )


# -- Teams -----------------------------------------------------------------------------------------------------------


def _graph(call: Json, path: str, reading: Reading, zone: tzinfo) -> Transcript | None:
    """Microsoft Graph's callTranscript: whose meeting and when, without a word."""
    reading.format = "teams"
    organizer = mapping(mapping(call.get("meetingOrganizer")).get("user"))
    email = text_of(organizer, "email", "mail", "userPrincipalName").casefold()
    name = clean_name(text_of(organizer, "displayName"))
    started, ended = moment(call.get("createdDateTime"), UTC), moment(call.get("endDateTime"), UTC)
    # A meeting's id is that of the whole series; a transcript's and a call's own are of this one.
    ids = {text_of(call, "id"), text_of(call, "callId"), text_of(call, "contentCorrelationId")} - {""}
    return Transcript(
        speakers=(Speaker(name, email, spoke=False),) if name or email else (),
        title=text_of(call, "subject"),
        started_at=started,
        started_how="metadata" if started else None,
        duration_ms=int((ended - started).total_seconds() * 1000) if started and ended and ended > started else None,
        platform="teams",
        external_ids=tuple(sorted(f"teams:{one}" for one in ids)),
        crm_call_id=crm_reference(call),
        owner_email=email,
        format="teams",
    )


# -- Fireflies, Stream, and everybody else ---------------------------------------------------------------------------


def _is_entry(one: Json) -> bool:
    return any(isinstance(one.get(key), str) for key in _SAID) and any(
        key in one for key in (*_WHO, *_START, "speaker_id")
    )


def _entries(call: Json) -> tuple[str, list[Json]]:
    """The list of what was said, and its name; empty where there is none."""
    for name in _LISTS:
        items = listed(call.get(name))
        if items and any(_is_entry(mapping(one)) for one in items[:50]):
            return name, [mapping(one) for one in items]
    results = mapping(call.get("results"))
    return _entries(results) if results else ("", [])


def _generic(call: Json, path: str, reading: Reading, zone: tzinfo) -> Transcript | None:
    name, entries = _entries(call)
    base = described(call, zone)
    if "speakerDisplayName" in str(entries[:1]) or "stream.office.com" in str(call.get("$schema", "")):
        base, reading.format = replace(base, platform="teams", format="teams"), "teams"
    elif name == "sentences" or "fireflies" in str(call.get("transcript_url", "")):
        base = replace(
            base, platform="fireflies" if _is_fireflies(call, entries) else base.platform, format="fireflies"
        )
        reading.format = "fireflies"
        if (minutes := call.get("duration")) is not None:
            base = replace(base, duration_ms=length_ms({"duration": minutes}, 60_000))
    if base.platform == "fireflies":
        base = replace(base, external_ids=tuple(one.replace("call:", "fireflies:", 1) for one in base.external_ids))
    read = _reader_of_times(entries)
    labels = _labels(call)
    cues: list[Cue] = []
    companies: list[Speaker] = []
    for number, entry in enumerate(entries):
        place = f"{path}.{name}[{number}]"
        said = text_of(entry, *_SAID)
        if not said:
            reading.trouble(place, "The entry has no text", _MISSING)
            continue
        start_key = next((key for key in _START if entry.get(key) is not None), "")
        end_key = next((key for key in _END if entry.get(key) is not None), "")
        start = read(start_key, entry.get(start_key)) if start_key else None
        if start_key and start is None:
            reading.trouble(f"{place}.{start_key}", f"`{str(entry.get(start_key))[:40]}` is no time", _MISSING)
        who, company = _who(entry, labels)
        if company:
            companies.append(Speaker(who, company=company))
        cues.append(Cue(who, said, start, read(end_key, entry.get(end_key)) if end_key else None))
    if not base.language and entries:
        base = replace(base, language=text_of(entries[0], "spokenLanguageTag", "languageCode", "language"))
    return _finished(base, cues, (*companies, *base.speakers))


def _is_fireflies(call: Json, entries: Sequence[Json]) -> bool:
    keys: set[str] = {*call, *(entries[0] if entries else ())}
    return bool(
        keys & {"transcript_url", "meeting_attendees", "host_email", "organizer_email", "ai_filters", "speaker_name"}
    )


def _labels(call: Json) -> dict[str, str]:
    """Names by the ids that entries use, where a document lists its speakers."""
    found: dict[str, str] = {}
    for one in (mapping(item) for key in ("speakers", "participants") for item in listed(call.get(key))):
        name = text_of(one, "name", "displayName", "display_name", "label")
        for key in ("id", "speaker_id", "speakerId"):
            if name and text_of(one, key):
                found[text_of(one, key)] = name
    return found


def _who(entry: Json, labels: Mapping[str, str]) -> tuple[str, str]:
    value: Any = next((entry[key] for key in _WHO if entry.get(key) not in (None, "")), None)
    if isinstance(value, dict):
        inner = cast("Json", value)
        value = text_of(inner, "name", "display_name", "displayName", "label", "id")
    if value is None:
        value = next((entry[key] for key in ("speaker_id", "speakerId") if entry.get(key) not in (None, "")), "")
        value = value if str(value) in labels or value == "" else f"Speaker {value}"
    text = labels.get(str(value), str(value))
    if re.fullmatch(r"\d{1,3}|[A-Z]", text):
        text = f"Speaker {text}"
    found = person(text) if "@" in text else None
    return (found.name or found.email.partition("@")[0], found.company) if found else name_and_company(text)


def _reader_of_times(entries: Sequence[Json]) -> Callable[[str, Any], int | None]:
    """Reads times of a list: by the field's name; else as seconds, unless all are whole and too large for that."""
    numbers = [
        value
        for entry in entries
        for key in (*_START, *_END)
        if isinstance(value := entry.get(key), int | float) and not isinstance(value, bool)
    ]
    whole = bool(numbers) and all(float(one).is_integer() for one in numbers)
    span = max(numbers, default=0)
    typical = span / max(1, len(entries))
    are_ms = whole and (span > 24 * 3600 or typical > 300)

    def read(key: str, value: Any) -> int | None:
        if key.casefold().endswith("ms"):
            return plain_ms(value)
        if isinstance(value, str):
            return offset_ms(value) if ":" in value else seconds_ms(value)
        return plain_ms(value) if are_ms else seconds_ms(value)

    return read
