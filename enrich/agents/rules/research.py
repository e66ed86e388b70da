"""Research by rules: look up facts and documents, read the newest ones, and keep what was shown at hand."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from enrich import evidence
from enrich.agents.protocol import ToolCall
from enrich.context import Context, FactLine, Side
from enrich.evidence import Shown, iso_days, normalise
from enrich.research import lines
from enrich.research.lines import DocumentLine, RememberedLine, SpanLine

if TYPE_CHECKING:
    from enrich.agents.protocol import Step

Answer = dict[str, Any]
OPERATIONS = ("account_deep_dive", "contact_background")
_DOCUMENTS_READ = {"account_deep_dive": 2, "contact_background": 2}


@dataclass(frozen=True, slots=True)
class Found:
    """Everything the look-ups of a question have shown, each item once, in the order shown."""

    facts: tuple[RememberedLine, ...] = ()
    documents: Mapping[str, DocumentLine] = field(default_factory=dict[str, DocumentLine])
    spans: tuple[SpanLine, ...] = ()

    @property
    def theirs(self) -> list[RememberedLine]:
        """What they affirmed or denied themselves and have not replaced since, newest first."""
        return [item for item in self.facts if item.is_current and item.fact.side == "theirs"]


def found_in(steps: Sequence[Step]) -> Found:
    """Read the results of all steps."""
    facts: dict[str, RememberedLine] = {}
    documents: dict[str, DocumentLine] = {}
    sentences: dict[str, SpanLine] = {}
    for step in steps:
        for result in step.results:
            for line in lines.parse(result):
                match line:
                    case RememberedLine():
                        facts.setdefault(line.fact.id, line)
                    case DocumentLine():
                        documents.setdefault(line.id, line)
                    case SpanLine():
                        sentences.setdefault(line.id, line)
    return Found(tuple(facts.values()), documents, tuple(sentences.values()))


def next_calls(operation: str, context: Context, steps: Sequence[Step]) -> tuple[ToolCall, ...]:
    """What to look up now: first the lists, then the documents that say most; nothing once they were read."""
    if not steps:
        return _calls(("list_facts", {"include_superseded": True}), ("list_documents", {}))
    if len(steps) > 1:
        return ()
    documents = list(found_in(steps).documents.values())
    return _calls(
        *(("read_document", {"document_id": item.id}) for item in _worth_reading(operation, context, documents))
    )


def _worth_reading(operation: str, context: Context, documents: Sequence[DocumentLine]) -> list[DocumentLine]:
    """Newest first: of an account a letter and a call of theirs, of a contact what they wrote or spoke in."""
    most = _DOCUMENTS_READ[operation]
    if operation == "contact_background":
        name = context.get("contact.name")
        return [item for item in documents if item.kind == "call" or (name and item.author == name)][:most]
    letters = [item for item in documents if item.kind == "email" and item.side == "theirs"]
    calls = [item for item in documents if item.kind == "call"]
    return [*letters[: most - 1 if calls else most], *calls[:1]]


def _calls(*wanted: tuple[str, dict[str, Any]]) -> tuple[ToolCall, ...]:
    return tuple(
        ToolCall(f"call_{number}", name, json.dumps(arguments, sort_keys=True))
        for number, (name, arguments) in enumerate(wanted, start=1)
    )


def shown(context: Context, found: Found) -> dict[str, Shown]:
    """What may be cited, as the evidence check will see it."""
    items = evidence.shown_in(context, (), "")
    for remembered in found.facts:
        fact = remembered.fact
        until = fact.until.isoformat() if fact.until else ""
        items[fact.id] = Shown(
            fact.id, "fact", fact.id, fact.quote, fact.side,
            f"{fact.quote} {fact.value} {until} {fact.day.isoformat()} {remembered.author}",
            iso_days(f"{fact.day.isoformat()} {until} {fact.value}"), fact, remembered.document,
        )  # fmt: skip
    for span in found.spans:
        document = found.documents.get(span.document)
        day = document.day.isoformat() if document else ""
        items[span.id] = _shown_span(span, day)
    return items


def _shown_span(span: SpanLine, day: str) -> Shown:
    supports = f"{span.text} {span.author} {day}"
    days = iso_days(f"{day} {span.text}")
    return Shown(span.id, "span", span.id, span.text, span.side, supports, days, source=span.document)


def spoken_by(name: str, found: Found) -> list[SpanLine]:
    """Sentences of theirs by one person, in the order shown."""
    side: Side = "theirs"
    return [span for span in found.spans if name and span.author == name and span.side == side]


def pairs(facts: Iterable[RememberedLine]) -> list[tuple[FactLine, FactLine]]:
    """The newest and an earlier remark to the same effect, from different documents and in different words."""
    groups: dict[tuple[str, str], list[RememberedLine]] = {}
    for item in facts:
        if item.fact.polarity == "affirmed" and item.fact.side == "theirs":
            groups.setdefault((item.fact.predicate, item.fact.value), []).append(item)
    found: list[tuple[FactLine, FactLine]] = []
    for items in groups.values():
        newest = items[0]
        other = next(
            (
                item
                for item in items[1:]
                if item.document != newest.document and normalise(item.fact.quote) != normalise(newest.fact.quote)
            ),
            None,
        )
        if other is not None:
            found.append((newest.fact, other.fact))
    return found
