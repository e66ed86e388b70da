"""What one record's tools can reach, read from the warehouse: every query is bound to the record itself.

`research_documents` and `research_facts` say what belongs to a record; the queue's fingerprint is made of the same
rows, so nothing a tool shows can change without the question changing too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, cast

from enrich import spans
from enrich.context import Context, FactLine, Polarity, Side
from enrich.evidence import normalise
from nightdesk.ledger import WAREHOUSE_ALIAS

if TYPE_CHECKING:
    import duckdb

MOST_WORDS = 8
_WORD = re.compile(r"[^\W_]{2,40}")


@dataclass(frozen=True, slots=True)
class Document:
    """One reachable document, without its text.

    Attributes:
        label: `d<number>`, oldest first; what agents call it.
        document_id: Canonical id.
        side: Whose words; `unknown` for calls (their turns say) and for mail of people we don't know.
        content_key: The same for copies of one text.
    """

    label: str
    document_id: str
    kind: str
    day: date
    side: Side
    author: str
    author_email: str
    direction: str
    subject: str
    content_key: str


@dataclass(frozen=True, slots=True)
class Remembered:
    """One reachable fact and the document it stands in."""

    fact: FactLine
    document: Document
    author: str
    is_current: bool


class Shelf:
    """Reads lazily and once: an index of documents, the facts, and single texts when they are asked for.

    Args:
        connection: A DuckDB connection with the warehouse attached.
        record_type: `account` or `contact`.
        record_id: The one record.
        company: Our own company's name as it stands in transcripts.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, record_type: str, record_id: str, company: str) -> None:
        self._connection = connection
        self._key = [record_type, record_id]
        self._company = company
        self._documents: tuple[Document, ...] | None = None
        self._spans: dict[str, tuple[spans.Span, ...]] = {}

    @property
    def documents(self) -> tuple[Document, ...]:
        """Newest first."""
        if self._documents is None:
            rows = self._rows(
                f"""
                select
                    document_number, document_id, document_type, document_date, author_side, author_name,
                    author_email, direction, subject, content_key
                from {WAREHOUSE_ALIAS}.main.research_documents
                where record_type = ? and record_id = ?
                order by document_number desc
                """,
                self._key,
            )
            self._documents = tuple(
                Document(
                    f"d{number}", document_id, kind, day, cast("Side", side), author or "", email or "",
                    direction or "", subject or "", content_key,
                )
                for number, document_id, kind, day, side, author, email, direction, subject, content_key in rows
            )  # fmt: skip
        return self._documents

    def document(self, named: str) -> Document | None:
        """By label or canonical id; None for anything that is not this record's."""
        return next((item for item in self.documents if named in (item.label, item.document_id)), None)

    def facts(self) -> tuple[Remembered, ...]:
        """Newest first."""
        by_id = {item.document_id: item for item in self.documents}
        rows = self._rows(
            f"""
            select
                fact_id, valid_date, author_side, document_type, predicate, fact_value, fact_date, polarity, quote,
                document_id, author_name, is_current
            from {WAREHOUSE_ALIAS}.main.research_facts
            where record_type = ? and record_id = ?
            order by valid_date desc, fact_id
            """,
            self._key,
        )
        return tuple(
            Remembered(
                FactLine(
                    fact_id, day, cast("Side", side), kind, predicate, value or "", until,
                    cast("Polarity", polarity), quote or "",
                ),
                by_id[document_id],
                author or "",
                bool(is_current),
            )
            for fact_id, day, side, kind, predicate, value, until, polarity, quote, document_id, author, is_current
            in rows
            if document_id in by_id
        )  # fmt: skip

    def spans(self, document: Document) -> tuple[spans.Span, ...]:
        """The readable sentences of one of this record's documents: no quoted replies, no signatures."""
        if document.document_id not in self._spans:
            rows = self._rows(
                f"""
                select documents.body
                from {WAREHOUSE_ALIAS}.main.research_documents as reachable
                inner join {WAREHOUSE_ALIAS}.main.documents as documents using (document_id)
                where reachable.record_type = ? and reachable.record_id = ? and reachable.document_id = ?
                """,
                [*self._key, document.document_id],
            )
            body = rows[0][0] if rows else ""
            header = {
                "document.type": document.kind,
                "document.date": document.day.isoformat(),
                "document.author": document.author_email,
                "document.author_side": document.side,
                "document.direction": document.direction,
                "document.subject": document.subject,
            }
            self._spans[document.document_id] = spans.segment(Context(header, body=body or ""), self._company)
        return self._spans[document.document_id]

    def search(self, text: str, most: int) -> list[tuple[Document, list[spans.Span]]]:
        """Sentences that hold any of the words; documents with most of the words first, then the newest."""
        words = words_of(text)
        if not words:
            return []
        holds = " + ".join(["contains(lower(coalesce(documents.body, '')), ?)::int"] * len(words))
        rows = self._rows(
            f"""
            with counted as (
                select reachable.document_id, reachable.document_number, {holds} as words
                from {WAREHOUSE_ALIAS}.main.research_documents as reachable
                inner join {WAREHOUSE_ALIAS}.main.documents as documents using (document_id)
                where reachable.record_type = ? and reachable.record_id = ?
            )
            select document_id from counted where words > 0 order by words desc, document_number desc
            """,
            [*words, *self._key],
        )
        found: list[tuple[Document, list[spans.Span]]] = []
        for (document_id,) in rows:
            document = self.document(document_id)
            hits = [] if document is None else [span for span in self.spans(document) if _holds(span.text, words)]
            if document is not None and hits:
                found.append((document, hits))
            if len(found) == most:
                break
        return found

    def _rows(self, sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        return self._connection.execute(sql, list(values)).fetchall()


def words_of(text: str) -> list[str]:
    """The words of a search, lower case, each once, at most `MOST_WORDS`."""
    return list(dict.fromkeys(_WORD.findall(text.lower())))[:MOST_WORDS]


def _holds(text: str, words: Sequence[str]) -> bool:
    flat = normalise(text)
    return any(normalise(word) in flat for word in words)
