"""What changed between two texts, word by word, with what stayed the same cut short. Pure."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from typing import Literal

Part = tuple[Literal["same", "gone", "new", "cut"], str]
_WORDS = re.compile(r"\s+|[^\s]+")
_AROUND = 6


def words(before: str, after: str, around: int = _AROUND) -> list[Part]:
    """Parts of both texts in order; long stretches that stayed are a `cut` between `around` words on either side.

    Putting the parts that are not `new` together (with `around` large enough) gives `before`, those that are not
    `gone` give `after`.
    """
    old, new = _WORDS.findall(before), _WORDS.findall(after)
    parts: list[Part] = []
    blocks = SequenceMatcher(None, old, new, autojunk=False).get_opcodes() if _comparable(old, new) else None
    if blocks is None:
        return [("gone", before), ("new", after)]
    for place, (tag, old_from, old_to, new_from, new_to) in enumerate(blocks):
        if tag == "equal":
            _stayed(parts, old[old_from:old_to], place == 0, place == len(blocks) - 1, around)
            continue
        if old_to > old_from:
            parts.append(("gone", "".join(old[old_from:old_to])))
        if new_to > new_from:
            parts.append(("new", "".join(new[new_from:new_to])))
    return parts


def _comparable(old: list[str], new: list[str]) -> bool:
    """Comparing takes time with the product of the lengths: texts of tens of thousands of words are shown whole."""
    return len(old) * len(new) <= 4_000_000


def _stayed(parts: list[Part], tokens: list[str], is_first: bool, is_last: bool, around: int) -> None:
    head, tail = (0 if is_first else around * 2), (0 if is_last else around * 2)
    if len(tokens) <= head + tail + 2 or (is_first and is_last):
        parts.append(("same", "".join(tokens)))
        return
    if head:
        parts.append(("same", "".join(tokens[:head])))
    parts.append(("cut", f" [{sum(1 for t in tokens[head : len(tokens) - tail] if t.strip())} words] "))
    if tail:
        parts.append(("same", "".join(tokens[len(tokens) - tail :])))
