"""One way to write a text for comparing: how something is typed must not decide whether it is the same."""

from __future__ import annotations

import re
import unicodedata

ZERO_WIDTH = dict.fromkeys([0x00AD, 0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF])
_QUOTES = {ord(mark): "'" for mark in '"“”„‟«»‹›‘’‚‛`´′″'} | {ord(mark): "-" for mark in "‐‑‒–—―−"}
_SPACE = re.compile(r"\s+")


def normalise(text: str) -> str:
    """NFKC, case-folded, one kind of quote and dash, single spaces, no zero-width characters.

    NFKC once more at the end: folding case can undo composition, and normalising twice must change nothing.
    """
    text = unicodedata.normalize("NFKC", text).translate(ZERO_WIDTH).casefold()
    text = unicodedata.normalize("NFKC", text).translate(ZERO_WIDTH).translate(_QUOTES)
    return _SPACE.sub(" ", text).strip()
