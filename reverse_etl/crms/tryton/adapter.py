"""The CRM protocol over Tryton: conditional writes by Tryton's own time stamps, one call for a batch, halved when it is
refused, and every refusal named by looking at what is there instead of by the words of the message."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from nightdesk.errors import NightdeskError
from reverse_etl.crms.halving import WholeBatchRejected, isolate
from reverse_etl.crms.http import OutcomeUnknown, RequestRefused
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
from reverse_etl.crms.tryton import history as changes
from reverse_etl.crms.tryton.client import CONCURRENCY, USER_ERROR, USER_WARNING, TrytonClient
from reverse_etl.crms.tryton.wire import VALUE_TYPES, CannotHold, decode, encode, moment

if TYPE_CHECKING:
    from nightdesk.policy import Policy

_BATCH = 100
_MAX_ID = 2**31  # Tryton's ids are 32-bit integers; a larger one ends in an error of the server
_MAX_HOPS = 10
_ALWAYS = ("_timestamp", "write_uid", "write_date", "create_uid", "create_date")
_EVERYTHING = {"active_test": False}  # deactivated records are looked at too, and named for what they are
_HIDDEN = "not in the CRM, or hidden from our user"
_STALE = "changed in Tryton since it was read"
_INSTALL = "Install or update the Tryton module `nightdesk` (docs/tryton.md); fields of Tryton come from modules."


class TrytonAdapter:
    """Tryton behind `CrmAdapter`; an object type is the name of a model, such as `party.party`.

    Args:
        client: The JSON-RPC client; its user's writes are ours, all others are people's.
        namespace: The prefix of our fields.
        exceptions: `(object_type, field)` pairs outside of it that policy allows until a date not yet passed.
        group: The mapping's property group. Tryton has none: it counts as there when fields of ours are.
    """

    def __init__(
        self,
        client: TrytonClient,
        namespace: str,
        exceptions: Iterable[tuple[str, str]] = (),
        *,
        group: str = "nightdesk",
    ) -> None:
        self.client = client
        self._namespace, self._group = namespace, group
        self._exceptions = frozenset(exceptions)
        self._fields: dict[str, dict[str, dict[str, Any]]] = {}

    @classmethod
    def connect(
        cls, base_url: str, database: str, user: str, password: str, policy: Policy, as_of: Any, **options: Any
    ) -> TrytonAdapter:
        """Build client and adapter; `options` go to `TrytonClient`. `as_of` (a date) ends expired exceptions."""
        mapping = policy.mapping("tryton")
        exceptions = [(str(e.object_type), e.property) for e in mapping.exceptions if e.expires_on >= as_of]
        client = TrytonClient(base_url, database, user, password, **options)
        return cls(client, mapping.namespace, exceptions, group=mapping.group.name)

    def close(self) -> None:
        """Close the connections."""
        self.client.close()

    @property
    def crm(self) -> str:
        """`tryton`."""
        return "tryton"

    @property
    def batch_size(self) -> int:
        """A hundred: Tryton has no limit of its own, but a refused batch is halved."""
        return _BATCH

    @property
    def keyed_types(self) -> frozenset[str]:
        """None: nothing is created in Tryton."""
        return frozenset()

    def write_batch(self, records: int) -> int:
        """A hundred, however many are waiting: one call, and one transaction in Tryton."""
        return _BATCH

    # fields -----------------------------------------------------------------------------------------------------------

    def describe(self, object_type: str) -> ObjectSchema:
        """Read the fields of a model. A field our user may not write is read-only, whoever decided that."""
        fields = self._describe(object_type)
        may_write = self._may_write(object_type)
        properties = {name: _schema(name, entry, may_write) for name, entry in fields.items()}
        ours = any(name.startswith(self._namespace) for name in properties)
        return ObjectSchema(object_type, properties, frozenset({self._group} if ours else ()))

    def create_group(self, object_type: str, name: str, label: str) -> None:
        """Nothing to create; without fields of ours it says what is missing."""
        if name not in self.describe(object_type).groups:
            raise self._not_installed(f"{object_type} has no fields that begin with `{self._namespace}`", object_type)

    def create_property(self, object_type: str, spec: PropertySpec) -> None:
        """Refused: no call creates a field in Tryton."""
        require_ours(self._namespace, frozenset(), object_type, [spec.name])
        raise self._not_installed(f"{object_type} has no field `{spec.name}`", f"{object_type}.{spec.name}")

    def add_options(self, object_type: str, name: str, options: Sequence[str]) -> None:
        """Refused like `create_property`; options that are there already need nothing."""
        require_ours(self._namespace, frozenset(), object_type, [name])
        there = self.describe(object_type).properties.get(name)
        lacking = [option for option in options if there is None or option not in there.options]
        if lacking:
            raise self._not_installed(f"`{name}` has no option {', '.join(lacking)}", f"{object_type}.{name}")

    @staticmethod
    def _not_installed(what: str, where: str) -> NightdeskError:
        return NightdeskError(what, where=where, todo=_INSTALL)

    def _describe(self, object_type: str) -> dict[str, dict[str, Any]]:
        try:
            self._fields[object_type] = self.client.call(f"model.{object_type}.fields_get", None)
        except RequestRefused as error:
            raise self._explained(error, object_type) from error
        return self._fields[object_type]

    def _known(self, object_type: str) -> dict[str, dict[str, Any]]:
        return self._fields.get(object_type) or self._describe(object_type)

    def _may_write(self, object_type: str) -> bool:
        try:
            access = self.client.call("model.ir.model.access.get_access", [object_type])
        except RequestRefused as error:
            raise self._explained(error, object_type) from error
        return bool(access[object_type]["write"])

    @staticmethod
    def _explained(error: RequestRefused, where: str) -> NightdeskError:
        return NightdeskError(f"Tryton refused: {error.message}", where=where)

    # records ----------------------------------------------------------------------------------------------------------

    def read(
        self, object_type: str, ids: Sequence[str], properties: Sequence[str], *, history: bool = False
    ) -> ReadResult:
        """Read records by id, those replaced by another under the id asked for; what is missing comes with the reason.

        With `history`, each property has the newest change only: who and when, from Tryton's own log.
        """
        if len(ids) > _BATCH:
            raise ValueError(f"{len(ids)} ids in one request")
        missing: dict[str, str] = {}
        wanted: dict[str, int] = {}
        for record_id in dict.fromkeys(ids):
            number = _number(record_id)
            if number is None:
                missing[record_id] = "not in the CRM (Tryton's ids are whole numbers)"
            else:
                wanted[record_id] = number
        rows = self._rows(object_type, wanted.values(), properties)
        self._follow(object_type, rows, properties)
        found: dict[str, CrmRecord] = {}
        for record_id, number in wanted.items():
            row = _survivor(rows, number)
            if row is None:
                missing[record_id] = _HIDDEN
            elif row.get("active", True) in (0, False):
                missing[record_id] = "deactivated in the CRM"
            else:
                found[record_id] = self._record(object_type, row, properties)
        if history and found:
            found = self._with_history(object_type, found, rows, properties)
        return ReadResult(found, missing)

    def _rows(self, object_type: str, numbers: Iterable[int], properties: Sequence[str]) -> dict[int, dict[str, Any]]:
        known = self._known(object_type)
        if any(name not in known for name in properties):
            known = self._describe(object_type)
        names = [name for name in properties if name in known]
        names += [name for name in ("active", "replaced_by") if name in known]
        domain = [["id", "in", sorted(set(numbers))]]
        if not domain[0][2]:
            return {}
        wanted = list(dict.fromkeys([*names, *_ALWAYS]))
        found = self._search(object_type, domain, None, None, wanted, _EVERYTHING)
        return {int(row["id"]): row for row in found}

    def _follow(self, object_type: str, rows: dict[int, dict[str, Any]], properties: Sequence[str]) -> None:
        """Read the records that took the place of others, so that every chain ends within `rows`."""
        for _ in range(_MAX_HOPS):
            targets = {int(row["replaced_by"]) for row in rows.values() if row.get("replaced_by")} - rows.keys()
            more = self._rows(object_type, targets, properties)
            if not more:
                return
            rows.update(more)

    def _search(
        self,
        object_type: str,
        domain: list[Any],
        limit: int | None,
        order: list[Any] | None,
        names: Sequence[str],
        context: Mapping[str, Any] | None = None,
    ) -> list[dict[str, Any]]:
        try:
            found = self.client.call(
                f"model.{object_type}.search_read", domain, 0, limit, order, list(names), context=context
            )
        except RequestRefused as error:
            raise self._explained(error, object_type) from error
        return cast("list[dict[str, Any]]", found)

    def _record(self, object_type: str, row: dict[str, Any], properties: Sequence[str]) -> CrmRecord:
        fields = self._known(object_type)
        values = {name: decode(fields[name]["type"], row.get(name)) if name in fields else None for name in properties}
        changed = row.get("write_date") or row.get("create_date")
        return CrmRecord(
            id=str(row["id"]),
            values=values,
            modified_at=moment(changed) if changed else None,
            version=row.get("_timestamp"),
        )

    def _with_history(
        self,
        object_type: str,
        found: Mapping[str, CrmRecord],
        rows: Mapping[int, dict[str, Any]],
        properties: Sequence[str],
    ) -> dict[str, CrmRecord]:
        numbers = sorted({int(record.id) for record in found.values()})
        log = changes.read_log(self.client, object_type, numbers)
        names = changes.names_of_users(self.client, [*log, *({"user": rows[n].get("write_uid")} for n in numbers)])
        past: dict[str, dict[str, tuple[Change, ...]]] = {}
        for record in found.values():
            entries = [entry for entry in log if entry["resource"] == f"{object_type},{record.id}"]
            row = rows[int(record.id)]
            past[record.id] = {
                name: changes.newest(name, record.values.get(name), entries, row, names, self.client.user_id)
                for name in properties
            }
        return {asked: replace(record, history=past[record.id]) for asked, record in found.items()}

    def write(self, object_type: str, writes: Sequence[RecordWrite]) -> Mapping[str, WriteOutcome]:
        """Update records, each only if it is still the version it was decided on.

        One call holds the whole batch and Tryton does all of it or nothing. When it refuses, one look tells which
        records are stale, gone or closed to us, and the others are sent again; a batch that is still refused is halved
        until the bad values stand alone.
        """
        if len(writes) > _BATCH:
            raise ValueError(f"{len(writes)} records in one request")
        if len({w.trace_id for w in writes}) != len(writes) or len({w.id for w in writes}) != len(writes):
            raise ValueError("a record or a trace id is twice in one request")
        for write in writes:
            require_ours(self._namespace, self._exceptions, object_type, list(write.values))
        outcomes: dict[str, WriteOutcome] = {}
        ready: list[tuple[RecordWrite, dict[str, Any]]] = []
        for write in writes:
            encoded = self._encode(object_type, write)
            if isinstance(encoded, WriteOutcome):
                outcomes[write.trace_id] = encoded
            else:
                ready.append((write, encoded))
        sent = isolate(
            ready,
            lambda item: item[0].trace_id,
            lambda batch: self._send(object_type, batch, look=len(batch) == len(ready)),
            lambda item, error: self._reason(object_type, item[0], cast("RequestRefused", error.__cause__)),
        )
        return {**outcomes, **sent}

    def _encode(self, object_type: str, write: RecordWrite) -> dict[str, Any] | WriteOutcome:
        """The values as Tryton takes them, or why this record is not sent at all."""
        if _number(write.id) is None:
            return _refused("gone", "not in the CRM (Tryton's ids are whole numbers)")
        fields = self._known(object_type)
        values: dict[str, Any] = {}
        for name, wire in write.values.items():
            if name not in fields:
                return _refused("schema", f"Tryton has no field `{name}`")
            try:
                values[name] = encode(fields[name]["type"], wire)
            except CannotHold as problem:
                return _refused("bad_value", f"`{name}`: {problem}")
        return values

    def _send(
        self, object_type: str, batch: Sequence[tuple[RecordWrite, dict[str, Any]]], *, look: bool
    ) -> Mapping[str, WriteOutcome]:
        parameters: list[Any] = []
        for write, values in batch:
            parameters += [[int(write.id)], values]
        versions = {f"{object_type},{write.id}": write.version for write, _ in batch if write.version is not None}
        try:
            self.client.call(
                f"model.{object_type}.write", *parameters, context={"_timestamp": versions}, effect="write"
            )
        except RequestRefused as error:
            named = (
                self._evident(object_type, batch) if len(batch) > 1 and (look or error.category == CONCURRENCY) else {}
            )
            if not named:
                raise WholeBatchRejected(error.message) from error
            rest = [item for item in batch if item[0].trace_id not in named]
            return {**named, **(self._send(object_type, rest, look=False) if rest else {})}
        except OutcomeUnknown as error:
            return {write.trace_id: WriteOutcome("unknown", str(error)) for write, _ in batch}
        return {write.trace_id: WriteOutcome("acknowledged") for write, _ in batch}

    def _evident(
        self, object_type: str, batch: Sequence[tuple[RecordWrite, dict[str, Any]]]
    ) -> dict[str, WriteOutcome]:
        """Those of a refused batch whose reason can be seen without sending them again, by trace id."""
        try:
            there = self._states(object_type, [int(write.id) for write, _ in batch])
        except NightdeskError:
            return {}  # halving finds them one by one
        named = {write.trace_id: _state(there.get(int(write.id)), write.version) for write, _ in batch}
        return {trace: outcome for trace, outcome in named.items() if outcome is not None}

    def _states(self, object_type: str, numbers: Sequence[int]) -> dict[int, dict[str, Any]]:
        """What decides whether records can be written now, and their names; those that are gone are left out."""
        names = ["_timestamp", "_write", "rec_name", *(["active"] if "active" in self._known(object_type) else [])]
        rows = self._search(object_type, [["id", "in", list(numbers)]], None, None, names, _EVERYTHING)
        return {int(row["id"]): row for row in rows}

    def _reason(self, object_type: str, write: RecordWrite, error: RequestRefused) -> WriteOutcome:
        """Name the refusal of one record; that it was refused stays true even if nobody can look why any more."""
        try:
            return self._name(object_type, write, error)
        except NightdeskError as problem:
            return _refused("other", f"refused by Tryton; why could not be looked up: {problem.what}")

    def _name(self, object_type: str, write: RecordWrite, error: RequestRefused) -> WriteOutcome:
        """Say why Tryton refused one record.

        Its errors carry a message for people and no code, so the state of things is asked: does the field exist, may
        our user write it, is the record there, may they write that one. What is left is the value.
        """
        if error.category == CONCURRENCY:
            return _refused("stale", _STALE)
        fields = self._describe(object_type)
        for name in write.values:
            if name not in fields:
                return _refused("schema", f"Tryton has no field `{name}`")
        if not self._may_write(object_type):
            return _refused("no_right", f"our user may not write {object_type}")
        for name in write.values:
            if fields[name].get("readonly"):
                return _refused("no_right", f"our user may not write `{name}`")
        there = self._states(object_type, [int(write.id)]).get(int(write.id))
        evident = _state(there, write.version)
        if there is None or evident is not None:
            return evident or _refused("gone", _HIDDEN)
        said = _without(error.message, [*write.values.values(), str(there.get("rec_name") or "")])
        if error.category == USER_WARNING:
            return _refused("other", f"Tryton wants a person to confirm: {said}")
        return _refused("bad_value" if error.category == USER_ERROR else "other", f"Tryton says: {said}")


def _refused(refusal: Refusal, message: str) -> WriteOutcome:
    return WriteOutcome("rejected", message[:500], refusal)


def _state(row: Mapping[str, Any] | None, version: str | None) -> WriteOutcome | None:
    """Why a record in this state cannot be written, or None."""
    if row is None:
        return _refused("gone", _HIDDEN)
    if not row["_write"]:
        return _refused("no_right", "our user may not write this record (a rule of Tryton)")
    if row.get("active", True) in (0, False):
        return _refused("gone", "deactivated in the CRM")
    if version is not None and row["_timestamp"] != version:
        return _refused("stale", _STALE)
    return None


def _without(message: str, values: Iterable[str]) -> str:
    """A message of Tryton without the quoted values and names of people in it; they belong into no journal."""
    for value in sorted({value for value in values if value}, key=len, reverse=True):
        for quoted in (f"\"'{value}'\"", f'"{value}"', f"'{value}'"):
            message = message.replace(quoted, "“…”")
    return message


def _number(record_id: str) -> int | None:
    """The number a record id stands for; None when Tryton can have no such record."""
    if not (record_id.isascii() and record_id.isdecimal() and len(record_id) <= 10 and record_id[0] != "0"):
        return None
    return int(record_id) if int(record_id) < _MAX_ID else None


def _survivor(rows: Mapping[int, dict[str, Any]], number: int) -> dict[str, Any] | None:
    """The record itself, or the one at the end of the chain of replacements."""
    row = rows.get(number)
    for _ in range(_MAX_HOPS):
        if row is None or not row.get("replaced_by"):
            return row
        row = rows.get(int(row["replaced_by"]))
    return None


def _schema(name: str, entry: Mapping[str, Any], may_write: bool) -> PropertySchema:
    kind = str(entry["type"])
    options: tuple[str, ...] = ()
    if isinstance(entry.get("selection"), list):
        choices = cast("list[list[Any]]", entry["selection"])
        options = tuple(str(value) for value, *_ in choices if value not in (None, ""))
    digits = entry.get("digits")
    limits: Any = json.loads(digits) if isinstance(digits, str) else digits
    return PropertySchema(
        name=name,
        label=str(entry.get("string") or name),
        value_type=VALUE_TYPES.get(kind, "other"),
        crm_type=kind if not limits else f"{kind} {limits}",
        options=options,
        is_read_only=bool(entry.get("readonly")) or not may_write,
    )
