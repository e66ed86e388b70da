"""The second reading: the project's own rules read the same text, and no agent's claim stands against them.

An agent chooses levels and facts from closed lists and shows where it read them. That alone would let a hostile or
gullible model call a stop a budget, an intern a director, and a no a maybe. So what the record or the words themselves
settle is settled here, after the evidence check and alike for every agent:

* a level that follows from typed fields and facts is what follows from them; one that rests on a job title lies at most
  one step from what the title lexicon reads; and where a record's text tries to lead its reader, every level is the
  rules' own;
* a reply that the rules hear as a no stays a no;
* a fact must not stand in a paragraph that talks to machines, nor speak of a day its words do not name. Its words must
  speak of its subject, as the rules understand words, and must not be read otherwise: in every document, or, where
  policy would rather keep what a better reader finds in words the rules don't know, only in one that tries to lead its
  reader (`signals.yml`, `trust.words_must_bear_out`). An opt-out is never taken away: a no counts wherever it stands.

Levels and facts of the rules agent itself need no second reading, it is the same; its sentences do: it repeats titles.

What is taken away or replaced is listed among the rejections.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, cast

from nightdesk.errors import NightdeskError

if TYPE_CHECKING:
    from enrich.agents.rules.facts import FactReader, Prepared
    from enrich.agents.rules.lexicon import Lexicon
    from enrich.answer import CheckedAnswer, CheckedFact, CheckedJudgement, CheckedSentence, EvidenceItem, Rejections
    from enrich.context import Context
    from enrich.evidence import Shown
    from enrich.registry import Operation
    from enrich.spans import Span
    from nightdesk.policy.load import Policy

# Levels from best to worst: what "one step" means.
_ORDER: Final[Mapping[str, tuple[str, ...]]] = {
    "persona": ("decision_maker", "champion", "influencer", "gatekeeper"),
    "role": ("decision_maker", "champion", "influencer", "gatekeeper"),
    "influence": ("high", "medium", "low"),
    "seniority": ("c_level", "vp", "director", "manager", "individual"),
    "function": ("core", "adjacent", "other"),
}
# Follow from typed fields, policy lists and typed facts, so there is nothing to judge.
_SETTLED: Final = frozenset({"industry_fit", "size_fit", "region_fit", "champion", "budget"})
_NO: Final = frozenset({"unsubscribe", "hard_no"})
_TURN: Final = re.compile(r"\s*\[(?:\d{1,2}:)?\d{1,2}:\d{2}\]")
# A machine called by what it is, at the head of a sentence: nobody writes so to a person.
_ADDRESSED: Final = re.compile(
    r"(?:^|[.!?]\s+|\n)\W*(?:AI|KI|IA|LLM|GPT|Assistant|Agent|Bot|SYSTEM|System)(?: reader| agent| model)?\s*:"
)
_ALWAYS_HEARD: Final = frozenset({"opt_out"})
# Of these a sentence says one thing or the other, though remarks stand side by side.
_ONE_OF: Final = frozenset({"commitment", "product_feedback"})
_READ_FROM_TEXT: Final = frozenset({"month", "number", "person", "competitor", "tech", "back_date", "date"})


@dataclass(frozen=True, slots=True)
class _Question:
    operation: str
    context: str


# --- levels -----------------------------------------------------------------------------------------------------------


def settle(
    operation: Operation,
    text: str,
    context: Context,
    shown: Mapping[str, Shown],
    policy: Policy,
    judgements: Sequence[CheckedJudgement],
    citations: list[EvidenceItem],
    rejections: Rejections,
) -> tuple[CheckedJudgement, ...]:
    """The judgements with what the rules settle in place of what contradicts it.

    Args:
        operation: What was asked.
        text: The context's bytes.
        context: The same, parsed.
        shown: What may be cited.
        policy: Policy with the lexicon.
        judgements: Those that passed the evidence check.
        citations: Of all judgements so far; changed in place.
        rejections: What is replaced is added.
    """
    from enrich.agents import rules

    if operation.name not in rules.OPERATIONS:
        return tuple(judgements)
    said = _by_rules(operation.name, text, policy) if judgements or operation.spec.judgements else {}
    is_led = bool(said) and operation.name != "reply_class" and tries_to_lead(context, policy)
    if operation.family == "research" and not is_led:
        return tuple(judgements)  # what look-ups showed is not in the context: there the rules know less than the agent
    kept: list[CheckedJudgement] = []
    for item in judgements:
        by_rules = said.get(item.component)
        says_nothing = operation.spec.judgements[item.component].says_nothing
        # Saying less than the record does is no claim: what failed the evidence check has become `unknown`.
        if by_rules is None or (not is_led and (item.level in says_nothing or _agrees(item, by_rules[0]))):
            kept.append(item)
            continue
        level, ids = by_rules
        if item.level != level:
            rejections.add("judgement", item.component, item.level, f"the record itself says `{level}`")
        citations[:] = [c for c in citations if (c.item_kind, c.item_key) != ("judgement", item.component)]
        kept.append(_by_record(item.component, level, [shown[name] for name in ids if name in shown], citations))
    if is_led:
        there = {item.component for item in kept}
        for component in operation.spec.judgements:
            if component in said and component not in there:
                level, ids = said[component]
                kept.append(_by_record(component, level, [shown[name] for name in ids if name in shown], citations))
    return tuple(kept)


def with_a_no(operation: Operation, text: str, policy: Policy, record_id: str, answer: CheckedAnswer) -> CheckedAnswer:
    """The answer, and the no that the rules hear in an email whose answer said nothing that can be used.

    The outcome stays what it was, so a rejected answer is still published nowhere; but `opt_outs` hears it.
    """
    from enrich import context as contexts
    from enrich import evidence, spans

    if operation.name != "reply_class" or answer.judgements:
        return answer
    by_rules = _by_rules(operation.name, text, policy).get("reply_class")
    if by_rules is None or by_rules[0] not in _NO:
        return answer
    context = contexts.parse(text)
    shown = evidence.shown_in(context, spans.segment(context, policy.icp.company), record_id)
    citations: list[EvidenceItem] = []
    level, ids = by_rules
    judged = _by_record("reply_class", level, [shown[name] for name in ids if name in shown], citations)
    return replace(answer, judgements=(judged,), evidence=(*answer.evidence, *citations))


def _by_record(component: str, level: str, cited: Sequence[Shown], citations: list[EvidenceItem]) -> CheckedJudgement:
    from enrich.answer import CheckedJudgement, EvidenceItem

    citations += [
        EvidenceItem("judgement", component, position, one.kind, one.evidence_id, one.quote)
        for position, one in enumerate(cited)
    ]
    return CheckedJudgement(component, level, len(cited))


def _by_rules(operation: str, text: str, policy: Policy) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Component to level and ids, as the rules read the same context."""
    from enrich.agents import rules

    try:
        answer = cast("dict[str, Any]", json.loads(rules.answer(_Question(operation, text), policy)))
    except (NightdeskError, ValueError, KeyError, IndexError, AttributeError, RecursionError):
        return {}  # an odd record that the rules cannot read settles nothing
    found: dict[str, tuple[str, tuple[str, ...]]] = {}
    for component, item in answer.items():
        if isinstance(item, dict) and "level" in item:
            judged = cast("dict[str, Any]", item)
            found[component] = (str(judged["level"]), tuple(cast("list[str]", judged["evidence"])))
    return found


