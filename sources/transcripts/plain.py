"""Transcripts as plain text: `Name: text`, `[00:00:12] Name (Company): text`, and a name with a time above its words.

Otter and Teams put `Name  0:12` on a line of its own, Google Meet puts times alone on a line and `Name: text` below.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime, tzinfo

from sources.transcripts.model import (
    Cue,
    Reading,
    Speaker,
    StartedHow,
    Transcript,
    end_of,
    merged_turns,
    one_line,
    speakers_of,
)
from sources.transcripts.stamps import OFFSET, has_time_of_day, moment, offset_ms
from sources.transcripts.voices import name_and_company, names_among, people, split_prefix

_TIME = rf"(?:\[{OFFSET}\]|\({OFFSET}\)|{OFFSET})"
_LEADING = re.compile(rf"\s*(?P<time>{_TIME})(?:\s*(?:-->|[-–—])\s*(?P<until>{_TIME}))?\s*[-–—:|]?\s+(?P<rest>\S.*)")
_BRACKETED = re.compile(r"\s*\[(?P<time>[^\]]{1,20})\]\s*(?P<rest>\S.*)")
_ALONE = re.compile(rf"\s*(?P<time>{_TIME})\s*")
_TRAILING = re.compile(
    rf"\s*(?P<name>[^\n:]{{1,100}}?)(?:\s{{2,}}|\t+|\s*[-–—|,]\s*|\s+)(?P<time>{_TIME})\s*(?P<half>[AaPp][Mm])?\s*"
)
_HEAD = re.compile(
    r"\s*(?:[#*]+\s*)?(?P<key>title|meeting(?: title)?|subject|topic|date|time|started?(?: at| time)?"
    r"|recorded(?: on| at)?|when|attendees|participants|invited|present|duration|length|language|organi[sz]er|host"
    r"|owner)\s*:?\**\s*[:\t]\s*(?P<value>.*)",
    re.IGNORECASE,
)
_HEADING = re.compile(r"\s*[#*]*\s*(?:attendees|participants|invited)\s*:?\**\s*", re.IGNORECASE)
_OPENING = re.compile(r"\s*[#*]*\s*(?:full )?transcript(?:ion)?\s*:?\**\s*", re.IGNORECASE)
_MEET_TITLE = re.compile(
    r"\s*[#*]*\s*(?P<title>.*?)\s*\(?(?P<when>\d{4}[-/]\d{2}[-/]\d{2}[^()]*?)\)?\s*[-–—]\s*Transcript\s*", re.IGNORECASE
)
_OTTER = re.compile(r"\s*transcribed by\s+<?https?://otter\.ai\S*\s*", re.IGNORECASE)
_MEET = re.compile(
    r"\s*(?:this editable transcript was computer generated|meeting ended after|transcription ended after)\b",
    re.IGNORECASE,
)
_GAP = re.compile(r"[ \t\u00a0]{2,}|\t")
_LONGEST_HEADER = 300
_CHECK = "Look at this place of the file, or export it again."


@dataclass(slots=True)
class _Head:
    """What stands above the first turn."""

    title: str = ""
    started_at: datetime | None = None
    duration_ms: int | None = None
    language: str = ""
    owner: str = ""
    platform: str = ""
    people: list[Speaker] = field(default_factory=list[Speaker])


@dataclass(slots=True)
class _Entry:
    """A turn as it stands: its line's number, who, when, and the lines of text."""

    line: int
    name: str
    start_ms: int | None
    end_ms: int | None
    texts: list[str]


def read_plain(text: str, zone: tzinfo) -> Reading | None:
    """Reads a plain-text transcript; None where the text is not one.

    Args:
        text: The file, line ends as `\\n`.
        zone: Whose clock a date in the head is written in, where it does not say.
    """
    lines = [_squeezed(line) for line in text.split("\n")]
    reading = Reading("text")
    head = _Head()
    stamped = _stamped(lines)
    if stamped is None:
        names, first = _prefixes(lines)
        if not names:
            return None
        entries = _by_prefix(lines, names, first, head, reading, zone)
    else:
        first = stamped
        names, _ = names_among([rest for line in lines if (rest := _after_time(line))])
        entries = _by_stamp(lines, names, first, head, reading, zone)
    if not entries:
        return None
    _read_head(lines[:first], head, zone)
    companies: list[Speaker] = []
    cues: list[Cue] = []
    for entry in entries:
        name, company = name_and_company(entry.name)
        if company:
            companies.append(Speaker(name, company=company))
        said = " ".join(entry.texts).strip()
        if said:
            cues.append(Cue(name, said, entry.start_ms, entry.end_ms))
        elif entry.name:
            reading.trouble(
                entry.line, f"`{one_line(name)[:60]}` says nothing here", "Nothing to do if nobody spoke there."
            )
    turns = merged_turns(cues)
    how: StartedHow | None = None if head.started_at is None else "content"
    reading.transcripts.append(
        Transcript(
            turns=turns,
            speakers=speakers_of(turns, (*companies, *head.people)),
            title=head.title,
            started_at=head.started_at,
            started_how=how,
            duration_ms=head.duration_ms or end_of(turns),
            language=head.language,
            platform=head.platform,
            owner_email=head.owner,
            format=reading.format,
        )
    )
    return reading


