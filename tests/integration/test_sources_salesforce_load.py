"""Loads of a Salesforce org: what moves, what a vanished field leaves, trouble on the way, kills, and erased people."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import httpx2
import pytest

from nightdesk.erasure.tombstones import Tombstones, document
from nightdesk.errors import NightdeskError
from sandbox.salesforce import life
from sandbox.salesforce.server import running as serving
from sources.salesforce import SalesforceSourceSettings, load
from tests.salesforce_kit import Org, certificate, org, prepare
from tests.salesforce_source_kit import Loads, differences, moved

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Template:
    """An org and the raw database of its first load."""

    folder: Path
    ids: dict[str, Any]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    folder = tmp_path_factory.mktemp("salesforce")
    made = prepare(folder / "org.sqlite", contacts=12, accounts=3, leads=4)
    with org(folder / "org.sqlite", made) as running:
        _activities(running)
        Loads(running, folder)()
    return Template(folder, made)


def _activities(it: Org) -> None:
    store, ids = it.store, it.ids
    ids["Opportunity"] = store.seed(
        "Opportunity", [{"Name": "Deal", "AccountId": ids["Account"][0], "CloseDate": "2026-12-01",
                         "StageName": "Prospecting", "Amount": 1234.5}]
    )  # fmt: skip
    ids["Task"] = store.seed(
        "Task", [{"Subject": f"Call {n}", "WhoId": ids["Contact"][n], "Status": "Completed", "Priority": "Normal",
                  "TaskSubtype": "Call"} for n in range(3)]
    )  # fmt: skip
    ids["EmailMessage"] = store.seed(
        "EmailMessage", [{"Subject": "Hello", "TextBody": "Hi", "FromAddress": f"p{n}@example.com", "Status": "1",
                          "ToAddress": "us@org.example", "Incoming": True, "ActivityId": ids["Task"][n]}
                         for n in range(3)]
    )  # fmt: skip


@pytest.fixture
def it(template: Template, tmp_path: Path) -> Iterator[Loads]:
    """The org as it was loaded, and a raw database with what was loaded."""
    shutil.copytree(template.folder, tmp_path, dirs_exist_ok=True)
    with org(tmp_path / "org.sqlite", {**template.ids}) as running:
        running.clock.advance(3600)
        yield Loads(running, tmp_path)


def columns(it: Loads, table: str, *names: str) -> dict[str, tuple[Any, ...]]:
    return {str(row[0]): row[1:] for row in it.table(table, "id", *names)}


# What moves -----------------------------------------------------------------------------------------------------------


def test_only_what_moved_is_moved_and_our_own_writes_are_not_edits(it: Loads) -> None:
    contact, other = it.org.ids["Contact"][:2]
    it.org.edit("Contact", contact, {"Nightdesk_Lead_Score__c": 81.25}, by="integration")
    assert moved(it()) == {"namespaced_values": 1}, "a value of ours is no edit of the record"
    assert ours(it, contact)["Nightdesk_Lead_Score__c"] == "81.25"

    it.org.edit("Contact", contact, {"Nightdesk_Lead_Score__c": None}, by="integration")
    it.org.edit("Contact", other, {"Nightdesk_Lead_Score__c": 5, "Title": "CTO"})
    task, gone, purged = it.org.ids["Task"][0], *it.org.ids["Contact"][3:5]
    with it.org.store.transaction():
        row = it.org.store.get("Task", task)
        assert row is not None
        row.values["IsArchived"], row.modified_at = True, it.org.clock.now().strftime("%Y-%m-%dT%H:%M:%S.000+0000")
        it.org.store.put(row)
        it.org.saver().delete("Contact", gone)
        it.org.saver().delete("Contact", purged)
        life.erase(it.org.store, "Contact", [purged], it.org.saver().now)
    it.org.clock.advance(90)
    report = moved(it())
    assert report["contacts"] == 3, "one edited, one deleted, one gone for good"
    assert ours(it, contact)["Nightdesk_Lead_Score__c"] == "" and ours(it, other)["Nightdesk_Lead_Score__c"] == "5"
    assert columns(it, "contacts", "title")[other] == ("CTO",)
    assert columns(it, "tasks", "is_archived")[task] == (True,)
    assert columns(it, "contacts", "is_deleted")[gone] == (True,)
    assert ("Contact", gone) in it.table("deletions", "object_type", "object_id")
    assert purged not in columns(it, "contacts") and ours(it, purged) == {}
    # What only we have touched keeps its stamps; all else is as the org has it.
    stamps = {f"Contact {contact}.{name}" for name in ("system_modstamp", "last_modified_date", "last_modified_by_id")}
    assert {line.partition(":")[0] for line in differences(it)} == stamps


def ours(it: Loads, record: str) -> dict[str, str]:
    return dict(it.table("namespaced_values", "property", "value", where=f"object_id = '{record}'"))


def test_a_bulk_job_and_a_query_load_the_same(it: Loads) -> None:
    tables = ("contacts", "leads", "accounts", "opportunities", "tasks", "email_messages", "namespaced_values")
    by_query = {
        name: it.rows(f"select * exclude (_dlt_load_id) from salesforce.{name} order by all") for name in tables
    }
    bulk = Loads(it.org, it.folder / "bulk", {"bulk_threshold": 1, "bulk_page_rows": 5})
    seen: dict[str, int] = {}
    report = bulk(on_progress=seen.__setitem__)
    assert seen["contacts"] == 12 and report.requests == len(bulk.seen)
    assert bulk.table("load_watermarks", "rows_seen", where="stream = 'contacts'") == [(12,)]
    assert any("/jobs/query" in request.url.path for request in bulk.seen)
    for name in tables:
        rows = bulk.rows(f"select * exclude (_dlt_load_id) from salesforce.{name} order by all")
        assert rows == by_query[name], name
    assert it.table("opportunities", "amount") == [(1234.5,)]


@pytest.mark.soak
def test_what_was_emptied_from_the_bin_during_a_long_pause_is_found(it: Loads) -> None:
    purged = it.org.ids["Contact"][4]
    with it.org.store.transaction():
        it.org.saver().delete("Contact", purged)
        life.erase(it.org.store, "Contact", [purged], it.org.saver().now)
    it.org.clock.advance(timedelta(days=40).total_seconds())
    it()
    assert purged not in columns(it, "contacts") and differences(it) == []


# The schema -----------------------------------------------------------------------------------------------------------


class Meddling(httpx2.BaseTransport):
    """An org whose answers are changed on the way."""

    def __init__(self, inner: httpx2.BaseTransport, change: Any) -> None:
        self.inner, self.change = inner, change

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        return self.change(request, self.inner.handle_request)


def without(object_type: str, field: str) -> Any:
    """Hides a field, from `describe` on its second call only: the first one still shows what is gone by then."""
    calls = [0]

    def change(request: httpx2.Request, send: Any) -> httpx2.Response:
        if request.url.path.endswith(f"/{object_type}/describe/"):
            calls[0] += 1
            body = json.loads(send(request).read())
            if calls[0] > 1:
                body["fields"] = [one for one in body["fields"] if one["name"] != field]
            return httpx2.Response(200, json=body)
        if f"FROM {object_type} " in request.url.params.get("q", "") and f" {field}," in request.url.params["q"]:
            message = f"No such column '{field}' on entity '{object_type}'."
            return httpx2.Response(400, json=[{"errorCode": "INVALID_FIELD", "message": message}])
        return send(request)

    return change


def test_what_vanishes_while_we_read_stops_nothing_and_its_values_stay(it: Loads) -> None:
    hide = without("Contact", "Name")

    def change(request: httpx2.Request, send: Any) -> httpx2.Response:
        answer = hide(request, send)
        if request.url.path.endswith("/sobjects/"):
            body = json.loads(answer.read())
            body["sobjects"] = [one for one in body["sobjects"] if one["name"] != "EmailMessage"]
            return httpx2.Response(200, json=body)
        if request.url.path.endswith("/Lead/describe/"):
            body = json.loads(answer.read())
            status = next(one for one in body["fields"] if one["name"] == "Status")
            status["picklistValues"][0]["label"] = "Anew"
            return httpx2.Response(200, json=body)
        return answer

    before, emails = columns(it, "contacts", "name", "last_name"), columns(it, "email_messages", "subject")
    it.org.edit("Contact", it.org.ids["Contact"][0], {"Phone": "+49 30 1"})
    report = it(transport=Meddling(it.transport(), change))
    assert [line for line in report.schema_changes if "Contact.Name:" in line]
    assert columns(it, "contacts", "name", "last_name") == before
    assert columns(it, "contacts", "phone")[it.org.ids["Contact"][0]] == ("+49 30 1",)
    assert any("Lead.Status" in line and "Anew" in line for line in report.schema_changes)
    assert any(line.startswith("EmailMessage: the org no longer shows") for line in report.schema_changes)
    assert columns(it, "email_messages", "subject") == emails
    labels = it.table("picklist_values", "label", where="object_type = 'Lead' and field = 'Status' and position = 0")
    assert labels == [("Anew",)]


def test_a_changed_type_loads_nothing(it: Loads) -> None:
    def change(request: httpx2.Request, send: Any) -> httpx2.Response:
        answer = send(request)
        if request.url.path.endswith("/Account/describe/"):
            body = json.loads(answer.read())
            next(one for one in body["fields"] if one["name"] == "Site")["type"] = "double"
            return httpx2.Response(200, json=body)
        return answer

    it.org.edit("Contact", it.org.ids["Contact"][0], {"Phone": "+49 30 1"})
    with pytest.raises(NightdeskError, match="Site"):
        it(transport=Meddling(it.transport(), change))
    assert columns(it, "contacts", "phone")[it.org.ids["Contact"][0]] == (None,)


# Trouble --------------------------------------------------------------------------------------------------------------


def test_a_used_up_quota_stops_the_load_and_leaves_what_is_loaded(it: Loads) -> None:
    def change(request: httpx2.Request, send: Any) -> httpx2.Response:
        answer = send(request)
        headers = {**answer.headers, "sforce-limit-info": "api-usage=4100/5000"}
        return httpx2.Response(answer.status_code, content=answer.read(), headers=headers)

    with pytest.raises(NightdeskError, match="4,100 of the org's 5,000") as found:
        it(transport=Meddling(it.transport(), change))
    assert "load again" in found.value.todo and len(it.seen) == 1
    assert differences(it) == []


# Kills ----------------------------------------------------------------------------------------------------------------

_VICTIM = """
import os, signal, sys
from pathlib import Path
from tests.salesforce_kit import org
from tests.salesforce_source_kit import Loads
import sources.kit.pipeline as pipeline

