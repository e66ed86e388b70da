"""One shape for every agent's answer, and the one check that stands between an answer and the ledger.

An agent says: levels of closed judgements, sentences, facts, each with the ids of what it was shown. `check` keeps what
is legal and supported, copies quotes itself, computes the confidence, and lists what it threw away and why. It is pure
and treats every agent alike; an adversarial answer can only lose items.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from enrich import context as contexts
from enrich import evidence, fact_rules, second_reading, spans
from enrich.context import Context, Polarity, Side
from enrich.evidence import EvidenceKind, Shown
from enrich.fact_rules import printable
from enrich.research import sources

if TYPE_CHECKING:
    from enrich.registry import JudgementSpec, Operation
    from nightdesk.policy.load import Policy

ItemKind = Literal["judgement", "sentence", "fact"]
Outcome = Literal["enriched", "insufficient_data", "rejected"]

MAX_ANSWER_CHARS = 400_000
MAX_REJECTION_CHARS = 500
MAX_REJECTIONS = 100
"""Kept of one answer; a hostile model could fill a disk with what nobody will see."""

# --- what an agent says ------------------------------------------------------------------------------------------------  # noqa: E501


class OutputModel(BaseModel):
    """Base of every operation's answer. Structured output guarantees types and required keys only; `check` does the rest."""  # noqa: E501

    model_config = ConfigDict(extra="forbid", frozen=True)

    def to_answer(self) -> ParsedAnswer:
        """The answer in the shape all operations share."""
        raise NotImplementedError


class JudgementOutput(BaseModel):
    """A level and the ids it was read from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    level: str
    evidence: list[str]


class SentenceOutput(BaseModel):
    """One sentence and the ids that support it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str
    evidence: list[str]


@dataclass(frozen=True, slots=True)
class ParsedJudgement:
    level: str
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ParsedSentence:
    section: str
    text: str
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ParsedFact:
    predicate: str
    value: str
    polarity: str
    date: str | None
    span: str


@dataclass(frozen=True, slots=True)
class ParsedAnswer:
    """Any operation's answer, as said by the agent and not yet believed."""

    judgements: Mapping[str, ParsedJudgement] = field(default_factory=dict[str, ParsedJudgement])
    sentences: tuple[ParsedSentence, ...] = ()
    facts: tuple[ParsedFact, ...] = ()


def judgement(output: JudgementOutput) -> ParsedJudgement:
    """For `to_answer` of the operations."""
    return ParsedJudgement(output.level, tuple(output.evidence))


def sentences(section: str, outputs: Iterable[SentenceOutput]) -> tuple[ParsedSentence, ...]:
    """For `to_answer` of the operations."""
    return tuple(ParsedSentence(section, item.text, tuple(item.evidence)) for item in outputs)


# --- what is left of it ------------------------------------------------------------------------------------------------  # noqa: E501


@dataclass(frozen=True, slots=True)
class CheckedJudgement:
    component: str
    level: str
    evidence_count: int


@dataclass(frozen=True, slots=True)
class CheckedSentence:
    section: str
    position: int
    body: str


@dataclass(frozen=True, slots=True)
class CheckedFact:
    """A row of the ledger's `facts`, but for the answer's id."""

    fact_id: str
    document_id: str
    predicate: str
    fact_value: str
    polarity: Polarity
    fact_date: date | None
    author_side: Side
    author: str | None
    span_start: int
    span_end: int
    quote: str


@dataclass(frozen=True, slots=True)
class EvidenceItem:
    """A row of the ledger's `evidence`, but for the answer's id."""

    item_kind: ItemKind
    item_key: str
    position: int
    evidence_kind: EvidenceKind
    evidence_id: str
    quote: str


@dataclass(frozen=True, slots=True)
class Rejection:
    """A row of the ledger's `rejections`, but for the attempt's id. `position` counts per kind and key."""

    item_kind: str
    item_key: str
    position: int
    body: str
    reason: str


@dataclass(frozen=True, slots=True)
class CheckedAnswer:
    """What may go into the ledger.

    Attributes:
        is_valid: False when the text was not the JSON asked for (`attempts.status` is then `invalid`).
        outcome: `enriched`, `insufficient_data` (nothing to judge from), or `rejected` (nothing passed).
        reason: One sentence for anything but a plain `enriched`.
        confidence: 0-1, computed from policy; None where there was nothing to judge.
    """

    is_valid: bool
    outcome: Outcome
    reason: str | None
    confidence: float | None
    judgements: tuple[CheckedJudgement, ...] = ()
    sentences: tuple[CheckedSentence, ...] = ()
    facts: tuple[CheckedFact, ...] = ()
    evidence: tuple[EvidenceItem, ...] = ()
    rejections: tuple[Rejection, ...] = ()

    @property
    def evidence_count(self) -> int:
        return len(self.evidence)

    @property
    def dropped_count(self) -> int:
        return len(self.rejections)


