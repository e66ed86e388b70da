"""Tryton in the fault matrix: a real server behind a wire on which everything that a fault file says may happen.

The server answers what it answers; what the network, a proxy before it, or people do is done by the wire. Faults of the
answer's shape that only a simulated CRM can have are not here. All cells share one server and five parties, which are
put back, row by row, before each cell.
"""

from __future__ import annotations

import json
import pickle
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx2

from nightdesk.policy import Policy
from reverse_etl.crms.tryton import TrytonAdapter
from sandbox import faults
from sandbox.virtual import VirtualTime
from tests.fault_kit import Sent, Set
from tests.reverse_kit import project_policy
from tests.tryton_kit import PARTY, Tryton, party_row, party_warehouse, tryton

FIELDS = {"score": "nightdesk_lead_score", "tier": "nightdesk_lead_tier", "text": "nightdesk_lead_reason"}
CAN = frozenset(
    {
        *("rate_limit", "server_error", "drop", "cut", "delay", "unauthorised", "missing_scope", "empty_answer"),
        *("property_read_only", "field_hidden", "record_archived", "record_merged", "record_recreated", "person_edits"),
    }
)
_PATIENCE = 30.0
_KINDS = {"search_read": "read", "write": "write", "fields_get": "schema", "get_access": "schema"}


@dataclass
class FaultyWire(httpx2.BaseTransport):
    """The network between our client and Tryton, on virtual time; it notes every request and every change."""

    server: Tryton
    time: VirtualTime
    ids: Mapping[str, str]
    turns: faults.Turns = field(default_factory=lambda: faults.Turns(()))
    sent: list[Sent] = field(default_factory=list)
    sets: list[Set] = field(default_factory=list)
    closed: list[int] = field(default_factory=list)
    _late: list[tuple[float, httpx2.Request]] = field(default_factory=list)
    _network: httpx2.HTTPTransport = field(default_factory=httpx2.HTTPTransport)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        self._settle()
        seen = self._look(request)
        due = self.turns.due(seen)
        for one in due:
            self._happen(one, "before")
        try:
            answer = self._in_place_of_tryton(due, request) or self._after(due, self._forward(seen, request))
        except httpx2.TransportError:
            self.sent.append(Sent(seen.kind, seen.records, True))
            raise
        refused = 400 <= answer.status_code < 500 or b'"error"' in answer.content[:30]
        self.sent.append(Sent(seen.kind, seen.records, not refused))
        for one in due:
            self._happen(one, "after")
        return answer

    def _look(self, request: httpx2.Request) -> faults.Seen:
        body = json.loads(request.content)
        model, _, method = body["method"].removeprefix("model.").rpartition(".")
        kind: Any = _KINDS.get(method, "other") if model in (PARTY, "ir.model.access") else "other"
        numbers: list[int] = []
        if kind == "write":
            numbers = [number for part in body["params"][:-1:2] for number in part]
        elif kind == "read":
            numbers = body["params"][0][0][2]
        names = {int(record): name for name, record in self.ids.items()}
        return faults.Seen("POST", request.url.path, kind, frozenset(names.get(n, str(n)) for n in numbers))

    def _in_place_of_tryton(self, due: Sequence[Any], request: httpx2.Request) -> httpx2.Response | None:
        for one in due:
            match one:
                case faults.RateLimit():
                    headers = {} if one.retry_after is None else {"Retry-After": str(one.retry_after)}
                    return httpx2.Response(429, headers=headers, request=request)
                case faults.ServerError(committed=False):
                    return httpx2.Response(one.status, request=request)
                case faults.EmptyAnswer(committed=False):
                    return httpx2.Response(200, json={}, request=request)
                case faults.Unauthorised():
                    return httpx2.Response(401, request=request)
                case faults.MissingScope():
                    return httpx2.Response(403, request=request)
                case faults.Drop(committed=False):
                    raise httpx2.RemoteProtocolError("the connection was closed")
                case faults.Delay(committed=False):
                    self._late.append((self.time.monotonic() + one.seconds, request))
                    self.time.advance(_PATIENCE)
                    raise httpx2.ReadTimeout("no answer in time")
                case _:
                    pass
        return None

    def _after(self, due: Sequence[Any], answer: httpx2.Response) -> httpx2.Response:
        for one in due:
            match one:
                case faults.ServerError(committed=True):
                    return httpx2.Response(one.status, request=answer.request)
                case faults.EmptyAnswer(committed=True):
                    return httpx2.Response(200, json={}, request=answer.request)
                case faults.Drop(committed=True):
                    raise httpx2.RemoteProtocolError("the connection was closed")
                case faults.Cut():
                    raise httpx2.ReadError("connection reset in the middle of the answer")
                case faults.Delay(committed=True):
                    self.time.advance(_PATIENCE)
                    raise httpx2.ReadTimeout("no answer in time")
                case _:
                    pass
        return answer

    def _settle(self) -> None:
        """Let Tryton do what nobody waits for any more."""
        for entry in [entry for entry in self._late if entry[0] <= self.time.monotonic()]:
            self._late.remove(entry)
            self._forward(self._look(entry[1]), entry[1])

    def _forward(self, seen: faults.Seen, request: httpx2.Request) -> httpx2.Response:
        before = self.values() if seen.kind == "write" else {}
        answer = self._network.handle_request(request)
        answer.read()
        answer.request = request
        if before:
            after = self.values()
            self.sets += [Set(*key, after[key] or "", True) for key in before if after[key] != before[key]]
        return answer

    def values(self) -> dict[tuple[str, str], str | None]:
        """What the parties hold in our fields, by their names here; one that is gone holds nothing."""
        rows = self.server.rows()
        found: dict[tuple[str, str], str | None] = {}
        for name, record in self.ids.items():
            for field_name, column in FIELDS.items():
                value = rows.get(record, {}).get(column)
                found[name, field_name] = value.decode() if isinstance(value, bytes) else value and str(value)
        return found

    def _happen(self, one: Any, moment: str) -> None:
        """What people and administrators do in Tryton meanwhile."""
        match one:
            case faults.PersonEdits() if one.moment == moment:
                name = FIELDS.get(one.property, one.property)
                self.server.edit(self.ids[one.record], **{name: _json(one.property, one.value)})
                self.sets.append(Set(one.record, one.property, one.value, False))
            case faults.PropertyReadOnly() if moment == "before":
                self.closed.append(self.server.close_field(FIELDS[one.property]))
            case faults.FieldHidden() if moment == "before":
                self.closed.append(self.server.close_field(FIELDS[one.property], "perm_read"))
            case faults.RecordArchived() | faults.RecordRecreated() if moment == "before":
                self.server.delete(self.ids[one.record])
                if isinstance(one, faults.RecordRecreated):
                    self.server.create("Pat Party")
            case faults.RecordMerged() if moment == "before":
                self.server.replace(self.ids[one.record], self.ids[one.into])
            case _:
                pass

    def close(self) -> None:
        for entry in self.closed:
            self.server.open_field(entry)
        self._network.close()


