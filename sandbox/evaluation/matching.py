"""Pairs what was planted with what was found, one to one within each document. Pure; never compares mere counts."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

_SPACE = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Fact:
    """A fact as planted or as found.

    Attributes:
        id: Unique on its side.
        document_id: Canonical record id, `hubspot:email:7`.
        start: First character of the quote in the document's text, -1 when the text is not at hand.
        end: One past the last character.
        fact_date: The day the remark speaks of, if it names one.
        is_current: False when a later remark replaced it; None when nobody has judged that.
        subject: Whom a planted fact is about, the person or the account; empty for a found one.
        said_on: The day a planted fact was said.
    """

    id: str
    document_id: str
    predicate: str
    value: str
    polarity: str
    author_side: str
    quote: str
    start: int = -1
    end: int = -1
    fact_date: date | None = None
    is_current: bool | None = None
    subject: str = ""
    said_on: date | None = None


@dataclass(frozen=True, slots=True)
class Pair:
    """One planted and one found fact that belong together."""

    planted: Fact
    found: Fact

    @property
    def overlaps(self) -> bool:
        """Whether both quotes share at least one character of the document."""
        return overlap(self.planted, self.found) > 0


@dataclass(frozen=True, slots=True)
class Matching:
    """All facts of both sides, each in exactly one place.

    Attributes:
        matched: Same document, predicate, value and polarity.
        wrong_value: Left over by `matched`; same document and predicate, another value.
        wrong_polarity: Left over; same document, predicate and value, the other polarity.
        missed: Planted facts nothing was found for.
        spurious: Found facts that were not planted.
    """

    matched: tuple[Pair, ...]
    wrong_value: tuple[Pair, ...]
    wrong_polarity: tuple[Pair, ...]
    missed: tuple[Fact, ...]
    spurious: tuple[Fact, ...]


def canonical(value: str) -> str:
    """A value without what does not matter: compatibility forms, case, runs of white space."""
    return _SPACE.sub(" ", unicodedata.normalize("NFKC", value)).strip().casefold()


def overlap(left: Fact, right: Fact) -> int:
    """Characters of the document both quotes share; 0 across documents or without offsets."""
    if left.document_id != right.document_id or left.start < 0 or right.start < 0:
        return 0
    return max(0, min(left.end, right.end) - max(left.start, right.start))


def match(planted: Iterable[Fact], found: Iterable[Fact]) -> Matching:
    """Pair both sides one to one within each document, the strictest reading first.

    Where several could pair (one document says the same thing twice), the pair that shares most characters wins, then
    the one that stands closest, so the result does not depend on the order of the arguments.
    """
    left, right = list(planted), list(found)
    matched, left, right = _pair(left, right, lambda fact: (fact.predicate, canonical(fact.value), fact.polarity))
    wrong_polarity, left, right = _pair(left, right, lambda fact: (fact.predicate, canonical(fact.value)))
    wrong_value, left, right = _pair(left, right, lambda fact: fact.predicate)
    return Matching(matched, wrong_value, wrong_polarity, tuple(left), tuple(right))


def _pair(
    planted: Sequence[Fact], found: Sequence[Fact], key: Callable[[Fact], Hashable]
) -> tuple[tuple[Pair, ...], list[Fact], list[Fact]]:
    groups: dict[Hashable, tuple[list[Fact], list[Fact]]] = defaultdict(lambda: ([], []))
    for fact in planted:
        groups[fact.document_id, key(fact)][0].append(fact)
    for fact in found:
        groups[fact.document_id, key(fact)][1].append(fact)
    pairs: list[Pair] = []
    used_planted: set[str] = set()
    used_found: set[str] = set()
    for ours, theirs in groups.values():
        candidates = sorted(
            (-overlap(one, other), abs(one.start - other.start), one.start, other.start, one.id, other.id, index, at)
            for index, one in enumerate(ours)
            for at, other in enumerate(theirs)
        )
        for *_, one_id, other_id, index, at in candidates:
            if one_id not in used_planted and other_id not in used_found:
                used_planted.add(str(one_id))
                used_found.add(str(other_id))
                pairs.append(Pair(ours[int(index)], theirs[int(at)]))
    return (
        tuple(sorted(pairs, key=lambda pair: (pair.planted.document_id, pair.planted.id))),
        [fact for fact in planted if fact.id not in used_planted],
        [fact for fact in found if fact.id not in used_found],
    )


Where = Literal["trap", "other_planted", "elsewhere"]


def where(fact: Fact, traps: Iterable[Fact], planted: Iterable[Fact]) -> Where:
    """Where a spurious fact was read: in a sentence laid as a trap, in one planted for another fact, or elsewhere.

    `traps` and `planted` are those of the fact's document.
    """
    if any(overlap(fact, trap) for trap in traps):
        return "trap"
    if any(overlap(fact, other) for other in planted):
        return "other_planted"
    return "elsewhere"
