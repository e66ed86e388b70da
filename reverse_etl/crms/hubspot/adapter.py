"""The CRM protocol over HubSpot: batches of 100, every input ends in exactly one outcome, nothing outside the
namespace."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from nightdesk.errors import NightdeskError
from reverse_etl.crms.halving import WholeBatchRejected, isolate
from reverse_etl.crms.http import MadeToWait, OutcomeUnknown, RequestRefused
from reverse_etl.crms.hubspot.client import HubSpotClient, explain_errors
from reverse_etl.crms.hubspot.keyed import KEYED_TYPES, KeyedRecords
from reverse_etl.crms.hubspot.refusals import refusal
from reverse_etl.crms.protocol import (
    Change,
    CrmRecord,
    CrmUnavailable,
    ObjectSchema,
    PropertySchema,
    PropertySpec,
    ReadResult,
    RecordWrite,
    Refusal,
    WriteOutcome,
    require_ours,
)
from reverse_etl.crms.quota import DailyQuota

if TYPE_CHECKING:
    from nightdesk.policy import Policy

_BATCH = 100
_HISTORY_BATCH = 50
# our type -> HubSpot's type and the field shown for it
_TYPES = {
    "number": ("number", "number"),
    "enumeration": ("enumeration", "select"),
    "text": ("string", "textarea"),
    "date": ("date", "date"),
    "datetime": ("datetime", "date"),
    "boolean": ("bool", "booleancheckbox"),
}
_OURS = {
    "number": "number",
    "enumeration": "enumeration",
    "string": "text",
    "date": "date",
    "datetime": "datetime",
    "bool": "boolean",
}
_MODIFIED = {"contacts": "lastmodifieddate"}
_MERGED_IDS = "hs_merged_object_ids"


class HubSpotAdapter:
    """HubSpot behind `CrmAdapter`.

    Args:
        client: The HTTP client.
        namespace: The prefix of our properties.
        exceptions: `(object_type, property)` pairs outside of it that policy allows until a date not yet passed.
    """

    def __init__(self, client: HubSpotClient, namespace: str, exceptions: Iterable[tuple[str, str]] = ()) -> None:
        self.client = client
        self._namespace = namespace
        self._exceptions = frozenset(exceptions)
        self._look_again = True
        self._keyed = KeyedRecords(client, namespace, partition, _change)

    @classmethod
    def connect(cls, base_url: str, token: str, policy: Policy, as_of: Any, **options: Any) -> HubSpotAdapter:
        """Build client and adapter; `options` go to `HubSpotClient`. `as_of` (a date) ends expired exceptions."""
        exceptions = [
            (str(e.object_type), e.property) for e in policy.field_mapping.exceptions if e.expires_on >= as_of
        ]
        quota = DailyQuota(policy.guards.quota.share_for_people)
        return cls(HubSpotClient(base_url, token, quota=quota, **options), policy.field_mapping.namespace, exceptions)

    def close(self) -> None:
        """Close the connections."""
        self.client.close()

    @property
    def crm(self) -> str:
        """`hubspot`."""
        return "hubspot"

    @property
    def batch_size(self) -> int:
        """HubSpot's batch endpoints take 100 inputs."""
        return _BATCH

    @property
    def keyed_types(self) -> frozenset[str]:
        """Tasks and notes: ours are known by a unique property of our namespace (`keyed.KeyedRecords`)."""
        return KEYED_TYPES

    def write_batch(self, records: int) -> int:
        """HubSpot's batch endpoints take 100 inputs, however many are waiting."""
        return _BATCH

    # properties -------------------------------------------------------------------------------------------------------

    def describe(self, object_type: str) -> ObjectSchema:
        """Read all properties and groups of an object type."""
        path = f"/crm/v3/properties/{object_type}"
        _, body = self._plain("GET", path)
        _, archived = self._plain("GET", path, params={"archived": "true"})
        _, groups = self._plain("GET", f"{path}/groups")
        properties: dict[str, PropertySchema] = {}
        for entry in [*archived.get("results", []), *body.get("results", [])]:
            schema = _schema(entry, bool(entry.get("archived")))
            properties[schema.name] = schema
        return ObjectSchema(object_type, properties, frozenset(str(g["name"]) for g in groups.get("results", [])))

    def create_group(self, object_type: str, name: str, label: str) -> None:
        """Create a property group; 409 means it exists."""
        try:
            self._sure(
                "POST", f"/crm/v3/properties/{object_type}/groups", {"name": name, "label": label, "displayOrder": -1}
            )
        except RequestRefused as error:
            if error.status != 409:
                raise self._explained(error, f"{object_type} group {name}") from error

    def create_property(self, object_type: str, spec: PropertySpec) -> None:
        """Create one namespaced property; one that exists already is an error here (see `setup.difference`)."""
        require_ours(self._namespace, frozenset(), object_type, [spec.name])
        kind, shown = _TYPES[spec.value_type]
        body: dict[str, Any] = {
            "name": spec.name,
            "label": spec.label,
            "type": kind,
            "fieldType": shown,
            "groupName": spec.group,
        }
        if spec.is_unique:
            # It can never be changed later: HubSpot keeps this of a property for good.
            body |= {"hasUniqueValue": True, "fieldType": "text"}
        if spec.options:
            body["options"] = [_option(value, order) for order, value in enumerate(spec.options)]
        try:
            self._sure("POST", f"/crm/v3/properties/{object_type}", body)
        except RequestRefused as error:
            raise self._explained(error, f"{object_type}.{spec.name}") from error

    def add_options(self, object_type: str, name: str, options: Sequence[str]) -> None:
        """Add options to an enumeration, keeping those it has (with their labels)."""
        require_ours(self._namespace, frozenset(), object_type, [name])
        path = f"/crm/v3/properties/{object_type}/{name}"
        _, body = self._plain("GET", path)
        existing = [
            {k: option[k] for k in ("label", "value", "displayOrder", "hidden") if k in option}
            for option in body.get("options", [])
        ]
        missing = [value for value in options if value not in {option["value"] for option in existing}]
        new = [_option(value, len(existing) + order) for order, value in enumerate(missing)]
        if not new:
            return
        try:
            self._sure("PATCH", path, {"options": existing + new})
        except RequestRefused as error:
            raise self._explained(error, f"{object_type}.{name}") from error

    def _plain(self, method: str, path: str, **arguments: Any) -> tuple[int, dict[str, Any]]:
        try:
            return self.client.request(method, path, **arguments)
        except RequestRefused as error:
            raise self._explained(error, path) from error

    def _sure(self, method: str, path: str, body: Mapping[str, Any]) -> None:
        try:
            self.client.request(method, path, json=body, effect="create")
        except OutcomeUnknown as error:
            raise CrmUnavailable(
                f"The CRM did not say whether it did it: {error}",
                where=f"{method} {path}",
                todo="Run the command again: it looks first at what is there.",
            ) from error

    @staticmethod
    def _explained(error: RequestRefused, where: str) -> NightdeskError:
        return NightdeskError(f"The CRM refused: {explain_errors(error.body, error.message)}", where=where)

    # records ----------------------------------------------------------------------------------------------------------

    def read(
        self, object_type: str, ids: Sequence[str], properties: Sequence[str], *, history: bool = False
    ) -> ReadResult:
        """Read records by id, merged ones under the id asked for; what is missing comes with the reason."""
        if len(ids) > _BATCH:
            raise ValueError(f"{len(ids)} ids in one request")
        if not ids:
            return ReadResult({}, {})
        if object_type in KEYED_TYPES:
            return self._keyed.read(object_type, ids, properties, history=history)
        modified = _MODIFIED.get(object_type, "hs_lastmodifieddate")
        wanted = [*properties, _MERGED_IDS, modified]
        size = _HISTORY_BATCH if history else _BATCH
        results: list[dict[str, Any]] = []
        for start in range(0, len(ids), size):
            part = ids[start : start + size]
            read, silent = self._batch_read(object_type, part, wanted, properties if history else ())
            if silent:
                read += self._read_singly(object_type, silent, wanted, properties if history else ())
            results += read
        found = self._match(results, ids, properties, modified)
        lost = [record_id for record_id in ids if record_id not in found]
        missing: dict[str, str] = {}
        if lost:
            archived = {str(entry["id"]) for entry in self._batch_read(object_type, lost, [], (), archived=True)[0]}
            missing = {i: "archived in the CRM" if i in archived else "not in the CRM" for i in lost}
        return ReadResult(found, missing)

    def _batch_read(
        self,
        object_type: str,
        ids: Sequence[str],
        properties: Sequence[str],
        history: Sequence[str],
        *,
        archived: bool = False,
    ) -> tuple[list[dict[str, Any]], list[str]]:
        """The records of an answer, and the ids it says nothing about: neither a record nor that there is none."""
        body: dict[str, Any] = {"inputs": [{"id": i} for i in dict.fromkeys(ids)], "properties": list(properties)}
        body["propertiesWithHistory"] = list(history)
        params = {"archived": "true"} if archived else None
        try:
            _, answer = self.client.request(
                "POST", self.client.object_path(object_type, "/batch/read"), json=body, params=params
            )
        except RequestRefused as error:
            if error.category == "OBJECT_NOT_FOUND":
                return [], []
            raise self._explained(error, f"{object_type} batch read") from error
        results = cast("list[dict[str, Any]]", answer.get("results") or [])
        found = [entry for entry in results if entry.get("id")]
        named: set[str] = set()
        for entry in found:
            merged = cast("dict[str, Any]", entry.get("properties") or {}).get(_MERGED_IDS)
            named |= {str(entry["id"]), *(part.strip() for part in str(merged or "").split(";"))}
        for error in cast("list[dict[str, Any]]", answer.get("errors") or []):
            named |= {*_context(error, "ids"), *_context(error, "id")}
        return found, [record_id for record_id in dict.fromkeys(ids) if record_id not in named]

    def _read_singly(
        self, object_type: str, ids: Sequence[str], properties: Sequence[str], history: Sequence[str]
    ) -> list[dict[str, Any]]:
        """Ask for records one by one that a batch answer left out; silence must not be taken for a deletion."""
        found: list[dict[str, Any]] = []
        params = {"properties": ",".join(properties)}
        if history:
            params["propertiesWithHistory"] = ",".join(history)
        for record_id in ids:
            try:
                _, entry = self.client.request(
                    "GET", self.client.object_path(object_type, f"/{record_id}"), params=params
                )
            except RequestRefused as error:
                if error.status != 404:
                    raise self._explained(error, f"{object_type} {record_id}") from error
            else:
                found.append(entry)
        return [entry for entry in found if entry.get("id")]

    @staticmethod
    def _match(
        results: list[dict[str, Any]], ids: Sequence[str], properties: Sequence[str], modified: str
    ) -> dict[str, CrmRecord]:
        asked = set(ids)
        found: dict[str, CrmRecord] = {}
        followed: dict[str, CrmRecord] = {}
        for entry in results:
            if entry.get("archived"):
                continue
            values = cast("dict[str, Any]", entry.get("properties") or {})
            past = cast("dict[str, list[dict[str, Any]]]", entry.get("propertiesWithHistory") or {})
            record = CrmRecord(
                id=str(entry["id"]),
                values={name: None if values.get(name) is None else str(values[name]) for name in properties},
                history={name: tuple(_change(item) for item in items) for name, items in past.items()},
                modified_at=_moment(values.get(modified) or entry.get("updatedAt")),
            )
            if record.id in asked:
                found[record.id] = record
            for merged in str(values.get(_MERGED_IDS) or "").split(";"):
                if merged.strip() in asked:
                    followed[merged.strip()] = record
        return {**followed, **found}

    def write(self, object_type: str, writes: Sequence[RecordWrite]) -> Mapping[str, WriteOutcome]:
        """Update records; a batch that is refused as a whole is halved until the bad records stand alone.

        Of a record refused for fields that HubSpot names, the other fields are sent again without those. Its outcome
        stays the refusal: which fields hold is seen by reading back.
        """
        if len(writes) > _BATCH:
            raise ValueError(f"{len(writes)} records in one request")
        if len({write.trace_id for write in writes}) != len(writes) or len({write.id for write in writes}) != len(
            writes
        ):
            raise ValueError("a record or a trace id is twice in one request")
        if object_type in KEYED_TYPES:
            return self._keyed.write(object_type, writes)
        for write in writes:
            require_ours(self._namespace, self._exceptions, object_type, list(write.values))
        bad: dict[str, frozenset[str]] = {}
        outcomes = self._isolated(object_type, writes, bad)
        rest = [write for write in (_without(w, bad.get(w.trace_id, frozenset())) for w in writes) if write is not None]
        for name, second in (self._isolated(object_type, rest, {}) if rest else {}).items():
            if second.state == "unknown":
                outcomes[name] = second
        return outcomes

    def _isolated(
        self, object_type: str, writes: Sequence[RecordWrite], bad: dict[str, frozenset[str]]
    ) -> dict[str, WriteOutcome]:
        """One outcome per trace id; `bad` is told which fields of refused records HubSpot names."""

        def alone(write: RecordWrite, error: WholeBatchRejected) -> WriteOutcome:
            if isinstance(error.__cause__, RequestRefused):
                bad[write.trace_id] = _named(error.__cause__.body)
            return WriteOutcome("rejected", str(error), _reason(error))

        return isolate(
            writes, lambda write: write.trace_id, lambda batch: self._send(object_type, batch, bad), alone
        )  # fmt: skip

    def _send(
        self, object_type: str, batch: Sequence[RecordWrite], bad: dict[str, frozenset[str]]
    ) -> Mapping[str, WriteOutcome]:
        inputs = [{"id": w.id, "objectWriteTraceId": w.trace_id, "properties": dict(w.values)} for w in batch]
        try:
            _, body = self.client.request(
                "POST",
                self.client.object_path(object_type, "/batch/update"),
                json={"inputs": inputs},
                effect="write",
                fresh=self._look_again,
            )
        except MadeToWait as error:
            # Once: the records are looked at again, and then it is sent however long it takes.
            self._look_again = False
            return {write.trace_id: WriteOutcome("rejected", f"not sent: {error}", "stale") for write in batch}
        except RequestRefused as error:
            raise WholeBatchRejected(explain_errors(error.body, error.message)) from error
        except OutcomeUnknown as error:
            return {write.trace_id: WriteOutcome("unknown", str(error)) for write in batch}
        self._look_again = True
        outcomes = partition(batch, body)
        for names, error in _addressed(batch, body):
            bad |= {name: _named(error) for name in names if outcomes[name].state == "rejected"}
        return outcomes


