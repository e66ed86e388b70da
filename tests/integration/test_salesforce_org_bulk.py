"""Bulk API 2.0 query jobs of the sandbox org, and what data replication asks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from simple_salesforce import Salesforce

from sandbox.salesforce.app import Options
from sandbox.salesforce.call import BulkEnd
from sandbox.salesforce.saving import Origin, Saver
from sandbox.salesforce.server import running
from sandbox.salesforce.store import Store
from sandbox.salesforce.values import stamp
from tests.salesforce_kit import NOW, certificate
from tests.salesforce_org_kit import Loader, V, empty_org

SOQL = "SELECT Id, LastName, Description, HasOptedOutOfEmail, SystemModstamp, Account.Name FROM Contact"


@pytest.fixture
def org(tmp_path: Path) -> Iterator[Loader]:
    with empty_org(tmp_path / "org.sqlite", Options(bulk_polls=1)) as loader:
        (account,) = loader.store.seed("Account", [{"Name": 'The "Quoted", Ltd', "AnnualRevenue": 1_000}])
        people: list[dict[str, Any]] = [{"LastName": f"P{n}"} for n in range(25)]
        people[0] |= {"Description": 'two\nlines, "and" quotes', "HasOptedOutOfEmail": True, "AccountId": account}
        loader.store.seed("Contact", people)
        yield loader


def done(org: Loader, soql: str = SOQL, operation: str = "query", **more: Any) -> str:
    job = org.job(soql, operation, **more).json()["id"]
    states = [org.get(f"jobs/query/{job}").json()["state"] for _ in range(2)]
    assert states == ["InProgress", "JobComplete"]
    return job


def test_a_job_is_made_asked_for_and_fetched_in_sets(org: Loader) -> None:
    made = org.job(SOQL).json()
    assert (made["state"], made["object"], made["operation"]) == ("UploadComplete", "Contact", "query")
    assert org.get(f"jobs/query/{made['id']}/results").status_code == 204  # nothing yet
    assert org.get(f"jobs/query/{made['id']}").json()["state"] == "InProgress"
    told = org.get(f"jobs/query/{made['id']}").json()
    assert (told["state"], told["jobType"], told["numberRecordsProcessed"]) == ("JobComplete", "V2Query", 25)
    sets = list(org.results(made["id"], size=10))
    assert [len(one) for one in sets] == [10, 10, 5]
    assert len({row["Id"] for one in sets for row in one}) == 25
    first = org.get(f"jobs/query/{made['id']}/results", maxRecords=10)
    assert first.headers["Sforce-NumberOfRecords"] == "10" and first.headers["Sforce-Locator"] == "MTA"
    again = org.get(f"jobs/query/{made['id']}/results", maxRecords=10, locator="MTA")
    assert again.text == org.get(f"jobs/query/{made['id']}/results", maxRecords=10, locator="MTA").text
    assert org.refused(org.get(f"jobs/query/{made['id']}/results", locator="nonsense!")) == "API_ERROR"
    assert org.get(f"jobs/query/{made['id']}/results").headers["Sforce-Locator"] == "null"
    other = org.get(f"/services/data/v60.0/jobs/query/{made['id']}/results")
    assert other.status_code == 409


def test_a_file_is_written_as_salesforce_writes_it(org: Loader) -> None:
    text = org.get(f"jobs/query/{done(org)}/results").text
    header, first, *_ = text.split("\n")
    assert header == '"Id","LastName","Description","HasOptedOutOfEmail","SystemModstamp","Account.Name"'
    assert first.endswith('"P0","two')
    row, second = next(org.results(done(org)))[:2]
    assert row["Description"] == 'two\nlines, "and" quotes' and row["Account.Name"] == 'The "Quoted", Ltd'
    assert row["HasOptedOutOfEmail"] == "true" and second["HasOptedOutOfEmail"] == "false"
    assert row["SystemModstamp"] == "2026-11-17T06:00:00.000Z" and second["Description"] == ""
    assert f'"{second["Id"]}","P1","","false","2026-11-17T06:00:00.000Z",""' in text
    other = org.get(f"jobs/query/{done(org, columnDelimiter='TAB', lineEnding='CRLF')}/results").text
    assert other.startswith('"Id"\t"LastName"') and '""\r\n' in other
    money = done(org, "SELECT AnnualRevenue FROM Account")
    assert org.get(f"jobs/query/{money}/results").text == '"AnnualRevenue"\n"1000.0"\n'


def test_a_file_holds_what_was_there_when_the_job_was_done(org: Loader) -> None:
    job = done(org)
    with org.store.transaction():
        Saver(org.store, org.api.state.org, Origin(org.store.user("dana"))).delete(
            "Contact", next(org.results(job))[0]["Id"]
        )
    assert sum(len(one) for one in org.results(job, size=10)) == 25
    assert len(next(org.results(done(org)))) == 24
    assert len(next(org.results(done(org, operation="queryAll")))) == 25


@pytest.mark.parametrize(
    ("soql", "code"),
    [
        ("SELECT COUNT() FROM Contact", "API_ERROR"),
        ("SELECT Id FROM Contact LIMIT 5 OFFSET 5", "API_ERROR"),
        ("SELECT Id FROM LeadStatus", "INVALIDENTITY"),
        ("SELECT Nope FROM Contact", "INVALID_FIELD"),
        ("SELECT Id, (SELECT Id FROM Contacts) FROM Account", "MALFORMED_QUERY"),
    ],
)
def test_what_a_job_cannot_do_is_said_at_once(org: Loader, soql: str, code: str) -> None:
    assert org.refused(org.job(soql)) == code
    assert org.refused(org.job("SELECT Id FROM Contact", "delete")) == "INVALIDJOB"


def test_a_job_is_aborted_fails_or_never_ends(org: Loader) -> None:
    job = org.job(SOQL).json()["id"]
    assert org.refused(org.http.delete(f"{V}/jobs/query/{job}")) == "API_ERROR"
    aborted = org.http.patch(f"{V}/jobs/query/{job}", json={"state": "Aborted"}).json()
    assert aborted["state"] == "Aborted" == org.get(f"jobs/query/{job}").json()["state"]
    assert org.get(f"jobs/query/{job}/results").status_code == 204
    assert org.refused(org.http.patch(f"{V}/jobs/query/{job}", json={"state": "Aborted"})) == "INVALIDJOBSTATE"
    assert org.http.delete(f"{V}/jobs/query/{job}").status_code == 204
    assert org.get(f"jobs/query/{job}").status_code == 404
    org.api.state.bulk_ends.append(BulkEnd("Failed", 0))
    job = org.job(SOQL).json()["id"]
    told = [org.get(f"jobs/query/{job}").json() for _ in range(2)][-1]
    assert told["state"] == "Failed" and told["errorMessage"]
    org.api.state.bulk_waits += [None, 4]
    stuck, slow = (org.job(SOQL).json()["id"] for _ in range(2))
    assert {org.get(f"jobs/query/{stuck}").json()["state"] for _ in range(50)} == {"InProgress"}
    assert [org.get(f"jobs/query/{slow}").json()["state"] for _ in range(5)][-2:] == ["InProgress", "JobComplete"]
    listed = org.get("jobs/query").json()["records"]
    assert {one["id"] for one in listed} == {job, stuck, slow}


def test_replication_tells_what_was_deleted_and_what_changed(org: Loader) -> None:
    ids = [row["Id"] for row in org.rows("SELECT Id FROM Contact ORDER BY Id")]
    org.clock.advance(600)
    saver = Saver(org.store, org.api.state.org, Origin(org.store.user("dana")))
    with org.store.transaction():
        saver.delete("Contact", ids[0])
        saver.merge("Contact", ids[1], ids[2])
        saver.update("Contact", ids[3], {"Title": "CFO"})

    def span(kind: str, start: int, end: int, object_type: str = "Contact") -> Any:
        moments = {name: (NOW + timedelta(seconds=s)).isoformat() for name, s in (("start", start), ("end", end))}
        return org.get(f"sobjects/{object_type}/{kind}/", **moments)

    gone = span("deleted", 300, 900).json()
    assert {one["id"] for one in gone["deletedRecords"]} == {ids[0], ids[2]}
    assert {one["deletedDate"] for one in gone["deletedRecords"]} == {stamp(NOW + timedelta(seconds=600))}
    assert gone["latestDateCovered"] == stamp(NOW + timedelta(seconds=900))
    assert span("deleted", 0, 300).json()["deletedRecords"] == []
    assert span("updated", 300, 900).json()["ids"] == [ids[1], ids[3]]
    assert len(span("updated", 0, 300).json()["ids"]) == 21
    assert org.refused(span("deleted", 0, 30)) == "INVALID_REPLICATION_DATE"  # seconds do not count
    assert org.refused(span("deleted", -40 * 86_400, 0)) == "INVALID_REPLICATION_DATE"
    assert org.refused(span("deleted", 0, 600, "FieldPermissions")) == "INVALID_TYPE"
    assert org.refused(span("deleted", 0, 600, "Nothing"), 404) == "NOT_FOUND"


def test_an_independent_client_loads_by_rest_and_by_bulk(tmp_path: Path) -> None:
    path = tmp_path / "org.sqlite"
    store = Store.create(path)
    store.seed("Contact", [{"LastName": f"P{n}"} for n in range(4_100)])
    server, authority = certificate(tmp_path)
    with running(path, certificate=server, options=Options(bulk_polls=0)) as served:
        session = requests.Session()
        session.verify, session.trust_env = str(authority), False
        sf = Salesforce(instance_url=served.url, session_id=served.token, session=session, version="62.0")
        found = sf.query_all("SELECT Id, LastName FROM Contact")
        assert found["totalSize"] == 4_100 == len({row["Id"] for row in found["records"]})
        assert sf.Contact.deleted(NOW - timedelta(days=1), NOW)["deletedRecords"] == []
        files = list(sf.bulk2.Contact.query("SELECT Id, LastName FROM Contact", max_records=1_500, wait=0.001))
        assert [file.count("\n") for file in files] == [1_501, 1_501, 1_101]
    store.close()
