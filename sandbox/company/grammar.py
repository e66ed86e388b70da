"""Phrase banks and the small grammar they are written in.

A bank is a text file of families. `== name` opens a family, every further line is one variant; `//` is a comment.
A star (`== budget.available *`) marks a family that is split: about a quarter of its variants, chosen by a hash of
the text, are `held_out` and the rest `open`, so a reader tuned on one half can be measured on the other. `!raw` marks a
family whose brackets are meant literally (hostile messages); there only `%name%` is filled in.

Inside a variant: `[a|b|]` picks one alternative (nesting allowed), `{name}` is a value of the context or else a variant
of the family of that name, `{#20-90}` is a whole number in that range.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from pathlib import Path
from random import Random
from typing import Literal

from nightdesk.errors import NightdeskError

Phrases = Literal["all", "open", "held_out"]
HELD_OUT_SHARE = 0.25
BANK_FOLDER = Path(__file__).parent / "phrases"

_TOKEN = re.compile(r"[\[\]|]|\{[^{}]*\}")
_RAW_NAME = re.compile(r"%(\w+)%")


@dataclass(frozen=True, slots=True)
class _Slot:
    name: str
    low: int = 0
    high: int = 0  # above zero: a number in low..high instead of a name


@dataclass(frozen=True, slots=True)
class _Choice:
    options: tuple[tuple[_Part, ...], ...]


_Part = str | _Slot | _Choice
_Sequence = tuple[_Part, ...]


@dataclass(frozen=True, slots=True)
class Family:
    """All variants of one thing to say, and which of them are in use for the chosen `phrases`."""

    name: str
    variants: tuple[str, ...]
    in_use: tuple[_Sequence, ...]
    raw: bool = False


def split_variants(variants: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Split variants into (open, held_out): by rank of their hash, so it is stable and always about a quarter.

    A family of one variant is open; from two variants on at least one is held out.
    """
    if len(variants) < 2:
        return variants, ()
    ranked = sorted(variants, key=lambda text: hashlib.sha256(text.encode()).digest())
    held = set(ranked[: ceil(len(variants) * HELD_OUT_SHARE)])
    return tuple(v for v in variants if v not in held), tuple(v for v in variants if v in held)


def parse(text: str) -> _Sequence:
    """Compile one variant.

    Raises:
        NightdeskError: The brackets do not match.
    """
    position = 0

    def sequence(depth: int) -> tuple[_Sequence, str]:
        nonlocal position
        parts: list[_Part] = []
        while position < len(text):
            found = _TOKEN.search(text, position)
            if found is None or found.start() > position:
                stop = found.start() if found else len(text)
                parts.append(text[position:stop])
                position = stop
                continue
            token = found.group()
            position = found.end()
            if token == "[":
                options: list[_Sequence] = []
                closing = "|"
                while closing == "|":
                    option, closing = sequence(depth + 1)
                    options.append(option)
                if closing != "]":
                    raise NightdeskError("A phrase has an opening bracket without its end", where=text[:80])
                parts.append(_Choice(tuple(options)))
            elif token in "|]":
                if depth == 0:
                    raise NightdeskError("A phrase has a bracket too many", where=text[:80])
                return tuple(parts), token
            elif token.startswith("{#"):
                low, _, high = token[2:-1].partition("-")
                parts.append(_Slot(token, int(low), int(high)))
            else:
                parts.append(_Slot(token[1:-1]))
        return tuple(parts), ""

    compiled, _ = sequence(0)
    return compiled


def read_bank(text: str) -> dict[str, tuple[list[str], set[str]]]:
    """Read a bank file into family name -> (variants, marks); a family may be continued in another place."""
    families: dict[str, tuple[list[str], set[str]]] = {}
    current: list[str] | None = None
    for line in text.splitlines():
        stripped = line.rstrip()
        if not stripped or stripped.startswith("//"):
            continue
        if stripped.startswith("== "):
            name, *marks = stripped[3:].split()
            current = families.setdefault(name, ([], set()))[0]
            families[name][1].update(marks)
        elif current is None:
            raise NightdeskError("A phrase stands before the first family", where=stripped[:80])
        else:
            current.append(stripped.replace("\\n", "\n"))
    return families