def partition(batch: Sequence[RecordWrite], body: Mapping[str, Any]) -> dict[str, WriteOutcome]:
    """Give every input of a batch exactly one outcome out of the answer's results and errors, whatever its status.

    Errors are found by trace id, else by record id. An input that is in neither list, in both, or that only an error
    without any address could mean is `unknown`: the read-back decides.
    """
    known = {write.trace_id for write in batch}
    by_id = _by_id(batch)
    done: set[str] = set()
    for entry in body.get("results") or ():
        trace = entry.get("objectWriteTraceId")
        name = trace if trace in known else by_id.get(str(entry.get("id")))
        if name:
            done.add(name)
    failed: dict[str, str] = {}
    reasons: dict[str, Refusal] = {}
    unaddressed: list[str] = []
    for names, error in _addressed(batch, body):
        message = explain_errors(error, "refused")
        for name in names:
            failed[name] = message
            reasons[name] = refusal(error)
        if not names:
            unaddressed.append(message)
    outcomes: dict[str, WriteOutcome] = {}
    for write in batch:
        name = write.trace_id
        if name in failed and name in done:
            outcomes[name] = WriteOutcome("unknown", f"in results and in errors: {failed[name]}")
        elif name in failed:
            outcomes[name] = WriteOutcome("rejected", failed[name], reasons[name])
        elif name in done:
            outcomes[name] = WriteOutcome("acknowledged")
        else:
            outcomes[name] = WriteOutcome("unknown", "; ".join(unaddressed)[:500] or "the answer does not mention it")
    return outcomes


