"""How well documents are read: planted remarks against the facts of the answers in force."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import TYPE_CHECKING

from sandbox.evaluation import matching, results
from sandbox.evaluation.matching import Fact, Matching, Pair
from sandbox.evaluation.metrics import Counts, macro_f1, micro
from sandbox.evaluation.reading import rows

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True, slots=True)
class Document:
    """A document that was there to be read; `length` in characters."""

    id: str
    document_type: str
    length: int
    is_answered: bool


@dataclass(frozen=True, slots=True)
class Trap:
    """A sentence that looks like a fact and is none."""

    kind: str
    fact: Fact


@dataclass(frozen=True, slots=True)
class Readings:
    """Everything this topic compares."""

    documents: Mapping[str, Document]
    planted: Sequence[Fact]
    found: Sequence[Fact]
    traps: Sequence[Trap]
    hostile: frozenset[str]
    single_valued: frozenset[str]
    quotes_exact: int


def read(connection: duckdb.DuckDBPyConnection) -> Readings:
    """Read both sides. Documents that the CRM deleted are nobody's to read: their truth is left out."""
    documents = {
        str(row[0]): Document(str(row[0]), str(row[1]), int(row[2]), bool(row[3]))
        for row in rows(
            connection,
            """
            select documents.document_id, documents.document_type, coalesce(length(documents.body), 0),
                published.document_id is not null and not published.is_stale
            from warehouse.main.documents as documents
            left join warehouse.main.published_extract_facts as published
                on documents.document_id = published.document_id
            """,
        )
    }
    # Two copies of one text share an answer: its facts are judged for each copy.
    # A quote may stand in a document twice (in the message and in the history beneath it): the first place is meant.
    planted = [
        Fact(
            f"p{row[0]}",
            *row[1:7],
            start=row[7],
            end=row[7] + len(row[6]) if row[7] >= 0 else -1,
            fact_date=row[8],
            is_current=row[9],
            subject=_subject(row[2], row[10], row[11]),
            said_on=row[12],
        )
        for row in rows(
            connection,
            """
            select
                row_number() over (
                    order by facts.document_type, facts.document_id, facts.quote, facts.predicate, facts.fact_value
                ),
                documents.document_id, facts.predicate, facts.fact_value, facts.polarity, facts.author_side,
                facts.quote,
                coalesce(instr(documents.body, facts.quote), 0) - 1, facts.fact_date, facts.is_current,
                facts.contact_id, facts.company_id, facts.said_on
            from truth.truth_facts as facts
            inner join warehouse.main.documents as documents
                on documents.document_id = 'hubspot:' || facts.document_type || ':' || facts.document_id
            order by 1
            """,
        )
    ]
    found_rows = rows(
        connection,
        """
        select facts.fact_id || '@' || published.document_id, published.document_id, facts.predicate, facts.fact_value,
            facts.polarity, facts.author_side, facts.quote, facts.span_start, facts.span_end, facts.fact_date,
            marts.is_current,
            substr(documents.body, facts.span_start + 1, facts.span_end - facts.span_start) = facts.quote
        from ledger.facts as facts
        inner join warehouse.main.published_extract_facts as published
            on facts.answer_id = published.answer_id and not published.is_stale
        inner join warehouse.main.documents as documents
            on published.document_id = documents.document_id
        left join warehouse.main.facts as marts
            on
                facts.fact_id = marts.fact_id
                and facts.answer_id = marts.answer_id
                and published.document_id = marts.document_id
        order by 1
        """,
    )
    found = [Fact(*row[:7], start=row[7], end=row[8], fact_date=row[9], is_current=row[10]) for row in found_rows]
    traps = [
        Trap(
            row[5],
            Fact(
                f"t{row[0]}",
                row[1],
                row[2],
                "",
                "",
                "",
                row[3],
                start=row[4],
                end=row[4] + len(row[3]) if row[4] >= 0 else -1,
            ),
        )
        for row in rows(
            connection,
            """
            select row_number() over (order by traps.document_type, traps.document_id, traps.quote),
                documents.document_id, traps.predicate, traps.quote,
                coalesce(instr(documents.body, traps.quote), 0) - 1, traps.kind
            from truth.truth_traps as traps
            inner join warehouse.main.documents as documents
                on documents.document_id = 'hubspot:' || traps.document_type || ':' || traps.document_id
            order by 1
            """,
        )
    ]
    hostile = rows(connection, "select 'hubspot:' || document_type || ':' || document_id from truth.truth_hostile")
    single = rows(
        connection, "select predicate from warehouse.staging.stg_policy__predicates where cardinality = 'single'"
    )
    return Readings(
        documents=documents,
        planted=planted,
        found=found,
        traps=traps,
        hostile=frozenset(str(row[0]) for row in hostile),
        single_valued=frozenset(str(row[0]) for row in single),
        quotes_exact=sum(bool(row[11]) for row in found_rows),
    )


