"""One line per item, written for agents and read back by the rules agent.

Everything a customer wrote stands between the one pair of quotation marks it gets, on one line, and every line begins
with an id that we gave. So no text can pose as another item, another author or another document.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import cast

from enrich.context import FactLine, Polarity, Side

MOST_AUTHOR_CHARS = 80
MOST_SUBJECT_CHARS = 160

_SIDES = "theirs|ours|unknown"
_DOCUMENT = re.compile(rf'\[(d\d+)\] (\d{{4}}-\d{{2}}-\d{{2}}) ({_SIDES}) (\w+) "([^"]*)" "([^"]*)"')
_SPAN = re.compile(rf'\[(d\d+)\.(s\d+)\] ({_SIDES}) "([^"]*)" "([^"]*)"')
_FACT = re.compile(
    rf'\[(f_[0-9a-f]{{12}})\] (\d{{4}}-\d{{2}}-\d{{2}}) ({_SIDES}) (\w+) ([a-z][a-z0-9_]*)=([^"]*?)'
    r' (affirmed|negated) (current|replaced) (d\d+)(?: until=(\d{4}-\d{2}-\d{2}))? "([^"]*)" "([^"]*)"'
)


@dataclass(frozen=True, slots=True)
class DocumentLine:
    """A document of the record: `id` is `d<number>`."""

    id: str
    day: date
    side: Side
    kind: str
    author: str
    subject: str


@dataclass(frozen=True, slots=True)
class SpanLine:
    """A sentence of a document; it is cited as `d<number>.s<number>`."""

    document: str
    span: str
    side: Side
    author: str
    text: str

    @property
    def id(self) -> str:
        return f"{self.document}.{self.span}"


@dataclass(frozen=True, slots=True)
class RememberedLine:
    """A fact with the document it stands in, who said it, and whether it still holds."""

    fact: FactLine
    document: str
    author: str
    is_current: bool


Line = DocumentLine | SpanLine | RememberedLine


def one_line(text: str, most: int | None = None) -> str:
    """Text as the inside of quotation marks: one line whatever ends a line, no quotation mark, cut at `most`."""
    flat = " ".join(text.replace('"', "'").split())
    return flat if most is None or len(flat) <= most else flat[: most - 1].rstrip() + "…"


def render(line: Line) -> str:
    """The line as it is shown."""
    match line:
        case DocumentLine():
            author, subject = one_line(line.author, MOST_AUTHOR_CHARS), one_line(line.subject, MOST_SUBJECT_CHARS)
            return f'[{line.id}] {line.day.isoformat()} {line.side} {line.kind} "{author}" "{subject}"'
        case SpanLine():
            return f'[{line.id}] {line.side} "{one_line(line.author, MOST_AUTHOR_CHARS)}" "{one_line(line.text)}"'
        case RememberedLine():
            fact = line.fact
            until = f" until={fact.until.isoformat()}" if fact.until else ""
            state = "current" if line.is_current else "replaced"
            return (
                f"[{fact.id}] {fact.day.isoformat()} {fact.side} {fact.document_type} {fact.predicate}="
                f"{one_line(fact.value)} {fact.polarity} {state} {line.document}{until} "
                f'"{one_line(line.author, MOST_AUTHOR_CHARS)}" "{one_line(fact.quote)}"'
            )


def parse(text: str) -> list[Line]:
    """The items of a result, in order; headings and remarks between them are passed over."""
    found: list[Line] = []
    for raw in text.split("\n"):
        if match := _DOCUMENT.fullmatch(raw):
            found.append(
                DocumentLine(match[1], date.fromisoformat(match[2]), _side(match[3]), match[4], match[5], match[6])
            )
        elif match := _SPAN.fullmatch(raw):
            found.append(SpanLine(match[1], match[2], _side(match[3]), match[4], match[5]))
        elif match := _FACT.fullmatch(raw):
            until = date.fromisoformat(match[10]) if match[10] else None
            fact = FactLine(
                id=match[1],
                day=date.fromisoformat(match[2]),
                side=_side(match[3]),
                document_type=match[4],
                predicate=match[5],
                value=match[6],
                until=until,
                polarity=cast("Polarity", match[7]),
                quote=match[12],
            )
            found.append(RememberedLine(fact, match[9], match[11], match[8] == "current"))
    return found


def _side(text: str) -> Side:
    return cast("Side", text)