def _agrees(item: CheckedJudgement, by_rules: str) -> bool:
    component, level = item.component, item.level
    if level == by_rules:
        return True
    if component == "reply_class":
        return by_rules not in _NO or level in _NO
    if component in _SETTLED or by_rules == "unknown":
        return by_rules == "unknown"
    order = _ORDER.get(component)
    if order is None or by_rules not in order or level not in order:
        return True
    return abs(order.index(level) - order.index(by_rules)) <= 1


def tries_to_lead(context: Context, policy: Policy) -> bool:
    """Whether anything a record shows speaks to its reader: the levels of such a record are what the rules read.

    A field for a name that holds more than one counts, whatever it says.
    """
    values = [*context.fields.values(), *(fact.quote for fact in context.facts)]
    return _leads(context) or _talks_to_machine("\n\n".join(values), policy)


def _leads(context: Context) -> bool:
    """Whether a name holds more than one, a sentence is addressed to a machine, or a text hides some of itself."""
    from enrich.agents.rules.tokens import visible
    from enrich.claims import holds_more
    from enrich.evidence import NAME_FIELDS

    if any(name.endswith(NAME_FIELDS) and holds_more(value) for name, value in context.fields.items()):
        return True
    values = [*context.fields.values(), *(fact.quote for fact in context.facts), context.body or ""]
    return any(_ADDRESSED.search(value) or visible(value) != unicodedata.normalize("NFKC", value) for value in values)


def _talks_to_machine(body: str, policy: Policy) -> bool:
    from enrich.spans import Span

    lexicon = _lexicon(policy)
    spans = [Span("all", 0, len(body), body, "unknown", "")]
    spoken = [lexicon.machine_text.talks_to_machine(_reader(lexicon).prepare(spans[0]).mask)]
    return bool(lexicon.machine_text.unreadable(body, spans, spoken, is_call=False))


