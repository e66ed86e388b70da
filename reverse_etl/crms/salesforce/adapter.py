"""The CRM protocol over Salesforce: collections of 200, bulk jobs beyond 2,000, every record with its own outcome."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from nightdesk.errors import NightdeskError
from reverse_etl.crms.halving import WholeBatchRejected, isolate
from reverse_etl.crms.http import OutcomeUnknown, RequestRefused
from reverse_etl.crms.protocol import (
    CrmRecord,
    CrmRefused,
    NotOurProperty,
    ObjectSchema,
    PropertySpec,
    ReadResult,
    RecordWrite,
    WriteOutcome,
    require_ours,
)
from reverse_etl.crms.salesforce import bulk, composite
from reverse_etl.crms.salesforce.client import SalesforceClient
from reverse_etl.crms.salesforce.fields import Fields, explained
from reverse_etl.crms.salesforce.history import History, query_all
from reverse_etl.crms.salesforce.refusals import of_refusal, of_result
from reverse_etl.crms.salesforce.tasks import KEYED_TYPES, Tasks
from reverse_etl.crms.salesforce.wire import (
    CUSTOM,
    TEXT,
    CannotHold,
    http_date,
    is_id,
    long_id,
    moment,
    quoted,
    to_json,
    to_text,
)

if TYPE_CHECKING:
    from nightdesk.policy import Policy

_BATCH = 200
_BULK_FROM = 2_000
_READ_CHUNK = 1_000  # retrieving takes 2,000 ids; records with long texts make large answers
_QUERY_CHUNK = 150  # ids in a query's address
_MAX_HOPS = 10
# What is locked is sent again in smaller batches, after waiting: (records, seconds).
_LOCKED = ((50, 1.0), (10, 3.0))
_PARENT = {"Contact": "AccountId", "Account": "ParentId"}
_SYSTEM = ("Id", "SystemModstamp", "LastModifiedById", "LastModifiedDate")


class SalesforceAdapter:
    """Salesforce behind `CrmAdapter` and `RoutesRecords`; object types are API names (`Contact`).

    Args:
        client: The HTTP client.
        namespace: The prefix of our fields; their names end in `__c`.
        exceptions: `(object_type, field)` pairs outside of it that policy allows until a date not yet passed.
        group: The mapping's property group.
        conditional: Up to how many records go as one request in which each is conditional, if their versions are known.
        collection: How many records go as a collection; more in one write go as a bulk job.
        key_property: The field by which tasks of ours are known.
    """

    def __init__(
        self,
        client: SalesforceClient,
        namespace: str,
        exceptions: Iterable[tuple[str, str]] = (),
        *,
        group: str = "nightdesk",
        conditional: int = composite.MAX_PARTS,
        collection: int = _BATCH,
        key_property: str = "Nightdesk_Op_Key__c",
    ) -> None:
        self.client = client
        self._conditional, self._limit = min(conditional, composite.MAX_PARTS), min(collection, _BATCH)
        self._namespace = namespace
        self._exceptions = frozenset(exceptions)
        self._fields = Fields(client, group)
        self._history = History(client)
        self._tasks = Tasks(client, self._fields, self._history, key_property, f"{namespace}State{CUSTOM}")
        self._parents: dict[str, str] = {}
        self._quiet: set[str] = set()  # objects on which no job of an earlier run is at work

    @classmethod
    def connect(cls, base_url: str, token: str, policy: Policy, as_of: Any, **options: Any) -> SalesforceAdapter:
        """Build client and adapter; `options` go to `SalesforceClient`. `as_of` (a date) ends expired exceptions."""
        mapping = policy.mapping("salesforce")
        exceptions = [(str(e.object_type), e.property) for e in mapping.exceptions if e.expires_on >= as_of]
        client = SalesforceClient(base_url, token, **options)
        return cls(client, mapping.namespace, exceptions, group=mapping.group.name, key_property=mapping.key_property)

    def close(self) -> None:
        """Close the connections."""
        self.client.close()

    @property
    def crm(self) -> str:
        """`salesforce`."""
        return "salesforce"

    @property
    def batch_size(self) -> int:
        """A collection takes 200 records."""
        return _BATCH

    @property
    def keyed_types(self) -> frozenset[str]:
        """Tasks: ours are known by an external id field of our namespace (`tasks.Tasks`)."""
        return KEYED_TYPES

    def write_batch(self, records: int) -> int:
        """200 for a collection; where 2,000 or more are waiting, as many as one bulk job takes."""
        return bulk.MAX_ROWS if records >= _BULK_FROM else _BATCH

    # fields -----------------------------------------------------------------------------------------------------------

    def describe(self, object_type: str) -> ObjectSchema:
        """Read the fields of an object that the integration user may see; one without that right is not there."""
        return self._fields.describe(object_type)

    def create_group(self, object_type: str, name: str, label: str) -> None:
        """Nothing to do: Salesforce's fields are in no groups; page layouts are the administrator's."""

    def create_property(self, object_type: str, spec: PropertySpec) -> None:
        """Create one namespaced custom field, visible through the permission set `Nightdesk`."""
        self._require_ours(object_type, [spec.name])
        self._fields.create(object_type, spec, self._history.me())

    def add_options(self, object_type: str, name: str, options: Sequence[str]) -> None:
        """Add values to one of our picklists."""
        self._require_ours(object_type, [name])
        self._fields.add_options(object_type, name, options)

    def _require_ours(
        self, object_type: str, names: Iterable[str], exceptions: frozenset[tuple[str, str]] = frozenset()
    ) -> None:
        """Refuse fields outside the namespace, and such that only look like ours: a custom field ends in `__c`."""
        listed = list(names)
        require_ours(self._namespace, exceptions, object_type, listed)
        for name in listed:
            if not name.endswith(CUSTOM) and (object_type, name) not in exceptions:
                raise NotOurProperty(
                    object_type,
                    name,
                    f"`{name}` is no custom field of Salesforce and was not written",
                    todo=f"Names of our fields begin with `{self._namespace}` and end in `{CUSTOM}`.",
                )

    # reading ----------------------------------------------------------------------------------------------------------

    def read(
        self, object_type: str, ids: Sequence[str], properties: Sequence[str], *, history: bool = False
    ) -> ReadResult:
        """Read records by id, merged ones under the id asked for; what is missing comes with the reason."""
        if len(ids) > bulk.MAX_ROWS:
            raise ValueError(f"{len(ids)} ids in one request")
        if object_type in KEYED_TYPES:
            return self._tasks.read(object_type, ids, properties, history=history)
        wanted = list(dict.fromkeys(ids))
        self._settle(object_type)
        missing = {one: "not in the CRM (no Salesforce id)" for one in wanted if not is_id(one)}
        long_of = {one: long_id(one) for one in wanted if one not in missing}
        raw = self._retrieve(object_type, list(dict.fromkeys(long_of.values())), properties)
        survivors: dict[str, str] = {}
        lost = [one for one in dict.fromkeys(long_of.values()) if one not in raw]
        if lost:
            survivors, reasons = self._follow(object_type, lost)
            raw |= self._retrieve(object_type, sorted(set(survivors.values()) - raw.keys()), properties)
            missing |= {one: reasons[name] for one, name in long_of.items() if name in reasons}
        changes = self._history.read(object_type, properties, raw) if history else {}
        found: dict[str, CrmRecord] = {}
        for one, name in long_of.items():
            target = survivors.get(name, name)
            if target in raw:
                # A record asked for by its short id is the same record; only a merged one has another id.
                shown = target if name in survivors else one
                found[one] = _record(shown, raw[target], properties, changes.get(target, {}))
            else:
                missing.setdefault(one, "not in the CRM")
        return ReadResult(found, missing)

    def _settle(self, object_type: str) -> None:
        """Before the first look at an object: let a bulk job of an interrupted run come to its end."""
        if object_type in self._quiet:
            return
        try:
            bulk.wait_for_earlier(self.client, object_type, self._history.me, self.client.wait)
        except RequestRefused as error:
            raise explained(error, "bulk jobs") from error
        self._quiet.add(object_type)

    def _retrieve(self, object_type: str, ids: Sequence[str], properties: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Records by id; those that are not there, or that we may not see, are left out."""
        found: dict[str, dict[str, Any]] = {}
        parent = _PARENT.get(object_type)
        names = [*dict.fromkeys([*_SYSTEM, *properties])]
        if parent and parent not in names and parent in self._fields.kinds(object_type):
            names.append(parent)
        for start in range(0, len(ids), _READ_CHUNK):
            part = ids[start : start + _READ_CHUNK]
            try:
                answer = self._collection(object_type, part, names)
            except RequestRefused as error:
                if error.category != "INVALID_FIELD":
                    raise explained(error, object_type) from error
                names = self._visible(object_type, names, error)
                answer = self._collection(object_type, part, names)
            for entry in answer:
                if entry is not None:
                    found[str(entry["Id"])] = entry
                    if parent:
                        self._parents[str(entry["Id"])] = str(entry.get(parent) or "")
        return found

    def _collection(self, object_type: str, ids: Sequence[str], names: Sequence[str]) -> list[dict[str, Any] | None]:
        body = {"ids": list(ids), "fields": list(names)}
        answer = self.client.request("POST", f"composite/sobjects/{object_type}", body=body).body
        return cast("list[dict[str, Any] | None]", answer)

    def _visible(self, object_type: str, names: Sequence[str], error: RequestRefused) -> list[str]:
        """The fields without those of ours that are gone or hidden from us: they read as never set, and a write says
        why it cannot be. Any other field that cannot be seen (who wants to be left alone?) must not read as empty."""
        there = self._fields.describe(object_type).properties
        hidden = [name for name in names if name not in there]
        closed = [name for name in hidden if not name.startswith(self._namespace)]
        if closed or not hidden:
            raise CrmRefused(
                f"Salesforce hides {', '.join(closed)} from us" if closed else f"Salesforce refused: {error.message}",
                where=object_type,
                todo="Let the integration user see it, in the permission set `Nightdesk` (docs/salesforce.md).",
            ) from error
        return [name for name in names if name not in hidden]

    def _follow(self, object_type: str, ids: Sequence[str]) -> tuple[dict[str, str], dict[str, str]]:
        """Where records that cannot be read have gone: id -> survivor of a merge, and id -> why there is none."""
        survivors: dict[str, str] = {}
        reasons: dict[str, str] = {}
        at = {one: one for one in ids}
        for _ in range(_MAX_HOPS):
            if not at:
                break
            deleted = self._recycled(object_type, sorted(set(at.values())))
            onwards: dict[str, str] = {}
            for one, here in at.items():
                entry = deleted.get(here)
                if entry is None:
                    reasons[one] = "not in the CRM"
                elif not entry.get("IsDeleted"):
                    survivors[one] = here
                elif entry.get("MasterRecordId"):
                    onwards[one] = str(entry["MasterRecordId"])
                else:
                    reasons[one] = "deleted in the CRM"
            at = onwards
        reasons |= {one: "merged in a circle" for one in at}
        same = {one for one, target in survivors.items() if one == target}
        reasons |= {one: "in the CRM, but may not be read" for one in same}
        return {one: target for one, target in survivors.items() if one not in same}, reasons

    def _recycled(self, object_type: str, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        master = ", MasterRecordId" if "MasterRecordId" in self._fields.kinds(object_type) else ""
        found: dict[str, dict[str, Any]] = {}
        for start in range(0, len(ids), _QUERY_CHUNK):
            wanted = ", ".join(map(quoted, ids[start : start + _QUERY_CHUNK]))
            text = f"SELECT Id, IsDeleted{master} FROM {object_type} WHERE Id IN ({wanted})"
            try:
                found |= {str(row["Id"]): row for row in query_all(self.client, text, deleted=True)}
            except RequestRefused as error:
                raise explained(error, object_type) from error
        return found

    def route(self, object_type: str, ids: Sequence[str]) -> Mapping[str, tuple[str, str]]:
        """Leads that were converted are contacts now: id -> (`Contact`, its id)."""
        found: dict[str, tuple[str, str]] = {}
        if object_type != "Lead":
            return found
        by_long = {long_id(one): one for one in ids if is_id(one)}
        names = list(by_long)
        for start in range(0, len(names), _QUERY_CHUNK):
            wanted = ", ".join(map(quoted, names[start : start + _QUERY_CHUNK]))
            text = f"SELECT Id, ConvertedContactId FROM Lead WHERE IsConverted = true AND Id IN ({wanted})"
            try:
                for row in query_all(self.client, text):
                    if row.get("ConvertedContactId"):
                        found[by_long[str(row["Id"])]] = ("Contact", str(row["ConvertedContactId"]))
            except RequestRefused as error:
                raise explained(error, "Lead") from error
        return found

    # writing ----------------------------------------------------------------------------------------------------------

    def write(self, object_type: str, writes: Sequence[RecordWrite]) -> Mapping[str, WriteOutcome]:
        """Update records: up to 25 each on the condition that nobody was faster, up to 200 as a collection, more as a
        bulk job; the latter two cannot be made conditional."""
        if len(writes) > bulk.MAX_ROWS:
            raise ValueError(f"{len(writes)} records in one request")
        if len({w.trace_id for w in writes}) != len(writes) or len({long_id(w.id) for w in writes}) != len(writes):
            raise ValueError("a record or a trace id is twice in one request")
        if object_type in KEYED_TYPES:
            return self._tasks.write(object_type, writes)
        for write in writes:
            self._require_ours(object_type, write.values, self._exceptions)
        outcomes = {w.trace_id: _NO_ID for w in writes if not is_id(w.id)}
        # Records of one parent side by side: two requests that hold the same parent lock each other out.
        waiting = sorted((w for w in writes if w.trace_id not in outcomes), key=self._by_parent)
        if len(waiting) > self._limit:
            answer = self._bulk(object_type, waiting)
            outcomes |= answer.outcomes
            waiting = answer.left_over
        outcomes |= self._in_batches(object_type, waiting, self._limit)
        for size, seconds in _LOCKED:
            locked = [w for w in writes if outcomes[w.trace_id].refusal == "locked"]
            if not locked:
                break
            self.client.wait(seconds)
            outcomes |= self._in_batches(object_type, sorted(locked, key=self._by_parent), size)
        return outcomes | self._merged_since(object_type, writes, outcomes)

    def _merged_since(
        self, object_type: str, writes: Sequence[RecordWrite], outcomes: Mapping[str, WriteOutcome]
    ) -> dict[str, WriteOutcome]:
        """Say of records that are gone where they went: nothing is written there unseen, the next plan looks there."""
        gone = [w for w in writes if outcomes[w.trace_id].refusal == "gone" and is_id(w.id)]
        if not gone:
            return {}
        try:
            survivors, _ = self._follow(object_type, [long_id(write.id) for write in gone])
        except NightdeskError:
            return {}  # what was refused is refused, with or without this
        return {
            write.trace_id: WriteOutcome(
                "rejected", f"merged into {survivors[long_id(write.id)]} after it was read", "gone"
            )
            for write in gone
            if long_id(write.id) in survivors
        }

    def _by_parent(self, write: RecordWrite) -> tuple[str, str]:
        return self._parents.get(long_id(write.id), ""), write.id

    def _bulk(self, object_type: str, writes: Sequence[RecordWrite]) -> bulk.BulkAnswer:
        answer = bulk.BulkAnswer()
        for file in bulk.compose(writes, self._fields.kinds(object_type)):
            part = bulk.run(self.client, object_type, file, self.client.wait)
            answer.outcomes |= part.outcomes
            answer.left_over += part.left_over
        return answer

    def _in_batches(self, object_type: str, writes: Sequence[RecordWrite], size: int) -> dict[str, WriteOutcome]:
        """Send records as collections; one that is refused as a whole is halved until the bad records stand alone."""
        outcomes: dict[str, WriteOutcome] = {}
        bodies: dict[str, dict[str, Any]] = {}
        if not writes:
            return outcomes
        kinds = self._fields.kinds(object_type)
        for write in writes:
            try:
                bodies[write.trace_id] = {n: to_json(kinds.get(n, TEXT), v) for n, v in write.values.items()}
            except CannotHold as error:
                outcomes[write.trace_id] = WriteOutcome("rejected", str(error), "bad_value")
        good = [write for write in writes if write.trace_id in bodies]
        for start in range(0, len(good), size):
            outcomes |= isolate(
                good[start : start + size],
                lambda write: write.trace_id,
                lambda batch: self._send(object_type, batch, bodies),
                lambda write, error: of_refusal(write, cast("RequestRefused", error.__cause__)),
            )
        return outcomes

    def _send(
        self, object_type: str, batch: Sequence[RecordWrite], bodies: Mapping[str, Mapping[str, Any]]
    ) -> Mapping[str, WriteOutcome]:
        conditional = len(batch) <= self._conditional and all(w.version and http_date(w.version) for w in batch)
        try:
            if conditional:
                return composite.send(self.client, object_type, batch, bodies)
            kind = {"attributes": {"type": object_type}}
            body = {"allOrNone": False, "records": [{**kind, "id": w.id, **bodies[w.trace_id]} for w in batch]}
            answer = self.client.request("PATCH", "composite/sobjects", body=body, effect="write").body
        except RequestRefused as error:
            raise WholeBatchRejected(error.message) from error
        except OutcomeUnknown as error:
            return {write.trace_id: WriteOutcome("unknown", str(error)) for write in batch}
        return partition(batch, answer)


_NO_ID = WriteOutcome("rejected", "not a Salesforce id", "gone")


def partition(batch: Sequence[RecordWrite], answer: Any) -> dict[str, WriteOutcome]:
    """Give every record of a collection exactly one outcome.

    Results come in the order of the request and a success names its record. Where the order does not hold (another
    number of results, or a success in the place of another record), only what names a record counts, the rest is
    unknown.
    """
    results = cast("list[dict[str, Any]]", answer) if isinstance(answer, list) else []
    named = [long_id(str(one["id"])) if isinstance(one.get("id"), str) else None for one in results]
    ids = [long_id(write.id) for write in batch]
    in_order = len(results) == len(batch) and all(n in (None, i) for n, i in zip(named, ids, strict=True))
    if in_order:
        return {w.trace_id: of_result(w, result) for w, result in zip(batch, results, strict=True)}
    outcomes: dict[str, WriteOutcome] = {}
    for write, record_id in zip(batch, ids, strict=True):
        mine = [result for result, name in zip(results, named, strict=True) if name == record_id]
        if len(mine) == 1:
            outcomes[write.trace_id] = of_result(write, mine[0])
        else:
            said = "the answer does not mention it" if not mine else "the answer mentions it more than once"
            outcomes[write.trace_id] = WriteOutcome("unknown", said)
    return outcomes


def _record(shown: str, raw: Mapping[str, Any], properties: Sequence[str], changes: Mapping[str, Any]) -> CrmRecord:
    return CrmRecord(
        id=shown,
        values={name: to_text(raw.get(name)) for name in properties},
        history={name: changes[name] for name in properties if name in changes},
        modified_at=moment(raw.get("SystemModstamp")),
        version=str(raw["SystemModstamp"]) if raw.get("SystemModstamp") else None,
    )
