"""What a transcript is once it is read, whatever it was read from. Pure: no files, no clock."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from typing import Literal

Side = Literal["ours", "theirs"]
StartedHow = Literal["metadata", "content", "file_name", "file_time"]
"""How a start is known, best first: by metadata, the transcript's head, the file's name, its time stamp."""

STARTED_RANK: dict[StartedHow | None, int] = {"metadata": 0, "content": 1, "file_name": 2, "file_time": 3, None: 4}
LONGEST_NAME = 80
"""Characters of a speaker's name; the readers of canonical lines take no more."""
LONGEST_COMPANY = 120

_GAPS = re.compile(r"[\s\x00-\x1f\x7f\u0085\u200b\u200e\u200f\u2028\u2029\u2060\ufeff]+")
_NO_WORDS = re.compile(r"[\W_]+")
_NOT_IN_NAMES = re.compile(r"[\[\]():]+")


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing in a file that could not be read.

    Attributes:
        place: The line (1 is the first), or a place in words such as a JSON path; None for the file as a whole.
        what: What is wrong, one sentence without a full stop.
        todo: What to do about it.
    """

    place: int | str | None
    what: str
    todo: str


@dataclass(frozen=True, slots=True)
class Cue:
    """What one entry of a file says. Times are milliseconds after the start; None where the file gives none."""

    speaker: str
    text: str
    start_ms: int | None = None
    end_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """What one person says until another speaks. `speaker` is empty where nobody is named."""

    speaker: str
    start_ms: int | None
    end_ms: int | None
    text: str


@dataclass(frozen=True, slots=True)
class Speaker:
    """Somebody who speaks, or was there.

    Attributes:
        name: As the transcript shows it; unique within a transcript. Empty only for a guest known by address alone.
        email: Lower case, where the vendor tells it.
        company: As the transcript shows it. Whoever joins a call may write there what they like.
        side: As the vendor's own metadata judges it (not what somebody typed).
        crm_id: The record this is in a CRM, as `<source>:<type>:<id>`, where the vendor links them.
        spoke: Whether any turn is theirs.
        alias: What another export of the vendor calls them: a number instead of a name.
    """

    name: str
    email: str = ""
    company: str = ""
    side: Side | None = None
    crm_id: str = ""
    spoke: bool = True
    alias: str = ""


@dataclass(frozen=True, slots=True)
class Transcript:
    """One call, or what one file knows of it (then turns may be missing).

    Attributes:
        turns: In order of time.
        speakers: Everybody who speaks, in order of appearance, then others who were there.
        title: Name of the meeting.
        started_at: Start of the recording, UTC.
        started_how: How that is known; None together with `started_at`.
        duration_ms: Length; of the recording where known, else up to the last word.
        platform: gong, fireflies, zoom, teams, google_meet, otter; empty where nothing tells.
        language: As given (`en`, `en-us`, `eng`).
        direction: INBOUND or OUTBOUND, where known.
        external_ids: What the call is called elsewhere, as `<system>:<id>`; sorted.
        crm_call_id: The call or meeting in the CRM, as written there or as `<source>:<type>:<id>`.
        owner_email: Whose call it is, lower case.
        format: What it was read as.
        files: Paths it came from, best first.
    """

    turns: tuple[Turn, ...] = ()
    speakers: tuple[Speaker, ...] = ()
    title: str = ""
    started_at: datetime | None = None
    started_how: StartedHow | None = None
    duration_ms: int | None = None
    platform: str = ""
    language: str = ""
    direction: str = ""
    external_ids: tuple[str, ...] = ()
    crm_call_id: str = ""
    owner_email: str = ""
    format: str = ""
    files: tuple[str, ...] = ()

    @property
    def chars(self) -> int:
        """How much is said, in characters."""
        return sum(len(turn.text) for turn in self.turns)


@dataclass(slots=True)
class Reading:
    """What one file yields: its transcripts (several where a vendor exports many calls at once) and its troubles."""

    format: str
    transcripts: list[Transcript] = field(default_factory=list[Transcript])
    troubles: list[Trouble] = field(default_factory=list[Trouble])

    def trouble(self, place: int | str | None, what: str, todo: str) -> None:
        """Note one thing that could not be read."""
        self.troubles.append(Trouble(place, what, todo))


def one_line(text: str) -> str:
    """Text on one line: white space, control characters and invisible marks of any kind become one blank."""
    return _GAPS.sub(" ", text).strip()


def clean_name(name: str) -> str:
    """A speaker's name without what would end it in a canonical line: brackets, colons, line breaks."""
    return one_line(_NOT_IN_NAMES.sub(" ", one_line(name)))[:LONGEST_NAME].strip()


def clean_company(company: str) -> str:
    """A company as it may stand in parentheses."""
    return one_line(re.sub(r"[()]+", " ", one_line(company)))[:LONGEST_COMPANY].strip()