def _by_id(batch: Sequence[RecordWrite]) -> dict[str, str]:
    return {write.id: write.trace_id for write in batch}


def _addressed(batch: Sequence[RecordWrite], body: Mapping[str, Any]) -> list[tuple[list[str], dict[str, Any]]]:
    """The errors of an answer, each with the trace ids of the inputs it is about."""
    known, by_id = {write.trace_id for write in batch}, _by_id(batch)
    found: list[tuple[list[str], dict[str, Any]]] = []
    for error in cast("list[dict[str, Any]]", body.get("errors") or []):
        traces = [name for name in _context(error, "objectWriteTraceId") if name in known]
        ids = [*_context(error, "ids"), *_context(error, "id")]
        found.append((traces or [by_id[i] for i in ids if i in by_id], error))
    return found


def _named(error: Mapping[str, Any]) -> frozenset[str]:
    """The properties that an error names as the reason."""
    parts = [error, *cast("list[dict[str, Any]]", error.get("errors") or [])]
    return frozenset(name for part in parts for name in _context(part, "propertyName"))


def _without(write: RecordWrite, bad: frozenset[str]) -> RecordWrite | None:
    """What is left to write of a record; None when nothing is, or nothing in it was named as bad."""
    rest = {name: value for name, value in write.values.items() if name not in bad}
    return replace(write, values=rest) if rest and len(rest) < len(write.values) else None


