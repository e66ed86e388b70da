"""Holds what the org sends against the tombstones: an erased person's records are dropped before a byte is written.

A contact or lead is recognised by its id, its address, or a record merged or converted into it or it into another. What
somebody wrote, said or arranged is recognised by its id, by an erased person it is linked to, by an erased address
anywhere in it, or by an erased voice in its transcript. Links to erased people and their field history are dropped.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, Final

from nightdesk.erasure.tombstones import Tombstones, addresses_in, document, holds_older_text, speaker, speakers_in
from sources.salesforce.contract import Definitions

# What a record may be called among the documents of the canonical tables: a Task is a task, a call or an email.
DOCUMENTS: Final[Mapping[str, tuple[str, ...]]] = {
    "EmailMessage": ("emails",),
    "Task": ("tasks", "calls", "emails"),
    "Event": ("meetings",),
    "Note": ("notes",),
}
PEOPLE: Final = ("Contact", "Lead")
# Fields that name a person, or a document, that a record belongs to.
_LINKS: Final[Mapping[str, tuple[str, ...]]] = {
    "Account": ("PersonContactId",),  # an account that is a person
    "Task": ("WhoId",),
    "Event": ("WhoId",),
    "Note": ("ParentId",),
    "EmailMessage": ("ActivityId",),
    "EventRelation": ("RelationId", "EventId"),
    "TaskRelation": ("RelationId", "TaskId"),
    "EmailMessageRelation": ("RelationId", "EmailMessageId"),
    "OpportunityContactRole": ("ContactId",),
}
# Fields of records that stay in which an erased person may be named by id: read as empty.
_REFERENCES: Final[Mapping[str, tuple[str, ...]]] = {"Opportunity": ("ContactId",), "Contact": ("ReportsToId",)}
_TYPES: Final[Mapping[str, tuple[str, ...]]] = {  # what the documents among them are
    "ActivityId": DOCUMENTS["Task"],
    "EventId": DOCUMENTS["Event"],
    "TaskId": DOCUMENTS["Task"],
    "EmailMessageId": DOCUMENTS["EmailMessage"],
}


class Erased:
    """The records of one load that must not come back. Thread-safe.

    Args:
        tombstones: Whom to keep out; what is recognised on the way is added to them.
    """

    def __init__(self, tombstones: Tombstones) -> None:
        self._stones = tombstones
        self._found: Counter[str] = Counter()
        self._linked: dict[str, str] = {}
        self._lock = threading.Lock()

    def counts(self) -> dict[str, int]:
        """Records kept out, per table."""
        with self._lock:
            return dict(self._found)

    def person(self, one: str) -> str | None:
        """The erasure a contact or lead belongs to, by its id alone."""
        return self._stones.erasure_of("contact", one)

    def masked(self, value: str) -> str:
        """A value of ours as it may be read."""
        return self._stones.masked(value)

    def follow(self, one: str, other: str) -> None:
        """Notes that a person's record went into another one, by a merge or a conversion."""
        if (erasure := self.person(one)) is not None:
            self._stones.learn("contact", other, erasure)

    def note(self, table: str, count: int) -> None:
        """Counts records kept out."""
        if count:
            with self._lock:
                self._found[table] += count

    def kept(self, definitions: Definitions, rows: Any) -> tuple[Any, list[str]]:
        """The rows of a page that may be loaded, and the ids of those that may not."""
        kind = definitions.kind
        pa: Any = import_module("pyarrow")  # ships no types
        texts = [
            definitions.fields[name]
            for name in (*kind.table.addresses, *kind.table.texts)
            if name in definitions.fields
        ]
        transcripts = [definitions.fields[name] for name in kind.table.texts if name in definitions.fields]
        mask: list[bool] = []
        dropped: list[str] = []
        for row in rows.to_pylist():
            erasure = self._erasure(kind.name, row, texts, transcripts)
            if erasure is not None:
                self._learn(kind.name, row, erasure)
                dropped.append(str(row["Id"]))
            mask.append(erasure is None)
        self.note(kind.table.name, len(dropped))
        rows = rows.filter(pa.array(mask)) if dropped else rows
        for field in _REFERENCES.get(kind.name, ()):
            if field in rows.column_names:
                values = [None if one and self.person(one) else one for one in rows.column(field).to_pylist()]
                position = rows.column_names.index(field)
                rows = rows.set_column(position, field, pa.array(values, pa.string()))
        return rows, dropped

    def _erasure(
        self, name: str, row: Mapping[str, str | None], texts: Sequence[str], transcripts: Sequence[str]
    ) -> str | None:
        stones = self._stones
        one = str(row["Id"])
        if name in PEOPLE:
            others = (row.get("MasterRecordId"), row.get("ConvertedContactId"))
            found = [stones.erasure_of("contact", other) for other in (one, *others) if other]
            found += [stones.erasure_of("email", email) for email in addresses_in(row.get("Email") or "")]
            return next((erasure for erasure in found if erasure), None)
        for field in _LINKS.get(name, ()):
            value = row.get(field)
            if value and (erasure := self._behind(field, value)):
                return erasure
        if name in DOCUMENTS:
            with self._lock:
                if one in self._linked:
                    return self._linked[one]
            if erasure := self._document(DOCUMENTS[name], one):
                return erasure
        for field in texts:
            for address in addresses_in(row.get(field) or ""):
                if erasure := stones.erasure_of("email", address):
                    return erasure
        return self._voice(row, transcripts) or self._quote(name, row)

    def _behind(self, field: str, value: str) -> str | None:
        """The erasure of the person or the document that a field points to."""
        if field in _TYPES:
            return self._document(_TYPES[field], value)
        return self.person(value)

    def _document(self, types: Sequence[str], one: str) -> str | None:
        found = (self._stones.erasure_of("document", document(name, one)) for name in types)
        return next((erasure for erasure in found if erasure), None)

    def _voice(self, row: Mapping[str, str | None], transcripts: Sequence[str]) -> str | None:
        for field in transcripts:
            for name, company in speakers_in(row.get(field) or ""):
                if found := self._stones.erasure_of("speaker", speaker(name, company)):
                    return found
        return None

    def _quote(self, name: str, row: Mapping[str, str | None]) -> str | None:
        thread = row.get("ThreadIdentifier") if name == "EmailMessage" else None
        found = self._stones.erasure_of("thread", thread) if thread else None
        return found if found and holds_older_text(row.get("TextBody") or "") else None

    def _learn(self, name: str, row: Mapping[str, str | None], erasure: str) -> None:
        one = str(row["Id"])
        if name in PEOPLE:
            self._stones.learn("contact", one, erasure)
            for address in addresses_in(row.get("Email") or ""):
                self._stones.learn("email", address, erasure)
        for document_type in DOCUMENTS.get(name, ()):
            self._stones.learn("document", document(document_type, one), erasure)
        for field in _LINKS.get(name, ()):
            # A relation to an erased person: the document it belongs to is known as theirs before it is read.
            if field in _TYPES and name not in DOCUMENTS and (owner := row.get(field)):
                with self._lock:
                    self._linked[owner] = erasure
