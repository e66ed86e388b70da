"""Turns a sentence into lower-case tokens and finds the lexicon's word classes in them.

A word is looked up once per process (people repeat themselves), so tagging costs one dictionary access per token; a rule
is only tried when every class it needs stands in the sentence. That replaces one huge pre-filter expression, which in
Python costs a hundred times more per character.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

_TOKEN = re.compile(r"[^\W_]+(?:[.,:]\d+)*|[,;:?!()…]|[—–]| - |\.\.\.|[$€£%]")
_APOSTROPHES = str.maketrans({"’": "'", "‘": "'", "´": "'", "`": "'", "ʼ": "'"})
# English and French contractions, written out, so that a lexicon needs one spelling only. Order matters.
_CONTRACTIONS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\bwon't\b", "will not"),
        (r"\b(?:can't|cannot)\b", "can not"),
        (r"\bshan't\b", "shall not"),
        (r"\bain't\b", "is not"),
        (r"n't\b", " not"),
        (r"\blet's\b", "let us"),
        (r"'re\b", " are"),
        (r"'ve\b", " have"),
        (r"'ll\b", " will"),
        (r"\bi'm\b", "i am"),
        (r"'d\b", " would"),
        (r"\b(it|that|there|here|what|who|where|he|she|how)'s\b", r"\1 is"),
        (r"\b([cdjlmnst]|qu|jusqu|lorsqu|puisqu|aujourd)'", r"\1e "),
        (r"'s\b", ""),
    )
)
_CANNOT = re.compile(r"\bcannot\b")
_BARE = re.compile(r"\b(do|does|did|is|are|was|were|have|has|had|would|could|should)nt\b")
_BARE_WONT = re.compile(r"\b(wont|cant)\b")


def fold(text: str) -> str:
    """Lower case with contractions written out."""
    low = text.lower().translate(_APOSTROPHES)
    if "'" in low:
        for pattern, replacement in _CONTRACTIONS:
            low = pattern.sub(replacement, low)
    elif "cannot" in low:
        low = _CANNOT.sub("can not", low)
    if "nt" in low:
        low = _BARE.sub(r"\1 not", low)
        low = _BARE_WONT.sub(lambda match: "will not" if match[1] == "wont" else "can not", low)
    return low


def tokenise(text: str) -> list[str]:
    """Words, numbers and the punctuation that separates clauses."""
    return _TOKEN.findall(fold(text))


@dataclass(frozen=True, slots=True)
class Tagged:
    """A sentence as rules see it.

    Attributes:
        tokens: As from `tokenise`.
        places: Class number to its occurrences, (first token, one past the last).
        mask: Bit n is set when class n occurs.
    """

    tokens: list[str]
    places: dict[int, list[tuple[int, int]]]
    mask: int


@dataclass(slots=True)
class Tagger:
    """Finds word classes. Entries are words or phrases; a word may end in `*` (any ending)."""

    numbers: dict[str, int] = field(default_factory=dict[str, int])
    _exact: dict[str, set[int]] = field(default_factory=dict[str, set[int]])
    _prefix: dict[str, set[int]] = field(default_factory=dict[str, set[int]])
    _phrases: dict[str, list[tuple[tuple[str, ...], int]]] = field(default_factory=dict[str, list[tuple[tuple[str, ...], int]]])
    _phrase_prefixes: dict[str, list[tuple[tuple[str, ...], int]]] = field(default_factory=dict[str, list[tuple[tuple[str, ...], int]]])
    _cache: dict[str, tuple[tuple[int, ...], tuple[tuple[tuple[str, ...], int], ...]]] = field(default_factory=dict)  # pyright: ignore[reportUnknownVariableType]

    def add(self, name: str, entries: Iterable[str]) -> int:
        """Define a class (or extend it) and return its number."""
        number = self.numbers.setdefault(name, len(self.numbers))
        for entry in entries:
            words = tuple(re.findall(r"[^\W_]+(?:[.,:]\d+)*\*?|[%$€£]", fold(entry)))
            if not words:
                raise ValueError(f"`{entry}` holds no word")
            if len(words) == 1:
                word = words[0]
                target, key = (self._prefix, word[:-1]) if word.endswith("*") else (self._exact, word)
                target.setdefault(key, set()).add(number)
            else:
                first = words[0]
                if first.endswith("*"):
                    self._phrase_prefixes.setdefault(first[:-1], []).append((words[1:], number))
                else:
                    self._phrases.setdefault(first, []).append((words[1:], number))
        self._cache.clear()
        return number

    def _look_up(self, word: str) -> tuple[tuple[int, ...], tuple[tuple[tuple[str, ...], int], ...]]:
        found = set(self._exact.get(word, ()))
        phrases = list(self._phrases.get(word, ()))
        for length in range(2, len(word) + 1):
            stem = word[:length]
            found |= self._prefix.get(stem, set())
            phrases += self._phrase_prefixes.get(stem, ())
        entry = (tuple(sorted(found)), tuple(sorted(phrases)))
        if len(self._cache) < 200_000:  # a bound for hostile texts made of random words
            self._cache[word] = entry
        return entry

    def tag(self, tokens: list[str]) -> Tagged:
        """Every occurrence of every class."""
        places: dict[int, list[tuple[int, int]]] = {}
        mask = 0
        cache = self._cache
        for index, word in enumerate(tokens):
            single, phrases = cache.get(word) or self._look_up(word)
            for number in single:
                places.setdefault(number, []).append((index, index + 1))
                mask |= 1 << number
            for words, number in phrases:
                end = index + 1 + len(words)
                if end <= len(tokens) and all(
                    tokens[at].startswith(want[:-1]) if want[-1] == "*" else tokens[at] == want for at, want in enumerate(words, start=index + 1)
                ):
                    places.setdefault(number, []).append((index, end))
                    mask |= 1 << number
        return Tagged(tokens, places, mask)


def entries_of(value: object) -> list[str]:
    """A class's entries: a list, or lists by language."""
    if isinstance(value, Mapping):
        return [str(item) for part in value.values() for item in part]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(value, list):
        return [str(item) for item in value]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    raise ValueError("a word class is a list, or lists by language")
