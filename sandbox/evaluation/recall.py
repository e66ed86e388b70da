"""What reaches the agent per token: our recall beside raw documents cut off at the budget, and facts drawn by lot.

Counted are planted remarks that still hold and bear on the operation, for every record it asks about. Each way of
choosing gets the same token budget:

* recall: the night's own ranking and quotas, packed anew under the budget, most useful first;
* plain: the same without similarity; only where the policy switches similarity on;
* lot: facts of the same record in random order, packed the same way, the mean of many draws;
* newest, oldest: the record's documents as they are, newest or oldest first, until the budget is full.

A remark reaches the agent when the fact it was read as is chosen, or when its words stand in the text that is shown. So
documents can reach what was never read, facts cannot: the share that was read at all is given beside them.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

from sandbox.evaluation import recall_page, results
from sandbox.evaluation.metrics import Interval
from sandbox.evaluation.reading import rows

if TYPE_CHECKING:
    import duckdb

    from nightdesk.policy.models import RecallRule
    from sandbox.evaluation.evaluate_sections import Finished

BUDGETS = (150, 300, 600, 1200)
DRAWS = 20
"""Draws of the lot per record and budget; the seed is fixed, so a report repeats."""
SEED = 2026
ARMS = ("recall", "lot", "newest", "oldest")
PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A fact that may be shown: `rank` among those recall would show (from 0), None for those it leaves out.

    `plain_rank` is the same for recall without similarity, where there is one to leave away.
    """

    fact_id: str
    tokens: int
    rank: int | None
    plain_rank: int | None = None


@dataclass(frozen=True, slots=True)
class Weighed:
    """A fact of one record that was weighed, whatever was decided then."""

    fact_id: str
    predicate: str
    valid_date: date
    usefulness: Decimal
    similarity: Decimal | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """A planted remark that should reach the agent; `fact_id` is what it was read as, None when it was missed."""

    quote: str
    fact_id: str | None


@dataclass(slots=True)
class Record:
    """One record an operation asks about, with all that could be shown of it; texts newest first."""

    record_id: str
    wanted: list[Wanted] = field(default_factory=list[Wanted])
    candidates: list[Candidate] = field(default_factory=list[Candidate])
    texts: list[str] = field(default_factory=list[str])


def greedy(sizes: Sequence[int], budget: int) -> list[bool]:
    """Which items, in the order given, are taken when each is taken that still fits."""
    taken: list[bool] = []
    used = 0
    for size in sizes:
        fits = used + size <= budget
        used += size if fits else 0
        taken.append(fits)
    return taken


def chosen_facts(candidates: Iterable[Candidate], budget: int) -> set[str]:
    """Ids of the facts that fit, tried in the order given."""
    ordered = list(candidates)
    taken = greedy([candidate.tokens for candidate in ordered], budget)
    return {candidate.fact_id for candidate, is_taken in zip(ordered, taken, strict=True) if is_taken}


def plain_ranks(facts: Sequence[Weighed], rule: RecallRule, weight: Decimal) -> dict[str, int]:
    """Places (from 0) that one record's facts would have had without similarity, within the quotas.

    Usefulness is kept in nine decimals: what dividing brings back is equal only in fewer.
    """
    plain = {
        fact.fact_id: round(
            fact.usefulness / (1 - weight + weight * (1 if fact.similarity is None else fact.similarity)), 7
        )
        for fact in facts
    }
    ordered = sorted(facts, key=lambda fact: (-plain[fact.fact_id], -fact.valid_date.toordinal(), fact.fact_id))
    shown: dict[str, int] = defaultdict(int)
    ranks: dict[str, int] = {}
    for fact in ordered:
        shown[fact.predicate] += 1
        if shown[fact.predicate] <= rule.quotas.get(fact.predicate, rule.quota):
            ranks[fact.fact_id] = len(ranks)
    return ranks


def cut_off(texts: Iterable[str], budget: int, token_chars: int) -> str:
    """The beginning of the texts, one after the other, that fits the budget."""
    return "\n\n".join(texts)[: budget * token_chars]