def compare(readings: Readings) -> Matching:
    """Planted and found facts, paired one to one; hostile documents and denials read as denials are left out."""
    found, _ = _without_denials(readings.found, readings.traps)
    return matching.match(_apart(readings.planted, readings.hostile)[0], _apart(found, readings.hostile)[0])


def judge(readings: Readings) -> results.Facts:
    """Compare both sides. Documents with a hostile message are judged apart and count nowhere else."""
    all_found, denials = _without_denials(readings.found, readings.traps)
    planted, hostile_planted = _apart(readings.planted, readings.hostile)
    found, hostile_found = _apart(all_found, readings.hostile)
    traps = [trap for trap in readings.traps if trap.fact.document_id not in readings.hostile]
    compared = matching.match(planted, found)
    in_hostile = matching.match(hostile_planted, hostile_found)
    by_predicate = _by_predicate(planted, found, compared)
    counts = {line.name: Counts(line.planted, line.found, line.matched) for line in by_predicate}
    kind_of = {id_: document.document_type for id_, document in readings.documents.items()}
    judged = [pair for pair in compared.matched if _is_judged(pair, readings.single_valued)]
    # Where the day is the value itself ("back on the 3rd"), reading the value was reading the day.
    dated = [
        pair
        for pair in compared.matched
        if pair.planted.fact_date and pair.planted.value != str(pair.planted.fact_date)
    ]
    contradicted = _contradictions(planted, judged)
    spurious = _spurious_where(compared.spurious, traps, planted)
    return results.Facts(
        documents_selected=len(readings.documents),
        documents_answered=sum(document.is_answered for document in readings.documents.values()),
        by_predicate=by_predicate,
        micro=results.score("all", micro(counts.values())),
        macro_f1=macro_f1(counts.values()),
        quotes_exact=results.rate("quotes that stand in the text", readings.quotes_exact, len(readings.found)),
        quotes_overlap=_share("quotes on the planted sentence", compared.matched, lambda pair: pair.overlaps),
        dates=_share("dates read", dated, lambda pair: pair.planted.fact_date == pair.found.fact_date),
        supersession=_share(
            "current or replaced", judged, lambda pair: pair.planted.is_current == pair.found.is_current
        ),
        superseded=_share(
            "contradicted later, both read: the earlier is replaced",
            contradicted,
            lambda pair: pair.found.is_current is False,
        ),
        by_document_type=_by(planted, found, compared, lambda fact: kind_of.get(fact.document_id, "unknown")),
        by_side=_recall(planted, compared, lambda fact: fact.author_side),
        by_position=_recall(
            [fact for fact in planted if kind_of.get(fact.document_id) == "call" and fact.start >= 0],
            compared,
            lambda fact: _third(fact, readings.documents),
        ),
        traps=_fallen(traps, found),
        spurious_where=dict(sorted(Counter(where for _, where in spurious).items())),
        denials_read=denials,
        hostile=results.HostileFacts(
            documents=len(readings.hostile & set(readings.documents)),
            planted=len(hostile_planted),
            found=len(hostile_found),
            matched=len(in_hostile.matched),
            spurious=len(in_hostile.spurious),
        ),
        errors=_errors(compared, {fact.id: where for fact, where in spurious}),
    )


