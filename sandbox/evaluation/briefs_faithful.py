"""Whether every sentence of a brief says only what its sources say: a check of its own, that shares no code with ours.

The enrichment drops sentences whose claims it cannot find in what they cite. This module asks again, in another way:
it takes quotations, dates, numbers and names out of each sentence that was published, and looks for them in the cited
quotes (cut from the CRM's own text), in the dates of the cited facts and in the cited fields. A claim found only in a
field that was shown and not cited is counted apart.

It also asks what no evidence check can know: whether the facts a sentence rests on are true.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from sandbox.evaluation import results
from sandbox.evaluation.facts_exact import read_texts
from sandbox.evaluation.metrics import wilson
from sandbox.evaluation.reading import rows
from sandbox.evaluation.terminal import between, percent

if TYPE_CHECKING:
    import duckdb

    from sandbox.evaluation.evaluate_sections import Finished

BRIEF = "meeting_brief"
SHOWN = 10

Where = Literal["cited", "shown, not cited", "nowhere"]

_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_QUOTED = re.compile('[\u201c"]([^\u201c\u201d"]+)[\u201d"]')
_ISO = re.compile(r"\b(\d{4})-(\d\d)(?:-(\d\d))?\b")
_SPOKEN = re.compile(
    rf"\b(?:(\d{{1,2}})(?:st|nd|rd|th)?(?: of)? )?({'|'.join(_MONTHS)})"
    r"(?: (\d{1,2})(?:st|nd|rd|th)?\b,?)?(?: (\d{4}))?",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"\d[\d.,' ]*\d|\d")
_WORD = re.compile(r"[^\W\d_][\w'’-]*")


@dataclass(frozen=True, slots=True)
class Source:
    """Something a sentence cites or was shown: its words, and the days it stands for."""

    text: str
    days: tuple[date, ...] = ()


@dataclass(frozen=True, slots=True)
class Sentence:
    """One published sentence with what it cites and the other fields of its record."""

    operation: str
    answer_id: str
    place: str
    body: str
    cited: Sequence[Source]
    shown: Sequence[Source] = ()
    facts: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Claim:
    """A checkable part of a sentence."""

    kind: str  # quotation | date | number | name
    words: str
    parts: tuple[int, ...] = field(default=())  # of a date: year, month, day; 0 where it names none


def claims(body: str) -> list[Claim]:
    """Quotations, dates, numbers and names of a sentence, each character used once. Pure."""
    found: list[Claim] = []

    def quotation(match: re.Match[str]) -> str:
        found.append(Claim("quotation", match[1].strip()))
        return " \u2026 "

    def iso(match: re.Match[str]) -> str:
        found.append(Claim("date", match[0], (int(match[1]), int(match[2]), int(match[3] or 0))))
        return " \u2026 "

    def spoken(match: re.Match[str]) -> str:
        day = int(match[1] or match[3] or 0)
        if match[2] == "may" and not day and not match[4]:
            return match[0]
        month = _MONTHS.index(match[2].lower()) + 1
        found.append(Claim("date", match[0].strip(), (int(match[4] or 0), month, day)))
        return " \u2026 "

    def number(match: re.Match[str]) -> str:
        found.append(Claim("number", match[0].strip()))
        return " \u2026 "

    rest = _QUOTED.sub(quotation, body)
    rest = _SPOKEN.sub(spoken, _ISO.sub(iso, rest))
    rest = _NUMBER.sub(number, rest)
    begins = True
    for match in re.finditer(rf"{_WORD.pattern}|[.!?:\u2026]", rest):
        word = match[0]
        if not word[0].isalpha():
            begins = word != "\u2026"
            continue
        is_name = word[0].isupper() and not begins and word.lower() not in _DAYS and word != "I"
        if is_name or (begins and any(letter.isupper() for letter in word[1:])):
            found.append(Claim("name", word))
        begins = False
    return found


def where(claim: Claim, sentence: Sentence) -> Where:
    """Where a claim stands. Pure."""
    if _stands(claim, sentence.cited):
        return "cited"
    return "shown, not cited" if _stands(claim, sentence.shown) else "nowhere"


def _stands(claim: Claim, sources: Iterable[Source]) -> bool:
    listed = list(sources)
    if claim.kind == "quotation":
        return any(_plain(claim.words).rstrip(".\u2026 ") in _plain(source.text) for source in listed)
    if claim.kind == "date":
        days = [day for source in listed for day in (*source.days, *_days_in(source.text))]
        same_words = any(_plain(claim.words) in _plain(source.text) for source in listed)
        return same_words or any(_agrees(claim.parts, day) for day in days)
    if claim.kind == "number":
        wanted = _digits(claim.words)
        return any(wanted in {_digits(one) for one in _NUMBER.findall(source.text)} for source in listed)
    wanted = _plain(claim.words).removesuffix("'s").rstrip("'-")
    return any(wanted in _words(source.text) for source in listed)


@lru_cache(maxsize=4096)
def _words(text: str) -> set[str]:
    found: set[str] = set()
    for word in _WORD.findall(_plain(text)):
        found |= {word, word.removesuffix("'s"), *re.split(r"['-]", word)}
    return found


def _days_in(text: str) -> list[date]:
    found: list[date] = []
    for year, month, day in _ISO.findall(text):
        try:
            found.append(date(int(year), int(month), int(day or 1)))
        except ValueError:
            continue
    return found


def _agrees(parts: tuple[int, ...], day: date) -> bool:
    return all(want in (0, have) for want, have in zip(parts, (day.year, day.month, day.day), strict=True))


def _digits(words: str) -> str:
    return re.sub(r"\D", "", words)


@lru_cache(maxsize=4096)
def _plain(text: str) -> str:
    text = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(re.sub('[\u2018\u2019\u201c\u201d"`]', "'", text).split())


def section(night: Finished) -> results.Section | None:
    """Sentences of the answers in force, per operation; the briefs' share is the one that is kept and promised."""
    if not night.has_raw:
        return None
    sentences = _read(night.connection)
    if not sentences:
        return None
    true_facts = {pair.found.id.partition("@")[0] for pair in night.matching.matched}
    hostile = night.readings.hostile
    known = {fact.id.partition("@")[0]: fact.document_id not in hostile for fact in night.readings.found}
    table: list[tuple[str, ...]] = []
    numbers: dict[str, results.Measured] = {}
    kinds: Counter[str] = Counter()
    unsupported: list[tuple[Claim, Sentence]] = []
    for operation in sorted({sentence.operation for sentence in sentences}, key=lambda name: (name != BRIEF, name)):
        own = [sentence for sentence in sentences if sentence.operation == operation]
        places: list[list[Where]] = []
        for sentence in own:
            found: list[tuple[Claim, Where]] = [(claim, where(claim, sentence)) for claim in claims(sentence.body)]
            kinds.update(claim.kind for claim, _ in found)
            unsupported += [(claim, sentence) for claim, place in found if place == "nowhere"]
            places.append([place for _, place in found])
        good = sum("nowhere" not in found for found in places)
        strict = sum(set(found) <= {"cited"} for found in places)
        rests_on = {id_ for sentence in own for id_ in sentence.facts if known.get(id_)}
        true = len(rests_on & true_facts)
        table.append(
            (
                operation,
                f"{len(own):,}",
                f"{sum(map(len, places)):,}",
                percent(good / len(own)),
                between(wilson(good, len(own)), 100, 1),
                percent(strict / len(own)),
                f"{len(rests_on):,}",
                percent(true / len(rests_on) if rests_on else None),
            )
        )
        if operation == BRIEF:
            numbers["briefs"] = results.Measured(value=good / len(own), n=len(own), interval=wilson(good, len(own)))
            numbers["briefs_facts_true"] = results.Measured(
                value=true / len(rests_on) if rests_on else None, n=len(rests_on), interval=wilson(true, len(rests_on))
            )
    return results.Section(
        name="faithful",
        title="Faithfulness: claims of published sentences, looked up again in what they cite",
        tables=(
            results.Table(
                title="",
                columns=("operation", "sentences", "claims", "supported, %", "95 % interval", "by citations alone, %",
                         "facts cited", "of them true, %"),
                rows=tuple(table),
            ),
        ),
        notes=(
            f"Claims: {', '.join(f'{count:,} {kind}s' for kind, count in sorted(kinds.items()))}. Supported: every "
            "claim stands in a cited quote, date or field, or in a field of the record that was shown. True: the fact "
            "is a planted remark read right (documents with hostile messages left out).",
            *(
                f"Nowhere: {claim.kind} {claim.words!r} in {said.operation} {said.place}: {said.body[:160]!r}"
                for claim, said in unsupported[:SHOWN]
            ),
            *((f"and {len(unsupported) - SHOWN} more",) if len(unsupported) > SHOWN else ()),
        ),
        numbers=numbers,
    )  # fmt: skip


