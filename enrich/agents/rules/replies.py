"""`reply_class` by rules: what the headers say, then the new text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from enrich.agents.rules.facts import FactReader, Prepared
from enrich.agents.rules.lexicon import Lexicon, ReplyRule
from enrich.agents.rules.patterns import find
from enrich.agents.rules.tokens import Tagged
from enrich.context import Context
from enrich.spans import Span

_READ_SPANS = 40  # a reply says what it is early; a pasted document below it must not decide


@dataclass(frozen=True, slots=True)
class Vote:
    """One reason for one level: how strong, and where it was read."""

    level: str
    weight: float
    evidence: str


def classify(context: Context, spans: Sequence[Span], lexicon: Lexicon, reader: FactReader) -> Vote | None:
    """The reply's level and its evidence id; None when header and text say nothing."""
    header = _from_header(context, spans, lexicon)
    if header is not None:
        return header
    own = [span for span in spans if span.side != "ours" and not span.is_forwarded]
    readable = reader.readable(own[:_READ_SPANS], context.body or "")
    if not readable:
        return None
    today = date.fromisoformat(context.get("document.date"))
    votes = [vote for index, item in enumerate(readable) for vote in _votes(item, index, lexicon, reader, today)]
    absence = [vote for vote in votes if vote.level == "out_of_office"]
    others = [vote for vote in votes if vote.level != "out_of_office"]
    if absence and max((vote.weight for vote in others), default=0.0) <= 8.5:
        return absence[0]
    if not others:
        return _default(readable, lexicon)
    order = {level: position for position, level in enumerate(lexicon.replies_data["order"])}
    return min(others, key=lambda vote: (-vote.weight, order[vote.level]))


def _default(readable: Sequence[Prepared], lexicon: Lexicon) -> Vote | None:
    """A reply without a sign of anything: what replies.yml says of it, read from its longest sentence."""
    longest = max((item.span for item in readable), key=lambda span: span.end - span.start)
    level = lexicon.replies_data["default"]
    return None if level == "none" else Vote(level, 0.5, longest.id)


def _from_header(context: Context, spans: Sequence[Span], lexicon: Lexicon) -> Vote | None:
    data = lexicon.replies_data
    subject = context.get("document.subject").lower()
    author = context.get("document.author").lower()
    text = " ".join(span.text for span in spans[:_READ_SPANS]).lower()
    is_machine = context.get("document.is_machine") == "true"
    local = author.partition("@")[0]
    bounced_text = any(words in text for words in data["bounce"]["text"])
    if local in data["bounce"]["authors"]:
        return Vote("bounce", 1, "document.author")
    if any(words in subject for words in data["bounce"]["subjects"]):
        return Vote("bounce", 1, "document.subject")
    if is_machine and bounced_text:
        return Vote("bounce", 1, "document.is_machine")
    auto = context.get("document.auto_submitted").lower()
    automatic_subject = any(re.search(rf"\b{re.escape(words)}\b", subject) for words in data["automatic"]["subjects"])
    if auto and auto != "no":
        return Vote("out_of_office", 1, "document.auto_submitted")
    if automatic_subject:
        return Vote("out_of_office", 1, "document.subject")
    if is_machine:
        return Vote("out_of_office", 1, "document.is_machine")
    return None


def _votes(item: Prepared, index: int, lexicon: Lexicon, reader: FactReader, today: date) -> list[Vote]:
    """What one sentence says; what stands first counts a little more."""
    data = lexicon.replies_data
    bonus = max(0.0, 0.5 - 0.05 * index)
    span = item.span
    if not item.tokens:
        return []
    tagged = lexicon.tagger.tag(item.tokens)
    votes: list[Vote] = []
    for fact in reader.read_prepared(item, today):
        if fact.polarity == "negated":
            continue
        if fact.predicate == "out_of_office":
            votes.append(Vote("out_of_office", float(data["absence"]["weight"]), span.id))
            continue
        entry = data["facts"].get(f"{fact.predicate}.{fact.value}") or data["facts"].get(fact.predicate)
        if entry is not None:
            votes.append(Vote(entry["level"], float(entry["weight"]) + bonus, span.id))
    if lexicon.machine_text.talks_to_machine(tagged.mask):
        return votes
    breaks = lexicon.grammar.breaks(tagged)
    is_question = lexicon.grammar.is_question(tagged)
    if is_question:
        entry = data["question_mark"]
        votes.append(Vote(entry["level"], float(entry["weight"]) + bonus, span.id))
    for rule in lexicon.replies:
        if _fits(rule, tagged, breaks, lexicon, is_question=is_question):
            votes.append(Vote(rule.level, rule.weight + bonus, span.id))
    return votes


def _fits(rule: ReplyRule, tagged: Tagged, breaks: Sequence[int], lexicon: Lexicon, *, is_question: bool) -> bool:
    if is_question and rule.question == "drop":
        return False
    for pattern in rule.patterns:
        for match in find(pattern, tagged, breaks):
            around = lexicon.grammar.around(match, tagged, breaks)
            if around.is_negated and rule.negated != "keep":
                continue
            if (around.is_hypothetical or around.is_modal) and "hypothetical" not in rule.keeps:
                continue
            if not any(next(find(veto, tagged, breaks), None) is not None for veto in rule.unless):
                return True
    return False