folder, point, number = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
left = [number]

def tick():
    left[0] -= 1
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)

def patched(owner, name):
    original = getattr(owner, name)
    def replacement(*args, **kwargs):
        tick()
        return original(*args, **kwargs)
    setattr(owner, name, replacement)

if point in ("statement", "complete"):
    pipeline._dlt()
    from dlt.destinations.impl.duckdb.sql_client import DuckDbSqlClient
    from dlt.load.load import Load
    patched(*{"statement": (DuckDbSqlClient, "execute_query"), "complete": (Load, "complete_package")}[point])

with org(folder / "org.sqlite", {}) as running:
    running.clock.advance(3600)
    Loads(running, folder, {"bulk_threshold": 8, "bulk_page_rows": 5})(
        on_progress=(lambda stream, rows: tick()) if point == "page" else None
    )
"""


def _kill(folder: Path, point: str, number: int) -> bool:
    command = [sys.executable, "-c", _VICTIM, str(folder), point, str(number)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode != 0


@pytest.mark.soak  # the ordinary suite kills HubSpot's loads, which are written in the same way
@pytest.mark.parametrize(
    ("point", "number"),
    [(point, number) for point, numbers in
     (("page", (1, 4, 7, 10)), ("statement", (5, 30, 60, 90, 120, 150)), ("complete", (1,))) for number in numbers],
)  # fmt: skip
def test_a_load_that_is_killed_is_made_good_by_the_next(
    template: Template, tmp_path: Path, point: str, number: int
) -> None:
    shutil.copytree(template.folder, tmp_path, dirs_exist_ok=True)
    ids = template.ids
    with org(tmp_path / "org.sqlite", ids) as running:
        running.clock.advance(1800)
        running.edit("Contact", ids["Contact"][0], {"Title": "CTO"})
        with running.store.transaction():
            running.saver().delete("Contact", ids["Contact"][1])
            running.saver().merge("Contact", ids["Contact"][2], ids["Contact"][3])
            running.saver().convert(ids["Lead"][0])
    killed = _kill(tmp_path, point, number)
    assert killed or point != "page"
    with org(tmp_path / "org.sqlite", ids) as running:
        running.clock.advance(7200)
        it = Loads(running, tmp_path)
        it()
        assert differences(it) == []


# Erased people --------------------------------------------------------------------------------------------------------


def _stones(**subjects: Any) -> Tombstones:
    stones = Tombstones(b"k" * 32)
    for kind, texts in subjects.items():
        for text in texts:
            stones.learn(kind, text, "e1")  # type: ignore[arg-type]
    stones.learned.clear()
    return stones


def test_an_erased_person_and_what_is_theirs_does_not_come_back(it: Loads, tmp_path: Path) -> None:
    ids = it.org.ids
    erased, merged_into, by_address = ids["Contact"][0], ids["Contact"][8], ids["Contact"][1]
    store = it.org.store
    note = store.seed("Note", [{"ParentId": erased, "Title": "About", "Body": "them"}])[0]
    quote = store.seed("Task", [{"Subject": "Fwd", "Description": "as P1@Example.com wrote", "Status": "Completed",
                                 "WhoId": ids["Contact"][5], "Priority": "Normal"}])[0]  # fmt: skip
    event = store.seed("Event", [{"Subject": "Lunch", "StartDateTime": "2026-11-18T10:00:00.000+0000",
                                  "DurationInMinutes": 30, "WhoId": ids["Contact"][5]}])[0]  # fmt: skip
    store.seed("EventRelation", [{"EventId": event, "RelationId": erased}])
    with store.transaction():
        it.org.saver().merge("Contact", merged_into, erased)
    stones = _stones(contact=[erased], email=["p1@example.com"])
    learned: list[int] = []
    fresh = Loads(it.org, tmp_path / "fresh")
    report = fresh(tombstones=stones, on_learned=lambda: learned.append(len(stones.learned)))
    loaded = {str(one) for table in ("contacts", "tasks", "email_messages", "notes", "events", "event_relations")
              for (one,) in fresh.table(table, "id")}  # fmt: skip
    assert not loaded & {erased, merged_into, by_address, note, quote, event}
    assert not loaded & {ids["Task"][0], ids["Task"][1], ids["EmailMessage"][0], ids["EmailMessage"][1]}
    assert {ids["Task"][2], ids["EmailMessage"][2], ids["Contact"][5]} <= loaded
    assert report.erased["contacts"] == 3 and report.erased["tasks"] >= 3 and report.erased["events"] == 1
    assert learned == [len(stones.learned)] and learned[0] > 0
    assert stones.has("contact", by_address) and stones.has("document", document("emails", ids["EmailMessage"][1]))
    texts = fresh.rows("select field, old_value, new_value from salesforce.field_history")
    assert not any("p1@example.com" in str(row) for row in texts)


@pytest.mark.soak
def test_who_was_erased_after_they_were_loaded_leaves_when_the_org_speaks_of_them(it: Loads) -> None:
    person = it.org.ids["Contact"][1]
    it.org.edit("Contact", person, {"Phone": "1"})
    it(tombstones=_stones(email=["p1@example.com"]))
    assert person not in columns(it, "contacts")


# Over the network -----------------------------------------------------------------------------------------------------


@pytest.mark.soak
def test_several_requests_at_once_over_a_network_load_the_same(template: Template, tmp_path: Path) -> None:
    server, authority = certificate(tmp_path)
    shutil.copy(template.folder / "org.sqlite", tmp_path / "org.sqlite")
    with serving(tmp_path / "org.sqlite", certificate=server) as there:
        settings = SalesforceSourceSettings(
            base_url=there.url, token=there.token, ca_bundle=authority, in_flight=4, bulk_threshold=10
        )  # type: ignore[arg-type]
        report = load(settings, tmp_path / "raw.duckdb", tmp_path / "pipelines")
        with pytest.raises(NightdeskError, match="does not answer"):  # nobody vouches for this certificate
            strangers = settings.model_copy(update={"ca_bundle": None, "max_attempts": 1})
            load(strangers, tmp_path / "other.duckdb", tmp_path / "elsewhere")
    assert report.rows_total["contacts"] == 12 and report.requests > 40
    sql = "select * exclude (_dlt_load_id) from salesforce.contacts order by all"
    with duckdb.connect(str(tmp_path / "raw.duckdb"), read_only=True) as here:
        mine = here.execute(sql).fetchall()
    with duckdb.connect(str(template.folder / "raw.duckdb"), read_only=True) as there_raw:
        assert mine == there_raw.execute(sql).fetchall()