def reached(record: Record, arm: str, budget: int, token_chars: int, draw: random.Random) -> float:
    """How many of the record's wanted remarks reach the agent; for the lot, the mean of its draws."""
    if arm in ("recall", PLAIN):
        ranks = {
            candidate: rank
            for candidate in record.candidates
            if (rank := candidate.plain_rank if arm == PLAIN else candidate.rank) is not None
        }
        shown = chosen_facts(sorted(ranks, key=lambda candidate: ranks[candidate]), budget)
        return sum(wanted.fact_id in shown for wanted in record.wanted)
    if arm == "lot":
        total = 0
        for _ in range(DRAWS):
            shown = chosen_facts(draw.sample(record.candidates, len(record.candidates)), budget)
            total += sum(wanted.fact_id in shown for wanted in record.wanted)
        return total / DRAWS
    text = cut_off(record.texts if arm == "newest" else reversed(record.texts), budget, token_chars)
    return sum(wanted.quote in text for wanted in record.wanted)


def section(night: Finished) -> results.Section | None:
    """Share of what should reach the agent that does, per operation, way of choosing and budget."""
    rules = {str(name): rule for name, rule in night.policy.recall.operations.items()}
    asked = {
        operation: records
        for operation, rule in rules.items()
        if (records := [record for record in read(night, operation, rule) if record.wanted])
    }
    if not asked:
        return None
    chars = night.policy.recall.token_estimate_chars
    lines: list[recall_page.Line] = []
    for operation, records in asked.items():
        budgets = sorted({*BUDGETS, rules[operation].token_budget})
        for arm in ARMS if night.policy.recall.semantic is None else (*ARMS, PLAIN):
            lines += [
                recall_page.Line(operation, arm, budget, *_share(records, arm, budget, chars, night.resamples))
                for budget in budgets
            ]
    sizes = {
        operation: recall_page.Size(
            len(records),
            sum(len(record.wanted) for record in records),
            sum(wanted.fact_id is not None for record in records for wanted in record.wanted),
            rules[operation].token_budget,
        )
        for operation, records in asked.items()
    }
    return recall_page.section(lines, sizes, BUDGETS)


def _share(
    records: Sequence[Record], arm: str, budget: int, token_chars: int, resamples: int
) -> tuple[float, Interval]:
    """Share over all remarks, and its 95 % interval with whole records drawn with replacement."""
    draw = random.Random(f"{SEED} {arm} {budget}")
    pairs = [(reached(record, arm, budget, token_chars, draw), len(record.wanted)) for record in records]
    total = sum(hits for hits, _ in pairs) / sum(wanted for _, wanted in pairs)
    return total, _interval(pairs, resamples)


def _interval(pairs: Sequence[tuple[float, int]], resamples: int) -> Interval:
    import numpy as np

    hits, wanted = (np.array(column, dtype=float) for column in zip(*pairs, strict=True))
    picks = np.random.default_rng(SEED).integers(0, len(pairs), size=(resamples, len(pairs)))
    shares = hits[picks].sum(axis=1) / wanted[picks].sum(axis=1)
    low, high = np.quantile(shares, [0.025, 0.975])
    return Interval(float(low), float(high))


def read(night: Finished, operation: str, rule: RecallRule) -> list[Record]:
    """Every record the operation asks about, with what is wanted, what could be chosen, and its documents."""
    connection = night.connection
    subjects = _subjects(connection, operation, rule)
    records = {record_id: Record(record_id) for record_id in subjects}
    plain = _plain(night, operation, rule)
    for row in rows(
        connection,
        """
        select record_id, fact_id, estimated_tokens,
            case when decision in ('included', 'over_budget') then row_number() over (
                partition by record_id, decision in ('included', 'over_budget')
                order by usefulness desc, valid_date desc, fact_id asc
            ) - 1 end
        from warehouse.main.recall_log
        where operation = ?
        order by record_id, fact_id
        """,
        [operation],
    ):
        place = plain.get((str(row[0]), str(row[1])))
        records[str(row[0])].candidates.append(Candidate(str(row[1]), int(row[2]), row[3], place))
    texts = _texts(connection, rule)
    wanted = _wanted(night, rule)
    for record_id, subject in subjects.items():
        records[record_id].texts += texts.get(subject, ())
        records[record_id].wanted += wanted.get(subject, ())
    return list(records.values())


