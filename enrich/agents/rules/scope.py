"""What surrounds a match: is it denied, supposed, asked, past, somebody else's, or a joke?"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from enrich.agents.rules.patterns import Match
from enrich.agents.rules.tokens import Tagged, Tagger, tokenise

NEGATION_REACH = 5  # tokens before a match in which a denial still means it
AFTER_REACH = 5
MODAL_REACH = 3
THIRD_PARTY_REACH = 9


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The circumstances of one match."""

    is_negated: bool
    is_hypothetical: bool
    is_modal: bool
    is_past: bool
    is_third_party: bool


class Grammar:
    """`grammar.yml`, compiled into classes of the shared tagger."""

    def __init__(self, data: Mapping[str, Any], tagger: Tagger) -> None:
        def number(name: str) -> int:
            return tagger.add(f"@{name}", data[name])

        self.negation = number("negation")
        self.no_negation = number("no_negation")
        self.negation_after = number("negation_after")
        self.hypothesis = number("hypothesis")
        self.modal = number("modal")
        self.third_party = number("third_party")
        self.past = number("past")
        self.present = number("present")
        self.irony = number("irony")
        self.clause_words = number("clause_words")
        self.scope_words = number("scope_words")
        self.break_marks = frozenset(data["clause_breaks"])
        self._openers = tagger_phrases(data["fillers"])
        starts = tagger.add("@question_starts", data["question_starts"])
        self.question_starts = starts

    def breaks(self, tagged: Tagged) -> list[int]:
        """Positions that end a clause."""
        marks = [index for index, token in enumerate(tagged.tokens) if token in self.break_marks]
        words = [start for start, _ in tagged.places.get(self.clause_words, ())]
        return sorted({*marks, *words}) if words else marks

    def without_fillers(self, tokens: list[str]) -> list[str]:
        """The words without what people open and end sentences with ("to be honest, ...", "..., you know").

        A colon after a few opening words ("From our side: the list") becomes a comma: it introduces, it does not end.
        """
        tokens = self._unopened(tokens)
        openers = self._openers
        end = len(tokens)
        while end and tokens[end - 1] in _ENDS:
            end -= 1
        for at in range(end - 1, max(0, end - 8), -1):
            if tokens[at] == ",":
                if tuple(tokens[at + 1 : end]) in openers.get(tokens[at + 1] if at + 1 < end else "", ()):
                    tokens = tokens[:at] + tokens[end:]
                break
        if ":" in tokens[1:8]:
            at = tokens.index(":", 1)
            if not {",", ";"} & set(tokens[:at]) and at + 1 < len(tokens):
                tokens = [*tokens[:at], ",", *tokens[at + 1 :]]
        return tokens

    def _unopened(self, tokens: list[str]) -> list[str]:
        openers = self._openers
        start = 0
        while start < len(tokens):
            for phrase in openers.get(tokens[start], ()):
                after = start + len(phrase)
                if tuple(tokens[start:after]) == phrase and (
                    (after < len(tokens) - 1 and tokens[after] in _OPENED_BY) or phrase in _NEEDS_NO_COMMA
                ):
                    start = after + (after < len(tokens) and tokens[after] in _OPENED_BY)
                    break
            else:
                break
        return tokens[start:] if start and start < len(tokens) else tokens

    def is_ironic(self, tagged: Tagged) -> bool:
        return bool(tagged.mask >> self.irony & 1)

    def is_question(self, tagged: Tagged) -> bool:
        """A question mark at the end, or a beginning that only questions have."""
        if "?" in tagged.tokens[-3:]:
            return True
        if "?" in tagged.tokens:
            return False  # the question was asked and answered in one breath
        first = 0
        while first < len(tagged.tokens) and tagged.tokens[first] in {
            "and",
            "so",
            "also",
            "ok",
            "und",
            "et",
            "y",
            "en",
            ",",
            "well",
            "but",
        }:
            first += 1
        for start, end in tagged.places.get(self.question_starts, ()):
            if start == first:
                # "When we decide ..." and "What we need is ..." are statements; "when do you" is not.
                return end - start > 1 or (first + 1 < len(tagged.tokens) and tagged.tokens[first + 1] in _INVERTED)
        return False

    def around(self, match: Match, tagged: Tagged, breaks: Sequence[int]) -> Surroundings:
        """Judge one match by what stands around it in its clause."""
        index = bisect_left(breaks, match.start)
        clause_start = breaks[index - 1] + 1 if index else 0
        clause_end = next((position for position in breaks if position >= match.end), len(tagged.tokens))
        scope_start = self._scope_start(match.start, clause_start, tagged)
        return Surroundings(
            is_negated=self._is_negated(match, tagged, scope_start, clause_end),
            is_hypothetical=self._is_hypothetical(match, tagged, clause_start),
            is_modal=self._is_modal(match, tagged, clause_start),
            is_past=self._is_past(tagged, clause_start, clause_end),
            is_third_party=self._within(
                self.third_party, tagged, max(clause_start, match.start - THIRD_PARTY_REACH), match.end
            ),
        )

    def _scope_start(self, start: int, clause_start: int, tagged: Tagged) -> int:
        begin = clause_start
        for position in range(start - 1, clause_start - 1, -1):
            if tagged.tokens[position] == ",":
                begin = position + 1
                break
        for first, end in tagged.places.get(self.scope_words, ()):
            if begin <= first and end <= start:
                begin = end
        return begin

    def _is_negated(self, match: Match, tagged: Tagged, begin: int, clause_end: int) -> bool:
        if tagged.mask >> self.negation & 1:
            harmless = [*tagged.places.get(self.no_negation, ()), *match.taken]
            for start, end in tagged.places[self.negation]:
                if (
                    max(begin, match.start - NEGATION_REACH) <= start < match.end
                    and not any(a <= start and end <= b for a, b in harmless)
                    and not self._is_aside(start, match, tagged)
                ):
                    return True
        if tagged.mask >> self.negation_after & 1:
            comma = next((at for at in range(match.end, clause_end) if tagged.tokens[at] == ","), clause_end)
            for start, end in tagged.places[self.negation_after]:
                if match.end <= start < min(comma, match.end + AFTER_REACH) and not any(
                    a <= start and end <= b for a, b in tagged.places.get(self.no_negation, ())
                ):
                    return True
        return False

    @staticmethod
    def _is_aside(start: int, match: Match, tagged: Tagged) -> bool:
        """Whether a denial inside the match stands between commas of its own: "too many portals, no overview, it hurts"."""  # noqa: E501
        if start < match.taken[0][1]:
            return False
        following = next((a for a, _ in match.taken if a > start), match.end)
        return "," in tagged.tokens[match.taken[0][1] : start] and "," in tagged.tokens[start:following]

    def _is_hypothetical(self, match: Match, tagged: Tagged, clause_start: int) -> bool:
        if tagged.mask >> self.hypothesis & 1:
            for start, end in tagged.places[self.hypothesis]:
                if start and tagged.tokens[start - 1] in _INDIRECT:
                    continue  # "let me know if", "not sure whether": a question, not a condition
                reaches = "," not in tagged.tokens[end : match.start] or end > match.start
                is_taken = any(a <= start and end <= b for a, b in match.taken)
                if reaches and not is_taken and clause_start <= start < match.end:
                    return True
        return False

    def _is_modal(self, match: Match, tagged: Tagged, clause_start: int) -> bool:
        if tagged.mask >> self.modal & 1:
            for start, end in tagged.places[self.modal]:
                if max(clause_start, match.start - MODAL_REACH) <= start < match.end and not any(
                    a <= start and end <= b for a, b in match.taken
                ):
                    return True
        return False

    def _is_past(self, tagged: Tagged, begin: int, end: int) -> bool:
        return self._within(self.past, tagged, begin, end) and not self._within(self.present, tagged, begin, end)

    def _within(self, number: int, tagged: Tagged, begin: int, end: int) -> bool:
        if not tagged.mask >> number & 1:
            return False
        return any(begin <= start < end for start, _ in tagged.places[number])


def tagger_phrases(entries: Sequence[str]) -> dict[str, list[tuple[str, ...]]]:
    """Phrases by their first word, longest first."""
    found: dict[str, list[tuple[str, ...]]] = {}
    for entry in entries:
        words = tuple(tokenise(entry))
        found.setdefault(words[0], []).append(words)
    for phrases in found.values():
        phrases.sort(key=lambda words: -len(words))
    return found


_ENDS = frozenset(".!…")
_OPENED_BY = frozenset({",", ":", "—", "–", " - ", "...", "…"})
_NEEDS_NO_COMMA = frozenset({("btw",), ("fwiw",), ("fyi",), ("um",), ("uh",), ("okay", "so"), ("so", "basically")})
_INDIRECT = frozenset({"know", "see", "ask", "wonder", "wondering", "check", "sure", "unsure", "tell", "say", "asking"})
_INVERTED = frozenset(
    "do does did is are was were can could would will shall should has have had much many long often soon about if kostet kosten ist sind viel viele lange oft schnell hoch groß"  # noqa: E501, SIM905
    " est sont coûte coute cuesta cuestan es son es-el kost kosten is zijn veel".split()
)