class Rejections:
    """Collects what failed, numbering the items of one kind and key; of a flood, as much as a person would read."""

    def __init__(self) -> None:
        self._kept: list[Rejection] = []
        self._next: dict[tuple[str, str], int] = {}
        self._left_out = 0

    def add(self, kind: str, key: str, body: str, reason: str) -> None:
        """Note one thing that was thrown away, and why."""
        if len(self._kept) >= MAX_REJECTIONS:
            self._left_out += 1
            return
        position = self._next.get((kind, key), 0)
        self._next[kind, key] = position + 1
        self._kept.append(Rejection(kind, key, position, printable(body)[:MAX_REJECTION_CHARS], reason))

    @property
    def items(self) -> tuple[Rejection, ...]:
        """What was noted, in order; the last one says how many more there were, if there were too many."""
        if not self._left_out:
            return tuple(self._kept)
        return (*self._kept, Rejection("answer", "more", 0, "", f"{self._left_out:,} more of one answer were dropped"))

    @property
    def count(self) -> int:
        """All that was thrown away."""
        return len(self._kept) + self._left_out


# --- the check ----------------------------------------------------------------------------------------------------------  # noqa: E501


def check(
    operation: Operation,
    raw_json_text: str,
    context: str,
    policy: Policy,
    *,
    record_id: str,
    also_shown: Mapping[str, Shown] | None = None,
    by_rules: bool = False,
) -> CheckedAnswer:
    """Parse an agent's answer and keep what is legal and supported.

    Args:
        operation: What was asked.
        raw_json_text: The agent's answer, untouched.
        context: The record's context, the same bytes the agent was shown.
        policy: The policy the question was asked under.
        record_id: Canonical id of the record; becomes part of fact ids and of span evidence.
        also_shown: What look-ups showed the agent beside the context, by the id it may be cited with.
        by_rules: The rules agent itself has answered: reading the same a second time would find nothing.

    Returns:
        Never raises for anything an agent can say. An answer that does not parse is `is_valid=False`, `rejected`.

    Raises:
        NightdeskError: The context itself is malformed (the queue model's fault, not the agent's).
    """
    try:
        parsed = parse(operation, raw_json_text)
    except (ValidationError, ValueError, RecursionError) as error:
        answer = unreadable(raw_json_text, error)
    else:
        rejections = Rejections()
        answer = check_parsed(
            operation, parsed, context, policy, record_id, also_shown or {}, rejections, by_rules=by_rules
        )
    if by_rules:
        return answer
    return second_reading.with_a_no(operation, context, policy, record_id, answer)


def parse(operation: Operation, text: str) -> ParsedAnswer:
    """What an agent said, not yet believed.

    Raises:
        ValidationError, ValueError, RecursionError: It is not the JSON asked for.
    """
    if len(text) > MAX_ANSWER_CHARS:
        raise ValueError(f"longer than {MAX_ANSWER_CHARS} characters")
    return operation.output_model.model_validate_json(text).to_answer()


def check_parsed(
    operation: Operation,
    parsed: ParsedAnswer,
    context: str,
    policy: Policy,
    record_id: str,
    also_shown: Mapping[str, Shown],
    rejections: Rejections,
    most_facts: int | None = None,
    *,
    by_rules: bool = False,
) -> CheckedAnswer:
    """`check` of what has been parsed; `rejections` may hold what was thrown away before."""
    shown_context = contexts.parse(context)
    reads_spans = shown_context.body is not None and (parsed.facts or parsed.judgements or parsed.sentences)
    found = spans.segment(shown_context, policy.icp.company) if reads_spans else ()
    shown = evidence.shown_in(shown_context, found, record_id) if parsed.judgements or parsed.sentences else {}
    shown = {**also_shown, **shown}  # the context's own ids win: no look-up can stand in for them
    citations: list[EvidenceItem] = []
    judgements = _judgements(operation, parsed.judgements, shown, citations, rejections)
    if parsed.judgements and not by_rules:
        judgements = second_reading.settle(
            operation, context, shown_context, shown, policy, judgements, citations, rejections
        )
    kept = _sentences(operation, parsed.sentences, shown, policy, citations, rejections)
    kept = second_reading.plain(kept, policy, citations, rejections)
    facts = _facts(
        operation.spec.limits.facts if most_facts is None else most_facts,
        parsed.facts,
        shown_context,
        found,
        policy,
        record_id,
        citations,
        rejections,
    )
    if not by_rules:
        facts = second_reading.hold(shown_context, found, policy, facts, citations, rejections)
    outcome, reason = _outcome(operation, judgements, kept, facts, rejections)
    if outcome == "insufficient_data":
        confidence = None
    else:
        confidence = _confidence(operation, judgements, kept, facts, citations, shown, rejections, policy)
    return CheckedAnswer(True, outcome, reason, confidence, judgements, kept, facts, tuple(citations), rejections.items)