def plain(
    sentences: Sequence[CheckedSentence], policy: Policy, citations: list[EvidenceItem], rejections: Rejections
) -> tuple[CheckedSentence, ...]:
    """The sentences that speak to a person: an order copied from the evidence is true to it and still no brief.

    Positions stay as they are: citations name them.
    """
    kept: list[CheckedSentence] = []
    for item in sentences:
        problem = None
        if _ADDRESSED.search(item.body) or _talks_to_machine(item.body, policy):
            problem = "talks to a machine"
        elif _says_the_same_over_and_over(item.body):
            problem = "says the same words over and over"
        if problem is None:
            kept.append(item)
            continue
        rejections.add("sentence", item.section, item.body, problem)
        key = f"{item.section}/{item.position}"
        citations[:] = [c for c in citations if (c.item_kind, c.item_key) != ("sentence", key)]
    return tuple(kept)


def _says_the_same_over_and_over(body: str) -> bool:
    """Three times the same two words in a row, wherever they stand in the sentence: keywords for a machine."""
    from enrich.agents.rules.tokens import tokenise

    words = tokenise(body)
    pairs = list(pairwise(words))
    return any(
        pairs[at] == pairs[at + 2] == pairs[at + 4] for at in range(len(pairs) - 4) if pairs[at][0] != pairs[at][1]
    ) or any(len(set(words[at : at + 4])) == 1 for at in range(len(words) - 3))


# --- facts ------------------------------------------------------------------------------------------------------------


def hold(
    context: Context,
    spans: Sequence[Span],
    policy: Policy,
    facts: Sequence[CheckedFact],
    citations: list[EvidenceItem],
    rejections: Rejections,
) -> tuple[CheckedFact, ...]:
    """The facts whose own words bear them out.

    Args:
        context: Of the document.
        spans: All of its spans.
        policy: Policy with the lexicon.
        facts: Those that passed the evidence check.
        citations: Of all facts so far; changed in place.
        rejections: What is dropped is added.
    """
    if not facts:
        return ()
    reading = _Reading(context, spans, policy)
    kept: list[CheckedFact] = []
    gone: set[str] = set()
    for fact in facts:
        problem = reading.problem_of(fact)
        if problem is None:
            kept.append(fact)
            continue
        gone.add(fact.fact_id)
        day = fact.fact_date.isoformat() if fact.fact_date else None
        body = json.dumps([fact.predicate, fact.fact_value, fact.polarity, day, fact.quote], ensure_ascii=False)
        rejections.add("fact", fact.predicate, body, problem)
    if gone:
        citations[:] = [item for item in citations if item.item_kind != "fact" or item.item_key not in gone]
    return tuple(kept)