# -- which way it is written -----------------------------------------------------------------------------------------


def _stamped(lines: list[str]) -> int | None:
    """Index of the first line that carries a time and a speaker, where the file is written that way; else None."""
    rests = [rest for line in lines if (rest := _after_time(line))]
    names, _ = names_among(rests)
    hits: list[int] = []
    for index, line in enumerate(lines):
        rest = _after_time(line)
        if rest is not None:
            split = split_prefix(rest)
            if split is not None and split[0] in names:
                hits.append(index)
                continue
        if _owner_line(line) is not None:
            hits.append(index)
    if len(hits) >= 2 or (hits and sum(1 for line in lines if line.strip()) <= 6):
        return hits[0]
    return None


def _after_time(line: str) -> str | None:
    """What follows a time at the head of a line; the bracket may hold something that is no time after all."""
    match = _LEADING.match(line) or _BRACKETED.match(line)
    return match["rest"] if match is not None else None


def _squeezed(line: str) -> str:
    """A line without long gaps, which mean nothing and cost the patterns below their time."""
    return _GAP.sub("  ", line.rstrip()) if "   " in line or "\t" in line else line.rstrip()


def _owner_line(line: str) -> tuple[str, int | None] | None:
    """`Name  0:12` alone on a line, or `0:12 Name`: the speaker of the lines below it, and when."""
    if len(line) > _LONGEST_HEADER:
        return None
    match = _TRAILING.fullmatch(line)
    if match is not None and split_prefix(match["name"] + ":") is not None:
        return match["name"].strip(), _offset(match["time"])
    match = _LEADING.fullmatch(line)
    if match is not None and len(match["rest"].split()) <= 5 and not re.search(r"[.!?:,]$", match["rest"].strip()):
        split = split_prefix(match["rest"].strip() + ":")
        if split is not None and (len(split[0].split()) > 1 or re.search(r"\d", split[0])):
            return split[0], _offset(match["time"])
    return None


def _offset(text: str) -> int | None:
    return offset_ms(text.strip("[]() "))


def _prefixes(lines: list[str]) -> tuple[frozenset[str], int]:
    """Names before colons, and the index of the first line with one; no names where this is no transcript."""
    kept = [line for line in lines if not _HEAD.fullmatch(line)]
    names, share = names_among(kept)
    hits = [
        index for index, line in enumerate(lines) if (split := split_prefix(line)) is not None and split[0] in names
    ]
    distinct = {split[0] for index in hits if (split := split_prefix(lines[index])) is not None}
    if len(hits) < 2 or (share < 0.1 and len(distinct) < 2) or (len(hits) == len(distinct) and share < 0.5):
        return frozenset(), 0
    return names, hits[0]


# -- turns -----------------------------------------------------------------------------------------------------------


def _by_stamp(
    lines: list[str], names: frozenset[str], first: int, head: _Head, reading: Reading, zone: tzinfo
) -> list[_Entry]:
    entries: list[_Entry] = []
    for index in range(first, len(lines)):
        line = lines[index]
        if not line.strip() or _is_footer(line, head, zone):
            continue
        entry = _stamped_entry(line, index, names, reading)
        if entry is not None:
            entries.append(entry)
        elif entries:
            entries[-1].texts.append(line.strip())
    return entries


def _stamped_entry(line: str, index: int, names: frozenset[str], reading: Reading) -> _Entry | None:
    match = _LEADING.match(line)
    bracketed = None if match is not None else _BRACKETED.match(line)
    rest = match["rest"] if match is not None else bracketed["rest"] if bracketed is not None else None
    split = split_prefix(rest) if rest is not None else None
    if split is not None and split[0] in names:
        written = match["time"] if match is not None else bracketed["time"] if bracketed is not None else ""
        start = _offset(written)
        if start is None:
            reading.trouble(index + 1, f"`{one_line(written)[:40]}` is no time", _CHECK)
        end = _offset(match["until"]) if match is not None and match["until"] else None
        return _Entry(index + 1, split[0], start, end, [split[1]])
    owner = _owner_line(line)
    if owner is not None:
        return _Entry(index + 1, owner[0], owner[1], None, [])
    if match is not None and (start := _offset(match["time"])) is not None and match["time"].strip()[:1] in "[(":
        return _Entry(index + 1, "", start, None, [match["rest"].strip()])
    return None