@lru_cache(maxsize=4096)
def same_name(name: str) -> str:
    """The spelling under which two names count as one: no case, no accents, blanks for punctuation."""
    return " ".join(words_of(name))


def words_of(text: str) -> list[str]:
    """The words of a text without case, accents and punctuation."""
    bare = unicodedata.normalize("NFKD", text).casefold()
    return _NO_WORDS.sub(" ", "".join(one for one in bare if not unicodedata.combining(one))).split()


def merged_turns(cues: Iterable[Cue]) -> tuple[Turn, ...]:
    """Turns out of cues: in order of time, consecutive cues of one speaker joined, only white space is changed.

    Cues without a time keep their place after the cue before them. Overlapping cues keep both their texts.
    """
    placed: list[tuple[int, int, Cue]] = []
    last = 0
    for position, cue in enumerate(cues):
        if cue.start_ms is not None:
            last = cue.start_ms
        placed.append((last, position, cue))
    placed.sort(key=lambda one: one[:2])
    turns: list[Turn] = []
    texts: list[str] = []
    for _, _, cue in placed:
        text = one_line(cue.text)
        if not text:
            continue
        if turns and turns[-1].speaker == cue.speaker:
            texts.append(text)
            ends = [one for one in (turns[-1].end_ms, cue.end_ms) if one is not None]
            turns[-1] = replace(turns[-1], end_ms=max(ends, default=None))
            continue
        if turns:
            turns[-1] = replace(turns[-1], text=" ".join(texts))
        texts = [text]
        turns.append(Turn(cue.speaker, cue.start_ms, cue.end_ms, ""))
    if turns:
        turns[-1] = replace(turns[-1], text=" ".join(texts))
    return tuple(turns)


def speakers_of(turns: Sequence[Turn], known: Iterable[Speaker] = ()) -> tuple[Speaker, ...]:
    """Everybody who speaks, in order of appearance, with what is known of them; then known others who were there."""
    by_name: dict[str, Speaker] = {}
    nameless: dict[str, Speaker] = {}
    for one in known:
        if not one.name:
            nameless.setdefault(one.email, one)
            continue
        name = same_name(one.name) or one.name
        by_name[name] = joined(by_name[name], one) if name in by_name else one
    found: dict[str, Speaker] = {}
    for turn in turns:
        if turn.speaker and turn.speaker not in found:
            there = by_name.pop(same_name(turn.speaker) or turn.speaker, Speaker(turn.speaker))
            found[turn.speaker] = replace(there, name=turn.speaker, spoke=True)
    _give_addresses(found, nameless)
    emails = {one.email for one in (*found.values(), *by_name.values()) if one.email}
    others = [*by_name.values(), *(one for email, one in nameless.items() if email and email not in emails)]
    return (*found.values(), *(replace(one, spoke=False) for one in others))


def _give_addresses(found: dict[str, Speaker], nameless: dict[str, Speaker]) -> None:
    """Gives a speaker without an address the one made of their full name, where one person and one address fit."""
    by_words: dict[frozenset[str], list[str]] = {}
    for email in nameless:
        by_words.setdefault(frozenset(words_of(email.partition("@")[0])), []).append(email)
    for name, one in found.items():
        words = frozenset(words_of(name))
        fitting = by_words.get(words, [])
        if len(words) < 2 or one.email or len(fitting) != 1:
            continue
        if sum(frozenset(words_of(other)) == words for other in found) == 1:
            found[name] = joined(one, replace(nameless[fitting[0]], spoke=True))


def joined(first: Speaker, second: Speaker) -> Speaker:
    """What two sources know of one person; the first one's word counts where they differ."""
    return Speaker(
        first.name or second.name,
        first.email or second.email,
        first.company or second.company,
        first.side or second.side,
        first.crm_id or second.crm_id,
        first.spoke or second.spoke,
        first.alias or second.alias,
    )


def end_of(turns: Sequence[Turn]) -> int | None:
    """The last moment anybody is known to speak, in milliseconds."""
    return max((one for turn in turns for one in (turn.start_ms, turn.end_ms) if one is not None), default=None)


def stamp(ms: int | None) -> str:
    """`[hh:mm:ss]` as canonical lines carry it; 99 hours are the most their readers know."""
    seconds = min(max(0, ms or 0) // 1000, 99 * 3600 + 3599)
    return f"[{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}]"


def body(transcript: Transcript) -> str:
    """The transcript in canonical lines, `[00:01:31] Name (Company): text`, one a turn, as spans are cut from them.

    A turn without a time has the time of the one before it. Nobody's turn would be no turn to the readers, so nobody
    is called `Speaker`.
    """
    companies = {one.name: one.company for one in transcript.speakers}
    lines: list[str] = []
    last = 0
    for turn in transcript.turns:
        last = last if turn.start_ms is None else turn.start_ms
        company = companies.get(turn.speaker, "")
        lines.append(f"{stamp(last)} {turn.speaker or 'Speaker'}{f' ({company})' if company else ''}: {turn.text}")
    return "\n".join(lines)