def _apart(facts: Iterable[Fact], hostile: frozenset[str]) -> tuple[list[Fact], list[Fact]]:
    kept: list[Fact] = []
    apart: list[Fact] = []
    for fact in facts:
        (apart if fact.document_id in hostile else kept).append(fact)
    return kept, apart


def _without_denials(found: Iterable[Fact], traps: Iterable[Trap]) -> tuple[list[Fact], int]:
    """Facts without those that read a denied trap ("stockouts are no issue here") as the denial it is."""
    denied: dict[str, list[Fact]] = defaultdict(list)
    for trap in traps:
        if trap.kind == "denied":
            denied[trap.fact.document_id].append(trap.fact)
    kept: list[Fact] = []
    dropped = 0
    for fact in found:
        around = [trap for trap in denied.get(fact.document_id, ()) if trap.predicate == fact.predicate]
        if fact.polarity == "negated" and any(matching.overlap(fact, trap) for trap in around):
            dropped += 1
        else:
            kept.append(fact)
    return kept, dropped


def _by_predicate(
    planted: Sequence[Fact], found: Sequence[Fact], compared: Matching
) -> tuple[results.PredicateScore, ...]:
    tally: dict[str, Counter[str]] = defaultdict(Counter)
    for name, facts in (
        ("planted", planted),
        ("found", found),
        ("missed", compared.missed),
        ("spurious", compared.spurious),
    ):
        for fact in facts:
            tally[fact.predicate][name] += 1
    for name, pairs in (
        ("matched", compared.matched),
        ("wrong_value", compared.wrong_value),
        ("wrong_polarity", compared.wrong_polarity),
    ):
        for pair in pairs:
            tally[pair.planted.predicate][name] += 1
    for pair in compared.matched:
        tally[pair.planted.predicate]["overlaps"] += pair.overlaps
    lines: list[results.PredicateScore] = []
    for predicate, seen in sorted(tally.items()):
        base = results.score(predicate, Counts(seen["planted"], seen["found"], seen["matched"]))
        lines.append(
            results.PredicateScore(
                **base.model_dump(),
                quote_overlap=seen["overlaps"] / seen["matched"] if seen["matched"] else None,
                wrong_value=seen["wrong_value"],
                wrong_polarity=seen["wrong_polarity"],
                missed=seen["missed"],
                spurious=seen["spurious"],
            )
        )
    return tuple(lines)


def _by(
    planted: Iterable[Fact], found: Iterable[Fact], compared: Matching, group: Callable[[Fact], str]
) -> tuple[results.Score, ...]:
    left, right = Counter(map(group, planted)), Counter(map(group, found))
    both = Counter(group(pair.planted) for pair in compared.matched)
    return tuple(
        results.score(name, Counts(left[name], right[name], both[name])) for name in sorted(left.keys() | right.keys())
    )


def _recall(planted: Iterable[Fact], compared: Matching, group: Callable[[Fact], str]) -> tuple[results.Rate, ...]:
    hit = {pair.planted.id for pair in compared.matched}
    total: Counter[str] = Counter()
    hits: Counter[str] = Counter()
    for fact in planted:
        total[group(fact)] += 1
        hits[group(fact)] += fact.id in hit
    return tuple(results.rate(name, hits[name], total[name]) for name in sorted(total))


def _third(fact: Fact, documents: Mapping[str, Document]) -> str:
    place = fact.start / max(1, documents[fact.document_id].length)
    return "1 beginning" if place < 1 / 3 else "2 middle" if place < 2 / 3 else "3 end"


def _is_judged(pair: Pair, single_valued: frozenset[str]) -> bool:
    return (
        pair.planted.predicate in single_valued
        and pair.planted.is_current is not None
        and pair.found.is_current is not None
    )