def _reason(error: WholeBatchRejected) -> Refusal:
    """Why a record that stood alone in a request was refused."""
    cause = error.__cause__
    return refusal(cause.body) if isinstance(cause, RequestRefused) else "other"


def _context(error: Mapping[str, Any], key: str) -> list[str]:
    """Values of an error's context as text; HubSpot sends lists, or nothing at all."""
    context = cast("dict[str, Any]", error.get("context") or {})
    found = context.get(key)
    items = cast("list[Any]", found) if isinstance(found, list) else [] if found is None else [found]
    return [str(item) for item in items]


def _schema(entry: Mapping[str, Any], archived: bool) -> PropertySchema:
    rights = cast("dict[str, Any]", entry.get("modificationMetadata") or {})
    return PropertySchema(
        name=str(entry["name"]),
        label=str(entry.get("label", "")),
        # Owners and pipelines are chosen from a list that is not the property's: any of their ids may be written.
        value_type="text" if entry.get("externalOptions") else _OURS.get(str(entry.get("type")), "other"),
        crm_type=str(entry.get("type")),
        group=str(entry.get("groupName", "")),
        options=tuple(str(option["value"]) for option in entry.get("options") or ()),
        is_read_only=bool(rights.get("readOnlyValue")),
        is_archived=archived,
    )


def _option(value: str, order: int) -> dict[str, Any]:
    return {"label": value.replace("_", " ").capitalize(), "value": value, "displayOrder": order, "hidden": False}


def _change(item: Mapping[str, Any]) -> Change:
    return Change(
        str(item.get("value") or ""),
        str(item.get("timestamp", "")),
        str(item.get("sourceType", "")),
        str(item.get("updatedByUserId") or item.get("sourceId") or ""),
        by_person=str(item.get("sourceType", "")).startswith(("CRM_UI", "MOBILE", "EXTENSION")),
    )


def _moment(text: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text)) if text else None
    except ValueError:
        return None
