"""WebVTT and SRT as recorders write them, broken ones included: what can be read is, each trouble has its line.

The strict readers (webvtt-py, srt) stop at, or silently drop, the first thing that is not to the letter of the format
and give no line numbers; they serve the tests as a second opinion on well-formed files.
"""

from __future__ import annotations

import html
import json
import re
from dataclasses import dataclass, field
from datetime import UTC, timedelta
from typing import Any, cast

from sources.transcripts.model import (
    Cue,
    Reading,
    Speaker,
    Transcript,
    clean_name,
    end_of,
    merged_turns,
    one_line,
    speakers_of,
)
from sources.transcripts.stamps import OFFSET, moment, offset_ms
from sources.transcripts.voices import name_and_company, names_among, split_prefix

_ARROW = re.compile(r"---?>|→|-- >")
_TIMING = re.compile(rf"\s*(?P<start>{OFFSET})\s*(?:---?>|→|-- >)\s*(?P<end>{OFFSET})?(?P<rest>.*)")
_VOICE = re.compile(r"<v(?:\.[^\s>]{0,80})?\s{1,9}([^>]{0,200})>", re.IGNORECASE)
_TAG = re.compile(
    r"</?(?:v|c|i|b|u|s|em|strong|font|span|ruby|rt|lang|br|p)(?:[.\s][^>]{0,200})?/?>|<\d{1,3}:[\d:.]+>|\{\\an?\d\}",
    re.IGNORECASE,
)
_SETTINGS = re.compile(r"(?:\s+(?:align|line|position|size|vertical|region):\S+|\s+[XY][12]:\d+)*\s*", re.IGNORECASE)
_BLOCKS = re.compile(r"(NOTE|STYLE|REGION)(?:\s|$)")
_ID = re.compile(r"\d+|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(?:[/-][\d-]+)?", re.IGNORECASE)
_CHECK = "Look at this place of the file, or export it again."


@dataclass(slots=True)
class _Block:
    """One cue as found: the number of its timing line, its times, its lines."""

    line: int
    start_ms: int | None
    end_ms: int | None
    lines: list[str] = field(default_factory=list[str])


def is_captions(text: str) -> bool:
    """Whether a text is WebVTT or SRT: by its first word, or by a timing line near its head."""
    head = text[:20_000].lstrip()
    return re.match(r"WEBVTT\b", head) is not None or any(_TIMING.match(line) for line in head.split("\n")[:200])


def read_captions(text: str) -> Reading:
    """Reads WebVTT or SRT.

    Args:
        text: The file, line ends as `\\n`.
    """
    lines = text.split("\n")
    is_vtt = text.lstrip()[:6] == "WEBVTT"
    reading = Reading("webvtt" if is_vtt else "srt")
    notes: dict[str, str] = {}
    blocks = _blocks(lines, reading, notes)
    cues: list[Cue] = []
    voices = False
    starts: list[str] = []
    described: list[tuple[_Block, dict[str, Any]]] = []
    plain: list[tuple[_Block, str]] = []
    for block in blocks:
        payload = "\n".join(block.lines).strip()
        if not payload:
            reading.trouble(block.line, "The cue is empty", "Nothing to do if nobody spoke there.")
            continue
        data = _described(payload)
        if data is not None:
            described.append((block, data))
            continue
        voices = voices or _VOICE.search(payload) is not None
        plain.append((block, payload))
        starts.append(_text(payload))
    companies: list[Speaker] = []
    if described:
        cues += [_spoken(block, data) for block, data in described]
    if voices:
        for block, payload in plain:
            cues += _voiced(block, payload, companies)
    else:
        cues += _named([block for block, _ in plain], starts, companies)
    turns = merged_turns(cues)
    started = min(
        (found for _, data in described if (found := moment(data.get("startDateTime"), UTC)) is not None), default=None
    )
    offsets = [block.start_ms for block, data in described if data.get("startDateTime") and block.start_ms is not None]
    if started is not None and offsets:
        started -= timedelta(milliseconds=min(offsets))
    reading.transcripts.append(
        Transcript(
            turns=turns,
            speakers=speakers_of(turns, companies),
            started_at=started,
            started_how=None if started is None else "metadata",
            duration_ms=offset_ms(notes.get("duration", "").strip('"')) or end_of(turns),
            language=notes.get("language", "") or next((str(d.get("spokenLanguage") or "") for _, d in described), ""),
            platform="teams" if described or _is_teams(text) else "",
            format=reading.format,
        )
    )
    if not turns:
        reading.trouble(None, "There is no cue with text in it", "Check that the recording was transcribed at all.")
    return reading


