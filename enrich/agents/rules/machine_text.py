"""Finds text that talks to a machine, so that no fact is read from it nor from the paragraph around it.

Defence in depth: what a hostile message may move is capped elsewhere, for every agent. Here it is not even read.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from enrich.agents.rules.tokens import Tagger, entries_of
from enrich.spans import Span

_PARAGRAPH = re.compile(r"\r?\n[ \t\r]*\n")
_TURN = re.compile(r"\n(?=[ \t]*\[(?:\d{1,2}:)?\d{1,2}:\d{2}\])")
_LONG = ("long",)
_LONG_WORD = 24
_REPEATED_WORDS = 12
_MOST_SHOWN = 60  # hits of one shape in one text: more than that is no letter


class MachineText:
    """`machine_text.yml`, compiled.

    Args:
        data: `phrases` by language and `shapes`: groups of regular expressions, each with the pieces of text of which
            one must be there for the group to be worth trying.
        tagger: The lexicon's; the phrases become one of its word classes.

    Raises:
        re.error: A shape is no regular expression.
    """

    def __init__(self, data: Mapping[str, Any], tagger: Tagger) -> None:
        self._bit = 1 << tagger.add("@machine_text", entries_of(data["phrases"]))
        self._shapes = tuple(
            (tuple(group["needs"]), [re.compile(shape, re.IGNORECASE | re.MULTILINE) for shape in group["any"]])
            for group in data["shapes"]
        )

    def talks_to_machine(self, mask: int) -> bool:
        """Whether the classes of a sentence hold one of the phrases."""
        return bool(mask & self._bit)

    def unreadable(self, body: str, spans: Sequence[Span], spoken: Sequence[bool], *, is_call: bool) -> frozenset[str]:
        """Ids of the spans that must not be read.

        Args:
            body: The document's text, which the spans' offsets count.
            spans: In reading order.
            spoken: For each span, whether its words hold one of the phrases.
            is_call: A transcript: a turn is a paragraph.
        """
        marked = [(span.start, span.end) for span, is_marked in zip(spans, spoken, strict=True) if is_marked]
        if not spans:
            return frozenset()
        # What lies outside of what is read (quoted history, signatures) is no concern, and often long.
        offset, end = spans[0].start, spans[-1].end
        shown = body[offset:end]
        low = shown.lower()
        for needs, shapes in self._shapes:
            if needs == _LONG:
                if not any(len(word) >= _LONG_WORD for word in low.split()):
                    continue
            elif not any(piece in low for piece in needs):
                continue
            for shape in shapes:
                marked += [
                    (offset + match.start(), offset + match.end())
                    for match in islice(shape.finditer(shown), _MOST_SHOWN)
                ]
        if not marked:
            return frozenset()
        breaks = [match.start() for match in (_TURN if is_call else _PARAGRAPH).finditer(body)]
        areas: list[tuple[int, int]] = []
        for start, end in marked:
            first = bisect_right(breaks, start)
            last = bisect_left(breaks, end)
            begin = breaks[first - 1] if first else 0
            stop = breaks[last] if last < len(breaks) else len(body)
            if body[begin:stop].rstrip().endswith(":") and last + 1 < len(breaks) + 1:
                # "New instructions:" and what is instructed below the empty line.
                stop = breaks[last + 1] if last + 1 < len(breaks) else len(body)
            areas.append((begin, stop))
        return frozenset(
            span.id for span in spans if any(begin < span.end and span.start < stop for begin, stop in areas)
        )


def is_repetition(tokens: Sequence[str]) -> bool:
    """Whether a sentence says the same few words over and over, as nobody does to a person."""
    return len(tokens) >= _REPEATED_WORDS and len(set(tokens)) * 4 <= len(tokens)
