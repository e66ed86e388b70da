"""The toolbox of one question: read-only tools bound to one record, bounded in size, and never an exception.

Whatever an agent asks for, it gets text of this record or a sentence that says why not. An id of another record and an
id that never was are answered with the same words.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pydantic import ValidationError

from enrich.agents.protocol import Tool, WebPage
from enrich.calls import ToolResult
from enrich.evidence import Shown, iso_days
from enrich.research import lines
from enrich.research.arguments import TOOLS, ListDocuments, ListFacts, ReadDocument, SearchDocuments, tool
from enrich.research.shelf import Document, Remembered, Shelf
from enrich.research.sources import WEB

if TYPE_CHECKING:
    import duckdb

    from enrich.registry import Operation
    from enrich.spans import Span
    from nightdesk.policy.load import Policy

NOT_OURS = "That is not one of this record's documents. Use an id that list_documents shows."
NOTHING_MORE = "Nothing more is shown about this record. Answer with what you have."
MOST_ARGUMENT_CHARS = 2_000
MOST_TITLE_CHARS = 200
MOST_PAGES = 20


class Toolbox:
    """What `enrich.calls.InSteps` needs of the look-ups about one record.

    Args:
        shelf: What the record can reach.
        names: Tools the operation has.
        most_steps: Turns with look-ups.
        most_searches: Searches of the web per call; 0 for none.
        result_chars: Most characters of one result.
        record_chars: Most characters of all results together.
        documents_per_search: Most documents a search quotes from.
    """

    def __init__(
        self,
        shelf: Shelf,
        names: Sequence[str],
        *,
        most_steps: int,
        most_searches: int,
        result_chars: int,
        record_chars: int,
        documents_per_search: int,
    ) -> None:
        self._shelf = shelf
        self._tools = tuple(tool(name) for name in names)
        self._most_steps = most_steps
        self._most_searches = most_searches
        self._result_chars = result_chars
        self._left = record_chars
        self._documents_per_search = documents_per_search
        self._pages: dict[str, str] = {}

    @property
    def tools(self) -> tuple[Tool, ...]:
        return self._tools

    @property
    def most_steps(self) -> int:
        return self._most_steps

    @property
    def most_searches(self) -> int:
        return self._most_searches

    def call(self, name: str, arguments_json: str) -> ToolResult:
        """Look something up. The same calls in the same order always give the same results."""
        names = [item.name for item in self._tools]
        if name not in names:
            return self._said(f"There is no such tool. The tools are: {', '.join(names)}.")
        if len(arguments_json) > MOST_ARGUMENT_CHARS:
            return self._said("The arguments are too long.")
        try:
            arguments = TOOLS[name].arguments.model_validate_json(arguments_json or "{}")
        except ValidationError as error:
            return self._said(f"The arguments do not fit: {_complaint(error)}")
        except (ValueError, RecursionError):
            return self._said("The arguments are not JSON.")
        if self._left <= 0:
            return ToolResult(NOTHING_MORE)
        match arguments:
            case ListDocuments():
                return self._list_documents(arguments)
            case SearchDocuments():
                return self._search(arguments)
            case ReadDocument():
                return self._read(arguments)
            case ListFacts():
                return self._list_facts(arguments)
            case _:
                return self._said("There is no such tool.")

    def found(self, pages: Sequence[WebPage]) -> ToolResult:
        """Web pages as `w1`, `w2`, ...: of a page only its title may be cited, and its address is kept in no value."""
        shown: list[Shown] = []
        for page in pages:
            key = hashlib.sha256(page.url.encode("utf-8", "replace")).hexdigest()[:12]
            if key not in self._pages:
                if len(self._pages) >= MOST_PAGES:
                    break
                self._pages[key] = f"w{len(self._pages) + 1}"
            title = lines.one_line(page.title, MOST_TITLE_CHARS)
            age = lines.one_line(page.page_age or "", 40)
            evidence_id = f"{WEB}{key}"
            shown.append(
                Shown(
                    self._pages[key], "field", evidence_id, title, "unknown", f"{title} {age}", iso_days(age),
                    source=evidence_id,
                )
            )  # fmt: skip
        return ToolResult("\n".join(f'[{item.id}] unknown web "{item.quote}"' for item in shown), tuple(shown))

    # --- the tools ------------------------------------------------------------------------------------------------

    def _list_documents(self, wanted: ListDocuments) -> ToolResult:
        fit = [
            item
            for item in self._shelf.documents
            if (wanted.kind is None or item.kind == wanted.kind)
            and (wanted.since is None or item.day >= wanted.since)
            and (wanted.until is None or item.day <= wanted.until)
        ]
        items = [(lines.render(_document_line(item)), _shown_document(item)) for item in fit]
        return self._bounded(
            f"{len(fit)} of {len(self._shelf.documents)} documents, newest first.",
            items,
            lambda left: f"{left} older ones are not listed: narrow it with kind, since or until.",
        )

    def _search(self, wanted: SearchDocuments) -> ToolResult:
        found = self._shelf.search(wanted.words, self._documents_per_search)
        items: list[tuple[str, Shown]] = []
        for document, hits in found:
            items.append((lines.render(_document_line(document)), _shown_document(document)))
            items += [(lines.render(_span_line(document, span)), _shown_span(document, span)) for span in hits]
        return self._bounded(
            f"Found in {len(found)} documents." if found else "No document holds any of these words.",
            items,
            lambda left: f"{left} more lines are not shown: look for rarer words, or read the document.",
        )

    def _read(self, wanted: ReadDocument) -> ToolResult:
        document = self._shelf.document(wanted.document_id)
        if document is None:
            return self._said(NOT_OURS)
        begin = wanted.from_span or 1
        spans = self._shelf.spans(document)
        rest = spans[begin - 1 :]
        items = [(lines.render(_document_line(document)), _shown_document(document))]
        items += [(lines.render(_span_line(document, span)), _shown_span(document, span)) for span in rest]
        return self._bounded(
            f"{len(spans)} sentences, from number {begin}." if spans else "It has no sentence of its own.",
            items,
            lambda left: f"{left} more sentences: read on with from_span {len(spans) - left + 1}.",
        )

    def _list_facts(self, wanted: ListFacts) -> ToolResult:
        facts = self._shelf.facts()
        fit = [
            item
            for item in facts
            if (item.is_current or wanted.include_superseded)
            and (wanted.predicate is None or item.fact.predicate == wanted.predicate)
        ]
        items = [(lines.render(_fact_line(item)), _shown_fact(item)) for item in fit]
        return self._bounded(
            f"{len(fit)} of {len(facts)} facts, newest first.",
            items,
            lambda left: f"{left} older ones are not shown: ask for one predicate.",
        )

    # --- bounds ---------------------------------------------------------------------------------------------------

    def _bounded(self, heading: str, items: Sequence[tuple[str, Shown]], rest: Callable[[int], str]) -> ToolResult:
        """As many whole lines as fit into one result and into what is left for the record."""
        room = min(self._result_chars, self._left)
        kept: list[str] = [heading]
        shown: list[Shown] = []
        size = len(heading)
        for line, item in items:
            if size + len(line) + 1 > room:
                break
            kept.append(line)
            shown.append(item)
            size += len(line) + 1
        if len(shown) < len(items):
            # Less than one result's room is left for the record: asking on would not help.
            kept.append(rest(len(items) - len(shown)) if room == self._result_chars else NOTHING_MORE)
            if room < self._result_chars:
                self._left = 0
        text = "\n".join(kept)
        self._left -= len(text)
        return ToolResult(text, tuple(shown))

    def _said(self, text: str) -> ToolResult:
        self._left -= len(text)
        return ToolResult(text)


def open_toolbox(
    connection: duckdb.DuckDBPyConnection, operation: Operation, record_type: str, record_id: str, policy: Policy
) -> Toolbox:
    """The tools of an operation, bound to one record. Reads nothing before the first call.

    Args:
        connection: The ledger's connection with the warehouse attached as `nightdesk.ledger.WAREHOUSE_ALIAS`.
        operation: One with `tools` in its operation.yml.
        record_type: `account` or `contact`.
        record_id: Canonical id; nothing of any other record can be reached.
        policy: Bounds (`research.yml`) and our company's name.
    """
    rule, per_token = policy.research.tools, policy.recall.token_estimate_chars
    searches = {str(name): most for name, most in policy.research.web_search.operations.items()}
    return Toolbox(
        Shelf(connection, record_type, record_id, policy.icp.company),
        operation.spec.tools,
        most_steps=rule.most_steps,
        most_searches=searches.get(operation.name, 0),
        result_chars=rule.tokens_per_result * per_token,
        record_chars=rule.tokens_per_record * per_token,
        documents_per_search=rule.documents_per_search,
    )


def _complaint(error: ValidationError) -> str:
    """What is wrong, without a word of what was given."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    if first["type"] == "json_invalid":
        return "they are not JSON."
    if first["type"] == "extra_forbidden":
        return "one of them is unknown."
    where = ".".join(str(part) for part in first["loc"]) or "all"
    return lines.one_line(f"`{where}`: {first['msg']}.", 200)