def _blocks(lines: list[str], reading: Reading, notes: dict[str, str]) -> list[_Block]:
    """The cues with the lines that belong to them; header and notes go to `notes` as far as they say something."""
    blocks: list[_Block] = []
    current: _Block | None = None
    is_note = (
        bool(lines) and lines[0].lstrip()[:6] == "WEBVTT"
    )  # the header reads like a note, up to the first blank line
    was_blank = True
    for index, line in enumerate(lines):
        stripped = line.strip()
        if not stripped:
            is_note = False
            was_blank = True
            continue
        timing = _TIMING.match(line) if _ARROW.search(line) else None
        if timing is None and _ARROW.search(line) and _opens_block(lines, index) and re.match(r"\s*[\d:.,]*\d", line):
            reading.trouble(index + 1, f"`{one_line(stripped)[:60]}` is no time stamp", _CHECK)
            current = _Block(index + 1, None, None)
            blocks.append(current)
            is_note, was_blank = False, False
            continue
        if timing is not None:
            current = _timed(timing, index + 1, reading)
            blocks.append(current)
            is_note, was_blank = False, False
            continue
        if is_note:
            _note(stripped, notes)
            continue
        if was_blank and _BLOCKS.match(stripped):
            is_note = True
            _note(stripped, notes)
            continue
        if _is_id(lines, index, was_blank):
            was_blank = False
            continue
        was_blank = False
        if current is None:
            current = _Block(index + 1, None, None)
            blocks.append(current)
            reading.trouble(index + 1, "Text before the first time stamp", _CHECK)
        # Text after a blank line inside a cue is still said, and still there: it stays with the cue above it.
        current.lines.append(line)
    return blocks


def _opens_block(lines: list[str], index: int) -> bool:
    """Whether a line opens a block: nothing above it, or a cue's number or id."""
    above = lines[index - 1].strip() if index else ""
    return not above or _ID.fullmatch(above) is not None


def _timed(timing: re.Match[str], line: int, reading: Reading) -> _Block:
    start, end = offset_ms(timing["start"]), offset_ms(timing["end"] or "")
    if start is None or end is None:
        wrong = timing["start"] if start is None else timing["end"] or "nothing"
        reading.trouble(line, f"`{wrong}` is no time", _CHECK)
    elif end < start:
        reading.trouble(line, f"The cue ends ({timing['end']}) before it starts ({timing['start']})", _CHECK)
        end = None
    block = _Block(line, start, end)
    if not _SETTINGS.fullmatch(timing["rest"] or ""):
        rest = _SETTINGS.match(timing["rest"])
        said = timing["rest"][rest.end() if rest else 0 :].strip()
        if said:
            block.lines.append(said)  # text on the timing line itself
    return block


def _is_id(lines: list[str], index: int, was_blank: bool) -> bool:
    """A line right above a timing line: a cue's id if it follows a blank line or looks like nothing else."""
    following = lines[index + 1] if index + 1 < len(lines) else ""
    if not _ARROW.search(following) or not re.match(r"\s*[\d:.,]*\d", following):
        return False
    return was_blank or _ID.fullmatch(lines[index].strip()) is not None


def _note(line: str, notes: dict[str, str]) -> None:
    match = re.match(r"(?:NOTE\s+)?(language|kind|duration)\s*[:=]\s*(.+)", line, re.IGNORECASE)
    if match is not None:
        notes.setdefault(match[1].casefold(), match[2].strip())


def _is_teams(text: str) -> bool:
    return (
        re.search(r"^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/\d+-\d+$", text[:4000], re.MULTILINE | re.I)
        is not None
    )


# -- who says it -----------------------------------------------------------------------------------------------------


def _described(payload: str) -> dict[str, Any] | None:
    """What Teams' metadata export puts into a cue: one JSON object."""
    if not (payload.startswith("{") and payload.endswith("}") and "spokenText" in payload):
        return None
    try:
        found: Any = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", found) if isinstance(found, dict) else None


def _spoken(block: _Block, data: dict[str, Any]) -> Cue:
    name = clean_name(str(data.get("speakerName") or ""))
    return Cue(name, str(data.get("spokenText") or ""), block.start_ms, block.end_ms)


def _voiced(block: _Block, payload: str, companies: list[Speaker]) -> list[Cue]:
    """The parts of a cue between voice tags; what stands before the first one is nobody's."""
    parts = _VOICE.split(payload)
    cues = [Cue("", _text(parts[0]), block.start_ms, block.end_ms)] if _text(parts[0]) else []
    for name, said in zip(parts[1::2], parts[2::2], strict=True):
        speaker, company = name_and_company(html.unescape(name))
        if company:
            companies.append(Speaker(speaker, company=company))
        cues.append(Cue(speaker, _text(said), block.start_ms, block.end_ms))
    return cues


def _named(blocks: list[_Block], texts: list[str], companies: list[Speaker]) -> list[Cue]:
    """Cues whose speakers stand before a colon. A cue without a name goes on with the last one, unless all have one."""
    names, share = names_among(texts)
    cues: list[Cue] = []
    last = ""
    for block, text in zip(blocks, texts, strict=True):
        split = split_prefix(text)
        if split is not None and split[0] in names:
            last, company = name_and_company(split[0])
            if company:
                companies.append(Speaker(last, company=company))
            cues.append(Cue(last, split[1], block.start_ms, block.end_ms))
        else:
            cues.append(Cue(last if share < 0.9 else "", text, block.start_ms, block.end_ms))
    return cues


def _text(payload: str) -> str:
    return (
        html.unescape(_TAG.sub(" ", payload)).strip()
        if "<" in payload or "{" in payload
        else html.unescape(payload).strip()
    )