def _plain(night: Finished, operation: str, rule: RecallRule) -> dict[tuple[str, str], int]:
    """(record, fact) to its place without similarity; empty where similarity is off."""
    semantic = night.policy.recall.semantic
    if semantic is None:
        return {}
    weighed: dict[str, list[Weighed]] = defaultdict(list)
    for record_id, *columns in rows(
        night.connection,
        """
        select record_id, fact_id, predicate, valid_date, usefulness, similarity
        from warehouse.main.recall_log
        where operation = ? and usefulness is not null
        """,
        [operation],
    ):
        weighed[str(record_id)].append(Weighed(*columns))
    weight = Decimal(str(semantic.weight))
    return {
        (record_id, fact_id): place
        for record_id, facts in weighed.items()
        for fact_id, place in plain_ranks(facts, rule, weight).items()
    }


def _subjects(connection: duckdb.DuckDBPyConnection, operation: str, rule: RecallRule) -> dict[str, str]:
    """Records that are asked about, to the account or contact whose remarks count."""
    whose: Mapping[str, str] = {
        "account": "select account_id as record_id, account_id from warehouse.main.accounts",
        "contact": "select contact_id as record_id, account_id from warehouse.main.contacts",
        "meeting": "select meeting_id as record_id, account_id from warehouse.main.meetings",
        "deal": "select deal_id as record_id, account_id from warehouse.main.deals",
    }
    subject = "records.account_id" if rule.facts_of == "account" else "records.record_id"
    found = rows(
        connection,
        f"""
        select queue.record_id, {subject}
        from warehouse.main.queue_{operation} as queue
        inner join ({whose[rule.record]}) as records on queue.record_id = records.record_id
        where queue.context is not null and {subject} is not null
        order by 1
        """,
    )
    return {str(row[0]): str(row[1]) for row in found}


def _texts(connection: duckdb.DuckDBPyConnection, rule: RecallRule) -> dict[str, list[str]]:
    """Documents per account or contact, newest first, as a person who pastes them would: text under its day."""
    join = (
        ""
        if rule.facts_of == "account"
        else "inner join warehouse.main.document_contacts as people on documents.document_id = people.document_id"
    )
    subject = "documents.account_id" if rule.facts_of == "account" else "people.contact_id"
    found: dict[str, list[str]] = defaultdict(list)
    for row in rows(
        connection,
        f"""
        select distinct {subject}, documents.occurred_at, documents.document_id,
            documents.document_date || ' ' || documents.document_type || chr(10) || documents.body
        from warehouse.main.documents as documents
        {join}
        where {subject} is not null and documents.body is not null
        order by 1, 2 desc, 3
        """,
    ):
        found[str(row[0])].append(str(row[3]))
    return found


def _wanted(night: Finished, rule: RecallRule) -> dict[str, list[Wanted]]:
    """Planted remarks per account or contact that still hold and bear on the operation."""
    read_as = {pair.planted.id: pair.found.id.partition("@")[0] for pair in night.matching.matched}
    about: dict[tuple[str, ...], tuple[str, str]] = {}
    for row in rows(
        night.connection,
        """
        select 'hubspot:' || document_type || ':' || document_id, predicate, fact_value, polarity, quote,
            coalesce('hubspot:company:' || company_id, ''), coalesce('hubspot:contact:' || contact_id, '')
        from truth.truth_facts
        """,
    ):
        about[tuple(map(str, row[:5]))] = (str(row[5]), str(row[6]))
    found: dict[str, list[Wanted]] = defaultdict(list)
    for fact in night.readings.planted:
        if fact.document_id in night.readings.hostile or fact.is_current is False:
            continue
        if not rule.relevance.get(fact.predicate):
            continue
        company, contact = about[fact.document_id, fact.predicate, fact.value, fact.polarity, fact.quote]
        subject = company if rule.facts_of == "account" else contact
        if subject:
            found[subject].append(Wanted(fact.quote, read_as.get(fact.id)))
    return found