# --- what is shown, and what it may be cited for --------------------------------------------------------------------


def _document_line(item: Document) -> lines.DocumentLine:
    return lines.DocumentLine(item.label, item.day, item.side, item.kind, item.author, item.subject)


def _span_line(document: Document, span: Span) -> lines.SpanLine:
    return lines.SpanLine(document.label, span.id, span.side, _author_of(document, span), span.text)


def _fact_line(item: Remembered) -> lines.RememberedLine:
    return lines.RememberedLine(item.fact, item.document.label, item.author, item.is_current)


def _author_of(document: Document, span: Span) -> str:
    """A name rather than an address: the document's author where the sentence is theirs, else the speaker."""
    if span.author == document.author_email and not span.is_forwarded:
        return document.author
    return span.author


def _shown_document(item: Document) -> Shown:
    day = item.day.isoformat()
    return Shown(
        id=item.label,
        kind="field",
        evidence_id=f"document.{item.document_id}",
        quote=item.subject,
        side=item.side,
        supports=f"{item.subject} {item.author} {item.kind} {day}",
        days=iso_days(day),
        source=item.content_key,
    )


def _shown_span(document: Document, span: Span) -> Shown:
    day = document.day.isoformat()
    return Shown(
        id=f"{document.label}.{span.id}",
        kind="span",
        evidence_id=f"{document.document_id}#{span.start}-{span.end}",
        quote=span.text,
        side=span.side,
        supports=f"{span.text} {_author_of(document, span)} {day}",
        days=iso_days(f"{day} {span.text}"),
        source=document.content_key,
    )


def _shown_fact(item: Remembered) -> Shown:
    fact = item.fact
    until = fact.until.isoformat() if fact.until else ""
    return Shown(
        id=fact.id,
        kind="fact",
        evidence_id=fact.id,
        quote=fact.quote,
        side=fact.side,
        supports=f"{fact.quote} {fact.value} {until} {fact.day.isoformat()} {item.author}",
        days=iso_days(f"{fact.day.isoformat()} {until} {fact.value}"),
        fact=fact,
        source=item.document.content_key,
    )
