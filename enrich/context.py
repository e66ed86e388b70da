"""Reads the context of a record: the exact bytes a queue model shows an agent. `macros/context.sql` writes the same format."""  # noqa: E501

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Literal, cast

from nightdesk.errors import NightdeskError

Side = Literal["theirs", "ours", "unknown"]
Polarity = Literal["affirmed", "negated"]

_FIELD = re.compile(r"\[([a-z][a-z0-9_]*\.[a-z0-9_]+)\] (.*)", re.DOTALL)
_FACT = re.compile(
    r"\[(f_[0-9a-f]{12})\] (\d{4}-\d{2}-\d{2}) (theirs|ours|unknown) (\S+) ([a-z][a-z0-9_]*)=(.*?)"
    r'(?: until=(\d{4}-\d{2}-\d{2}))? (affirmed|negated) "(.*)"',
    re.DOTALL,
)
_DOCUMENT = re.compile(
    r'\[document\.([^\]\s]*:[^\]\s]+)\] (\d{4}-\d{2}-\d{2}) (theirs|ours|unknown) (\S+) "(.*)"', re.DOTALL
)
_BODY_STARTS_WITH = "[document.type] "


@dataclass(frozen=True, slots=True)
class FactLine:
    """One remembered fact as shown: who said it (`side`), when (`day`), what it means and the words themselves."""

    id: str
    day: date
    side: Side
    document_type: str
    predicate: str
    value: str
    until: date | None
    polarity: Polarity
    quote: str


@dataclass(frozen=True, slots=True)
class DocumentLine:
    """One recent document as shown in a brief: `id` is the evidence id, `document_id` the canonical record id."""

    id: str
    document_id: str
    day: date
    side: Side
    document_type: str
    subject: str


@dataclass(frozen=True, slots=True)
class Context:
    """A parsed context.

    Attributes:
        fields: Field id to value, in the order shown.
        facts: In packing order, most useful first.
        documents: Recent documents, newest first.
        body: The document's own text, verbatim; None for operations that do not read a document.
    """

    fields: Mapping[str, str]
    facts: tuple[FactLine, ...] = ()
    documents: tuple[DocumentLine, ...] = ()
    body: str | None = None
    by_id: Mapping[str, FactLine] = field(default_factory=dict[str, FactLine], compare=False, repr=False)

    def get(self, name: str, default: str = "") -> str:
        """The field's value, or `default` where the field is not shown."""
        return self.fields.get(name, default)


def parse(context: str) -> Context:
    """Parse one context.

    Raises:
        NightdeskError: A line has none of the known shapes. Names the line's number, never its text: it may hold
            customer data.
    """
    head, body = context, None
    if context.startswith(_BODY_STARTS_WITH):
        head, found, body = context.partition("\n\n")
        if not found:
            raise NightdeskError(
                "A document's context has no empty line between header and text",
                where="context",
                todo="Compare the queue model with tests/fixtures/contexts.",
            )
    fields: dict[str, str] = {}
    facts: list[FactLine] = []
    documents: list[DocumentLine] = []
    for number, line in enumerate(head.split("\n") if head else (), start=1):
        if line.startswith("[f_") and (match := _FACT.fullmatch(line)):
            facts.append(_fact(match))
        elif line.startswith("[document.") and (match := _DOCUMENT.fullmatch(line)):
            documents.append(
                DocumentLine(
                    id=f"document.{match[1]}",
                    document_id=match[1],
                    day=_day(match[2], number),
                    side=cast("Side", match[3]),
                    document_type=match[4],
                    subject=match[5],
                )
            )
        elif match := _FIELD.fullmatch(line):
            fields[match[1]] = match[2]
        else:
            raise NightdeskError(
                f"Line {number} of a context is neither a field, a fact nor a document",
                where="context",
                todo="Compare the queue model with tests/fixtures/contexts.",
            )
    return Context(fields, tuple(facts), tuple(documents), body, {fact.id: fact for fact in facts})


def render(context: Context) -> str:
    """The bytes `parse` was given: fields, facts, documents, and for documents an empty line and the text."""
    lines = [f"[{name}] {value}" for name, value in context.fields.items()]
    for fact in context.facts:
        until = f" until={fact.until.isoformat()}" if fact.until else ""
        lines.append(
            f"[{fact.id}] {fact.day.isoformat()} {fact.side} {fact.document_type} {fact.predicate}={fact.value}{until}"
            f' {fact.polarity} "{fact.quote}"'
        )
    lines += [
        f'[{item.id}] {item.day.isoformat()} {item.side} {item.document_type} "{item.subject}"'
        for item in context.documents
    ]
    text = "\n".join(lines)
    return text if context.body is None else f"{text}\n\n{context.body}"


def _fact(match: re.Match[str]) -> FactLine:
    return FactLine(
        id=match[1],
        day=_day(match[2], 0),
        side=cast("Side", match[3]),
        document_type=match[4],
        predicate=match[5],
        value=match[6],
        until=_day(match[7], 0) if match[7] else None,
        polarity=cast("Polarity", match[8]),
        quote=match[9],
    )


def _day(text: str, number: int) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise NightdeskError(
            f"`{text}` in a context is not a day",
            where=f"context line {number}" if number else "context",
            todo="Compare the queue model with tests/fixtures/contexts.",
        ) from None
