"""An adapter, whole: the worked example of docs/adapters.md. Its CRM is in tests/shelf.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nightdesk.errors import NightdeskError
from reverse_etl.crms.protocol import (
    Change,
    CrmRecord,
    ObjectSchema,
    PropertySchema,
    PropertySpec,
    ReadResult,
    RecordWrite,
    Refusal,
    WriteOutcome,
    require_ours,
)
from tests.shelf import Shelf, ShelfError, ShelfSilence

US = "nightdesk"
_BATCH = 50
_TYPES = {"text": "text", "number": "number", "day": "date", "tick": "boolean"}
_REFUSALS: dict[str, Refusal] = {
    "no card": "gone",
    "no field": "schema",
    "locked field": "no_right",
    "bad value": "bad_value",
    "other revision": "stale",
}


class ShelfAdapter:
    """Writes to a shelf; `namespace` is the prefix of our fields."""

    crm = "shelf"
    batch_size = _BATCH
    keyed_types: frozenset[str] = frozenset()

    def __init__(self, shelf: Shelf, namespace: str) -> None:
        self._shelf, self._namespace = shelf, namespace

    def write_batch(self, records: int) -> int:
        return _BATCH

    def describe(self, object_type: str) -> ObjectSchema:
        properties: dict[str, PropertySchema] = {}
        for name, kind in self._shelf.kinds.items():
            options = tuple(kind.removeprefix("one of ").split("/")) if kind.startswith("one of ") else ()
            value_type = "enumeration" if options else _TYPES.get(kind, "other")
            locked = name in self._shelf.locked
            properties[name] = PropertySchema(name, name, value_type, kind, options=options, is_read_only=locked)
        return ObjectSchema(object_type, properties, frozenset({"nightdesk"}))

    def create_group(self, object_type: str, name: str, label: str) -> None:
        """A shelf has no groups: `describe` says that ours is there."""

    def create_property(self, object_type: str, spec: PropertySpec) -> None:
        raise NightdeskError(f"A shelf cannot be given the field `{spec.name}`", where="shelf", todo="Make it there.")

    def add_options(self, object_type: str, name: str, options: Sequence[str]) -> None:
        raise NightdeskError(f"`{name}` cannot be given options", where="shelf", todo="Add them there.")

    def read(
        self, object_type: str, ids: Sequence[str], properties: Sequence[str], *, history: bool = False
    ) -> ReadResult:
        if len(ids) > _BATCH:
            raise ValueError(f"{len(ids)} ids in one request")
        found: dict[str, CrmRecord] = {}
        missing: dict[str, str] = {}
        for asked in ids:
            number, card = asked, self._shelf.get(asked)
            while card is not None and card.moved_to is not None:
                number, card = card.moved_to, self._shelf.get(card.moved_to)
            if card is None:
                missing[asked] = "not in the CRM"
                continue
            past = {name: self._changes(number, name) for name in properties} if history else {}
            values = {name: card.fields.get(name) for name in properties}
            found[asked] = CrmRecord(number, values, past, version=str(card.revision))
        return ReadResult(found, missing)

    def _changes(self, number: str, name: str) -> tuple[Change, ...]:
        mine = [(who, value) for who, card, field, value in self._shelf.log if (card, field) == (number, name)]
        return tuple(Change(value, "now", "shelf", who, by_person=who != US) for who, value in reversed(mine))

    def write(self, object_type: str, writes: Sequence[RecordWrite]) -> Mapping[str, WriteOutcome]:
        if len(writes) > _BATCH:
            raise ValueError(f"{len(writes)} records in one request")
        if len({w.trace_id for w in writes}) != len(writes) or len({w.id for w in writes}) != len(writes):
            raise ValueError("a record or a trace id is twice in one request")
        for write in writes:  # all of them, before the first request
            require_ours(self._namespace, frozenset(), object_type, list(write.values))
        return {write.trace_id: self._put(write) for write in writes}

    def _put(self, write: RecordWrite) -> WriteOutcome:
        revision = None if write.version is None else int(write.version)
        try:
            self._shelf.put(US, write.id, write.values, revision)
        except ShelfError as error:
            return WriteOutcome("rejected", str(error), _REFUSALS.get(error.code, "other"))
        except ShelfSilence:  # sent, and nobody knows: never sent again from here
            return WriteOutcome("unknown", "no answer came")
        return WriteOutcome("acknowledged")
