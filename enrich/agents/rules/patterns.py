"""Rules over word classes: sequences with gaps, and the scope of negation, hypothesis, time and person around a match.

A pattern is written `MONEY ~6 FROZEN`: a class (capitals) or literal words (`we|our`, `sign*`, `as_of_now`), then the next
within so many tokens (two when nothing is said), never across a clause break.
"""  # noqa: E501

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from enrich.agents.rules.tokens import Tagged, Tagger

DEFAULT_GAP = 2
_GAP = re.compile(r"~(\d{1,2})")
_FOUND_BY_CODE = frozenset({"PERSON", "NUMBER"})  # these are no lists of words
_CLASS = re.compile(r"[A-Z][A-Z0-9_]*")


@dataclass(frozen=True, slots=True)
class Pattern:
    """Class numbers with the widest gap before each (0 for the first)."""

    terms: tuple[tuple[int, int], ...]
    mask: int
    text: str


@dataclass(frozen=True, slots=True)
class Match:
    """Where a pattern fits: first token, one past the last, and the tokens its terms took up."""

    start: int
    end: int
    taken: tuple[tuple[int, int], ...]


def compile_pattern(text: str, tagger: Tagger) -> Pattern:
    """Compile one pattern.

    Raises:
        ValueError: A class is not defined, or the pattern is empty or ends in a gap.
    """
    terms: list[tuple[int, int]] = []
    gap = 0
    waiting = False
    for part in text.split():
        if match := _GAP.fullmatch(part):
            gap, waiting = int(match[1]), True
            continue
        if _CLASS.fullmatch(part):
            if part not in tagger.numbers:
                raise ValueError(f"`{text}`: there is no word class `{part}`")
            number = tagger.numbers[part]
        elif f"={part}" in tagger.numbers:
            number = tagger.numbers[f"={part}"]
        else:
            number = tagger.add(f"={part}", _alternatives(text, part, tagger))
        terms.append((number, gap if waiting or not terms else DEFAULT_GAP))
        waiting = False
    if not terms or waiting:
        raise ValueError(f"`{text}` is not a pattern")
    mask = 0
    for number, _ in terms:
        mask |= 1 << number
    return Pattern(tuple(terms), mask, text)


def _alternatives(text: str, part: str, tagger: Tagger) -> list[str]:
    """The words of `we|our|BOSS`: literal ones, and those of the classes named."""
    words: list[str] = []
    for item in part.split("|"):
        if not _CLASS.fullmatch(item):
            words.append(item.replace("_", " "))
        elif item in tagger.entries and item not in _FOUND_BY_CODE:
            words += tagger.entries[item]
        else:
            raise ValueError(f"`{text}`: `{item}` cannot be one of several")
    return words


def find(pattern: Pattern, tagged: Tagged, breaks: Sequence[int]) -> Iterator[Match]:
    """Every place the pattern fits, leftmost first; one per starting place.

    Args:
        breaks: Token positions that end a clause, ascending; no gap may hold one.
    """
    if pattern.mask & ~tagged.mask:
        return
    terms = pattern.terms
    for place in tagged.places[terms[0][0]]:
        taken = _rest(terms, 1, place[1], tagged, breaks, (place,))
        if taken is not None:
            yield Match(taken[0][0], taken[-1][1], taken)


def _rest(
    terms: tuple[tuple[int, int], ...],
    index: int,
    after: int,
    tagged: Tagged,
    breaks: Sequence[int],
    taken: tuple[tuple[int, int], ...],
) -> tuple[tuple[int, int], ...] | None:
    if index == len(terms):
        return taken
    number, gap = terms[index]
    for start, end in tagged.places[number]:
        if start < after or start - after > gap:
            continue
        if any(after <= position < start for position in breaks):
            continue
        found = _rest(terms, index + 1, end, tagged, breaks, (*taken, (start, end)))
        if found is not None:
            return found
    return None