def _by_prefix(
    lines: list[str], names: frozenset[str], first: int, head: _Head, reading: Reading, zone: tzinfo
) -> list[_Entry]:
    entries: list[_Entry] = []
    now: int | None = None
    for index in range(first):  # a time may stand above the first turn
        alone = _ALONE.fullmatch(lines[index])
        now = _offset(alone["time"]) if alone is not None else now
    for index in range(first, len(lines)):
        line = lines[index]
        if not line.strip() or _is_footer(line, head, zone):
            continue
        alone = _ALONE.fullmatch(line)
        if alone is not None:
            now = _offset(alone["time"])
            if now is None:
                reading.trouble(index + 1, f"`{one_line(line)[:40]}` is no time", _CHECK)
            continue
        split = split_prefix(line)
        if split is not None and split[0] in names:
            entries.append(_Entry(index + 1, split[0], now, None, [split[1]]))
            now = None
        elif entries:
            entries[-1].texts.append(line.strip())
    return entries


# -- head and foot ---------------------------------------------------------------------------------------------------


def _is_footer(line: str, head: _Head, zone: tzinfo) -> bool:
    if _OTTER.fullmatch(line):
        head.platform = head.platform or "otter"
        return True
    if _MEET.match(line):
        head.platform = head.platform or "google_meet"
        length = re.search(OFFSET, line)
        if length is not None and re.match(r"\s*(?:meeting|transcription) ended", line, re.IGNORECASE):
            head.duration_ms = head.duration_ms or offset_ms(length[0])
        return True
    return False


def _read_head(lines: list[str], head: _Head, zone: tzinfo) -> None:
    dates: list[str] = []
    are_people = False
    for line in lines:
        stripped = line.strip().strip("#*").strip()
        if not stripped or len(stripped) > _LONGEST_HEADER:
            continue
        if _HEADING.fullmatch(line):
            are_people = True
            continue
        if _OPENING.fullmatch(line):
            are_people = False
            continue
        match = _HEAD.fullmatch(line)
        if match is not None:
            are_people = not match["value"].strip() and match["key"].casefold() in (
                "attendees",
                "participants",
                "invited",
            )
            _keyed(match["key"].casefold(), match["value"].strip(), head, dates)
            continue
        if are_people:
            found = people(line.strip(" -•*\t"))
            head.people += [
                one for one in found if not one.name.endswith("s Presentation")
            ]  # Google Meet lists screens too
            continue
        meet = _MEET_TITLE.fullmatch(line)
        if meet is not None:
            head.title, head.platform = meet["title"].strip(" -–—"), "google_meet"
            dates.append(meet["when"].replace("/", "-"))
        elif has_time_of_day(stripped) and moment(stripped, zone) is not None:
            dates.append(stripped)
        elif not head.title and not _ALONE.fullmatch(line):
            head.title = one_line(stripped)[:200]
    for text in (*dates, " ".join(dates)):
        if has_time_of_day(text) and (found := moment(_zoned(text), zone)) is not None:
            head.started_at = found
            return


def _keyed(key: str, value: str, head: _Head, dates: list[str]) -> None:
    if not value:
        return
    if key.startswith(("title", "meeting", "subject", "topic")):
        head.title = one_line(value)[:200]
    elif key in ("attendees", "participants", "invited", "present"):
        head.people += people(value)
    elif key in ("duration", "length"):
        minutes = re.search(r"(\d+)\s*min", value)
        head.duration_ms = offset_ms(value) or (int(minutes[1]) * 60_000 if minutes else None)
    elif key == "language":
        head.language = value[:20]
    elif key in ("organizer", "organiser", "host", "owner"):
        found = people(value)
        head.people += found
        head.owner = next((one.email for one in found if one.email), "")
    else:
        dates.append(value)


def _zoned(text: str) -> str:
    """Google writes zones as `GMT+2`; ISO 8601 as `+02:00`. Other names of zones count as the settings' zone."""
    match = re.search(r"\b(?:GMT|UTC)\s*([+-])(\d{1,2})(?::?(\d{2}))?", text)
    if match is None:
        return re.sub(r"(\d{1,2}:\d{2}(?::\d{2})?)\s*(?:GMT|UTC)\b", r"\1 UTC", text)
    offset = f"{match[1]}{int(match[2]):02d}:{match[3] or '00'}"
    return re.sub(r"\s+(?=[+-]\d\d:\d\d)", "", text[: match.start()] + offset)