class Bank:
    """All phrase families for one choice of `phrases`.

    Args:
        phrases: `open`, `held_out`, or `all` for both. Families without a star are always used whole.
        folder: Where the `*.txt` banks are.
    """

    def __init__(self, phrases: Phrases = "all", folder: Path = BANK_FOLDER) -> None:
        gathered: dict[str, tuple[list[str], set[str]]] = {}
        for path in sorted(folder.glob("*.txt")):
            for name, (variants, marks) in read_bank(path.read_text(encoding="utf-8")).items():
                known = gathered.setdefault(name, ([], set()))
                known[0].extend(variants)
                known[1].update(marks)
        self.families: dict[str, Family] = {}
        self._last: dict[str, int] = {}  # the variant each slot took last
        for name, (variants, marks) in gathered.items():
            everything = tuple(dict.fromkeys(variants))
            chosen = everything
            if "*" in marks and phrases != "all":
                open_half, held_half = split_variants(everything)
                chosen = (held_half or everything) if phrases == "held_out" else open_half
            raw = "!raw" in marks
            compiled = tuple((v,) if raw else parse(v) for v in chosen)
            self.families[name] = Family(name, everything, compiled, raw)

    def has(self, name: str) -> bool:
        """Whether a family of that name exists."""
        return name in self.families

    def say(self, name: str, rng: Random, context: Mapping[str, str] | None = None) -> str:
        """One variant of a family, filled in.

        Raises:
            NightdeskError: No such family, or a slot that neither the context nor the bank knows.
        """
        family = self.families.get(name)
        if family is None:
            raise NightdeskError("A phrase names something the bank does not know", where=name)
        return self.say_variant(name, int(rng.random() * len(family.in_use)), rng, context)

    def count(self, name: str) -> int:
        """How many variants of a family are in use."""
        return len(self.families[name].in_use)

    def say_variant(self, name: str, number: int, rng: Random, context: Mapping[str, str] | None = None) -> str:
        """A given variant of a family, filled in; for those who deal variants out without repeating."""
        family = self.families[name]
        chosen = family.in_use[number]
        context = context or {}
        if family.raw:
            text = str(chosen[0])
            return _RAW_NAME.sub(lambda m: context.get(m[1], m[0]), text) if "%" in text else text
        out: list[str] = []
        self._emit(chosen, out, rng, context)
        return tidy("".join(out))

    def fill(self, template: str, rng: Random, context: Mapping[str, str] | None = None) -> str:
        """Fill in a template that is not in a bank."""
        out: list[str] = []
        self._emit(_parsed(template), out, rng, context or {})
        return tidy("".join(out))

    def _emit(self, parts: _Sequence, out: list[str], rng: Random, context: Mapping[str, str]) -> None:
        for part in parts:
            if isinstance(part, str):
                out.append(part)
            elif isinstance(part, _Choice):
                self._emit(part.options[int(rng.random() * len(part.options))], out, rng, context)
            elif part.high:
                out.append(str(part.low + int(rng.random() * (part.high - part.low + 1))))
            else:
                value = context.get(part.name)
                if value is not None:
                    out.append(value)
                    continue
                family = self.families.get(part.name)
                if family is None:
                    raise NightdeskError("A phrase names something the bank does not know", where=part.name)
                count = len(family.in_use)
                number = int(rng.random() * count)
                if count > 1 and number == self._last.get(part.name):  # not "Monday and Monday"
                    number = (number + 1) % count
                self._last[part.name] = number
                self._emit(family.in_use[number], out, rng, context)


@lru_cache(maxsize=2048)
def _parsed(template: str) -> _Sequence:
    return parse(template)


def tidy(text: str) -> str:
    """Close the gaps that empty alternatives leave."""
    if "  " in text:
        text = re.sub(r" {2,}", " ", text)
    if " ," in text or " ." in text:
        text = text.replace(" ,", ",").replace(" . ", ". ").replace(" .\n", ".\n")
    return text.strip(" ")
