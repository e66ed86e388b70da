"""The sandbox CRM over HTTP: what HubSpot answers when a request is wrong, half wrong, too much or unlucky."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from nightdesk.errors import NightdeskError
from sandbox.crm.clock import ManualClock
from sandbox.crm.faults import Answer, Delay, Drop, Script, When
from sandbox.crm.limits import UNLIMITED, Limits
from sandbox.crm.server import RunningSandbox, running, serve
from sandbox.crm.tiny import AS_OF, tiny_store

CONTACTS = "/crm/v3/objects/contacts"


@contextmanager
def sandbox(path: Path, *, limits: Limits = UNLIMITED, **kwargs: Any) -> Iterator[tuple[httpx.Client, RunningSandbox]]:
    with running(path, limits=limits, **kwargs) as served:
        headers = {"Authorization": f"Bearer {served.token}"}
        with httpx.Client(base_url=served.url, headers=headers, timeout=10) as client:
            yield client, served


@pytest.fixture
def store_path(tmp_path: Path) -> Path:
    return tiny_store(tmp_path / "crm.sqlite", extra_contacts=250)


@pytest.fixture
def served(store_path: Path) -> Iterator[tuple[httpx.Client, RunningSandbox]]:
    with sandbox(store_path) as both:
        yield both


@pytest.fixture
def api(served: tuple[httpx.Client, RunningSandbox]) -> httpx.Client:
    return served[0]


def journal(store: Any) -> list[tuple[Any, ...]]:
    return store.connection.execute(
        "select action, object_type, object_id, property, before, after, source from journal order by seq"
    ).fetchall()


def define(api: httpx.Client, name: str = "nightdesk_tier", **more: Any) -> httpx.Response:
    api.post("/crm/v3/properties/contacts/groups", json={"name": "nightdesk", "label": "Nightdesk"})
    body = {
        "name": name, "label": name, "type": "enumeration", "fieldType": "select", "groupName": "nightdesk",
        "options": [{"label": tier, "value": tier} for tier in "ABCD"],
    }  # fmt: skip
    return api.post("/crm/v3/properties/contacts", json=body | more)


# -- who may ask ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", [None, "Bearer wrong", "Basic c2FuZGJveC10b2tlbg==", "sandbox-token"])
def test_without_the_token_nothing_is_answered(store_path: Path, header: str | None) -> None:
    with running(store_path) as served:
        answer = httpx.get(served.url + CONTACTS, headers={"Authorization": header} if header else {})
    assert answer.status_code == 401
    assert answer.json()["category"] == "INVALID_AUTHENTICATION"
    assert answer.json()["correlationId"] == answer.headers["X-HubSpot-Correlation-Id"]


def test_unknown_addresses_and_methods_are_errors_in_hubspots_shape(api: httpx.Client) -> None:
    assert api.get("/crm/v3/nothing").status_code == 404
    assert api.delete(CONTACTS).status_code == 405
    answer = api.get("/crm/v3/objects/unicorns")
    assert (answer.status_code, answer.json()["message"]) == (400, "Unable to infer object type from: unicorns")
    broken = api.post(CONTACTS, content=b'{"properties": ', headers={"Content-Type": "application/json"})
    assert (broken.status_code, broken.json()["category"]) == (400, "VALIDATION_ERROR")
    assert api.post(CONTACTS, content=b'{"properties": {"jobtitle": "\\ud800"}}').status_code == 400
    assert api.post(CONTACTS, content=b'{"properties": {"jobtitle": NaN}}').status_code == 400


# -- reading ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("base", ["/crm/v3/objects/contacts", "/crm/objects/2026-03/contacts", "/crm/v3/objects/0-1"])
def test_every_live_record_is_listed_once_by_id(api: httpx.Client, base: str) -> None:
    found: list[dict[str, Any]] = []
    after: str | None = None
    while True:
        params = {"limit": "100", "properties": "email,phone,nope", "associations": "companies,deals"}
        page = api.get(base, params=params | ({"after": after} if after else {})).json()
        found += page["results"]
        after = page.get("paging", {}).get("next", {}).get("after")
        if after is None:
            break
    assert [int(r["id"]) for r in found] == [101, 102, 103, *range(1001, 1251)]
    assert found[0]["properties"] == {
        "email": "dana@acme.example", "phone": None, "hs_object_id": "101",
        "createdate": "2026-01-21T00:00:00.000Z", "lastmodifieddate": "2026-11-15T00:00:00.000Z",
    }  # fmt: skip
    assert found[0]["associations"]["companies"]["results"] == [{"id": "501", "type": "contact_to_company_unlabeled"}]
    assert {r["type"] for r in found[0]["associations"]["deals"]["results"]} == {"contact_to_deal", "decision_maker"}
    assert "associations" not in found[3]


def test_the_archived_list_shows_deleted_records_but_not_merged_ones(api: httpx.Client) -> None:
    page = api.get(CONTACTS, params={"archived": "true"}).json()
    assert [(r["id"], r["archived"], r["archivedAt"]) for r in page["results"]] == [
        ("104", True, "2026-11-15T00:00:00.000Z")
    ]


def test_pages_are_at_most_100_and_50_with_history(api: httpx.Client) -> None:
    assert api.get(CONTACTS, params={"limit": "101"}).status_code == 400
    assert api.get(CONTACTS, params={"limit": "51", "propertiesWithHistory": "jobtitle"}).status_code == 400
    page = api.get(CONTACTS, params={"limit": "50", "propertiesWithHistory": "jobtitle"}).json()
    assert [(h["value"], h["sourceType"]) for h in page["results"][0]["propertiesWithHistory"]["jobtitle"]] == [
        ("Head of Logistics", "CRM_UI"), ("Analyst", "IMPORT"),
    ]  # fmt: skip


def test_a_merged_id_answers_as_its_survivor(api: httpx.Client) -> None:
    assert api.get(f"{CONTACTS}/105").json()["id"] == "101"
    answer = api.post(f"{CONTACTS}/batch/read", json={"inputs": [{"id": "105"}, {"id": "101"}]})
    assert (answer.status_code, [r["id"] for r in answer.json()["results"]]) == (200, ["101"])
    patched = api.patch(f"{CONTACTS}/105", json={"properties": {"jobtitle": "COO"}})
    assert (patched.json()["id"], patched.json()["properties"]["jobtitle"]) == ("101", "COO")


def test_batch_read_finds_by_id_or_email_and_reports_who_is_missing(api: httpx.Client) -> None:
    answer = api.post(f"{CONTACTS}/batch/read", json={"inputs": [{"id": i} for i in ("101", "104", "7", "x")]})
    body = answer.json()
    assert (answer.status_code, body["numErrors"]) == (207, 1)
    assert [r["id"] for r in body["results"]] == ["101"]
    assert body["errors"][0]["category"] == "OBJECT_NOT_FOUND"
    assert body["errors"][0]["context"]["ids"] == ["104", "7", "x"]
    by_email = {"idProperty": "email", "inputs": [{"id": "NG@acme.example"}]}
    assert [r["id"] for r in api.post(f"{CONTACTS}/batch/read", json=by_email).json()["results"]] == ["102"]
    by_title = {"idProperty": "jobtitle", "inputs": [{"id": "CFO"}]}
    assert api.post(f"{CONTACTS}/batch/read", json=by_title).status_code == 400
    assert api.post(f"{CONTACTS}/batch/read", json={"inputs": [{"id": str(n)} for n in range(101)]}).status_code == 400
    too_many = {"propertiesWithHistory": ["jobtitle"], "inputs": [{"id": str(n)} for n in range(51)]}
    assert api.post(f"{CONTACTS}/batch/read", json=too_many).status_code == 400


# -- writing ----------------------------------------------------------------------------------------------------------


def test_batch_update_writes_what_it_says_and_nothing_else(served: tuple[httpx.Client, RunningSandbox]) -> None:
    api, sandbox_ = served
    inputs = [
        {"id": "101", "properties": {"jobtitle": "COO", "phone": "+49 30 1"}, "objectWriteTraceId": "a"},
        {"id": "102", "properties": {"jobtitle": ""}, "objectWriteTraceId": "b"},
    ]
    answer = api.post(f"{CONTACTS}/batch/update", json={"inputs": inputs})
    assert answer.status_code == 200
    assert [(r["id"], r["objectWriteTraceId"]) for r in answer.json()["results"]] == [("101", "a"), ("102", "b")]
    assert answer.json()["results"][0]["properties"]["phone"] == "+49301"
    assert journal(sandbox_.store) == [
        ("set", "contacts", "101", "jobtitle", "Head of Logistics", "COO", "INTEGRATION"),
        ("set", "contacts", "101", "phone", None, "+49301", "INTEGRATION"),
    ]
    history = api.get(f"{CONTACTS}/101", params={"propertiesWithHistory": "jobtitle"}).json()
    newest = history["propertiesWithHistory"]["jobtitle"][0]
    assert (newest["value"], newest["sourceType"], newest["sourceId"]) == ("COO", "INTEGRATION", "nightdesk")


@pytest.mark.parametrize("traced", [False, True])
@pytest.mark.parametrize(
    ("bad", "code"), [({"nope": "1"}, "PROPERTY_DOESNT_EXIST"), ({"createdate": "1"}, "READ_ONLY_VALUE")]
)
def test_a_property_that_cannot_be_written_refuses_the_whole_batch(
    served: tuple[httpx.Client, RunningSandbox], bad: dict[str, str], code: str, traced: bool
) -> None:
    api, sandbox_ = served
    inputs: list[dict[str, Any]] = [{"id": "101", "properties": {"jobtitle": "COO"}}, {"id": "102", "properties": bad}]
    if traced:
        inputs = [item | {"objectWriteTraceId": item["id"]} for item in inputs]
    answer = api.post(f"{CONTACTS}/batch/update", json={"inputs": inputs})
    assert (answer.status_code, answer.json()["category"]) == (400, "VALIDATION_ERROR")
    assert answer.json()["errors"][0]["code"] == code
    assert journal(sandbox_.store) == []


def test_a_bad_value_refuses_the_batch_or_with_trace_ids_only_its_own_input(
    served: tuple[httpx.Client, RunningSandbox],
) -> None:
    api, sandbox_ = served
    assert define(api).status_code == 201
    inputs = [{"id": str(i), "properties": {"nightdesk_tier": t}} for i, t in ((101, "A"), (102, "Z"), (999, "B"))]
    whole = api.post(f"{CONTACTS}/batch/update", json={"inputs": inputs})
    assert (whole.status_code, whole.json()["errors"][0]["code"]) == (400, "INVALID_OPTION")
    traced = [item | {"objectWriteTraceId": f"op-{item['id']}"} for item in inputs]
    partly = api.post(f"{CONTACTS}/batch/update", json={"inputs": traced})
    body = partly.json()
    assert (partly.status_code, body["numErrors"]) == (207, 2)
    assert [r["objectWriteTraceId"] for r in body["results"]] == ["op-101"]
    assert [(e["category"], e["context"]["objectWriteTraceId"]) for e in body["errors"]] == [
        ("VALIDATION_ERROR", ["op-102"]), ("OBJECT_NOT_FOUND", ["op-999"]),
    ]  # fmt: skip
    same = [item | {"objectWriteTraceId": "same"} for item in inputs]
    assert api.post(f"{CONTACTS}/batch/update", json={"inputs": same}).status_code == 400
    sets = [row for row in journal(sandbox_.store) if row[0] == "set"]
    assert sets == [("set", "contacts", "101", "nightdesk_tier", None, "A", "INTEGRATION")]


def test_batch_update_refuses_email_as_id_and_ids_given_twice(api: httpx.Client) -> None:
    by_email = [{"id": "dana@acme.example", "idProperty": "email", "properties": {"jobtitle": "x"}}]
    assert "non-unique" in api.post(f"{CONTACTS}/batch/update", json={"inputs": by_email}).json()["message"]
    twice = [{"id": "101", "properties": {}}, {"id": "101", "properties": {}}]
    assert "Duplicate IDs" in api.post(f"{CONTACTS}/batch/update", json={"inputs": twice}).json()["message"]


def test_creating_a_contact_twice_is_a_conflict(served: tuple[httpx.Client, RunningSandbox]) -> None:
    api, sandbox_ = served
    body = {"properties": {"email": " New@acme.example", "lastname": "New"}}
    made = api.post(CONTACTS, json=body)
    assert (made.status_code, made.json()["properties"]["email"]) == (201, "new@acme.example")
    again = api.post(CONTACTS, json=body)
    assert (again.status_code, again.json()["category"]) == (409, "CONFLICT")
    assert again.json()["message"] == f"Contact already exists. Existing ID: {made.json()['id']}"
    inputs = [{"properties": {"email": e}} for e in ("one@acme.example", "new@acme.example")]
    assert api.post(f"{CONTACTS}/batch/create", json={"inputs": inputs}).status_code == 409
    assert sandbox_.store.find_unique("contacts", "email", ["one@acme.example"]) == {}
    traced = [item | {"objectWriteTraceId": str(n)} for n, item in enumerate(inputs)]
    partly = api.post(f"{CONTACTS}/batch/create", json={"inputs": traced})
    assert partly.status_code == 207
    assert [r["objectWriteTraceId"] for r in partly.json()["results"]] == ["0"]
    assert partly.json()["errors"][0]["context"] == {"objectWriteTraceId": ["1"]}
    created = [row for row in journal(sandbox_.store) if row[0] == "create"]
    assert len(created) == 2


def test_upsert_by_a_unique_property_creates_once(served: tuple[httpx.Client, RunningSandbox]) -> None:
    api, sandbox_ = served
    api.post("/crm/v3/properties/tasks/groups", json={"name": "nightdesk", "label": "Nightdesk"})
    key = {
        "name": "nightdesk_op_key", "label": "Key", "type": "string", "fieldType": "text", "groupName": "nightdesk",
        "hasUniqueValue": True,
    }  # fmt: skip
    assert api.post("/crm/v3/properties/tasks", json=key).status_code == 201
    properties = {"hs_timestamp": "2026-11-18T09:00:00Z", "hs_task_subject": "Call Dana"}
    item = {"id": "Op-1", "idProperty": "nightdesk_op_key", "properties": properties}
    first = api.post("/crm/v3/objects/tasks/batch/upsert", json={"inputs": [item]}).json()["results"][0]
    second = api.post("/crm/v3/objects/tasks/batch/upsert", json={"inputs": [item]}).json()["results"][0]
    assert (first["new"], second["new"], first["id"] == second["id"]) == (True, False, True)
    assert sandbox_.store.connection.execute("select count(*) from journal where action = 'create'").fetchone()[0] == 1
    no_time = item | {"id": "op-2", "properties": {"hs_task_subject": "x"}}
    assert "required" in api.post("/crm/v3/objects/tasks/batch/upsert", json={"inputs": [no_time]}).json()["message"]
    without = {"id": "x", "properties": properties}
    assert api.post("/crm/v3/objects/tasks/batch/upsert", json={"inputs": [without]}).status_code == 400


def test_archiving_is_soft_and_idempotent_and_erasing_is_not_soft(served: tuple[httpx.Client, RunningSandbox]) -> None:
    api, sandbox_ = served
    assert api.delete(f"{CONTACTS}/102").status_code == 204
    assert api.delete(f"{CONTACTS}/102").status_code == 204
    assert api.post(f"{CONTACTS}/batch/archive", json={"inputs": [{"id": "102"}, {"id": "8"}]}).status_code == 204
    assert api.get(f"{CONTACTS}/102").status_code == 404
    assert api.get(f"{CONTACTS}/102", params={"archived": "true"}).status_code == 200
    assert api.patch(f"{CONTACTS}/102", json={"properties": {"jobtitle": "x"}}).status_code == 404
    assert [row[0] for row in journal(sandbox_.store)] == ["archive"]
    api.patch(f"{CONTACTS}/103", json={"properties": {"jobtitle": "Secret title"}})
    assert api.post(f"{CONTACTS}/gdpr-delete", json={"objectId": "103"}).status_code == 204
    sandbox_.store.connection.execute("pragma wal_checkpoint(truncate)")
    text = "\n".join(sandbox_.store.connection.iterdump())
    assert "Secret title" not in text
    assert "lee@acme.example" not in text.replace("('lee@acme.example',1", "")  # the opt-out itself stays


def test_long_and_strange_text_comes_back_to_the_character(api: httpx.Client) -> None:
    define(api, "nightdesk_reason", type="string", fieldType="textarea", options=[])
    for text in ("x" * 65_536, 'it\'s "so"\r\n\t\u05e9\u05dc\u05d5\u05dd 🅰\u200f\x00\u2028', "  ", "é" * 3, "null"):
        answer = api.patch(f"{CONTACTS}/101", json={"properties": {"nightdesk_reason": text}})
        assert answer.status_code == 200
        body = {"inputs": [{"id": "101"}], "properties": ["nightdesk_reason"]}
        read = api.post(f"{CONTACTS}/batch/read", json=body).json()["results"][0]
        assert read["properties"]["nightdesk_reason"] == text
    too_long = api.patch(f"{CONTACTS}/101", json={"properties": {"nightdesk_reason": "x" * 65_537}})
    assert too_long.status_code == 400


def test_properties_are_created_after_their_group_and_once(api: httpx.Client) -> None:
    body = {"name": "nightdesk_x", "label": "X", "type": "string", "fieldType": "text", "groupName": "nightdesk"}
    assert "group" in api.post("/crm/v3/properties/contacts", json=body).json()["message"]
    assert define(api).status_code == 201
    assert define(api).status_code == 409
    assert api.post("/crm/v3/properties/contacts/groups", json={"name": "nightdesk", "label": "N"}).status_code == 409
    for wrong in ({"type": "colour"}, {"fieldType": "text"}, {"options": []}, {"name": "Bad Name"}):
        assert define(api, **({"name": "nightdesk_y"} | wrong)).status_code == 400
    assert api.patch("/crm/v3/properties/contacts/email", json={"label": "Mail"}).status_code == 403
    fewer = {"options": [{"label": "A", "value": "A"}], "hasUniqueValue": True}
    changed = api.patch("/crm/v3/properties/contacts/nightdesk_tier", json=fewer).json()
    assert ([o["value"] for o in changed["options"]], changed["hasUniqueValue"]) == (["A"], False)
    removed = {"properties": {"nightdesk_tier": "B"}}
    assert api.patch(f"{CONTACTS}/101", json=removed).json()["errors"][0]["code"] == "INVALID_OPTION"
    usage = api.get("/crm/limits/2026-03/custom-properties").json()["byObjectType"]
    assert [(u["objectTypeId"], u["usage"]) for u in usage if u["objectTypeId"] == "contacts"] == [("contacts", 1)]
    assert api.delete("/crm/v3/properties/contacts/nightdesk_tier").status_code == 204
    gone = api.patch(f"{CONTACTS}/101", json={"properties": {"nightdesk_tier": "A"}})
    assert gone.json()["errors"][0]["code"] == "PROPERTY_DOESNT_EXIST"


# -- search -----------------------------------------------------------------------------------------------------------


def ask(api: httpx.Client, *filters: dict[str, Any], **more: Any) -> httpx.Response:
    return api.post(f"{CONTACTS}/search", json={"filterGroups": [{"filters": list(filters)}] if filters else []} | more)


def test_an_incremental_load_pages_through_changes_in_order(api: httpx.Client) -> None:
    since = (AS_OF - timedelta(seconds=149)).isoformat()
    seen: list[tuple[str, int]] = []
    after: str | None = "0"
    while after is not None:
        page = ask(
            api, {"propertyName": "lastmodifieddate", "operator": "GTE", "value": since},
            sorts=[{"propertyName": "lastmodifieddate", "direction": "ASCENDING"}], limit=40, after=after,
        ).json()  # fmt: skip
        assert page["total"] == 150
        seen += [(r["properties"]["lastmodifieddate"], int(r["id"])) for r in page["results"]]
        after = page.get("paging", {}).get("next", {}).get("after")
    assert seen == sorted(seen)
    assert {number for _, number in seen} == set(range(1001, 1151))


@pytest.mark.parametrize(
    ("condition", "ids"),
    [
        ({"propertyName": "jobtitle", "operator": "EQ", "value": "cfo"}, ["103"]),
        ({"propertyName": "jobtitle", "operator": "NEQ", "value": "cfo"}, ["101"]),
        ({"propertyName": "jobtitle", "operator": "HAS_PROPERTY"}, ["101", "103"]),
        ({"propertyName": "jobtitle", "operator": "CONTAINS_TOKEN", "value": "logis*"}, ["101"]),
        ({"propertyName": "jobtitle", "operator": "CONTAINS_TOKEN", "value": "logis"}, []),
        ({"propertyName": "lastname", "operator": "IN", "values": ["ng", "LEE"]}, ["102", "103"]),
        ({"propertyName": "hs_object_id", "operator": "BETWEEN", "value": "102", "highValue": "103"}, ["102", "103"]),
        ({"propertyName": "hs_object_id", "operator": "LT", "value": "102"}, ["101"]),
        ({"propertyName": "associations.deal", "operator": "EQ", "value": "301"}, ["101"]),
    ],
)
def test_search_operators(api: httpx.Client, condition: dict[str, Any], ids: list[str]) -> None:
    assert [r["id"] for r in ask(api, condition).json()["results"]] == ids


def test_what_search_refuses(api: httpx.Client) -> None:
    one = {"propertyName": "jobtitle", "operator": "HAS_PROPERTY"}
    assert ask(api, one, limit=201).status_code == 400
    assert ask(api, {"propertyName": "nope", "operator": "HAS_PROPERTY"}).status_code == 400
    assert ask(api, {"propertyName": "jobtitle", "operator": "LIKE", "value": "x"}).status_code == 400
    assert ask(api, sorts=["createdate", "lastname"]).status_code == 400
    groups = [{"filters": [one]}] * 7
    assert api.post(f"{CONTACTS}/search", json={"filterGroups": groups}).status_code == 400
    assert ask(api, limit=200, after="9800").status_code == 200
    beyond = ask(api, limit=200, after="9801")
    assert (beyond.status_code, "10000" in beyond.json()["message"]) == (400, True)


def test_search_lags_behind_writes_but_batch_read_does_not(tmp_path: Path) -> None:
    clock = ManualClock(AS_OF + timedelta(hours=5))
    path = tiny_store(tmp_path / "crm.sqlite")
    limits = Limits(burst=None, daily=None, search_per_second=None, search_lag_s=3)
    with sandbox(path, clock=clock, limits=limits) as (api, _):
        api.patch(f"{CONTACTS}/103", json={"properties": {"jobtitle": "COO"}})
        coo = {"propertyName": "jobtitle", "operator": "EQ", "value": "COO"}
        read = api.post(f"{CONTACTS}/batch/read", json={"inputs": [{"id": "103"}], "properties": ["jobtitle"]})
        assert read.json()["results"][0]["properties"]["jobtitle"] == "COO"
        assert ask(api, coo).json()["total"] == 0
        clock.advance(3)
        assert ask(api, coo).json()["total"] == 1


# -- associations, settings -------------------------------------------------------------------------------------------


def test_associations_go_both_ways_and_a_label_brings_the_plain_one(api: httpx.Client) -> None:
    made = api.post("/crm/v4/associations/contacts/companies/labels", json={"label": "Champion", "name": "champion"})
    champion, back = made.json()["results"]
    spec = [{"associationCategory": "USER_DEFINED", "associationTypeId": champion["typeId"]}]
    put = api.put("/crm/v4/objects/contacts/1001/associations/companies/501", json=spec)
    assert (put.status_code, put.json()["labels"]) == (201, ["Champion"])
    body = {"inputs": [{"id": "501"}]}
    there = api.post("/crm/v4/associations/companies/contacts/batch/read", json=body).json()["results"][0]["to"]
    kinds = next(t["associationTypes"] for t in there if t["toObjectId"] == "1001")
    assert {(k["category"], k["typeId"], k["label"]) for k in kinds} == {
        ("HUBSPOT_DEFINED", 280, None), ("USER_DEFINED", back["typeId"], "Champion"),
    }  # fmt: skip
    only_label = {"inputs": [{"from": {"id": "1001"}, "to": {"id": "501"}, "types": spec}]}
    gone = api.post("/crm/v4/associations/contacts/companies/batch/labels/archive", json=only_label)
    assert gone.status_code == 204
    left = api.get("/crm/v4/objects/contacts/1001/associations/companies").json()["results"]
    assert [[k["typeId"] for k in t["associationTypes"]] for t in left] == [[279]]
    assert api.delete("/crm/v4/objects/contacts/1001/associations/companies/501").status_code == 204
    none = api.post("/crm/v4/associations/contacts/companies/batch/read", json={"inputs": [{"id": "1001"}]})
    assert none.status_code == 207
    assert none.json()["errors"][0]["subCategory"] == "crm.associations.NO_ASSOCIATIONS_FOUND"


def test_a_task_is_created_with_its_associations(api: httpx.Client) -> None:
    link = {"to": {"id": "101"}, "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 204}]}
    task = {"properties": {"hs_timestamp": "1794960000000", "hs_task_subject": "Call"}, "associations": [link]}
    made = api.post("/crm/v3/objects/tasks", json=task)
    assert made.status_code == 201
    read = api.get(f"/crm/v3/objects/tasks/{made.json()['id']}", params={"associations": "contacts"}).json()
    assert read["associations"]["contacts"]["results"] == [{"id": "101", "type": "task_to_contact"}]
    link["to"]["id"] = "9"
    assert api.post("/crm/v3/objects/tasks", json=task).status_code == 400


@pytest.mark.parametrize("version", ["v4", "2026-03"])
def test_who_is_unsubscribed_is_asked_by_address(api: httpx.Client, version: str) -> None:
    path = f"/communication-preferences/{version}/statuses/batch/unsubscribe-all/read"
    answer = api.post(path, params={"channel": "EMAIL"}, json={"inputs": ["LEE@acme.example", "dana@acme.example"]})
    assert [(r["subscriberIdString"], r["statuses"][0]["status"]) for r in answer.json()["results"]] == [
        ("LEE@acme.example", "UNSUBSCRIBED"), ("dana@acme.example", "NOT_SPECIFIED"),
    ]  # fmt: skip
    assert api.post(path, json={"inputs": ["a@b.example"]}).status_code == 400


# -- limits and trouble -----------------------------------------------------------------------------------------------


def test_too_many_requests_are_refused_until_the_clock_moves(tmp_path: Path) -> None:
    clock = ManualClock(AS_OF + timedelta(hours=5))
    path = tiny_store(tmp_path / "crm.sqlite")
    with sandbox(path, clock=clock, limits=Limits(burst=3)) as (api, sandbox_):
        assert [api.get("/crm/v3/owners").status_code for _ in range(4)] == [200, 200, 200, 429]
        refused = api.patch(f"{CONTACTS}/101", json={"properties": {"jobtitle": "COO"}})
        assert (refused.json()["errorType"], refused.json()["policyName"]) == ("RATE_LIMIT", "TEN_SECONDLY_ROLLING")
        assert journal(sandbox_.store) == []
        clock.advance(10)
        assert api.get("/crm/v3/owners").headers["X-HubSpot-RateLimit-Remaining"] == "2"
        assert [ask(api).status_code for _ in range(6)] == [200] * 5 + [429]
    with sandbox(path, clock=clock, limits=Limits(burst=None, daily=10)) as (api, _):
        # 4 requests and 5 searches were answered before the restart; refused ones do not count.
        assert [api.get("/crm/v3/owners").status_code for _ in range(2)] == [200, 429]


def test_faults_strike_the_request_they_were_written_for(tmp_path: Path) -> None:
    update = f"{re.escape(CONTACTS)}/batch/update"
    script = Script(
        [
            Answer(When(update, kth=2), 503),
            Answer(When(update, kth=3), 502, after_commit=True),
            Drop(When(update, kth=4)),
            Drop(When(update, kth=5), after_commit=False),
            Delay(When("/owners", method="GET"), 0.3),
            Answer(When("/pipelines/", times=None), 429, headers={"Retry-After": "7"}),
        ]
    )
    path = tiny_store(tmp_path / "crm.sqlite")
    outcomes: list[int | str] = []
    with sandbox(path, faults=script) as (api, sandbox_):
        for n in range(1, 7):
            body = {"inputs": [{"id": "101", "properties": {"jobtitle": f"title {n}"}}]}
            try:
                outcomes.append(api.post(f"{CONTACTS}/batch/update", json=body).status_code)
            except httpx.TransportError:
                outcomes.append("no answer")
        assert outcomes == [200, 503, 502, "no answer", "no answer", 200]
        written = [row[5] for row in journal(sandbox_.store)]
        assert written == ["title 1", "title 3", "title 4", "title 6"]
        assert api.get("/crm/v3/owners").elapsed.total_seconds() >= 0.3
        assert [api.get("/crm/v3/pipelines/deals").headers.get("Retry-After") for _ in range(2)] == ["7", "7"]
        noted = sandbox_.store.connection.execute(
            "select status, fault from requests where path like '%update' and fault <> '' order by seq"
        ).fetchall()
    assert noted == [
        (503, "status 503 before"), (502, "status 502 after commit"), (0, "drop after commit"), (0, "drop before"),
    ]  # fmt: skip


# -- the record page --------------------------------------------------------------------------------------------------


def test_the_record_page_shows_value_reason_and_evidence_and_escapes_everything(
    served: tuple[httpx.Client, RunningSandbox],
) -> None:
    api, sandbox_ = served
    for name, more in {
        "nightdesk_lead_score": {"type": "number", "fieldType": "number"},
        "nightdesk_lead_evidence": {"type": "string", "fieldType": "textarea"},
    }.items():
        assert define(api, name, **more, options=[]).status_code == 201
    evidence = '"<i>back</i> in October" — 2026-10-28 call /records/calls/701\njavascript:alert(1) /records/x/1'
    values = {"nightdesk_lead_score": "86", "nightdesk_lead_evidence": evidence}
    assert api.patch(f"{CONTACTS}/102", json={"properties": values}).status_code == 200
    page = httpx.get(f"{sandbox_.url}/records/contacts/102")
    assert page.status_code == 200
    assert '<span class="big">86</span>' in page.text
    assert '<a href="/records/calls/701">2026-10-28 call</a>' in page.text
    assert "&lt;b&gt;Kim&lt;/b&gt;" in page.text
    assert "<b>Kim" not in page.text
    assert "<i>back" not in page.text
    assert 'href="javascript' not in page.text
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert not re.search(r"(src|href)=\"(https?:)?//", page.text)


def test_every_kind_of_page_answers(served: tuple[httpx.Client, RunningSandbox]) -> None:
    url = served[1].url
    for path, words in {
        "/?type=contacts&q=reyes": "Dana Reyes",
        "/?type=emails": "Re: Budget",
        "/records/companies/501": "Acme Freight",
        "/records/deals/301": "48,000",
        "/records/emails/901": "Frozen until July.",
        "/records/calls/701": "The money came back in October.",
        "/records/meetings/801": "Pilot scope",
        "/records/notes/601": "CFO must sign.",
        "/records/tasks/401": "Send questionnaire",
        "/records/contacts/101": "Decision maker",
        "/static/style.css": "--ink",
    }.items():
        page = httpx.get(url + path)
        assert (page.status_code, words in page.text) == (200, True), path
    assert httpx.get(f"{url}/records/contacts/105").headers["location"] == "/records/contacts/101"
    assert httpx.get(f"{url}/records/contacts/424242").status_code == 404


def test_a_person_edits_a_property_on_the_record_page(served: tuple[httpx.Client, RunningSandbox]) -> None:
    api, sandbox_ = served
    form = f"{sandbox_.url}/records/contacts/101/edit"
    saved = httpx.post(form, data={"property": "jobtitle", "value": "VP Logistics"})
    assert (saved.status_code, saved.headers["location"]) == (303, "/records/contacts/101")
    history = api.get(f"{CONTACTS}/101", params={"propertiesWithHistory": "jobtitle"}).json()
    newest = history["propertiesWithHistory"]["jobtitle"][0]
    assert (newest["value"], newest["sourceType"], newest["sourceId"]) == ("VP Logistics", "CRM_UI", "userId:11")
    wrong = httpx.post(form, data={"property": "email", "value": "nonsense"})
    assert (wrong.status_code, "Email address nonsense is invalid" in wrong.text) == (400, True)
    taken = httpx.post(form, data={"property": "email", "value": "ng@acme.example"})
    assert (taken.status_code, "already exists" in taken.text) == (409, True)
    foreign = httpx.post(form, data={"property": "jobtitle", "value": "x"}, headers={"Origin": "https://evil.example"})
    assert foreign.status_code == 403
    assert [row[5] for row in journal(sandbox_.store)] == ["VP Logistics"]


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_served_sandbox_ends_cleanly_when_told_to(tmp_path: Path, sent: signal.Signals) -> None:
    path = tiny_store(tmp_path / "crm.sqlite")
    script = (
        "import sys; from sandbox.crm.server import serve;"
        "serve(sys.argv[1], port=0, on_start=lambda url: print(url, flush=True)); print('ended')"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        deadline = time.monotonic() + 20
        while True:
            try:
                answer = httpx.get(f"{url}{CONTACTS}", headers={"Authorization": "Bearer sandbox-token"})
                break
            except httpx.ConnectError:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        process.send_signal(sent)
        rest = process.stdout.read()
    assert (answer.status_code, process.returncode, rest.strip()) == (200, 0, "ended")


def test_a_port_that_is_taken_is_one_clear_error(tmp_path: Path) -> None:
    path = tiny_store(tmp_path / "crm.sqlite")
    with running(path) as served:
        port = int(served.url.rpartition(":")[2])
        with pytest.raises(NightdeskError, match="cannot listen"):
            serve(path, port=port)
