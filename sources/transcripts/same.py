"""Which files are one call, and what the call is then. Pure, and the same for any order in which files are given.

Two parts are one call, in this order:
1. they carry the same id of a vendor or of the CRM;
2. they stand in one folder under one name but for ending and words like `transcript` or `meta`: a description without
   words belongs to the words beside it, two wordings only if they say much the same;
3. they say exactly the same, at some length;
4. they start within minutes of each other, the same people speak, and they say much the same. When a file was written
   is no start: files are copied by the thousand.
Parts with different ids of one system are never one call, whatever else they share.
"""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cached_property
from itertools import pairwise
from pathlib import PurePosixPath

from sources.transcripts.model import (
    STARTED_RANK,
    Speaker,
    Transcript,
    Turn,
    end_of,
    joined,
    same_name,
    speakers_of,
    words_of,
)

SAME_START = timedelta(minutes=5)
SAME_TEXT = 0.5
"""Share of the shorter one's word pairs that the other one has too, from which on two wordings count as one talk."""
_FEW_PAIRS = 40
_SAME_SHORT_TEXT = 0.75
"""The same share where the shorter one has few: greetings are alike in every call."""
_LEAST_CHARS = 200
"""Below this, equal words prove nothing: every unanswered call says the same."""
_NOISE = re.compile(
    r"(?:^|[\s._-]+)(?:audio[_-]?transcript|transcript(?:ion|s)?|captions?|cc|subtitles?|timeline|meta(?:data)?|recording|sidecar"
    r"|speakers?|info|en|en-us|de|fr|es|nl)$",
    re.IGNORECASE,
)
_NOBODY = re.compile(r"speaker \d|unknown", re.IGNORECASE)
_ENDINGS = (
    ".vtt",
    ".srt",
    ".json",
    ".jsonl",
    ".ndjson",
    ".txt",
    ".text",
    ".md",
    ".yml",
    ".yaml",
    ".mp4",
    ".m4a",
    ".log",
    ".sbv",
)


@dataclass(frozen=True)
class Part:
    """What one file knows of one call. Its words are packed away: thousands of calls stand side by side in a load.

    Attributes:
        source: Name of the settings it was found by.
        file: Path below the source's folder, with `/`; `#2` behind it where a file holds several calls.
        transcript: What was read; once the part is made, without its turns. `whole` has them.
        alone: Whether the file holds nothing but this one: only then does its name say anything.
        has_words: Whether there are turns.
        richness: Sorts the richest part first: words, the share of them with a speaker, times, length, people.
        fingerprint: Equal for parts that say exactly the same; empty where too little is said to tell.
    """

    source: str
    file: str
    transcript: Transcript
    alone: bool = True
    has_words: bool = field(init=False)
    richness: tuple[int, int, int, int, int, str, str] = field(init=False)
    fingerprint: str = field(init=False)
    _packed: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        one = self.transcript
        rows = [[turn.speaker, turn.start_ms, turn.end_ms, turn.text] for turn in one.turns]
        said = "".join(f"{same_name(turn.speaker)}\t{turn.text}\n" for turn in one.turns)
        for name, value in {
            "transcript": replace(one, turns=()),
            "has_words": bool(rows),
            "richness": _richness(one, self.source, self.file),
            "fingerprint": hashlib.sha256(said.encode()).hexdigest() if one.chars >= _LEAST_CHARS else "",
            "_packed": zlib.compress(json.dumps(rows).encode(), 1),
        }.items():
            object.__setattr__(self, name, value)

    @property
    def whole(self) -> Transcript:
        """The transcript with its turns."""
        rows = json.loads(zlib.decompress(self._packed))
        return replace(self.transcript, turns=tuple(Turn(*row) for row in rows))

    @property
    def path(self) -> str:
        """The file without the number of a call inside it."""
        return self.file.partition("#")[0]

    @cached_property
    def stem(self) -> str:
        """The file's name without ending and words that say what kind of file it is; with its folder."""
        path = PurePosixPath(self.path)
        name = path.name
        while True:
            shorter = next((name[: -len(one)] for one in _ENDINGS if name.casefold().endswith(one)), name)
            shorter = _NOISE.sub("", shorter)
            if shorter == name:
                break
            name = shorter
        return f"{self.source}\n{path.parent}\n{name.casefold()}"

    @cached_property
    def names(self) -> frozenset[str]:
        """Everybody who speaks, as names are compared."""
        return frozenset(same_name(one.name) for one in self.transcript.speakers if one.spoke and one.name)

    def pairs(self) -> Counter[tuple[str, str]]:
        """How often each pair of neighbouring words is said."""
        return Counter(pairwise(words_of(" ".join(turn.text for turn in self.whole.turns))))

    @cached_property
    def ids(self) -> frozenset[str]:
        """Everything that names the call for certain."""
        crm = self.transcript.crm_call_id
        return frozenset((*self.transcript.external_ids, *((f"crm:{crm}",) if crm else ())))


