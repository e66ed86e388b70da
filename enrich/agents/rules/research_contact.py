"""`contact_background` by rules: part and weight from title and own words, style from their length and figures."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from enrich.agents.rules.research import Answer, Found, spoken_by
from enrich.agents.rules.scoring import lead_quality
from enrich.agents.rules.wording import Writer, long_date, quoted
from enrich.context import Context, FactLine
from enrich.evidence import normalise, phrase_in
from enrich.research.lines import SpanLine

if TYPE_CHECKING:
    from nightdesk.policy.load import Policy

_BY_WORD = {"decision_maker": "high", "needs_approval": "medium", "committee": "medium", "not_involved": "low"}
_BY_TITLE = {"c_level": "high", "vp": "high", "director": "medium", "manager": "medium", "individual": "low"}
_UNKNOWN: Answer = {"level": "unknown", "evidence": []}
_MOST_PAINS = 3
# Words per document up to which somebody is brief, and the share of sentences with a figure that argues by numbers.
_BRIEF_WORDS = 60
_FIGURES_SHARE = 0.3
_FEWEST_FIGURES = 3
_DIGIT = re.compile(r"\d")


def contact_background(
    context: Context, found: Found, policy: Policy, titles: Mapping[str, Any], writer: Writer
) -> Answer:
    """Levels and sentences for one contact."""
    own = tuple(item.fact for item in found.theirs)
    lead = lead_quality(replace(context, facts=own), policy, titles, writer)
    spans = spoken_by(context.get("contact.name"), found)
    move, moves = _move(context, own, spans, found, writer)
    return {
        "role": lead["persona"],
        "influence": _influence(context, own, lead),
        "style": _style(spans),
        "move": move,
        "background": lead["reason"][:3],
        "pains": _pains(own, writer),
        "moves": moves,
    }


def _influence(context: Context, own: tuple[FactLine, ...], lead: Answer) -> Answer:
    said = next((fact for fact in own if fact.predicate == "authority" and fact.polarity == "affirmed"), None)
    if said is not None and said.value in _BY_WORD:
        return {"level": _BY_WORD[said.value], "evidence": [said.id]}
    level = _BY_TITLE.get(lead["seniority"]["level"])
    return {"level": level, "evidence": ["contact.job_title"]} if level else _UNKNOWN


def _style(spans: list[SpanLine]) -> Answer:
    if not spans:
        return _UNKNOWN
    with_figures = [span for span in spans if _DIGIT.search(span.text)]
    if len(with_figures) >= _FEWEST_FIGURES and len(with_figures) >= _FIGURES_SHARE * len(spans):
        return {"level": "by_numbers", "evidence": [span.id for span in with_figures[:3]]}
    words = sum(len(span.text.split()) for span in spans) / len({span.document for span in spans})
    longest = sorted(spans, key=lambda span: -len(span.text))
    level = "brief" if words <= _BRIEF_WORDS else "detailed"
    return {"level": level, "evidence": [span.id for span in (spans if level == "brief" else longest)[:2]]}


def _pains(own: tuple[FactLine, ...], writer: Writer) -> list[Answer]:
    told: dict[str, Answer] = {}
    for fact in own:
        is_pain = fact.predicate == "pain" or (fact.predicate, fact.value) == ("product_feedback", "negative")
        sentence = writer.said(fact) if is_pain and fact.polarity == "affirmed" else None
        if sentence is not None:
            told.setdefault(f"{fact.predicate}.{fact.value}", sentence)
    return list(told.values())[:_MOST_PAINS]


def _move(
    context: Context, own: tuple[FactLine, ...], spans: list[SpanLine], found: Found, writer: Writer
) -> tuple[Answer, list[Answer]]:
    """Whether they said that they go, or that they are new; else nothing is known."""
    name = normalise(context.get("contact.name"))
    left = next(
        (
            fact
            for fact in own
            if fact.predicate == "champion_left" and fact.polarity == "affirmed" and normalise(fact.value) == name
        ),
        None,
    )
    if left is not None:
        sentence = writer.said(left)
        return {"level": "leaving", "evidence": [left.id]}, [sentence] if sentence else []
    phrases = writer.phrases["contact_background"]
    told = " \n ".join(span.text for span in spans)
    hints = [words for words in phrases["new_in_role_words"] if phrase_in(words, told)]
    for span in spans if hints else ():
        if any(phrase_in(words, span.text) for words in hints):
            document = found.documents.get(span.document)
            if document is None:
                continue
            values = {
                "day": long_date(document.day),
                "verb": "said" if document.kind == "call" else "wrote",
                "quote": quoted(span.text),
            }
            sentence = writer.sentence(phrases["new_in_role"], values, [span.id])
            return {"level": "new_in_role", "evidence": [span.id]}, [sentence] if sentence else []
    return {"level": "none_known", "evidence": []}, []
