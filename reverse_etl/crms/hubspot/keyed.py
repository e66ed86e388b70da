"""Tasks and notes of ours in HubSpot: records known by a key of our own in a unique property, never by HubSpot's id.

Creating is `batch/upsert` by that key, so sending twice makes one record; what exists is only ever found by its key, so
no task or note of a person can be touched. Associations are set after the record is there and read back with it.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from nightdesk.errors import NightdeskError
from reverse_etl.crms.halving import WholeBatchRejected, isolate
from reverse_etl.crms.hubspot.client import HubSpotClient, OutcomeUnknown, RequestRefused, explain_errors
from reverse_etl.crms.protocol import (
    PRESENT,
    RECORD,
    Change,
    CrmRecord,
    ReadResult,
    RecordWrite,
    WriteOutcome,
)

KEYED_TYPES = frozenset({"tasks", "notes"})
LINKABLE = frozenset({"contacts", "companies", "deals", "meetings"})
# What we archived ourselves says so; an archived record without it was archived by a person and stays gone.
WITHDRAWN = "withdrawn"
_BATCH = 100
_HISTORY_BATCH = 50
_KEY = re.compile(r"[a-z0-9_]{8,100}")
_MODIFIED = "hs_lastmodifieddate"
# HubSpot shows these as HTML: text of ours travels escaped, so that quoted customer words can never become markup.
_RICH_TEXT = {"tasks": "hs_task_body", "notes": "hs_note_body"}
_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)

Partition = Callable[[Sequence[RecordWrite], Mapping[str, Any]], dict[str, WriteOutcome]]
ReadChange = Callable[[Mapping[str, Any]], Change]


def to_html(text: str) -> str:
    """Plain text as HubSpot's rich text: escaped, a `<br>` for every line end."""
    return html.escape(text, quote=False).replace("\n", "<br>")


def from_html(text: str) -> str:
    """The inverse of `to_html`; other markup, which only a person's edit brings, stays as it is."""
    return html.unescape(_BREAK.sub("\n", text))