def _subject(predicate: str, contact_id: str | None, company_id: str | None) -> str:
    """Whom the truth takes a remark to be about: what people say of themselves, or of their firm."""
    from sandbox.company.speech import OF_THE_PERSON

    chosen = contact_id if predicate in OF_THE_PERSON else company_id or contact_id
    return f"{predicate} {chosen}" if chosen else ""


def _contradictions(planted: Sequence[Fact], judged: Sequence[Pair]) -> list[Pair]:
    """Matched remarks that the next one of the same subject contradicts, where that one was read too.

    What was never read can replace nothing, so this measures the rule of replacement apart from reading.
    """
    pair_of = {pair.planted.id: pair for pair in judged}
    lines: dict[str, list[Fact]] = defaultdict(list)
    for fact in planted:
        if fact.subject and fact.said_on is not None and fact.is_current is not None:
            lines[fact.subject].append(fact)
    found: list[Pair] = []
    for line in lines.values():
        ordered = sorted(line, key=lambda fact: (fact.said_on or date.min, fact.id))
        for earlier, later in pairwise(ordered):
            differs = matching.canonical(earlier.value) != matching.canonical(later.value)
            if differs and earlier.said_on != later.said_on and earlier.id in pair_of and later.id in pair_of:
                found.append(pair_of[earlier.id])
    return found


def _share(name: str, pairs: Sequence[Pair], holds: Callable[[Pair], bool]) -> results.Rate:
    return results.rate(name, sum(map(holds, pairs)), len(pairs))


def _fallen(traps: Sequence[Trap], found: Iterable[Fact]) -> tuple[results.Rate, ...]:
    by_document: dict[str, list[Fact]] = defaultdict(list)
    for fact in found:
        by_document[fact.document_id].append(fact)
    total: Counter[str] = Counter()
    fallen: Counter[str] = Counter()
    for trap in traps:
        total[trap.kind] += 1
        fallen[trap.kind] += any(
            fact.predicate == trap.fact.predicate and matching.overlap(fact, trap.fact)
            for fact in by_document.get(trap.fact.document_id, ())
        )
    return tuple(results.rate(kind, fallen[kind], total[kind]) for kind in sorted(total))


def _spurious_where(
    spurious: Iterable[Fact], traps: Iterable[Trap], planted: Iterable[Fact]
) -> list[tuple[Fact, matching.Where]]:
    trapped: dict[str, list[Fact]] = defaultdict(list)
    true: dict[str, list[Fact]] = defaultdict(list)
    for trap in traps:
        trapped[trap.fact.document_id].append(trap.fact)
    for fact in planted:
        true[fact.document_id].append(fact)
    return [
        (fact, matching.where(fact, trapped.get(fact.document_id, ()), true.get(fact.document_id, ())))
        for fact in spurious
    ]


def _errors(compared: Matching, where: Mapping[str, str]) -> tuple[results.Error, ...]:
    """Every error with its words, so that a person can see what kind of error it is."""
    found: list[results.Error] = []
    for kind, pairs in (("wrong_value", compared.wrong_value), ("wrong_polarity", compared.wrong_polarity)):
        found += [
            _error(kind, pair.planted, _said(pair.planted), _said(pair.found), pair.found.quote) for pair in pairs
        ]
    found += [_error("missed", fact, _said(fact), None, fact.quote) for fact in compared.missed]
    found += [_error("spurious", fact, None, _said(fact), fact.quote, where.get(fact.id)) for fact in compared.spurious]
    return tuple(sorted(found, key=lambda error: (error.predicate, error.kind, error.document_id, error.quote)))


def _said(fact: Fact) -> str:
    return f"{fact.value} ({fact.polarity})"


def _error(
    kind: str, fact: Fact, planted: str | None, found: str | None, quote: str, where: str | None = None
) -> results.Error:
    return results.Error(
        kind=kind,
        predicate=fact.predicate,
        document_id=fact.document_id,
        planted=planted,
        found=found,
        quote=quote,
        where=where,
    )
