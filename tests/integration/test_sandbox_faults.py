"""Every fault a file can name, seen by a client: what comes over the wire, and what was done in the CRM."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from nightdesk.errors import NightdeskError
from sandbox import faults
from sandbox.crm.app import Options, build_app
from sandbox.crm.limits import UNLIMITED
from sandbox.crm.scripted import FaultRunner
from sandbox.crm.server import running
from sandbox.crm.store import Store
from sandbox.crm.tiny import AS_OF, tiny_store
from sandbox.crm.tokens import Token
from sandbox.virtual import InProcess, VirtualTime, pause

WRITE = "/crm/v3/objects/contacts/batch/update"
READ = "/crm/v3/objects/contacts/batch/read"


class Room:
    """A tiny CRM in this process, its clock, and a client with a token."""

    def __init__(self, path: Path, *found: dict[str, Any], tokens: tuple[Token, ...] = ()) -> None:
        self.time = VirtualTime(AS_OF + timedelta(hours=6))
        self.store = Store.open(tiny_store(path / "crm.sqlite"), clock=self.time)
        runner = FaultRunner(faults.parse({"faults": list(found)}), pause=pause)
        options = Options(limits=UNLIMITED, faults=runner, tokens=tokens, new_id=lambda: "request-1")
        self.transport = InProcess(build_app(self.store, options), self.time)
        self.http = self.client("sandbox-token")

    def client(self, token: str) -> httpx2.Client:
        return httpx2.Client(
            base_url="http://crm.test", headers={"Authorization": f"Bearer {token}"}, transport=self.transport,
            timeout=30, trust_env=False,
        )  # fmt: skip

    def write(self, **values: str) -> httpx2.Response:
        """Give contacts a job title: `write(c101="CFO")`."""
        inputs = [
            {"id": key[1:], "objectWriteTraceId": f"t{key[1:]}", "properties": {"jobtitle": value}}
            for key, value in values.items()
        ]
        return self.http.post(WRITE, json={"inputs": inputs})

    def read(self, *ids: int) -> httpx2.Response:
        return self.http.post(READ, json={"inputs": [{"id": str(i)} for i in ids], "properties": ["jobtitle", "email"]})

    def title(self, record: int) -> str:
        found = self.store.get("contacts", record)
        return "" if found is None else found.properties.get("jobtitle", "")

    def struck(self) -> list[str]:
        return [row[0] for row in self.store.connection.execute("select fault from requests order by seq")]


@pytest.fixture
def room(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Room]:
    made = Room(tmp_path, *getattr(request, "param", ()))
    yield made
    made.store.close()


def one(name: str, **parameters: Any) -> Any:
    """A room in which only this fault strikes."""
    return pytest.mark.parametrize("room", [[{"fault": name, **parameters}]], indirect=True, ids=[name])


def test_without_a_fault_all_is_well_and_the_journal_knows_the_inputs(room: Room) -> None:
    assert room.write(c101="CFO", c102="CEO").status_code == 200
    assert (room.title(101), room.title(102), room.struck()) == ("CFO", "CEO", [""])
    row = room.store.connection.execute("select inputs, trace_ids from requests").fetchone()
    assert (row[0], json.loads(row[1])) == (2, ["t101", "t102"])


# no answer, or another one --------------------------------------------------------------------------------------------


@one("rate_limit", retry_after=7, when={"times": 2})
def test_a_rate_limit_says_when_to_come_back(room: Room) -> None:
    answers = [room.write(c101="CFO") for _ in range(3)]
    assert [a.status_code for a in answers] == [429, 429, 200]
    assert answers[0].headers["retry-after"] == "7" and answers[0].json()["policyName"] == "TEN_SECONDLY_ROLLING"
    assert room.struck() == ["rate_limit", "rate_limit", ""]


@one("rate_limit", daily=True)
def test_the_daily_quota_says_so(room: Room) -> None:
    answer = room.write(c101="CFO")
    assert (answer.status_code, answer.json()["policyName"], "retry-after" in answer.headers) == (429, "DAILY", False)


@pytest.mark.parametrize(
    "room",
    [[{"fault": "server_error", "status": s, "committed": c}] for s in (500, 502, 503, 504) for c in (False, True)],
    indirect=True,
)
def test_a_server_error_before_or_after_the_work(room: Room, request: pytest.FixtureRequest) -> None:
    (found,) = request.node.callspec.params["room"]
    assert room.write(c101="CFO").status_code == found["status"]
    assert (room.title(101) == "CFO") is found["committed"]


@pytest.mark.parametrize("room", [[{"fault": "drop", "committed": c}] for c in (False, True)], indirect=True)
def test_a_dropped_connection(room: Room, request: pytest.FixtureRequest) -> None:
    with pytest.raises(httpx2.RemoteProtocolError):
        room.write(c101="CFO")
    assert (room.title(101) == "CFO") is request.node.callspec.params["room"][0]["committed"]
    assert room.store.connection.execute("select status from requests").fetchone() == (0,)


@one("cut")
def test_a_reset_in_the_middle_of_the_body(room: Room) -> None:
    with pytest.raises(httpx2.ReadError):
        room.write(c101="CFO")
    assert room.title(101) == "CFO"


@one("delay", seconds=90)
def test_a_late_commit_happens_after_the_client_has_given_up(room: Room) -> None:
    with pytest.raises(httpx2.ReadTimeout):
        room.write(c101="CFO")
    assert room.time.monotonic() == 30 and room.title(101) != "CFO"
    room.time.advance(59)
    assert room.read(101).json()["results"][0]["properties"]["jobtitle"] != "CFO"
    room.time.advance(2)
    assert room.read(101).json()["results"][0]["properties"]["jobtitle"] == "CFO"


@one("delay", seconds=90, committed=True)
def test_a_late_answer_after_an_early_commit(room: Room) -> None:
    with pytest.raises(httpx2.ReadTimeout):
        room.write(c101="CFO")
    assert room.title(101) == "CFO"


@one("delay", seconds=20)
def test_a_patient_client_gets_the_late_answer(room: Room) -> None:
    assert room.write(c101="CFO").status_code == 200 and room.time.monotonic() == 20


# tokens ---------------------------------------------------------------------------------------------------------------


@one("unauthorised")
def test_a_token_refused_once(room: Room) -> None:
    answers = [room.write(c101="CFO") for _ in range(2)]
    assert [a.status_code for a in answers] == [401, 200]
    assert answers[0].json()["category"] == "INVALID_AUTHENTICATION"


@one("token_expires", renewed="another", when={"kth": 2})
def test_a_token_that_expires_and_the_one_that_follows(room: Room) -> None:
    assert [room.write(c101=t).status_code for t in ("CFO", "CEO")] == [200, 401]
    body = room.write(c101="CEO").json()
    assert body["category"] == "EXPIRED_AUTHENTICATION" and "expire time" in body["context"]
    room.http = room.client("another")
    assert room.write(c101="CEO").status_code == 200


@one("missing_scope", scope="crm.objects.contacts.write")
def test_a_missing_scope_stops_only_what_needs_it(room: Room) -> None:
    assert room.read(101).status_code == 200
    answer = room.write(c101="CFO")
    assert (answer.status_code, answer.json()["category"]) == (403, "MISSING_SCOPES")
    assert answer.json()["errors"][0]["context"] == {"requiredGranularScopes": ["crm.objects.contacts.write"]}
    assert room.write(c101="CFO").status_code == 403


def test_tokens_with_an_end_and_with_fewer_rights(tmp_path: Path) -> None:
    end = AS_OF + timedelta(hours=6, minutes=30)
    reader = Token("reader", None, frozenset({"crm.objects.contacts.read"}))
    room = Room(tmp_path, tokens=(Token("short", end), reader))
    room.http = room.client("short")
    assert room.write(c101="CFO").status_code == 200
    room.time.advance(1805)
    assert "expired 5 second(s) ago" in room.write(c101="CEO").json()["message"]
    room.http = room.client("reader")
    assert (room.read(101).status_code, room.write(c101="CEO").status_code) == (200, 403)
    room.http = room.client("sandbox-token")
    assert room.read(101).json()["category"] == "INVALID_AUTHENTICATION"
    room.store.close()


# answers that are not what they should be -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "room", [[{"fault": "refuse_records", "records": [102], "status": s}] for s in (200, 207)], indirect=True
)
def test_some_records_refused(room: Room, request: pytest.FixtureRequest) -> None:
    answer = room.write(c101="CFO", c102="CEO")
    body = answer.json()
    assert answer.status_code == request.node.callspec.params["room"][0]["status"]
    assert [r["id"] for r in body["results"]] == ["101"]
    assert [e["context"] for e in body["errors"]] == [{"objectWriteTraceId": ["t102"]}] and body["numErrors"] == 1
    assert (room.title(101), room.title(102)) == ("CFO", "")


@one("refuse_records", reason="gone")
def test_all_records_refused(room: Room) -> None:
    body = room.write(c101="CFO").json()
    assert (body["results"], body["errors"][0]["category"]) == ([], "OBJECT_NOT_FOUND")


@one("reject_batch", records=[102])
def test_a_whole_batch_refused_because_of_one(room: Room) -> None:
    assert room.write(c101="CFO", c102="CEO").status_code == 400
    assert room.write(c101="CFO").status_code == 200 and room.title(101) == "CFO"


@one("reject_batch", reason="duplicate")
def test_a_whole_batch_refused_as_a_duplicate(room: Room) -> None:
    assert room.write(c101="CFO").status_code == 409


@pytest.mark.parametrize("room", [[{"fault": "empty_answer", "committed": c}] for c in (False, True)], indirect=True)
def test_an_empty_success(room: Room, request: pytest.FixtureRequest) -> None:
    answer = room.write(c101="CFO")
    assert (answer.status_code, answer.json()["results"]) == (200, [])
    assert (room.title(101) == "CFO") is request.node.callspec.params["room"][0]["committed"]


@one("omit_results", records=[101])
def test_a_result_left_out(room: Room) -> None:
    assert [r["id"] for r in room.write(c101="CFO", c102="CEO").json()["results"]] == ["102"]
    assert room.title(101) == "CFO"


@pytest.mark.parametrize("room", [[{"fault": "extra_results", "of": of}] for of in ("same", "other")], indirect=True)
def test_more_results_than_inputs(room: Room) -> None:
    assert len(room.write(c101="CFO").json()["results"]) == 2


@one("shuffle_results")
def test_shuffled_results_are_the_same_results(room: Room) -> None:
    orders = {tuple(r["id"] for r in room.write(c101=t, c102=t, c103=t).json()["results"]) for t in "abcdefgh"}
    assert len(orders) > 1 and {tuple(sorted(order)) for order in orders} == {("101", "102", "103")}


@pytest.mark.parametrize(
    ("room", "traces"),
    [
        ([{"fault": "trace_ids"}], [None, None]),
        ([{"fault": "trace_ids", "mode": "duplicated"}], ["t101", "t101"]),
    ],
    indirect=["room"],
)
def test_trace_ids_that_cannot_be_used(room: Room, traces: list[str | None]) -> None:
    body = room.write(c101="CFO", c102="CEO").json()
    assert [r.get("objectWriteTraceId") for r in body["results"]] == traces


# the CRM changes ------------------------------------------------------------------------------------------------------

MINE = {"object_type": "contacts", "property": "tier"}


def define(room: Room) -> None:
    body = {
        "name": "tier", "label": "Tier", "type": "enumeration", "fieldType": "select",
        "groupName": "contactinformation", "options": [{"label": o, "value": o} for o in "AB"],
    }  # fmt: skip
    assert room.http.post("/crm/v3/properties/contacts", json=body).status_code == 201
    set_tier(room, "A")


def set_tier(room: Room, value: str, name: str = "tier") -> httpx2.Response:
    return room.http.post(WRITE, json={"inputs": [{"id": "101", "properties": {name: value}}]})


AFTER = {"when": {"kind": "write", "kth": 2}}


@one("property_archived", **MINE, **AFTER)
def test_a_field_is_archived(room: Room) -> None:
    define(room)
    assert "does not exist" in set_tier(room, "B").json()["message"]


@one("property_renamed", **MINE, to="level", **AFTER)
def test_a_field_is_renamed_and_its_values_move(room: Room) -> None:
    define(room)
    assert set_tier(room, "B").status_code == 400
    found = room.store.get("contacts", 101)
    assert found is not None and found.properties["level"] == "A" and "tier" not in found.properties
    assert set_tier(room, "B", "level").status_code == 200


@one("property_read_only", **MINE, **AFTER)
def test_a_field_becomes_read_only(room: Room) -> None:
    define(room)
    assert "read only" in set_tier(room, "B").json()["message"]


@one("property_retyped", **MINE, to="number", **AFTER)
def test_a_field_gets_another_type(room: Room) -> None:
    define(room)
    assert "not a valid number" in set_tier(room, "B").json()["message"]


@one("option_removed", **MINE, option="B", **AFTER)
def test_an_option_is_removed(room: Room) -> None:
    define(room)
    assert "[A]" in set_tier(room, "B").json()["message"] and set_tier(room, "A").status_code == 200


@one("record_archived", object_type="contacts", record=101)
def test_a_record_is_archived(room: Room) -> None:
    assert room.write(c101="CFO").json()["errors"][0]["category"] == "OBJECT_NOT_FOUND"


@pytest.mark.parametrize(
    "room",
    [
        [{"fault": "record_merged", "object_type": "contacts", "record": "102", "into": "103", "new_id": new}]
        for new in (False, True)
    ],
    indirect=True,
)
def test_a_record_is_merged(room: Room, request: pytest.FixtureRequest) -> None:
    (result,) = room.read(102).json()["results"]
    assert (result["id"] == "103") is not request.node.callspec.params["room"][0]["new_id"] and result["id"] != "102"


@one("record_recreated", object_type="contacts", record=102)
def test_a_record_is_made_again(room: Room) -> None:
    assert room.read(102).json()["errors"][0]["context"] == {"ids": ["102"]}
    new = room.store.find_unique("contacts", "email", ["ng@acme.example"])["ng@acme.example"]
    found = room.store.get("contacts", new)
    assert new != 102 and found is not None and found.properties["lastname"] == "Ng"


EDIT = {"object_type": "contacts", "record": "101", "property": "jobtitle", "value": "Boss"}


@pytest.mark.parametrize(
    ("room", "left"),
    [([{"fault": "person_edits", **EDIT, "moment": m}], v) for m, v in (("before", "CFO"), ("after", "Boss"))],
    indirect=["room"],
)
def test_a_person_edits(room: Room, left: str) -> None:
    room.write(c101="CFO")
    assert room.title(101) == left
    sources = [h.source_type for h in room.store.history("contacts", [101], ["jobtitle"])[101]["jobtitle"]]
    assert sorted(sources[:2]) == ["CRM_UI", "INTEGRATION"]


@one("automation", object_type="contacts", field="jobtitle", sets="lifecyclestage", to="customer")
def test_a_workflow_sets_another_field(room: Room) -> None:
    room.write(c101="CFO", c102="CEO")
    found = room.store.get_many("contacts", [101, 102, 103])
    assert [r.properties.get("lifecyclestage") for r in found.values()] == ["customer", "customer", None]
    newest = room.store.history("contacts", [101], ["lifecyclestage"])[101]["lifecyclestage"][0]
    assert newest.source_type == "AUTOMATION_PLATFORM"


@one("automation", object_type="contacts", field="jobtitle", sets="jobtitle", to="Boss")
def test_a_workflow_that_writes_our_field_again_each_time(room: Room) -> None:
    for title in ("CFO", "CEO"):
        room.write(c101=title)
        assert room.title(101) == "Boss"


@pytest.mark.parametrize(
    ("room", "kept"),
    [
        ([{"fault": "normalise", "object_type": "contacts", "property": "jobtitle", "how": how}], kept)
        for how, kept in (("trim", "A  b"), ("squeeze", "A b"), ("lower", "  a  b "))
    ],
    indirect=["room"],
)
def test_values_are_normalised(room: Room, kept: str) -> None:
    room.write(c101="  A  b ")
    assert room.title(101) == kept


# time -----------------------------------------------------------------------------------------------------------------


@one("search_lag", seconds=60)
def test_search_lags_behind_a_write(room: Room) -> None:
    room.write(c101="CFO")
    body = {"filterGroups": [{"filters": [{"propertyName": "jobtitle", "operator": "EQ", "value": "CFO"}]}]}

    def found() -> list[str]:
        return [r["id"] for r in room.http.post("/crm/v3/objects/contacts/search", json=body).json()["results"]]

    assert found() == ["103"]
    room.time.advance(61)
    assert found() == ["101", "103"]


@one("clock_skew", seconds=-7200)
def test_the_crms_clock_is_off(room: Room) -> None:
    stamp = room.write(c101="CFO").json()["results"][0]["properties"]["lastmodifieddate"]
    assert stamp == "2026-11-17T04:00:00.000Z"


# who may not ----------------------------------------------------------------------------------------------------------


def test_what_hubspot_does_not_have_is_refused_at_the_start(tmp_path: Path) -> None:
    for found in ({"fault": "ambiguous_key"}, {"fault": "refuse_records", "reason": "converted"}):
        with pytest.raises(NightdeskError, match="HubSpot has no such trouble"):
            FaultRunner(faults.parse({"faults": [found]}))


def test_a_store_of_an_earlier_release_gets_the_new_columns(tmp_path: Path) -> None:
    path = tiny_store(tmp_path / "crm.sqlite")
    with Store.open(path) as old:
        for column in ("inputs", "trace_ids"):
            old.connection.execute(f"alter table requests drop column {column}")
    with Store.open(path) as opened:
        assert opened.connection.execute("select count(inputs), count(trace_ids) from requests").fetchone() == (0, 0)


# over a real socket ---------------------------------------------------------------------------------------------------


def test_over_a_socket_a_fault_is_what_it_is_in_process(tmp_path: Path) -> None:
    """A served sandbox resets a connection in the middle of an answer, closes one without any, and waits really."""
    file = faults.parse(
        {
            "faults": [
                {"fault": "cut"},
                {"fault": "drop", "when": {"kth": 2}},
                {"fault": "delay", "seconds": 0.3, "when": {"kth": 3}},
                {"fault": "record_archived", "object_type": "contacts", "record": "999", "when": {"kth": 4}},
            ]
        }
    )
    path = tiny_store(tmp_path / "crm.sqlite")
    with running(path, limits=UNLIMITED, faults=FaultRunner(file, forgiving=True)) as crm:
        headers = {"Authorization": f"Bearer {crm.token}"}
        with httpx2.Client(base_url=crm.url, headers=headers, trust_env=False, timeout=0.15) as http:
            for number, error in enumerate((httpx2.TransportError, httpx2.RemoteProtocolError, httpx2.ReadTimeout), 1):
                inputs = [{"id": "101", "properties": {"jobtitle": f"Title {number}"}}]
                with pytest.raises(error):
                    http.post(WRITE, json={"inputs": inputs})
            deadline = time.monotonic() + 5
            while time.monotonic() < deadline:  # the late one is done although nobody waits for it
                found = crm.store.get("contacts", 101)
                if found is not None and found.properties["jobtitle"] == "Title 3":
                    break
                time.sleep(0.02)
            assert http.get("/crm/v3/objects/contacts/101", timeout=5).status_code == 200
        struck = [
            row[0] for row in crm.store.connection.execute("select fault from requests order by received_at, seq")
        ]
        found = crm.store.get("contacts", 101)
        assert found is not None and found.properties["jobtitle"] == "Title 3"
    assert struck[:3] == ["cut after commit", "drop after commit", "delay 0.3s before commit"]
    assert "record_archived could not happen" in struck[3] and "999" in struck[3]
