"""Whether every stored quote is what stands at its place in the document, as it came out of the CRM.

Nothing of the enrichment is called: the texts are read again from `raw`, cut at the stored offsets by Python's own
slicing, and compared letter for letter. A sentence's evidence is followed back the same way: what it cites is a fact
or a place in a document. A fact is shown to later operations on one line, so what they cite of it may have a space
where the document breaks the line: that alone breaks no goal, and is counted in a column of its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox.evaluation import results
from sandbox.evaluation.metrics import wilson
from sandbox.evaluation.reading import rows
from sandbox.evaluation.terminal import between, percent

if TYPE_CHECKING:
    import duckdb

    from sandbox.evaluation.evaluate_sections import Finished

# The text of each kind of document, as the source loads it.
TEXTS = {"email": ("emails", "hs_email_text"), "call": ("calls", "hs_call_body"), "note": ("notes", "hs_note_body")}
SHOWN = 10
_PLACE = re.compile(r"(.+)#(\d+)-(\d+)")


@dataclass(frozen=True, slots=True)
class Quote:
    """A stored quote and where it claims to stand.

    Attributes:
        of: What rests on it: `fact`, `sentence` or `judgement`.
        start: None when it cites a fact.
        told: What must equal the quote when there is no place: the cited fact's own quote; None when there is no such
            fact.
    """

    of: str
    id: str
    document_id: str
    quote: str
    start: int | None
    end: int | None
    told: str | None = None


@dataclass(frozen=True, slots=True)
class Broken:
    """A quote that is not what stands at its place."""

    quote: Quote
    why: str
    is_only_layout: bool = False  # the same characters but for line breaks


def check(quotes: Sequence[Quote], texts: Mapping[str, str]) -> list[Broken]:
    """The quotes that are not exactly where they claim to be. Pure."""
    return [
        Broken(quote, why, is_only_layout=quote.told is not None and _on_one_line(quote.told) == quote.quote)
        for quote in quotes
        if (why := _why(quote, texts)) is not None
    ]


def _on_one_line(text: str) -> str:
    """As a fact is shown: one line, in one kind of quotation mark that cannot end it."""
    return " ".join(text.split()).replace('"', "'")


def _why(quote: Quote, texts: Mapping[str, str]) -> str | None:
    if not quote.quote:
        return "an empty quote"
    if quote.start is None or quote.end is None:
        if quote.told is None:
            return "what it cites does not exist"
        return None if quote.told == quote.quote else f"it cites other words: {quote.told[:80]!r}"
    text = texts.get(quote.document_id)
    if text is None:
        return "the document is not in the CRM"
    if not 0 <= quote.start < quote.end <= len(text):
        return f"no such place: {quote.start}-{quote.end} of {len(text)} characters"
    stands = text[quote.start : quote.end]
    return None if stands == quote.quote else f"there stands {stands[:80]!r}"


def section(night: Finished) -> results.Section | None:
    """Quotes of facts, sentences and judgements of the answers in force, against the CRM's own texts."""
    if not night.has_raw:
        return None
    texts = read_texts(night.connection)
    quotes = [*_of_facts(night.connection), *_of_evidence(night.connection)]
    differing = check(quotes, texts)
    broken = [one for one in differing if not one.is_only_layout]
    table: list[tuple[str, ...]] = []
    numbers: dict[str, results.Measured] = {}
    goals: list[results.Goal] = []
    for of, what in (("fact", "facts"), ("sentence", "evidence of sentences"), ("judgement", "evidence of judgements")):
        total = sum(quote.of == of for quote in quotes)
        letters = total - sum(one.quote.of == of for one in differing)
        good = total - sum(one.quote.of == of for one in broken)
        share = good / total if total else None
        table.append(
            (
                what,
                f"{total:,}",
                f"{total - good:,}",
                percent(share),
                between(wilson(good, total), 100, 2),
                percent(letters / total if total else None),
            )
        )
        numbers[of] = results.Measured(value=share, n=total, tolerance=0)
        goals.append(results.at_least(f"quotes exactly at their place in the CRM's text: {what}", share, 1.0))
    return results.Section(
        name="exact",
        title=f"Quotes against the texts of the CRM: {len(texts):,} documents read again as they were loaded",
        tables=(
            results.Table(
                title="",
                columns=("quotes of", "n", "broken", "exact, %", "95 % interval", "line breaks kept too, %"),
                rows=tuple(table),
            ),
        ),
        notes=tuple(
            f"Broken: {one.quote.of} {one.quote.id} in {one.quote.document_id}, {one.quote.quote[:80]!r}: {one.why}"
            for one in broken[:SHOWN]
        )
        + ((f"and {len(broken) - SHOWN} more",) if len(broken) > SHOWN else ()),
        numbers=numbers,
        goals=tuple(goals),
    )


def read_texts(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Document id to its text, as it was loaded from the CRM."""
    return {
        f"hubspot:{kind}:{id_}": str(text or "")
        for kind, (table, column) in TEXTS.items()
        for id_, text in rows(connection, f"select id, {column} from raw.hubspot.{table}")
    }


def _of_facts(connection: duckdb.DuckDBPyConnection) -> list[Quote]:
    # Two copies of one text share an answer: its quotes are checked in both.
    return [
        Quote("fact", str(row[0]), str(row[1]), str(row[2]), int(row[3]), int(row[4]))
        for row in rows(
            connection,
            """
            select facts.fact_id, published.document_id, facts.quote, facts.span_start, facts.span_end
            from ledger.facts as facts
            inner join warehouse.main.published_extract_facts as published
                on facts.answer_id = published.answer_id and not published.is_stale
            order by all
            """,
        )
    ]


def _of_evidence(connection: duckdb.DuckDBPyConnection) -> list[Quote]:
    """What sentences and judgements of the answers in force cite. A fact's own evidence is that fact, checked above."""
    found: list[Quote] = []
    for row in rows(
        connection,
        """
        with quoted as (
            select fact_id, any_value(quote) as quote from ledger.facts group by fact_id
        )
        select evidence.item_kind, evidence.answer_id || ' ' || evidence.item_key, evidence.evidence_kind,
            evidence.evidence_id, evidence.quote, quoted.quote, answers.record_id
        from ledger.evidence as evidence
        inner join warehouse.staging.int_published as answers
            on evidence.answer_id = answers.answer_id and not answers.is_stale
        left join quoted on evidence.evidence_id = quoted.fact_id
        where evidence.item_kind <> 'fact' and evidence.evidence_kind <> 'field'
        order by all
        """,
    ):
        of, id_, kind, evidence_id, quote, told, record_id = (None if cell is None else str(cell) for cell in row)
        place = _PLACE.fullmatch(evidence_id or "") if kind == "span" else None
        if place is not None:
            found.append(Quote(of or "", id_ or "", place[1], quote or "", int(place[2]), int(place[3])))
        else:
            found.append(Quote(of or "", id_ or "", record_id or "", quote or "", None, None, told))
    return found
