"""Puts facts into sentences a seller reads, from `phrases.yml`; keeps a sentence only when the evidence check would."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from enrich import evidence
from enrich.context import FactLine
from enrich.evidence import Shown

_MONTHS = (
    "",
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
QUOTE_CHARS = 170
_SPACE = re.compile(r"\s+")


def long_date(day: date) -> str:
    """`5 October 2026`."""
    return f"{day.day} {_MONTHS[day.month]} {day.year}"


def month_name(value: str) -> str:
    """`2027-01` as `January 2027`."""
    return f"{_MONTHS[int(value[5:7])]} {value[:4]}"


def quoted(text: str) -> str:
    """Their words in quotation marks, one line, cut at a word."""
    line = _SPACE.sub(" ", text).strip().strip("\"'“”„ ")
    if len(line) > QUOTE_CHARS:
        line = line[:QUOTE_CHARS].rsplit(" ", 1)[0].rstrip(" ,;:-–") + " …"
    return f"“{line}”"


def enumerate_names(names: Sequence[str]) -> str:
    """`A`, `A and B`, `A, B and C`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


class Writer:
    """Fills phrases and drops what its own evidence does not carry.

    Args:
        phrases: `phrases.yml`.
        shown: What may be cited.
        company: Our name, which needs no evidence.
        competitors: Normalised alias to name, as the evidence check wants it.
    """

    def __init__(
        self, phrases: Mapping[str, Any], shown: Mapping[str, Shown], company: str, competitors: Mapping[str, str]
    ) -> None:
        self.phrases = phrases
        self._shown = shown
        self._company = company
        self._competitors = competitors

    def topic(self, fact: FactLine) -> str:
        """How the fact's subject is called."""
        topics = self.phrases["topics"]
        return (
            topics.get(f"{fact.predicate}.{fact.value}")
            or topics.get(fact.value)
            or topics.get(fact.predicate)
            or fact.predicate.replace("_", " ")
        )

    def about(self, fact: FactLine, **more: str) -> dict[str, str]:
        """What a phrase about a fact may mention."""
        values = {
            "day": long_date(fact.day),
            "verb": "wrote" if fact.document_type in ("email", "note") else "said",
            "quote": quoted(fact.quote),
            "value": fact.value,
            "topic": self.topic(fact),
            "until": long_date(fact.until) if fact.until else "",
            "month": month_name(fact.value) if re.fullmatch(r"\d{4}-\d{2}", fact.value) else "",
            "step": self.phrases["steps"].get(fact.value, fact.value),
        }
        return values | more

    def phrase_for(self, section: str, fact: FactLine) -> str | None:
        """The most special phrase of a section that fits the fact."""
        phrases = self.phrases[section]
        if fact.polarity == "negated":
            return phrases.get(f"{fact.predicate}-not")
        keys = [f"{fact.predicate}.{fact.value}", fact.predicate]
        if fact.until is not None:
            keys = [f"{fact.predicate}.{fact.value}-until", f"{fact.predicate}-until", *keys]
        return next((phrases[key] for key in keys if key in phrases), None)

    def sentence(self, phrase: str, values: Mapping[str, str], ids: Sequence[str]) -> dict[str, Any] | None:
        """A sentence with its evidence, as output models want it; None when it would not pass.

        A quote that cannot be shown (a link in it, too long a line) is left out before the sentence is.
        """
        cited = [self._shown[item] for item in ids if item in self._shown]
        for text in (phrase, _without_quote(phrase)):
            filled = _SPACE.sub(" ", text.format(**values)).strip()
            if not filled.endswith(("?", "!", ".", "”", "…")) or (filled.endswith("”") and filled[-2] not in ".!?…"):
                filled += "."
            if (
                evidence.problem_of(filled, cited, always_known=(self._company,), theirs_to_name=self._competitors)
                is None
            ):
                return {"text": filled, "evidence": [item.id for item in cited]}
        return None

    def said(self, fact: FactLine) -> dict[str, Any] | None:
        """What they said, as one sentence."""
        phrase = self.phrase_for("said", fact)
        return self.sentence(phrase, self.about(fact), [fact.id]) if phrase else None


def _without_quote(phrase: str) -> str:
    cut = re.sub(r"[:;,]?\s*(?:on \{day\} they \{verb\}:?\s*)?\{quote\}", "", phrase)
    return cut.rstrip(" :;,")