def alike(first: Part, second: Part) -> bool:
    """Whether two wordings are of one talk: most word pairs of the shorter one stand in the other."""
    one, other = first.pairs(), second.pairs()
    least = min(one.total(), other.total())
    if least < 8:
        return one == other
    return (one & other).total() >= (SAME_TEXT if least >= _FEW_PAIRS else _SAME_SHORT_TEXT) * least


def grouped(parts: Iterable[Part]) -> list[list[Part]]:
    """Parts put together to calls, each call's best part first; calls in order of their best part's place."""
    ordered = sorted(parts, key=lambda one: (one.source, one.file))
    groups = _Groups(ordered)
    by_id: dict[str, int] = {}
    for index, part in enumerate(ordered):
        for one in sorted(part.ids):
            groups.join(by_id.setdefault(one, index), index, sure=True)
    for indexes in _by(ordered, lambda one: one.stem if one.alone else ""):
        for first, second in pairwise(indexes):
            _join_by_name(ordered, groups, indexes, first, second)
    for indexes in _by(ordered, lambda one: one.fingerprint):
        for other in indexes[1:]:
            if _may_start_together(ordered[indexes[0]], ordered[other]):
                groups.join(indexes[0], other)
    timed = sorted(
        (
            index
            for index, one in enumerate(ordered)
            if one.has_words and one.transcript.started_how not in (None, "file_time")
        ),
        key=lambda index: (ordered[index].transcript.started_at, index),
    )
    for position, first in enumerate(timed):
        for second in timed[position + 1 :]:
            one, other = ordered[first], ordered[second]
            assert one.transcript.started_at is not None and other.transcript.started_at is not None
            if other.transcript.started_at - one.transcript.started_at > SAME_START:
                break
            if not groups.are_one(first, second) and _same_people(one, other) and alike(one, other):
                groups.join(first, second)
    found = [sorted((ordered[index] for index in group), key=lambda one: one.richness) for group in groups.all()]
    return sorted(found, key=lambda group: (group[0].source, group[0].file))


def one_call(parts: Sequence[Part]) -> Transcript:
    """The call that parts are of: the words of the first, richest one, and of all else the best that any part knows."""
    found = [part.transcript for part in parts]
    words = _with_names(parts[0].whole, found)
    people: dict[str, Speaker] = {}
    nameless: dict[str, Speaker] = {}
    for one in (speaker for transcript in (words, *found[1:]) for speaker in transcript.speakers):
        if not one.name:
            nameless.setdefault(one.email, one)
            continue
        name = same_name(one.name) or one.name
        people[name] = joined(people[name], one) if name in people else one
    best = min(found, key=lambda one: STARTED_RANK[one.started_how])  # the first of equals, so the richest
    described = sorted(
        found, key=lambda one: one.format in ("webvtt", "srt", "text")
    )  # a vendor's word before a caption's
    return replace(
        words,
        speakers=speakers_of(words.turns, (*people.values(), *nameless.values())),
        title=_first(one.title for one in described),
        started_at=best.started_at,
        started_how=best.started_how,
        duration_ms=max((one.duration_ms for one in found if one.duration_ms is not None), default=end_of(words.turns)),
        platform=_first(one.platform for one in described),
        language=_first(one.language for one in described),
        direction=_first(one.direction for one in found),
        external_ids=tuple(sorted({one for transcript in found for one in transcript.external_ids})),
        crm_call_id=_first(one.crm_call_id for one in described),
        owner_email=_first(one.owner_email for one in described),
        files=tuple(dict.fromkeys(f"{part.source}/{part.file}" for part in parts)),
    )


def _with_names(words: Transcript, found: Sequence[Transcript]) -> Transcript:
    """The words, with the names that another export has for the vendor's numbers of people."""
    names = {f"Speaker {one.alias}": one.name for transcript in found for one in transcript.speakers if one.alias}
    if not any(one.name in names for one in words.speakers):
        return words
    turns = tuple(replace(turn, speaker=names.get(turn.speaker, turn.speaker)) for turn in words.turns)
    people = tuple(one for one in words.speakers if one.name not in names)
    return replace(words, turns=turns, speakers=speakers_of(turns, people))


