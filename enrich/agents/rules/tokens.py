"""Turns a sentence into lower-case tokens and finds the lexicon's word classes in them.

A word is looked up once per process (people repeat themselves), so tagging costs one dictionary access per token; a rule
is only tried when every class it needs stands in the sentence. That replaces one huge pre-filter expression, which in
Python costs a hundred times more per character.
"""  # noqa: E501

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from enrich.words import COMMON_OPENERS

_TOKEN = re.compile(r"[^\W_]+(?:[.,:]\d+)*|[,;:?!()…]|[—–]| - |\.\.\.|[$€£%]")
_APOSTROPHES = str.maketrans({"’": "'", "‘": "'", "´": "'", "ʼ": "'"})
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
    low = text.lower()
    if not low.isascii():
        low = low.translate(_APOSTROPHES)
    if "'" in low:
        for pattern, replacement in _CONTRACTIONS:
            low = pattern.sub(replacement, low)
    elif "cannot" in low:
        low = _CANNOT.sub("can not", low)
    if "nt" in low:
        low = _BARE.sub(r"\1 not", low)
        low = _BARE_WONT.sub(lambda match: "will not" if match[1] == "wont" else "can not", low)
    return low


_UNSEEN = re.compile("[\u00ad\u200b-\u200f\u2060-\u2064\ufeff]")


def visible(text: str) -> str:
    """The text as a person sees it: letters of other widths folded, what has no width left out."""
    return text if text.isascii() else _UNSEEN.sub("", unicodedata.normalize("NFKC", text))


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


class _Node:
    """A place in the tree of phrases: what ends here, and what may follow."""

    __slots__ = ("classes", "following", "prefixes")

    def __init__(self) -> None:
        self.classes: tuple[int, ...] = ()
        self.following: dict[str, _Node] = {}
        self.prefixes: list[tuple[str, _Node]] = []

    def child(self, word: str) -> _Node:
        if not word.endswith("*"):
            return self.following.setdefault(word, _Node())
        for prefix, node in self.prefixes:
            if prefix == word[:-1]:
                return node
        node = _Node()
        self.prefixes.append((word[:-1], node))
        return node

    def after(self, word: str) -> list[_Node]:
        found = [node for prefix, node in self.prefixes if word.startswith(prefix)] if self.prefixes else []
        node = self.following.get(word)
        if node is not None:
            found.append(node)
        return found


