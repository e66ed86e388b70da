"""Tasks of ours in Salesforce: known by a key of our own in an external id field, never by Salesforce's id.

Creating is an upsert by that key, so sending twice makes one task; what exists is only ever found by its key, so no
task of a person can be touched. What a task hangs on (`WhoId`, `WhatId`) travels in the same request.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from nightdesk.errors import NightdeskError
from reverse_etl.crms.halving import WholeBatchRejected, isolate
from reverse_etl.crms.http import OutcomeUnknown, RequestRefused
from reverse_etl.crms.protocol import PRESENT, RECORD, CrmRecord, ReadResult, RecordWrite, WriteOutcome
from reverse_etl.crms.salesforce.client import SalesforceClient
from reverse_etl.crms.salesforce.fields import Fields, explained
from reverse_etl.crms.salesforce.history import History, query_all
from reverse_etl.crms.salesforce.refusals import of_refusal, of_result
from reverse_etl.crms.salesforce.wire import TEXT, CannotHold, is_id, long_id, moment, quoted, to_json, to_text

KEYED_TYPES = frozenset({"Task"})
# What a task can hang on: our name -> the field, and how the ids of such records begin.
LINKS = {
    "@Contact": ("WhoId", "003"),
    "@Lead": ("WhoId", "00Q"),
    "@Account": ("WhatId", "001"),
    "@Opportunity": ("WhatId", "006"),
}
# What we took back ourselves says so; a deleted task without it was deleted by a person and stays gone.
WITHDRAWN = "withdrawn"
_BATCH = 200
_KEYS = 80  # keys in one query: its address must stay below 16,000 characters
_KEY = re.compile(r"[a-z0-9_]{8,100}")
_ALWAYS = ("Id", "IsDeleted", "SystemModstamp", "LastModifiedById", "LastModifiedDate")


class Tasks:
    """Reads and writes tasks by our key.

    Args:
        client: The HTTP client.
        fields: The fields there are.
        history: Who saved a record last.
        key_property: The external id field that holds our key.
        state_property: The field that says that we took a task back.
    """

    def __init__(
        self, client: SalesforceClient, fields: Fields, history: History, key_property: str, state_property: str
    ) -> None:
        self._client, self._fields, self._history = client, fields, history
        self._key, self._state = key_property, state_property

    # reading ----------------------------------------------------------------------------------------------------------

    def read(self, object_type: str, keys: Sequence[str], properties: Sequence[str], *, history: bool) -> ReadResult:
        """Tasks by key. What does not exist yet has only empty values; what a person deleted is missing."""
        plain = [LINKS[name][0] if name in LINKS else name for name in properties if name != RECORD]
        live, deleted = self._find(object_type, keys, plain)
        names = [name for name in plain if not name.startswith("@")]
        changes = self._history.last_saves(names, {str(row["Id"]): row for row in live.values()}) if history else {}
        nothing = dict.fromkeys(properties)
        found: dict[str, CrmRecord] = {}
        missing: dict[str, str] = {}
        for key in keys:
            row = live.get(key)
            if row is not None:
                values = {name: _value(name, row) for name in properties}
                past = changes.get(str(row["Id"]), {})
                found[key] = CrmRecord(key, values, past, moment(row.get("SystemModstamp")))
            elif key in deleted and deleted[key].get(self._state) != WITHDRAWN:
                missing[key] = "deleted in the CRM"
            else:
                found[key] = CrmRecord(key, nothing)
        return ReadResult(found, missing)

    def _find(
        self, object_type: str, keys: Sequence[str], names: Sequence[str]
    ) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
        """Tasks that are there and tasks in the recycle bin, by key. `queryAll` sees archived activities too."""
        _require_keys(keys)
        there = self._fields.kinds(object_type)
        if self._key not in there:
            return {}, {}  # before `crm setup` no task can be ours
        asked = [name for name in dict.fromkeys([*_ALWAYS, self._key, self._state, *names]) if name in there]
        live: dict[str, dict[str, Any]] = {}
        deleted: dict[str, dict[str, Any]] = {}
        for start in range(0, len(keys), _KEYS):
            wanted = ", ".join(map(quoted, keys[start : start + _KEYS]))
            text = f"SELECT {', '.join(asked)} FROM {object_type} WHERE {self._key} IN ({wanted})"
            try:
                rows = query_all(self._client, text, deleted=True)
            except RequestRefused as error:
                raise explained(error, object_type) from error
            for row in rows:
                (deleted if row.get("IsDeleted") else live)[str(row[self._key]).lower()] = row
        return live, deleted

    # writing ----------------------------------------------------------------------------------------------------------

    def write(self, object_type: str, writes: Sequence[RecordWrite]) -> dict[str, WriteOutcome]:
        """Create (`@record` present), update or take back (`@record` cleared) by key; one outcome per input."""
        _require_keys([write.id for write in writes])
        outcomes: dict[str, WriteOutcome] = {}
        bodies: dict[str, dict[str, Any]] = {}
        for write in writes:
            try:
                bodies[write.trace_id] = self._body(object_type, write)
            except CannotHold as error:
                outcomes[write.trace_id] = WriteOutcome("rejected", str(error), "bad_value")
        good = [write for write in writes if write.trace_id in bodies]
        created = [write for write in good if write.values.get(RECORD) == PRESENT]
        outcomes |= self._upsert(object_type, created, bodies)
        others = [write for write in good if write.values.get(RECORD) != PRESENT]
        if not others:
            return outcomes
        live, _ = self._find(object_type, [write.id for write in others], ())
        for write in others:
            if write.id not in live:
                is_end = write.values.get(RECORD) == ""
                outcomes[write.trace_id] = (
                    WriteOutcome("acknowledged", "it was gone already")
                    if is_end
                    else WriteOutcome("rejected", "there is no such task of ours", "gone")
                )
        there = [write for write in others if write.id in live]
        ids = {write.trace_id: str(live[write.id]["Id"]) for write in there}
        outcomes |= self._update(object_type, [w for w in there if RECORD not in w.values], ids, bodies)
        return outcomes | self._take_back(object_type, [w for w in there if RECORD in w.values], ids)

    def _body(self, object_type: str, write: RecordWrite) -> dict[str, Any]:
        """A task's fields as JSON.

        Raises:
            CannotHold: A value can never be sent.
        """
        if write.values.get(RECORD) not in (None, PRESENT, ""):
            raise CannotHold(f"`{RECORD}` is {PRESENT} or cleared")
        if write.values.get(self._key, write.id) != write.id:
            raise CannotHold("the key of a task never changes")
        kinds = self._fields.kinds(object_type)
        body: dict[str, Any] = {}
        for name, value in write.values.items():
            if name == RECORD:
                continue
            if name in LINKS:
                field, prefix = LINKS[name]
                if not is_id(value) or not value.startswith(prefix) or field in body:
                    raise CannotHold("a task hangs on one person and one account, each by its id; it is never unhung")
                body[field] = long_id(value)
            elif name.startswith("@"):
                raise NightdeskError(f"A task cannot hang on `{name[1:]}`", where=name, exit_code=5)
            else:
                body[name] = to_json(kinds.get(name, TEXT), value)
        return body

    def _upsert(
        self, object_type: str, writes: Sequence[RecordWrite], bodies: Mapping[str, Mapping[str, Any]]
    ) -> dict[str, WriteOutcome]:
        path = f"composite/sobjects/{object_type}/{self._key}"
        return self._collections(
            object_type, path, writes, {w.trace_id: {**bodies[w.trace_id], self._key: w.id} for w in writes}
        )

    def _update(
        self,
        object_type: str,
        writes: Sequence[RecordWrite],
        ids: Mapping[str, str],
        bodies: Mapping[str, Mapping[str, Any]],
    ) -> dict[str, WriteOutcome]:
        return self._collections(
            object_type,
            "composite/sobjects",
            writes,
            {w.trace_id: {**bodies[w.trace_id], "id": ids[w.trace_id]} for w in writes},
        )

    def _collections(
        self, object_type: str, path: str, writes: Sequence[RecordWrite], bodies: Mapping[str, Mapping[str, Any]]
    ) -> dict[str, WriteOutcome]:
        def send(batch: Sequence[RecordWrite]) -> Mapping[str, WriteOutcome]:
            kind = {"attributes": {"type": object_type}}
            body = {"allOrNone": False, "records": [{**kind, **bodies[write.trace_id]} for write in batch]}
            try:
                answer = self._client.request("PATCH", path, body=body, effect="write").body
            except RequestRefused as error:
                raise WholeBatchRejected(error.message) from error
            except OutcomeUnknown as error:
                return {write.trace_id: WriteOutcome("unknown", str(error)) for write in batch}
            return in_order(batch, answer)

        outcomes: dict[str, WriteOutcome] = {}
        for start in range(0, len(writes), _BATCH):
            outcomes |= isolate(
                writes[start : start + _BATCH],
                lambda write: write.trace_id,
                send,
                lambda write, error: of_refusal(write, cast("RequestRefused", error.__cause__)),
            )
        return outcomes

    def _take_back(
        self, object_type: str, writes: Sequence[RecordWrite], ids: Mapping[str, str]
    ) -> dict[str, WriteOutcome]:
        """First a mark that it was us, then the recycle bin."""
        if not writes:
            return {}
        marks = {write.trace_id: {self._state: WITHDRAWN} for write in writes}
        outcomes = self._update(object_type, writes, ids, marks)
        marked = [write for write in writes if outcomes[write.trace_id].state == "acknowledged"]
        if not marked:
            return outcomes
        params = {"ids": ",".join(ids[write.trace_id] for write in marked), "allOrNone": "false"}
        try:
            answer = self._client.request("DELETE", "composite/sobjects", params=params, effect="write").body
        except RequestRefused as error:
            return outcomes | {write.trace_id: of_refusal(write, error) for write in marked}
        except OutcomeUnknown as error:
            return outcomes | {write.trace_id: WriteOutcome("unknown", str(error)) for write in marked}
        return outcomes | in_order(marked, answer)


def in_order(batch: Sequence[RecordWrite], answer: Any) -> dict[str, WriteOutcome]:
    """Outcomes of a collection whose results name ids we do not know: by their place, if there is one for each."""
    results = cast("list[dict[str, Any]]", answer) if isinstance(answer, list) else []
    if len(results) != len(batch):
        said = f"{len(results)} results for {len(batch)} records"
        return {write.trace_id: WriteOutcome("unknown", said) for write in batch}
    return {write.trace_id: of_result(write, result) for write, result in zip(batch, results, strict=True)}


def _value(name: str, row: Mapping[str, Any]) -> str | None:
    if name == RECORD:
        return PRESENT
    if name in LINKS:
        field, prefix = LINKS[name]
        target = to_text(row.get(field))
        return target if target is not None and target.startswith(prefix) else None
    return to_text(row.get(name))


def _require_keys(keys: Sequence[str]) -> None:
    for key in keys:
        if not _KEY.fullmatch(key):
            raise NightdeskError(
                "A task without a key of ours is not ours to touch",
                where=key[:40],
                todo="Only records that Nightdesk created itself are read or written here.",
                exit_code=5,
            )
