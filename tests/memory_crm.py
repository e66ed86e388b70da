"""A CRM in memory behind the adapter protocol: everything a real one does to a write, told by a script.

An example with it costs milliseconds, so thousands of stories can be tried. It keeps every change with who made it:
that log, not our own ledger, is what the tests judge by.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from reverse_etl.canonical import lenient, same
from reverse_etl.crms.protocol import (
    PRESENT,
    RECORD,
    Change,
    CrmRecord,
    CrmUnavailable,
    ObjectSchema,
    PropertySchema,
    ReadResult,
    RecordWrite,
    WriteOutcome,
)

CONTACTS, TASKS = "contacts", "tasks"
OPT_OUT = "hs_email_optout"
# What may become of one request. Those of the second line strike only its first record.
REQUEST_TROUBLES = ("none", "lost before", "lost after", "late", "killed before", "killed after")
RECORD_TROUBLES = ("silent", "ignored", "altered", "edited before", "edited after", "locked", "refused", "archived")
TROUBLES = (*REQUEST_TROUBLES, *RECORD_TROUBLES)
REFUSALS = ("bad_value", "no_right", "gone", "duplicate", "schema", "automation", "other")


class Killed(BaseException):
    """The process ends here."""


@dataclass(frozen=True)
class Entry:
    """One change in the CRM: by `us`, a `person`, a `workflow`, or a `merge`."""

    number: int
    object_type: str
    record: str
    name: str
    before: str
    after: str
    by: str
    run: str = ""


Place = tuple[str, str, str]


@dataclass
class MemoryCrm:
    """Contacts, and tasks known by a key of ours.

    Args:
        schema: Object type to its properties.
        by_hand: What a person enters into a property.
        clock: Time of the changes.
        conditional: Whether a write that carries an old version is refused as stale.
        inspect: Called with every request before it has any effect.
    """

    schema: dict[str, dict[str, PropertySchema]]
    by_hand: Mapping[str, str]
    clock: Callable[[], datetime]
    conditional: bool = True
    inspect: Callable[[str, Sequence[RecordWrite]], None] = lambda _type, _writes: None
    crm: str = "hubspot"
    batch_size: int = 2
    keyed_types: frozenset[str] = frozenset({TASKS})
    values: dict[Place, str] = field(default_factory=dict)
    alive: set[tuple[str, str]] = field(default_factory=set)
    merged: dict[str, str] = field(default_factory=dict)
    deleted: set[tuple[str, str]] = field(default_factory=set)
    log: list[Entry] = field(default_factory=list)
    script: list[str] = field(default_factory=list)
    struck: dict[str, str] = field(default_factory=dict)  # record -> what becomes of every write to it
    refusal: Any = "bad_value"
    down_at_read: int = 0
    late: list[tuple[str, RecordWrite, str]] = field(default_factory=list)
    late_landed: set[Place] = field(default_factory=set)
    requests: int = 0
    versions: dict[tuple[str, str], int] = field(default_factory=dict)

    # the protocol -----------------------------------------------------------------------------------------------------

    def write_batch(self, records: int) -> int:
        return self.batch_size

    def describe(self, object_type: str) -> ObjectSchema:
        return ObjectSchema(object_type, dict(self.schema[object_type]), frozenset({"nightdesk"}))

    def create_group(self, object_type: str, name: str, label: str) -> None: ...
    def create_property(self, object_type: str, spec: Any) -> None: ...
    def add_options(self, object_type: str, name: str, options: Sequence[str]) -> None: ...

    def read(
        self, object_type: str, ids: Sequence[str], properties: Sequence[str], *, history: bool = False
    ) -> ReadResult:
        assert len(ids) <= self.batch_size and len(set(ids)) == len(ids)
        self.down_at_read -= 1
        if self.down_at_read == 0:
            raise CrmUnavailable("The CRM does not answer")
        found: dict[str, CrmRecord] = {}
        missing: dict[str, str] = {}
        for one in ids:
            record = self.survivor(one) if object_type == CONTACTS else one
            here = (object_type, record)
            if here in self.deleted or (here not in self.alive and object_type not in self.keyed_types):
                missing[one] = "archived in the CRM"
                continue
            past = {name: self._changes((object_type, record, name)) for name in properties} if history else {}
            values = {name: self.values.get((object_type, record, name)) for name in properties}
            found[one] = CrmRecord(record, values, past, version=str(self.versions.get(here, 0)))
        return ReadResult(found, missing)

    def write(self, object_type: str, writes: Sequence[RecordWrite]) -> Mapping[str, WriteOutcome]:
        self.requests += 1
        trouble = self.script.pop(0) if self.script else "none"
        self.inspect(object_type, writes)
        if trouble == "killed before":
            raise Killed
        if trouble in ("late", "lost before"):
            if trouble == "late":
                self.late += [(object_type, write, run_of(write)) for write in writes]
            return {write.trace_id: WriteOutcome("unknown", "no answer") for write in writes}
        struck = trouble if trouble in RECORD_TROUBLES else ""
        answers = {
            write.trace_id: self._one(object_type, write, self.struck.get(write.id, struck if number == 0 else ""))
            for number, write in enumerate(writes)
        }
        if trouble == "killed after":
            raise Killed
        if trouble == "lost after":
            return {write.trace_id: WriteOutcome("unknown", "no answer") for write in writes}
        if trouble == "silent":
            del answers[writes[0].trace_id]
        for write in writes:
            if self.struck.get(write.id) in ("lost before", "lost after"):
                answers[write.trace_id] = WriteOutcome("unknown", "no answer")
        return answers

    # one record -------------------------------------------------------------------------------------------------------

    def _one(self, object_type: str, write: RecordWrite, trouble: str) -> WriteOutcome:
        here = (object_type, write.id)
        name = sorted(write.values)[0]
        if trouble == "edited before" and self.conditional and here in self.alive:
            self.edit(object_type, write.id, name)
        if trouble in ("locked", "refused"):
            return WriteOutcome("rejected", trouble, "locked" if trouble == "locked" else self.refusal)
        if trouble == "archived":
            self.delete(*here)
        refused = self._refuse(object_type, write)
        if refused:
            return refused
        if trouble not in ("ignored", "lost before"):
            self._set(object_type, write, run_of(write))
        if trouble == "altered" and not name.startswith("@"):
            self._change((object_type, write.id, name), self.by_hand[name], "workflow", run_of(write))
        if trouble == "edited after" and here in self.alive:
            self.edit(object_type, write.id, name)
        return WriteOutcome("acknowledged")

    def _refuse(self, object_type: str, write: RecordWrite) -> WriteOutcome | None:
        here = (object_type, write.id)
        creates = object_type in self.keyed_types and write.values.get(RECORD) == PRESENT
        if here in self.deleted or (here not in self.alive and not creates):
            return WriteOutcome("rejected", "not there", "gone")
        if self.conditional and write.version is not None and write.version != str(self.versions.get(here, 0)):
            return WriteOutcome("rejected", "changed since", "stale")
        for name, value in write.values.items():
            there = self.schema[object_type].get(name)
            if there is None and not name.startswith("@"):
                return WriteOutcome("rejected", f"no {name}", "schema")
            if there and there.options and value and value not in there.options:
                return WriteOutcome("rejected", f"not an option of {name}", "bad_value")
        return None

    def _set(self, object_type: str, write: RecordWrite, run: str) -> None:
        here = (object_type, write.id)
        if write.values.get(RECORD) == "":
            for place in [place for place in self.values if place[:2] == here]:
                self._change(place, "", "us", run)
            self.alive.discard(here)
            return
        self.alive.add(here)
        for name, value in write.values.items():
            self._change((object_type, write.id, name), self._stored(object_type, write.id, name, value), "us", run)

    def _stored(self, object_type: str, record: str, name: str, value: str) -> str:
        """A CRM formats what it keeps as it likes."""
        kind = self.schema[object_type][name].value_type if name in self.schema[object_type] else "text"
        if kind != "number" or not value or int(record) % 2:
            return value
        return f"{value}0" if "." in value else f"{value}.0"

    def _change(self, place: Place, value: str, by: str, run: str = "") -> None:
        before = self.values.get(place, "")
        if value == "" and place[0] in self.keyed_types:
            self.values.pop(place, None)
        else:
            self.values[place] = value
        if before != value:
            self.log.append(Entry(len(self.log), *place, before, value, by, run))
            self.versions[place[:2]] = self.versions.get(place[:2], 0) + 1

    def _changes(self, place: Place) -> tuple[Change, ...]:
        return tuple(
            Change(entry.after, "t", "CRM_UI" if entry.by == "person" else "INTEGRATION", "7", entry.by == "person")
            for entry in reversed(self.log)
            if (entry.object_type, entry.record, entry.name) == place
        )

    # what people and time do ------------------------------------------------------------------------------------------

    def survivor(self, record: str) -> str:
        while record in self.merged:
            record = self.merged[record]
        return record

    def kind(self, object_type: str, name: str) -> str:
        there = self.schema[object_type].get(name)
        return there.value_type if there else "text"

    def canonical(self, place: Place) -> str | None:
        return lenient(self.kind(place[0], place[2]), self.values.get(place))

    def holds(self, place: Place, value: str | None) -> bool:
        return same(self.canonical(place), value)

    def edit(self, object_type: str, record: str, name: str, value: str | None = None) -> None:
        """A person changes a value on the record page (the record itself is not edited but deleted)."""
        if not name.startswith("@"):
            self._change((object_type, record, name), self.by_hand[name] if value is None else value, "person")

    def delete(self, object_type: str, record: str) -> None:
        """A person archives a record."""
        self.alive.discard((object_type, record))
        self.deleted.add((object_type, record))
        if object_type in self.keyed_types:
            for place in [place for place in self.values if place[:2] == (object_type, record)]:
                self._change(place, "", "person")

    def merge(self, gone: str, survivor: str) -> None:
        """A person merges a contact into another: the survivor keeps its values and takes what it lacks."""
        for place, value in list(self.values.items()):
            if place[:2] == (CONTACTS, gone) and not self.values.get((CONTACTS, survivor, place[2])):
                self._change((CONTACTS, survivor, place[2]), value, "merge")
        self.alive.discard((CONTACTS, gone))
        self.merged[gone] = survivor

    def deliver(self) -> None:
        """Requests that got no answer arrive after all."""
        arriving, self.late = self.late, []
        for object_type, write, run in arriving:
            if self._refuse(object_type, write) is None:
                self.late_landed |= {(object_type, write.id, name) for name in write.values}
                self._set(object_type, write, run)


def run_of(write: RecordWrite) -> str:
    return write.trace_id.split("/")[0]


__all__ = ["CONTACTS", "OPT_OUT", "REFUSALS", "TASKS", "TROUBLES", "Entry", "Killed", "MemoryCrm", "Place"]