class KeyedRecords:
    """Reads and writes records by our key.

    Args:
        client: The HTTP client.
        namespace: The prefix of our properties; the key is in `<namespace>op_key`, the state in `<namespace>state`.
        partition: Gives every input of a batch one outcome out of HubSpot's answer.
        read_change: One entry of a property's history.
    """

    def __init__(self, client: HubSpotClient, namespace: str, partition: Partition, read_change: ReadChange) -> None:
        self._client = client
        self.key_property = f"{namespace}op_key"
        self._state = f"{namespace}state"
        self._partition = partition
        self._read_change = read_change
        # (object type, key, to type) -> the record we have just hung it on. A portal may add others by itself.
        self._hung_on: dict[tuple[str, str, str], str] = {}

    # reading ----------------------------------------------------------------------------------------------------------

    def read(self, object_type: str, keys: Sequence[str], properties: Sequence[str], *, history: bool) -> ReadResult:
        """Records by key. What does not exist yet has only empty values; what a person archived is missing."""
        _require_keys(keys)
        plain = [name for name in properties if not name.startswith("@")]
        size = _HISTORY_BATCH if history else _BATCH
        entries: list[dict[str, Any]] = []
        for start in range(0, len(keys), size):
            part = keys[start : start + size]
            entries += self._entries(object_type, part, [*plain, _MODIFIED], plain if history else ())
        by_key = {self._key_of(entry): entry for entry in entries if self._key_of(entry) in set(keys)}
        links = {
            name: self._links(object_type, name[1:], [str(entry["id"]) for entry in by_key.values()])
            for name in properties
            if name.startswith("@") and name != RECORD
        }
        found = {key: self._record(object_type, key, entry, properties, links) for key, entry in by_key.items()}
        lost = [key for key in keys if key not in found]
        gone = self._archived_by_people(object_type, lost) if lost else set[str]()
        nothing = dict.fromkeys(properties)
        found |= {key: CrmRecord(key, nothing) for key in lost if key not in gone}
        return ReadResult(found, {key: "archived in the CRM" for key in lost if key in gone})

    def _key_of(self, entry: Mapping[str, Any]) -> str:
        values = cast("dict[str, Any]", entry.get("properties") or {})
        return str(values.get(self.key_property) or "").lower()

    def _record(
        self,
        object_type: str,
        key: str,
        entry: Mapping[str, Any],
        properties: Sequence[str],
        links: Mapping[str, Mapping[str, tuple[str, ...]]],
    ) -> CrmRecord:
        raw = cast("dict[str, Any]", entry.get("properties") or {})
        past = cast("dict[str, list[dict[str, Any]]]", entry.get("propertiesWithHistory") or {})
        values: dict[str, str | None] = {}
        for name in properties:
            if name == RECORD:
                values[name] = PRESENT
            elif name.startswith("@"):
                values[name] = self._one_link(object_type, key, name[1:], links[name].get(str(entry["id"]), ()))
            else:
                value = None if raw.get(name) is None else str(raw[name])
                values[name] = from_html(value) if value and name == _RICH_TEXT.get(object_type) else value
        changes = {name: tuple(self._read_change(item) for item in items) for name, items in past.items()}
        return CrmRecord(key, values, changes)

    def _entries(
        self,
        object_type: str,
        keys: Sequence[str],
        properties: Sequence[str],
        history: Sequence[str] = (),
        *,
        archived: bool = False,
    ) -> list[dict[str, Any]]:
        body: dict[str, Any] = {
            "idProperty": self.key_property,
            "inputs": [{"id": key} for key in dict.fromkeys(keys)],
            "properties": [*properties, self.key_property],
            "propertiesWithHistory": list(history),
        }
        params = {"archived": "true"} if archived else None
        path = self._client.object_path(object_type, "/batch/read")
        try:
            _, answer = self._client.request("POST", path, json=body, params=params)
        except RequestRefused as error:
            if error.category == "OBJECT_NOT_FOUND" or archived or not self._has_key_property(object_type):
                return []
            raise NightdeskError(
                f"The CRM refused: {explain_errors(error.body, error.message)}", where=f"{object_type} batch read"
            ) from error
        found = cast("list[dict[str, Any]]", answer.get("results") or [])
        return [entry for entry in found if entry.get("id") and bool(entry.get("archived")) == archived]

    def _has_key_property(self, object_type: str) -> bool:
        """Whether `crm setup` has been there; before it no record can be ours."""
        try:
            self._client.request("GET", f"/crm/v3/properties/{object_type}/{self.key_property}")
        except RequestRefused as error:
            return error.status != 404
        return True

    def _archived_by_people(self, object_type: str, keys: Sequence[str]) -> set[str]:
        entries: list[dict[str, Any]] = []
        for start in range(0, len(keys), _BATCH):
            entries += self._entries(object_type, keys[start : start + _BATCH], [self._state], archived=True)
        return {
            self._key_of(entry)
            for entry in entries
            if cast("dict[str, Any]", entry.get("properties") or {}).get(self._state) != WITHDRAWN
        }

    def _one_link(self, object_type: str, key: str, to_type: str, targets: Sequence[str]) -> str | None:
        """The record it hangs on; of several the one we hung it on just now, else all with `;` between them."""
        ours = self._hung_on.get((object_type, key, to_type))
        return ours if ours in targets else ";".join(targets) or None

    def _links(self, object_type: str, to_type: str, ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """What each record hangs on, lowest id first."""
        _require_linkable([to_type])
        found: dict[str, tuple[str, ...]] = {}
        for start in range(0, len(ids), _BATCH):
            body = {"inputs": [{"id": one} for one in ids[start : start + _BATCH]]}
            try:
                path = f"/crm/v4/associations/{object_type}/{to_type}/batch/read"
                _, answer = self._client.request("POST", path, json=body)
            except RequestRefused as error:
                if error.category == "OBJECT_NOT_FOUND":
                    continue
                raise NightdeskError(
                    f"The CRM refused: {explain_errors(error.body, error.message)}",
                    where=f"associations of {object_type}",
                ) from error
            for entry in cast("list[dict[str, Any]]", answer.get("results") or []):
                targets = {str(target["toObjectId"]) for target in entry.get("to") or ()}
                found[str(entry["from"]["id"])] = tuple(sorted(targets, key=lambda one: (len(one), one)))
        return found

    # writing ----------------------------------------------------------------------------------------------------------

    def write(self, object_type: str, writes: Sequence[RecordWrite]) -> Mapping[str, WriteOutcome]:
        """Create (`@record` present), update or archive (`@record` cleared) by key; one outcome per input."""
        _require_keys([write.id for write in writes])
        outcomes: dict[str, WriteOutcome] = {}
        groups: dict[str, list[RecordWrite]] = {"create": [], "update": [], "archive": []}
        for write in writes:
            refused = self._unfit(write)
            if refused:
                outcomes[write.trace_id] = WriteOutcome("rejected", refused, "bad_value")
                continue
            record = write.values.get(RECORD)
            groups["update" if record is None else "create" if record == PRESENT else "archive"].append(write)
        for group, send in (("create", self._create), ("update", self._update), ("archive", self._archive)):
            if groups[group]:
                outcomes |= isolate(
                    groups[group],
                    lambda write: write.trace_id,
                    lambda batch, send=send: send(object_type, batch),
                    lambda _, error: WriteOutcome("rejected", str(error)),
                )
        return outcomes

    def _unfit(self, write: RecordWrite) -> str | None:
        """Why a write can never be sent, or None."""
        if write.values.get(RECORD) not in (None, PRESENT, ""):
            return f"`{RECORD}` is {PRESENT} or cleared"
        if write.values.get(self.key_property, write.id) != write.id:
            return "the key of a record never changes"
        if write.values.get(RECORD) == "":
            return None
        for name, value in write.values.items():
            if name.startswith("@") and name != RECORD:
                _require_linkable([name[1:]])
                if not value.isdigit():
                    return "what it hangs on can be set, and goes with the record; it cannot be cleared alone"
        return None

    def _inputs(self, object_type: str, batch: Sequence[RecordWrite]) -> list[dict[str, Any]]:
        rich = _RICH_TEXT.get(object_type)
        return [
            {
                "id": write.id,
                "idProperty": self.key_property,
                "objectWriteTraceId": write.trace_id,
                "properties": {
                    name: to_html(value) if name == rich else value
                    for name, value in write.values.items()
                    if not name.startswith("@")
                },
            }
            for write in batch
        ]

    def _create(self, object_type: str, batch: Sequence[RecordWrite]) -> Mapping[str, WriteOutcome]:
        return self._send(object_type, batch, "/batch/upsert")

    def _update(self, object_type: str, batch: Sequence[RecordWrite]) -> Mapping[str, WriteOutcome]:
        outcomes: dict[str, WriteOutcome] = {}
        valued = [w for w in batch if any(not name.startswith("@") for name in w.values)]
        if valued:
            outcomes |= self._send(object_type, valued, "/batch/update")
        only_links = [w for w in batch if w not in valued]
        if only_links:
            entries = self._entries(object_type, [w.id for w in only_links], [])
            ids = {self._key_of(entry): str(entry["id"]) for entry in entries}
            for write in only_links:
                outcomes[write.trace_id] = WriteOutcome("acknowledged")
                if write.id not in ids:
                    outcomes[write.trace_id] = WriteOutcome("rejected", "there is no such record of ours", "gone")
            outcomes |= self._link(object_type, [(w, ids[w.id]) for w in only_links if w.id in ids])
        return outcomes

    def _send(self, object_type: str, batch: Sequence[RecordWrite], tail: str) -> dict[str, WriteOutcome]:
        path = self._client.object_path(object_type, tail)
        try:
            _, body = self._client.request(
                "POST", path, json={"inputs": self._inputs(object_type, batch)}, effect="write"
            )
        except RequestRefused as error:
            raise WholeBatchRejected(explain_errors(error.body, error.message)) from error
        except OutcomeUnknown as error:
            return {write.trace_id: WriteOutcome("unknown", str(error)) for write in batch}
        # An answer without our trace ids is matched by our key; HubSpot's own id means nothing to the inputs.
        results = [dict(entry) for entry in cast("list[dict[str, Any]]", body.get("results") or [])]
        ids = {self._key_of(entry): str(entry.get("id")) for entry in results}
        outcomes = self._partition(batch, {**body, "results": [{**e, "id": self._key_of(e)} for e in results]})
        done = [(w, ids[w.id]) for w in batch if outcomes[w.trace_id].state == "acknowledged" and w.id in ids]
        return outcomes | self._link(object_type, done)

    def _link(self, object_type: str, done: Sequence[tuple[RecordWrite, str]]) -> dict[str, WriteOutcome]:
        """Hang records on what their writes name; only outcomes that are no longer `acknowledged` come back."""
        worse: dict[str, WriteOutcome] = {}
        wanted: dict[str, list[tuple[RecordWrite, str, str]]] = {}
        for write, record_id in done:
            for name, target in write.values.items():
                if name.startswith("@") and name != RECORD:
                    wanted.setdefault(name[1:], []).append((write, record_id, target))
        for to_type, links in wanted.items():
            body = {"inputs": [{"from": {"id": record_id}, "to": {"id": target}} for _, record_id, target in links]}
            path = f"/crm/v4/associations/{object_type}/{to_type}/batch/associate/default"
            try:
                _, answer = self._client.request("POST", path, json=body, effect="write")
            except RequestRefused as error:
                said = WriteOutcome("rejected", explain_errors(error.body, error.message))
                worse |= {write.trace_id: said for write, _, _ in links}
                continue
            except OutcomeUnknown as error:
                worse |= {write.trace_id: WriteOutcome("unknown", str(error)) for write, _, _ in links}
                continue
            made = {
                (str(entry["from"]["id"]), str(entry["to"]["id"]))
                for entry in cast("list[dict[str, Any]]", answer.get("results") or [])
            }
            message = "; ".join(
                explain_errors(error, "refused") for error in cast("list[dict[str, Any]]", answer.get("errors") or [])
            )
            for write, record_id, target in links:
                if (record_id, target) in made:
                    self._hung_on[(object_type, write.id, to_type)] = target
                else:
                    said = f"not associated with {to_type} {target}: {message or 'the answer does not mention it'}"
                    worse[write.trace_id] = WriteOutcome("rejected" if message else "unknown", said[:500])
        return worse

    def _archive(self, object_type: str, batch: Sequence[RecordWrite]) -> Mapping[str, WriteOutcome]:
        """Take records back: first a mark that it was us, then the archive."""
        entries = self._entries(object_type, [write.id for write in batch], [])
        ids = {self._key_of(entry): str(entry["id"]) for entry in entries}
        outcomes = {w.trace_id: WriteOutcome("acknowledged", "it was gone already") for w in batch if w.id not in ids}
        there = [write for write in batch if write.id in ids]
        if not there:
            return outcomes
        marked = self._send(
            object_type, [RecordWrite(w.id, w.trace_id, {self._state: WITHDRAWN}) for w in there], "/batch/update"
        )
        outcomes |= marked
        ready = [write for write in there if marked[write.trace_id].state == "acknowledged"]
        if not ready:
            return outcomes
        try:
            self._client.request(
                "POST",
                self._client.object_path(object_type, "/batch/archive"),
                json={"inputs": [{"id": ids[write.id]} for write in ready]},
                effect="write",
            )
        except RequestRefused as error:
            raise WholeBatchRejected(explain_errors(error.body, error.message)) from error
        except OutcomeUnknown as error:
            outcomes |= {write.trace_id: WriteOutcome("unknown", str(error)) for write in ready}
        return outcomes


def _require_keys(keys: Sequence[str]) -> None:
    for key in keys:
        if not _KEY.fullmatch(key):
            raise NightdeskError(
                "A task or note without a key of ours is not ours to touch",
                where=key[:40],
                todo="Only records that Nightdesk created itself are read or written here.",
                exit_code=5,
            )


def _require_linkable(types: Sequence[str]) -> None:
    for name in types:
        if name not in LINKABLE:
            raise NightdeskError(f"Records of ours cannot be associated with `{name}`", where=f"@{name}", exit_code=5)