def key_of(parts: Sequence[Part]) -> str:
    """The key of a call seen for the first time: of its smallest vendor's id, else of its first file. 16 hex digits.

    Where a file without ids holds several calls, its name and the call's start and first words: order may change.
    """
    ids = sorted(one for part in parts for one in part.transcript.external_ids)
    first = min((part for part in parts if part.has_words), key=lambda part: (part.source, part.file))
    if ids:
        name = ids[0]
    elif first.alone:
        name = f"{first.source}\n{first.file}"
    else:
        one = first.transcript
        name = f"{first.source}\n{first.path}\n{one.started_at}\n{first.whole.turns[0].text[:80]}"
    return hashlib.sha256(name.encode()).hexdigest()[:16]


def _first(texts: Iterable[str]) -> str:
    return next((one for one in texts if one), "")


def _richness(one: Transcript, source: str, file: str) -> tuple[int, int, int, int, int, str, str]:
    said = max(1, one.chars)
    named = sum(len(turn.text) for turn in one.turns if turn.speaker and not _NOBODY.match(turn.speaker))
    timed = sum(turn.start_ms is not None for turn in one.turns)
    return (
        0 if one.turns else 1,
        -round(10 * named / said),
        -round(10 * timed / max(1, len(one.turns))),
        -round(one.chars / 50),  # a few words more or less do not make a wording richer
        -sum(bool(who.email or who.crm_id) for who in one.speakers),
        source,
        file,
    )


def _by(parts: Sequence[Part], name: Callable[[Part], str]) -> list[list[int]]:
    found: dict[str, list[int]] = defaultdict(list)
    for index, part in enumerate(parts):
        if value := name(part):
            found[value].append(index)
    return [found[one] for one in sorted(found) if len(found[one]) > 1]


def _join_by_name(parts: Sequence[Part], groups: _Groups, indexes: Sequence[int], first: int, second: int) -> None:
    """Files of one name: a description goes with the words, and words with words that are alike."""
    worded = [index for index in indexes if parts[index].has_words]
    for index in (first, second):
        if not parts[index].has_words and worded:
            groups.join(worded[0], index)
    if second in worded:
        for other in worded:
            if other < second and alike(parts[other], parts[second]):
                groups.join(other, second)
                break


def _may_start_together(first: Part, second: Part) -> bool:
    """Whether nothing that is known for certain says that two equal wordings began at different times."""
    one, other = first.transcript, second.transcript
    if one.started_at is None or other.started_at is None or "file_time" in (one.started_how, other.started_how):
        return True
    return abs(one.started_at - other.started_at) <= timedelta(hours=14)  # a clock in another zone


def _same_people(first: Part, second: Part) -> bool:
    """Whether the same people speak, as far as vendors agree: some drop who says little, some call them `Speaker 2`."""
    if not first.names or not second.names:
        return True
    shared = len(first.names & second.names)
    return shared * 2 > max(len(first.names), len(second.names)) or shared == min(len(first.names), len(second.names))


class _Groups:
    """Disjoint sets of parts; none ever holds two ids of one system, unless an id itself joined them."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._above = list(range(len(parts)))
        self._ids: list[dict[str, set[str]]] = [{} for _ in parts]
        for index, part in enumerate(parts):
            for one in part.ids:
                self._ids[index].setdefault(one.partition(":")[0], set()).add(one)

    def _top(self, index: int) -> int:
        while self._above[index] != index:
            self._above[index] = self._above[self._above[index]]
            index = self._above[index]
        return index

    def are_one(self, first: int, second: int) -> bool:
        return self._top(first) == self._top(second)

    def join(self, first: int, second: int, *, sure: bool = False) -> None:
        one, other = sorted((self._top(first), self._top(second)))
        if one == other:
            return
        if not sure and any(
            ids.isdisjoint(self._ids[one].get(system, ids)) for system, ids in self._ids[other].items()
        ):
            return
        self._above[other] = one
        for system, ids in self._ids[other].items():
            self._ids[one].setdefault(system, set()).update(ids)

    def all(self) -> list[list[int]]:
        found: dict[int, list[int]] = defaultdict(list)
        for index in range(len(self._above)):
            found[self._top(index)].append(index)
        return [found[one] for one in sorted(found)]