class _Reading:
    """One document, as the rules read it; sentences are prepared once and read only where a fact cites them."""

    def __init__(self, context: Context, spans: Sequence[Span], policy: Policy) -> None:
        self._lexicon = _lexicon(policy)
        self._reader = _reader(self._lexicon)
        self._policy = policy
        self._today = date.fromisoformat(context.get("document.date"))
        self._spans = spans
        self._at = {(span.start, span.end): index for index, span in enumerate(spans)}
        readable = self._reader.readable(spans, context.body or "", is_call=context.get("document.type") == "call")
        self._prepared = {item.span.id: item for item in readable}
        self._is_call = context.get("document.type") == "call"
        is_everywhere = policy.signals.trust.words_must_bear_out == "everywhere"
        self._must_bear_out = is_everywhere or len(readable) < len(spans) or _leads(context)

    def problem_of(self, fact: CheckedFact) -> str | None:
        if fact.predicate in _ALWAYS_HEARD:
            return None
        index = self._at.get((fact.span_start, fact.span_end))
        if index is None:
            return "cites a span that was not shown"
        item = self._prepared.get(self._spans[index].id)
        if item is None or _ADDRESSED.search(item.span.text):
            return "the paragraph talks to a machine"
        if not self._is_call and _TURN.match(item.span.text):
            return "a line of a transcript in what is none"
        before = self._prepared.get(self._spans[index - 1].id) if index else None
        if fact.fact_date is not None and not self._names(fact.fact_date, item.span.text):
            return "the words name no such day"
        if self._policy.predicates.predicates[fact.predicate].value == "month":
            first = date.fromisoformat(f"{fact.fact_value}-01")
            if not any(self._names(first + timedelta(days=at), self._text(before, item)) for at in (1, 15, 27)):
                return "the words name no such month"
        if not self._must_bear_out:
            return None
        said = {
            (found.value, found.polarity, found.day)
            for found in self._read(before, item)
            if found.predicate == fact.predicate
        }
        if not said:
            return None if self._is_spoken_of(fact, before, item) else f"the words do not speak of `{fact.predicate}`"
        return self._contradiction(fact, said, is_spoken_of=self._is_spoken_of(fact, before, item))

    @staticmethod
    def _text(before: Prepared | None, item: Prepared) -> str:
        return f"{before.span.text} {item.span.text}" if before is not None else item.span.text

    def _names(self, day: date, text: str) -> bool:
        """Whether a day is one that the words name, give or take the edges of a month."""
        from enrich.agents.rules.tokens import fold

        slack = timedelta(days=1)
        for mention in self._lexicon.dates.find(" ".join(fold(text).split()), self._today):
            if mention.first - slack <= day <= mention.last + slack or abs(mention.day - day) <= slack:
                return True
        return False

    def _read(self, before: Prepared | None, item: Prepared) -> list[Any]:
        found: list[Any] = list(self._reader.read_prepared(item, self._today))
        if before is not None:
            together = self._reader.read([before, item], self._today)
            found += [fact for fact in together if fact.span == item.span.id]
        return found

    def _contradiction(
        self, fact: CheckedFact, said: set[tuple[str, str, str | None]], *, is_spoken_of: bool
    ) -> str | None:
        is_single = self._policy.predicates.predicates[fact.predicate].cardinality == "single"
        same = {day for value, polarity, day in said if (value, polarity) == (fact.fact_value, fact.polarity)}
        if not same:
            is_read = is_single or fact.predicate in _ONE_OF or any(value == fact.fact_value for value, _, _ in said)
            if is_read or not is_spoken_of:
                value, polarity, _ = min(said, key=str)
                return f"the words say `{value}`, {polarity}"
            return None
        days = same - {None}
        if fact.fact_date is not None and days and fact.fact_date.isoformat() not in days:
            return f"the words speak of {min(day for day in days if day)}"
        return None

    def _is_spoken_of(self, fact: CheckedFact, before: Prepared | None, item: Prepared) -> bool:
        """Whether the sentence, with the one before it, holds all words that some rule of the subject asks for."""
        from enrich.agents.rules.facts import TOGETHER

        mask = item.mask
        if before is not None and fact.predicate in TOGETHER and before.span.author == item.span.author:
            mask |= before.mask
        subjects = _subjects(self._lexicon)
        if self._policy.predicates.predicates[fact.predicate].value == "yes":
            return self._is_asked(fact.predicate, item)
        needs = (*subjects.get((fact.predicate, fact.fact_value), ()), *subjects.get((fact.predicate, ""), ()))
        return any(not need & ~mask for need in needs)

    def _is_asked(self, predicate: str, item: Prepared) -> bool:
        """What has no value but `yes` must be asked in so many words: a pattern has to fit as it stands."""
        from enrich.agents.rules.patterns import find

        tagged = self._lexicon.tagger.tag(item.tokens)
        for rule in self._lexicon.rules:
            if rule.predicate != predicate or (rule.question == "only" and "?" not in item.span.text):
                continue
            if any(next(find(pattern, tagged, ()), None) is not None for pattern in rule.unless):
                continue
            if any(next(find(pattern, tagged, ()), None) is not None for pattern in rule.patterns):
                return True
        return False


@lru_cache(maxsize=4)
def _subjects(lexicon: Lexicon) -> dict[tuple[str, str], tuple[int, ...]]:
    """Predicate and value to what its rules ask for, as masks of word classes, names and numbers left out.

    The value is empty for rules whose value is read from the text (a month, a number, a name).
    """
    by_code = (1 << lexicon.number_class) | (1 << lexicon.person_class)
    found: dict[tuple[str, str], set[int]] = {}
    for rule in lexicon.rules:
        value = "" if rule.value in _READ_FROM_TEXT else rule.value
        for pattern in rule.patterns:
            found.setdefault((rule.predicate, value), set()).add(pattern.mask & ~by_code)
    return {key: tuple(sorted(masks - {0})) for key, masks in found.items()}


def _lexicon(policy: Policy) -> Lexicon:
    from enrich.agents.rules import lexicon

    return lexicon.load(policy)


@lru_cache(maxsize=4)
def _reader(lexicon: Lexicon) -> FactReader:
    from enrich.agents.rules.facts import FactReader

    return FactReader(lexicon)