_FIELD = re.compile(r"^\[([a-z][a-z0-9_]*\.[a-z0-9_]+)\] (.*)$", re.MULTILINE)
_DOCUMENT = re.compile(r"^\[document\.\S+:\S+\] (.*)$", re.MULTILINE)


def _read(connection: duckdb.DuckDBPyConnection) -> list[Sentence]:
    texts = read_texts(connection)
    cited: dict[tuple[str, str], list[Source]] = defaultdict(list)
    facts: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in rows(
        connection,
        """
        with remembered as (
            select fact_id, any_value(document_id) as document_id, any_value(span_start) as span_start,
                any_value(span_end) as span_end, any_value(fact_value) as fact_value, any_value(fact_date) as fact_date,
                any_value(author) as author
            from ledger.facts
            group by fact_id
        )
        select evidence.answer_id, evidence.item_key, evidence.evidence_kind, evidence.evidence_id, evidence.quote,
            remembered.document_id, remembered.span_start, remembered.span_end, remembered.fact_value,
            remembered.fact_date, documents.document_date, remembered.author
        from ledger.evidence as evidence
        inner join warehouse.staging.int_published as published
            on evidence.answer_id = published.answer_id and not published.is_stale
        left join remembered on evidence.evidence_id = remembered.fact_id
        left join warehouse.main.documents as documents on remembered.document_id = documents.document_id
        where evidence.item_kind = 'sentence'
        order by evidence.answer_id, evidence.item_key, evidence.position
        """,
    ):
        key = (str(row[0]), str(row[1]))
        if row[2] == "fact" and row[5] is not None:
            words = texts.get(str(row[5]), "")[int(row[6]) : int(row[7])]
            days = tuple(day for day in (row[9], row[10]) if isinstance(day, date))
            cited[key].append(Source(f"{words} \u2026 {row[8]} \u2026 {row[11] or ''}", days))
            facts[key].append(str(row[3]))
        elif row[2] == "span":
            document, _, place = str(row[3]).rpartition("#")
            start, _, end = place.partition("-")
            cited[key].append(Source(texts.get(document, "")[int(start) : int(end)]))
        else:
            cited[key].append(Source(str(row[4])))
    shown: dict[tuple[str, str], list[Source]] = {}
    read: set[str] = set()
    found: list[Sentence] = []
    for operation, record_id, answer_id, place, position, body in rows(
        connection,
        """
        select published.operation, published.record_id, sentences.answer_id, sentences.section, sentences.position,
            sentences.body
        from ledger.sentences as sentences
        inner join warehouse.staging.int_published as published
            on sentences.answer_id = published.answer_id and not published.is_stale
        order by published.operation, sentences.answer_id, sentences.section, sentences.position
        """,
    ):
        record = (str(operation), str(record_id))
        if record[0] not in read:
            read.add(record[0])
            shown |= _contexts(connection, record[0])
        key = (str(answer_id), f"{place}/{position}")
        found.append(Sentence(record[0], key[0], key[1], str(body), cited[key], shown.get(record, ()), facts[key]))
    return found


def _contexts(connection: duckdb.DuckDBPyConnection, operation: str) -> dict[tuple[str, str], list[Source]]:
    """Fields and titles of documents that each record's context showed."""
    found: dict[tuple[str, str], list[Source]] = {}
    for record_id, context in rows(connection, f"select record_id, context from warehouse.main.queue_{operation}"):
        sources = [Source(match[2]) for match in _FIELD.finditer(str(context or ""))]
        sources += [Source(match[1]) for match in _DOCUMENT.finditer(str(context or ""))]
        found[operation, str(record_id)] = sources
    return found
