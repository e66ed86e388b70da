"""The promises every adapter makes, kept by HubSpot (its sandbox) and by a real Tryton."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from reverse_etl.crms.protocol import PropertySpec
from sandbox.crm.faults import Drop, Script, When
from tests.adapter_contract import AdapterContract, Kit
from tests.reverse_kit import Desk, desk
from tests.shelf import Card, Shelf
from tests.shelf_adapter import ShelfAdapter
from tests.tryton_kit import PARTY, Tryton, Wire, tryton


class TestWorkedExample(AdapterContract):
    @pytest.fixture
    def kit(self) -> Kit:
        return worked_example()


def worked_example() -> Kit:
    kinds = {"nightdesk_score": "number", "nightdesk_tier": "one of A/B/C", "nightdesk_day": "day", "name": "text"}
    kinds |= {"nightdesk_why": "text", "nightdesk_note": "text", "nightdesk_tick": "tick"}
    shelf = Shelf(kinds)

    def create(count: int) -> list[str]:
        made = [str(len(shelf.cards) + n + 1) for n in range(count)]
        shelf.cards.update({number: Card() for number in made})
        return made

    @contextmanager
    def closed(name: str) -> Iterator[None]:
        shelf.locked.add(name)
        yield
        shelf.locked.clear()

    @contextmanager
    def lost(done: bool) -> Iterator[None]:
        shelf.loses = done
        yield

    return Kit(
        ShelfAdapter(shelf, "nightdesk_"),
        "cards",
        {
            "number": ["nightdesk_score"],
            "text": ["nightdesk_why", "nightdesk_note"],
            "enumeration": ["nightdesk_tier"],
            "date": ["nightdesk_day"],
            "boolean": ["nightdesk_tick"],
        },
        create=create,
        edit=lambda record, name, value: shelf.put("sam", record, {name: value}),
        raw=lambda record, name: shelf.cards[record].fields.get(name),
        delete=lambda record: shelf.cards.__delitem__(record),
        writes=lambda: shelf.requests,
        unknown_id="999999",
        bad=("nightdesk_tier", "Z"),
        not_ours="name",
        values={"enumeration": ["A", "B", "C"]},
        closed=closed,
        lost=lost,
        merge=lambda loser, survivor: setattr(shelf.cards[loser], "moved_to", survivor),
        has_versions=True,
    )


class TestHubSpot(AdapterContract):
    @pytest.fixture(scope="class")
    @classmethod
    def kit(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kit]:
        with desk(tmp_path_factory.mktemp("hubspot"), faults=Switch(), contacts=120, companies=0) as room:
            yield hubspot(room)


class Switch:
    """A fault that can be put in while the CRM runs."""

    script = Script([])

    async def before(self, request: Any) -> Any:
        return await self.script.before(request)

    async def after(self, request: Any, response: Any) -> Any:
        return await self.script.after(request, response)


def hubspot(room: Desk) -> Kit:
    free = iter([str(n) for n in range(1, 121)])

    def raw(record: str, name: str) -> str | None:
        found = room.sandbox.store.get("contacts", int(record))
        return None if found is None else found.properties.get(name)

    @contextmanager
    def closed(name: str) -> Iterator[None]:
        def define(is_closed: bool) -> None:
            found = dict(room.sandbox.store.definitions("contacts")[name])
            found["modificationMetadata"] = {**found["modificationMetadata"], "readOnlyValue": is_closed}
            with room.sandbox.store.transaction() as con:
                con.execute(
                    "update properties set definition = ? where object_type = 'contacts' and name = ?",
                    (json.dumps(found), name),
                )
            room.sandbox.store.forget_cache()

        define(True)
        yield
        define(False)

    @contextmanager
    def lost(done: bool) -> Iterator[None]:
        Switch.script = Script([Drop(When("batch/update"), after_commit=done)])
        yield
        Switch.script = Script([])

    def request(method: str, path: str, body: Any = None) -> None:
        room.adapter.client.request(method, f"/crm/v3/objects/contacts{path}", json=body, effect="create")

    there = room.adapter.describe("tasks").properties
    room.adapter.create_group("tasks", "nightdesk", "Nightdesk")
    for name in {"nightdesk_op_key", "nightdesk_state"} - set(there):
        spec = PropertySpec(name, name, "text", "nightdesk", is_unique=name == "nightdesk_op_key")
        room.adapter.create_property("tasks", spec)

    return Kit(
        room.adapter,
        "contacts",
        {
            "number": ["nightdesk_lead_score"],
            "text": ["nightdesk_lead_reason", "nightdesk_lead_evidence"],
            "enumeration": ["nightdesk_lead_tier"],
            "date": ["nightdesk_lead_scored_on"],
        },
        create=lambda count: [next(free) for _ in range(count)],
        edit=lambda record, name, value: room.edit(record, name, value),
        raw=raw,
        delete=lambda record: request("DELETE", f"/{record}"),
        writes=lambda: room.requests("%batch/update%"),
        unknown_id="999999",
        bad=("nightdesk_lead_tier", "Z"),
        not_ours="firstname",
        values={"enumeration": ["A", "B", "C", "D"]},
        closed=closed,
        lost=lost,
        merge=lambda loser, into: request("POST", "/merge", {"primaryObjectId": into, "objectIdToMerge": loser}),
        keyed=("tasks", {"hs_task_subject": "Call", "hs_timestamp": "2026-11-18T09:00:00Z", "@contacts": ""}),
    )


class TestTryton(AdapterContract):
    @pytest.fixture(scope="class")
    @classmethod
    def kit(cls) -> Iterator[Kit]:
        wire = Wire()
        server = tryton()
        adapter = server.adapter(transport=wire)
        yield real_tryton(server, adapter, wire)
        adapter.close()


def real_tryton(server: Tryton, adapter: Any, wire: Wire) -> Kit:
    def raw(record: str, name: str) -> str | None:
        value = server.rows()[record][name]
        if name.endswith("_boolean") and value is not None:
            return "true" if value else "false"
        if isinstance(value, bytes):
            value = value.decode()
        return None if value is None else f"{value}Z" if name.endswith("_moment") else str(value)

    @contextmanager
    def closed(name: str) -> Iterator[None]:
        entry = server.close_field(name)
        yield
        server.open_field(entry)

    @contextmanager
    def lost(done: bool) -> Iterator[None]:
        wire.loses = done
        yield
        wire.loses = None

    return Kit(
        adapter,
        PARTY,
        {
            "number": ["nightdesk_test_numeric", "nightdesk_test_float"],
            "text": ["nightdesk_lead_reason", "nightdesk_lead_evidence"],
            "enumeration": ["nightdesk_lead_tier"],
            "date": ["nightdesk_lead_scored_on"],
            "datetime": ["nightdesk_test_moment"],
            "boolean": ["nightdesk_test_boolean"],
        },
        create=lambda count: server.create(*["Pat Party"] * count),
        edit=lambda record, name, value: server.edit(record, **{name: value}),
        raw=raw,
        delete=server.delete,
        writes=lambda: wire.writes,
        unknown_id="999999",
        bad=("nightdesk_lead_score", "62.555"),
        not_ours="name",
        values={"enumeration": ["A", "B", "C", "D"]},
        closed=closed,
        lost=lost,
        merge=server.replace,
        has_versions=True,
    )