class Tagger:
    """Finds word classes. Entries are words or phrases; a word may end in `*` (any ending).

    Phrases live in a tree, so a word that starts two hundred of them ("not") costs one more look-up, not two hundred.
    """

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}
        self.entries: dict[str, list[str]] = {}
        self.weights: dict[int, float] = {}  # how common a class is likely to be: a guess that only steers speed
        self._exact: dict[str, set[int]] = {}
        self._prefix: dict[str, set[int]] = {}
        self._phrases = _Node()
        # word -> (mask of its classes, its classes, phrases that start with it)
        self._cache: dict[str, tuple[int, tuple[int, ...], tuple[_Node, ...]]] = {}
        self._vocabulary: set[str] = set()
        self._known: set[str] = set()  # words of any length that stand in the lexicon, and so are no slips
        self._without_one: dict[str, str] = {}  # a vocabulary word with one letter left out -> the word
        self._corrected: dict[str, str] = {}

    def add(self, name: str, entries: Iterable[str]) -> int:
        """Define a class (or extend it) and return its number."""
        number = self.numbers.setdefault(name, len(self.numbers))
        for entry in entries:
            self.entries.setdefault(name, []).append(entry)
            words = re.findall(r"[^\W_]+(?:[.,:]\d+)*\*?|[%$€£]", fold(entry))
            if not words:
                raise ValueError(f"`{entry}` holds no word")
            common = sum(word in _COMMON for word in words) / len(words)
            self.weights[number] = self.weights.get(number, 0.0) + (
                100.0 if common == 1 and len(words) == 1 else 1.0 if len(words) == 1 else 0.3
            )
            self._known.update(words)
            self._vocabulary.update(word for word in words if len(word) >= _TYPO_LENGTH and word.isalpha())
            if len(words) == 1:
                word = words[0]
                target, key = (self._prefix, word[:-1]) if word.endswith("*") else (self._exact, word)
                target.setdefault(key, set()).add(number)
                continue
            node = self._phrases
            for word in words:
                node = node.child(word)
            node.classes = tuple(sorted({*node.classes, number}))
        self._cache.clear()
        return number

    def correct(self, tokens: list[str]) -> list[str]:
        """The tokens with slips of the finger mended: one letter too many, one missing, or two swapped."""
        known = self._corrected
        return [known.get(word) or self._correct(word) for word in tokens]

    def _correct(self, word: str) -> str:
        is_known = word in self._known or word in COMMON_OPENERS or word.startswith(self._stems())
        found = self._mend(word) if len(word) >= _TYPO_LENGTH - 1 and word.isalpha() and not is_known else word
        if len(self._corrected) < 200_000:
            self._corrected[word] = found
        return found

    def _stems(self) -> tuple[str, ...]:
        return tuple(prefix for prefix in self._prefix if len(prefix) > 3)

    def _mend(self, word: str) -> str:
        if not self._without_one:
            for known in sorted(self._vocabulary):
                for at in range(1, len(known)):
                    self._without_one.setdefault(known[:at] + known[at + 1 :], known)
        if word in self._without_one and not word.endswith("s") and self._without_one[word] != f"{word}s":
            return self._without_one[word]
        for at in range(1, len(word)):
            shorter = word[:at] + word[at + 1 :]
            if (
                shorter in self._vocabulary
                and len(shorter) >= _TYPO_LENGTH
                and (at < len(word) - 1 or word[-1] == word[-2])
            ):
                return shorter
            swapped = word[:at] + word[at : at + 2][::-1] + word[at + 2 :]
            if swapped in self._vocabulary:
                return swapped
        return word

    def _look_up(self, word: str) -> tuple[int, tuple[int, ...], tuple[_Node, ...]]:
        found = set(self._exact.get(word, ()))
        for length in range(2, len(word) + 1):
            found |= self._prefix.get(word[:length], set())
        mask = 0
        for number in found:
            mask |= 1 << number
        entry = (mask, tuple(sorted(found)), tuple(self._phrases.after(word)))
        if len(self._cache) < 200_000:  # a bound for hostile texts made of random words
            self._cache[word] = entry
        return entry

    def tag(self, tokens: list[str]) -> Tagged:
        """Every occurrence of every class."""
        places: dict[int, list[tuple[int, int]]] = {}
        entries, phrases, mask = self._scan(tokens)
        for index, entry in enumerate(entries):
            for number in entry[1]:
                places.setdefault(number, []).append((index, index + 1))
        for start, end, classes in phrases:
            for number in classes:
                places.setdefault(number, []).append((start, end))
        if phrases:
            for found in places.values():
                if len(found) > 1:
                    found.sort()
        return Tagged(tokens, places, mask)

    def mask(self, tokens: list[str]) -> int:
        """Which classes occur: what `tag` would say, at a third of its cost."""
        return self._scan(tokens)[2]

    def _scan(
        self, tokens: list[str]
    ) -> tuple[list[tuple[int, tuple[int, ...], tuple[_Node, ...]]], list[tuple[int, int, tuple[int, ...]]], int]:
        cache = self._cache
        entries = [cache.get(word) or self._look_up(word) for word in tokens]
        phrases: list[tuple[int, int, tuple[int, ...]]] = []
        mask = 0
        last = len(tokens)
        for index, entry in enumerate(entries):
            mask |= entry[0]
            if not entry[2]:
                continue
            nodes: Sequence[_Node] = entry[2]
            at = index + 1
            while nodes and at < last:
                word = tokens[at]
                at += 1
                following: list[_Node] = []
                for node in nodes:
                    child = node.following.get(word)
                    if child is not None:
                        following.append(child)
                    if node.prefixes:
                        following += [other for prefix, other in node.prefixes if word.startswith(prefix)]
                for node in following:
                    if node.classes:
                        phrases.append((index, at, node.classes))
                        for number in node.classes:
                            mask |= 1 << number
                nodes = following
        return entries, phrases, mask


_TYPO_LENGTH = 6  # shorter words are one letter away from too many others
_COMMON = frozenset(
    "i you he she it we they me us him her them my your our their this that these those the a an is are was were be been am do does did have has had will would can could"  # noqa: E501, SIM905
    " should may might must not no and or but if so as at by for from in into of on to up with about after all also any because before even here how just like more most new now"  # noqa: E501
    " only other out over see some still than then there time very want way what when where which who why work year need get go make know think use good one two send let please thanks"  # noqa: E501
    " der die das ein eine und ist sind wir sie ich nicht mit von zu auf für im in den dem haben hat wird werden le la les un une et est nous vous je pas de du des en à que qui"  # noqa: E501
    " el los las y es no por para con se una lo su de het een en is wij niet van voor te dat op zijn".split()
)


def entries_of(value: object) -> list[str]:
    """A class's entries: a list, or lists by language."""
    if isinstance(value, Mapping):
        return [str(item) for part in value.values() for item in part]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(value, list):
        return [str(item) for item in value]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    raise ValueError("a word class is a list, or lists by language")