def unreadable(text: str, error: Exception) -> CheckedAnswer:
    """The answer that a text leads to which is not the JSON asked for."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        reason = f"Not the JSON asked for: {first['msg']}" + (f" at `{printable(where)[:80]}`" if where else "")
    else:
        reason = f"Not the JSON asked for: {error}"
    rejection = Rejection("answer", "", 0, printable(text[:MAX_REJECTION_CHARS]), reason)
    return CheckedAnswer(False, "rejected", reason, None, rejections=(rejection,))


def _judgements(
    operation: Operation,
    said: Mapping[str, ParsedJudgement],
    shown: Mapping[str, Shown],
    citations: list[EvidenceItem],
    rejections: Rejections,
) -> tuple[CheckedJudgement, ...]:
    kept: list[CheckedJudgement] = []
    for component, spec in operation.spec.judgements.items():
        choice = said.get(component)
        if choice is None:
            continue
        level = choice.level
        if level not in spec.levels:
            rejections.add("judgement", component, level, "no such level")
            _fall_back(component, spec, kept)
            continue
        cited = [shown[item] for item in _unique(choice.evidence) if item in shown]
        unknown = [item for item in _unique(choice.evidence) if item not in shown]
        if unknown:
            rejections.add("judgement", component, " ".join(unknown), "evidence that was not shown")
        fitting = [item for item in cited if _may_support(item, spec, level)]
        if level in spec.needs_no_evidence or fitting:
            citations += _cite("judgement", component, fitting)
            kept.append(CheckedJudgement(component, level, len(fitting)))
        else:
            rejections.add(
                "judgement",
                component,
                f"{level} {' '.join(item.id for item in cited)}".strip(),
                "no evidence that can support this level",
            )
            _fall_back(component, spec, kept)
    return tuple(kept)


def _fall_back(component: str, spec: JudgementSpec, kept: list[CheckedJudgement]) -> None:
    if "unknown" in spec.levels:
        kept.append(CheckedJudgement(component, "unknown", 0))


def _may_support(item: Shown, spec: JudgementSpec, level: str) -> bool:
    """Whether this kind of item can carry this judgement at all."""
    if item.fact is not None:
        if item.fact.predicate not in spec.facts:
            return False
        if spec.level_is_value_of == item.fact.predicate:
            return item.fact.value == level and item.fact.polarity == "affirmed"
        return True
    if item.kind == "span":
        return spec.spans and item.side != "ours"
    return item.id in spec.fields


def _sentences(
    operation: Operation,
    said: Sequence[ParsedSentence],
    shown: Mapping[str, Shown],
    policy: Policy,
    citations: list[EvidenceItem],
    rejections: Rejections,
) -> tuple[CheckedSentence, ...]:
    competitors = {
        evidence.normalise(alias): item.name
        for item in policy.competitors.competitors
        for alias in (item.name, *item.also)
    }
    kept: list[CheckedSentence] = []
    counts: dict[str, int] = {}
    seen: set[tuple[str, str]] = set()
    for sentence in said:
        section = operation.spec.sections.get(sentence.section)
        if section is None:
            rejections.add("sentence", printable(sentence.section)[:40], sentence.text, "no such section")
            continue
        unknown = [item for item in sentence.evidence if item not in shown]
        cited = [shown[item] for item in _unique(sentence.evidence) if item in shown]
        position = counts.get(sentence.section, 0)
        problem = None
        if unknown:
            problem = f"cites `{printable(unknown[0])[:60]}`, which was not shown"
        elif position >= section.most:
            problem = f"more than {section.most} sentences"
        elif section.needs_their_words and not any(item.side == "theirs" for item in cited):
            problem = "reports their words without citing any"
        problem = (
            problem
            or sources.problem_of(cited, section)
            or evidence.problem_of(sentence.text, cited, always_known=(policy.icp.company,), theirs_to_name=competitors)
        )
        text = " ".join(sentence.text.split())
        if problem is None and (sentence.section, text) in seen:
            problem = "said twice"
        if problem is not None:
            rejections.add("sentence", sentence.section, sentence.text, problem)
            continue
        seen.add((sentence.section, text))
        counts[sentence.section] = position + 1
        citations += _cite("sentence", f"{sentence.section}/{position}", cited)
        kept.append(CheckedSentence(sentence.section, position, text))
    return tuple(kept)


def _facts(
    most: int,
    said: Sequence[ParsedFact],
    context: Context,
    found: Sequence[spans.Span],
    policy: Policy,
    record_id: str,
    citations: list[EvidenceItem],
    rejections: Rejections,
) -> tuple[CheckedFact, ...]:
    if not said:
        return ()
    by_id = {span.id: span for span in found}
    document_day = date.fromisoformat(context.get("document.date"))
    polarities: dict[tuple[str, str, str], set[str]] = {}
    for fact in said:
        polarities.setdefault((fact.predicate, fact.value, fact.span), set()).add(fact.polarity)
    kept: dict[str, CheckedFact] = {}
    for fact in said:
        body = fact_body(fact)
        predicate = policy.predicates.predicates.get(fact.predicate)
        span = by_id.get(fact.span)
        if predicate is None:
            problem = "no such predicate"
        elif span is None:
            problem = "cites a span that was not shown"
        elif fact.polarity not in ("affirmed", "negated"):
            problem = "no such polarity"
        elif len(polarities[fact.predicate, fact.value, fact.span]) > 1:
            problem = "affirmed and denied of the same words"
        elif predicate.speaker == "theirs" and span.side == "ours":
            problem = "our own words do not count for this predicate"
        elif predicate.speaker == "ours" and span.side != "ours":
            problem = "only our own words count for this predicate"
        else:
            problem = fact_rules.problem_of(
                fact.predicate, fact.value, fact.date, predicate, span.text, document_day, policy
            )
        if problem is not None or span is None:
            rejections.add("fact", printable(fact.predicate)[:40], body, problem or "cites a span that was not shown")
            continue
        key = f"{record_id}|{fact.predicate}|{fact.value}|{fact.polarity}|{span.start}-{span.end}"
        fact_id = f"f_{hashlib.sha256(key.encode()).hexdigest()[:12]}"
        if fact_id in kept:
            continue
        if len(kept) >= most:
            rejections.add("fact", fact.predicate, body, f"more than {most} facts")
            continue
        kept[fact_id] = CheckedFact(
            fact_id=fact_id,
            document_id=record_id,
            predicate=fact.predicate,
            fact_value=fact.value,
            polarity="affirmed" if fact.polarity == "affirmed" else "negated",
            fact_date=date.fromisoformat(fact.date) if fact.date else None,
            author_side=span.side,
            author=printable(span.author)[:200] or None,
            span_start=span.start,
            span_end=span.end,
            quote=span.text,
        )
        citations.append(EvidenceItem("fact", fact_id, 0, "span", f"{record_id}#{span.start}-{span.end}", span.text))
    return tuple(kept.values())


def fact_body(fact: ParsedFact) -> str:
    """A fact as said, for the list of what was thrown away."""
    return json.dumps([fact.predicate, fact.value, fact.polarity, fact.date, fact.span], ensure_ascii=False)


def _unique(ids: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(ids))


def _cite(kind: ItemKind, key: str, cited: Sequence[Shown]) -> list[EvidenceItem]:
    return [
        EvidenceItem(kind, key, position, item.kind, item.evidence_id, item.quote)
        for position, item in enumerate(cited)
    ]


def _outcome(
    operation: Operation,
    judgements: Sequence[CheckedJudgement],
    kept: Sequence[CheckedSentence],
    facts: Sequence[CheckedFact],
    rejections: Rejections,
) -> tuple[Outcome, str | None]:
    specs = operation.spec.judgements
    known = [item for item in judgements if item.level not in specs[item.component].says_nothing]
    if known or kept or facts:
        return "enriched", None
    if rejections.items:
        return "rejected", f"Nothing passed the evidence check: {rejections.items[0].reason}"
    if specs or operation.spec.sections:
        return "insufficient_data", operation.spec.nothing_found
    return "enriched", operation.spec.nothing_found  # reading a document and finding nothing is an answer


def _confidence(
    operation: Operation,
    judgements: Sequence[CheckedJudgement],
    kept: Sequence[CheckedSentence],
    facts: Sequence[CheckedFact],
    citations: Sequence[EvidenceItem],
    shown: Mapping[str, Shown],
    rejections: Rejections,
    policy: Policy,
) -> float:
    """scoring.yml `confidence`: the share of components judged, less when no customer's word supports any of it."""
    rule = policy.scoring.confidence
    if operation.spec.judgements:
        known = sum(
            1 for item in judgements if item.level not in operation.spec.judgements[item.component].says_nothing
        )
        total = len(operation.spec.judgements)
        share = (known * rule.known_component + (total - known) * rule.unknown_component) / total
    else:
        passed = len(kept) + len(facts)
        share = passed / (passed + rejections.count) if passed + rejections.count else 1.0
    theirs = {item.evidence_id for item in shown.values() if item.side == "theirs"}
    has_their_words = any(fact.author_side == "theirs" for fact in facts) or any(
        item.evidence_id in theirs for item in citations
    )
    if not has_their_words and (operation.spec.judgements or kept):
        share *= rule.no_customer_words
    return round(min(1.0, max(0.0, share)), 4)