def _json(name: str, value: str) -> Any:
    return {"__class__": "Decimal", "decimal": value} if name == "score" else value


@dataclass
class TrytonBench:
    """The real server, seen from one cell."""

    wire: FaultyWire
    adapter: TrytonAdapter
    policy: Policy
    time: VirtualTime

    def strike(self, given: Sequence[Mapping[str, Any]]) -> None:
        more = [
            {**one, **({"object_type": PARTY} if "object_type" in faults.MODELS[one["fault"]].model_fields else {})}
            for one in given
        ]
        self.wire.turns = faults.Turns(faults.parse({"faults": more}, CAN).faults)

    def rows(self, wanted: Mapping[tuple[str, str], str], *, doubted: bool = False) -> list[dict[str, Any]]:
        """`doubted` changes nothing: no load reads Tryton, so planning reads every record."""
        return [party_row(self.wire.ids[record], FIELDS[name], value) for (record, name), value in wanted.items()]

    def warehouse(self, path: Path, rows: Sequence[dict[str, Any]]) -> Path:
        return party_warehouse(path, rows)

    def value(self, record: str, name: str) -> str | None:
        rows = self.wire.server.rows()
        row = rows.get(self.wire.ids[record])
        while row is not None and row["replaced_by"]:
            row = rows.get(str(row["replaced_by"]))
        return None if row is None else row[FIELDS[name]]

    def sets(self) -> list[Set]:
        return self.wire.sets

    def created(self) -> int:
        us = self.adapter.client.user_id
        return sum(row["create_uid"] == us for row in self.wire.server.rows().values())

    def sent(self) -> list[Sent]:
        return self.wire.sent


def parties_only() -> Policy:
    """The project's policy, asking for nothing but what the cells write."""
    policy = project_policy()
    mapping = policy.mapping("tryton").model_copy(update={"asked": {}})
    return replace(policy, mappings={**policy.mappings, "tryton": mapping})


class TrytonTarget:
    """Tryton, the real one."""

    crm = "tryton"

    def seed(self, folder: Path) -> None:
        server = tryton()
        made = server.create(*["Pat Party"] * 5)
        rows = server.rows()
        (folder / "parties.pickle").write_bytes(pickle.dumps([rows[record] for record in made]))

    @contextmanager
    def open(self, folder: Path) -> Iterator[TrytonBench]:
        server, time = tryton(), VirtualTime()
        rows: list[dict[str, Any]] = pickle.loads((folder / "parties.pickle").read_bytes())
        _put_back(server.file, rows)
        wire = FaultyWire(server, time, {str(n): str(row["id"]) for n, row in enumerate(rows, 1)})
        policy = parties_only()
        adapter = server.adapter(policy=policy, transport=wire, sleep=time.sleep)
        try:
            yield TrytonBench(wire, adapter, policy, time)
        finally:
            adapter.close()
            wire.close()


def _put_back(file: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Make the parties what they were; Tryton keeps no record of them between two calls."""
    con = sqlite3.connect(file, timeout=10)
    with con:
        for row in rows:
            names = ", ".join(f'"{name}"' for name in row)
            con.execute(
                f"insert or replace into party_party ({names}) values ({', '.join('?' * len(row))})",
                tuple(row.values()),
            )
    con.close()
