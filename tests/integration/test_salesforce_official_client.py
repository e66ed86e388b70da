"""The sandbox org driven over TLS by `simple-salesforce`, which knows nothing of it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from simple_salesforce import Salesforce
from simple_salesforce.exceptions import (
    SalesforceExpiredSession,
    SalesforceGeneralError,
    SalesforceMalformedRequest,
    SalesforceMoreThanOneRecord,
    SalesforceRefusedRequest,
    SalesforceResourceNotFound,
)

from sandbox.crm.clock import ManualClock
from sandbox.salesforce.server import RunningOrg, running
from tests.salesforce_kit import NOW, certificate, picklist, prepare

COLLECTIONS = "composite/sobjects"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningOrg, Path, dict[str, Any], ManualClock]]:
    folder = tmp_path_factory.mktemp("org")
    made = prepare(folder / "org.sqlite", contacts=12)
    server, authority = certificate(folder)
    clock = ManualClock(NOW)
    with running(folder / "org.sqlite", certificate=server, clock=clock) as org:
        yield org, authority, made, clock


@pytest.fixture
def sf(served: Any) -> Salesforce:
    org, authority, _, _ = served
    session = requests.Session()
    session.verify, session.trust_env = str(authority), False
    return Salesforce(instance_url=org.url, session_id=org.token, session=session, version="62.0")


@pytest.fixture
def made(served: Any) -> dict[str, list[str]]:
    return served[2]


def code(error: pytest.ExceptionInfo[Any]) -> str:
    content = error.value.content
    return content[0]["errorCode"]


def test_objects_and_fields_are_described(sf: Salesforce) -> None:
    assert {"Lead", "Contact", "Account", "Task"} <= {one["name"] for one in sf.describe()["sobjects"]}
    fields = {one["name"]: one for one in sf.Contact.describe()["fields"]}
    assert fields["Title"]["length"] == 128 and fields["Title"]["updateable"]
    assert not fields["SystemModstamp"]["updateable"]
    tier = fields["Nightdesk_Lead_Tier__c"]
    assert tier["restrictedPicklist"] and [o["value"] for o in tier["picklistValues"]] == ["A", "B", "C", "D"]


def test_a_record_is_read_written_made_and_deleted(sf: Salesforce, served: Any) -> None:
    org = served[0]
    record_id = sf.Contact.create({"LastName": "Ibarra", "Email": "Nora@Example.com"})["id"]
    assert len(record_id) == 18
    assert sf.Contact.update(record_id, {"Title": " CFO ", "Nightdesk_Lead_Score__c": 81.5}) == 204
    got = sf.Contact.get(record_id)
    assert (got["Title"], got["Nightdesk_Lead_Score__c"], got["Email"]) == ("CFO", 81.5, "nora@example.com")
    assert got["LastModifiedById"] == org.store.user("integration")
    assert sf.Contact.update(record_id, {"Title": None}) == 204
    assert sf.Contact.get(record_id[:15])["Title"] is None
    assert sf.Contact.delete(record_id) == 204
    with pytest.raises(SalesforceResourceNotFound) as error:
        sf.Contact.update(record_id, {"Title": "x"})
    assert code(error) == "ENTITY_IS_DELETED"


def test_a_write_on_the_condition_that_nobody_was_faster(sf: Salesforce, served: Any, made: Any) -> None:
    org, _, _, clock = served
    record_id = made["Contact"][0]
    seen = sf.Contact.get(record_id)["SystemModstamp"]
    assert seen.endswith(".000+0000")  # whole seconds are all there is
    since = "Tue, 17 Nov 2026 06:00:00 GMT"
    assert sf.Contact.update(record_id, {"Title": "a"}, headers={"If-Unmodified-Since": since}) == 204
    clock.advance(5)
    assert sf.Contact.update(record_id, {"Title": "b"}, headers={"If-Unmodified-Since": since}) == 204
    with pytest.raises(SalesforceGeneralError) as error:
        sf.Contact.update(record_id, {"Title": "c"}, headers={"If-Unmodified-Since": since})
    assert error.value.status == 412 and org.store.get("Contact", record_id).values["Title"] == "b"
    with pytest.raises(SalesforceMalformedRequest):
        sf.Contact.update(record_id, {"Title": "c"}, headers={"If-Unmodified-Since": "yesterday"})


def test_an_etag_is_compared_for_accounts_only(sf: Salesforce, served: Any, made: Any) -> None:
    org, authority, _, _ = served
    account, contact = made["Account"][0], made["Contact"][1]
    base, head = f"{org.url}/services/data/v62.0/sobjects", {"Authorization": f"Bearer {org.token}"}
    etag = requests.get(f"{base}/Account/{account}", headers=head, verify=str(authority)).headers["ETag"]
    assert sf.Account.update(account, {"Phone": "1"}, headers={"If-Match": etag}) == 204
    with pytest.raises(SalesforceGeneralError) as error:
        sf.Account.update(account, {"Phone": "2"}, headers={"If-Match": etag})
    assert error.value.status == 412
    answer = requests.get(f"{base}/Contact/{contact}", headers=head, verify=str(authority))
    assert "ETag" not in answer.headers
    assert sf.Contact.update(contact, {"Phone": "2"}, headers={"If-Match": '"nonsense"'}) == 204


def test_queries_answer_in_pages_and_name_their_mistakes(sf: Salesforce, made: Any) -> None:
    some = "', '".join(made["Contact"][:3])
    found = sf.query(f"SELECT Id, Name, Account.Name FROM Contact WHERE Id IN ('{some}')".replace(", Account.Name", ""))
    assert found["totalSize"] == 3 and found["records"][0]["attributes"]["type"] == "Contact"
    assert sf.query("SELECT COUNT() FROM Lead")["totalSize"] == 2
    text = "SELECT Email FROM Contact WHERE (LastName LIKE 'Person %' AND NOT Email = 'P1@example.com') OR Id = 'x'"
    assert {one["Email"] for one in sf.query_all(text + " ORDER BY Email DESC LIMIT 2")["records"]} == {
        "p9@example.com",
        "p8@example.com",
    }
    with pytest.raises(SalesforceMalformedRequest) as error:
        sf.query("SELECT Nope__c FROM Contact")
    assert code(error) == "INVALID_FIELD"
    for wrong in ("SELECT Id FROM Contact WHERE", "SELECT Id Contact", "SELECT Id FROM Contact LIMIT x", "Id ;"):
        with pytest.raises(SalesforceMalformedRequest) as error:
            sf.query(wrong)
        assert code(error) == "MALFORMED_QUERY", wrong


def test_more_than_a_page_is_followed_to_its_end(sf: Salesforce, served: Any) -> None:
    store = served[0].store
    store.seed("Lead", [{"LastName": f"L{n}", "Company": "Paged", "Status": "x"} for n in range(450)])
    head = {"Sforce-Query-Options": "batchSize=200"}
    first = sf.query("SELECT Id FROM Lead WHERE Company = 'Paged'", headers=head)
    assert (first["totalSize"], first["done"], len(first["records"])) == (450, False, 200)
    second = sf.query_more(first["nextRecordsUrl"], identifier_is_url=True)
    third = sf.query_more(second["nextRecordsUrl"], identifier_is_url=True)
    assert third["done"] and len(third["records"]) == 50
    ids = {one["Id"] for page in (first, second, third) for one in page["records"]}
    assert len(ids) == 450


def test_a_collection_answers_in_its_order_each_record_for_itself(sf: Salesforce, made: Any) -> None:
    a, b, c = made["Contact"][2:5]
    records = [
        {"attributes": {"type": "Contact"}, "id": a, "Title": "ok"},
        {"attributes": {"type": "Contact"}, "id": b, "Title": "x" * 129},
        {"attributes": {"type": "Contact"}, "id": c, "Nightdesk_Lead_Tier__c": "E"},
        {"attributes": {"type": "Contact"}, "id": "003XX00000000zzYAA", "Title": "nobody"},
    ]
    answer = sf.restful(COLLECTIONS, method="PATCH", data=json.dumps({"records": records}))
    assert [one["success"] for one in answer] == [True, False, False, False]
    assert [one["errors"][0]["statusCode"] for one in answer[1:3]] == [
        "STRING_TOO_LONG",
        "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
    ]
    answer = sf.restful(COLLECTIONS, method="PATCH", data=json.dumps({"allOrNone": True, "records": records[:2]}))
    assert answer[0]["errors"][0]["statusCode"] == "ALL_OR_NONE_OPERATION_ROLLED_BACK"


def test_a_collection_with_a_mistake_in_it_is_refused_as_a_whole(sf: Salesforce, made: Any) -> None:
    good = {"attributes": {"type": "Contact"}, "id": made["Contact"][5], "Title": "never"}
    other = {"attributes": {"type": "Account"}, "id": made["Account"][1], "Phone": "1"}
    wrong: list[tuple[list[dict[str, Any]], str]] = [
        ([good, {"attributes": {"type": "Contact"}, "id": made["Contact"][6], "Nope__c": 1}], "INVALID_FIELD"),
        ([good, {**good, "id": made["Contact"][6], "Nightdesk_Lead_Score__c": "ten"}], "JSON_PARSER_ERROR"),
        ([good] * 201, "EXCEEDED_ID_LIMIT"),
        ([good, other] * 6, "LIMIT_EXCEEDED"),
        ([good, {"id": "x"}], "INVALID_INPUT"),
    ]
    for records, expected in wrong:
        with pytest.raises(SalesforceMalformedRequest) as error:
            sf.restful(COLLECTIONS, method="PATCH", data=json.dumps({"records": records}))
        assert code(error) == expected
    assert sf.Contact.get(made["Contact"][5])["Title"] is None


def test_requests_in_one_request_have_conditions_and_answers_of_their_own(
    sf: Salesforce, served: Any, made: Any
) -> None:
    clock = served[3]
    ids = made["Contact"][2:4]
    since = clock.now().strftime("%a, %d %b %Y %H:%M:%S GMT")
    clock.advance(3)
    sf.Contact.update(ids[0], {"Phone": "1"})
    parts = [
        {
            "method": "PATCH",
            "url": f"/services/data/v62.0/sobjects/Contact/{record}",
            "referenceId": f"ref{n}",
            "httpHeaders": {"If-Unmodified-Since": since},
            "body": {"Department": "Sales"},
        }
        for n, record in enumerate(ids)
    ]
    answer = sf.restful("composite", method="POST", data=json.dumps({"allOrNone": False, "compositeRequest": parts}))
    got = {one["referenceId"]: one["httpStatusCode"] for one in answer["compositeResponse"]}
    assert got == {"ref0": 412, "ref1": 204}
    assert [sf.Contact.get(record)["Department"] for record in ids] == [None, "Sales"]
    with pytest.raises(SalesforceMalformedRequest):
        sf.restful("composite", method="POST", data=json.dumps({"compositeRequest": [parts[0]] * 26}))


def test_records_are_retrieved_in_order_with_nulls_for_those_that_are_not_there(sf: Salesforce, made: Any) -> None:
    gone = sf.Contact.create({"LastName": "Gone"})["id"]
    sf.Contact.delete(gone)
    wanted = [made["Contact"][1], gone, made["Contact"][0]]
    answer = sf.restful(f"{COLLECTIONS}/Contact", method="POST", data=json.dumps({"ids": wanted, "fields": ["Id"]}))
    assert [one and one["Id"] for one in answer] == [wanted[0], None, wanted[2]]


def test_an_external_id_makes_or_changes_and_says_300_when_it_is_not_one_record(sf: Salesforce, served: Any) -> None:
    store = served[0].store
    store.put_custom_field("Task", "Ext__c", {"label": "Ext", "type": "Text", "length": 64, "externalId": True})
    store.restrict("Task", "Ext__c", readable=True, editable=True)
    assert sf.Task.upsert("Ext__c/k-1", {"Subject": "Call"}) == 201
    assert sf.Task.upsert("Ext__c/k-1", {"Subject": "Call again"}) == 200
    assert sf.Task.get_by_custom_id("Ext__c", "k-1")["Subject"] == "Call again"
    store.seed("Task", [{"Subject": "twin", "Ext__c": "k-1"}])
    with pytest.raises(SalesforceMoreThanOneRecord) as error:
        sf.Task.upsert("Ext__c/k-1", {"Subject": "which?"})
    assert len(error.value.content) == 2
    records = [{"attributes": {"type": "Task"}, "Ext__c": key, "Subject": "s"} for key in ("k-1", "k-2")]
    answer = sf.restful(f"{COLLECTIONS}/Task/Ext__c", method="PATCH", data=json.dumps({"records": records}))
    assert [one["success"] for one in answer] == [False, True] and answer[1]["created"]


def test_a_bulk_job_takes_a_file_and_answers_in_three(sf: Salesforce, served: Any, made: Any) -> None:
    store = served[0].store
    a, b, c = made["Contact"][7:10]
    sf.Contact.update(a, {"Title": "stays", "Phone": "1"})
    data = f'Id,Title,Phone,Nightdesk_Lead_Score__c\n{a},,#N/A,12.5\n{b},{"x" * 129},,\n{c},"two\nlines, one",2,ten\n'
    file = served[1].parent / "load.csv"
    file.write_text(data)
    (job,) = sf.bulk2.Contact.update(str(file), wait=0)
    assert (job["numberRecordsProcessed"], job["numberRecordsFailed"]) == (3, 2)
    done = list(csv.DictReader(io.StringIO(sf.bulk2.Contact.get_successful_records(job["job_id"]))))
    failed = list(csv.DictReader(io.StringIO(sf.bulk2.Contact.get_failed_records(job["job_id"]))))
    assert [one["sf__Id"] for one in done] == [a] and done[0]["sf__Created"] == "false"
    assert {one["Id"]: one["sf__Error"].split(":")[0] for one in failed} == {
        b: "STRING_TOO_LONG",
        c: "INVALID_TYPE_ON_FIELD_IN_RECORD",
    }
    row = store.get("Contact", a).values
    assert (row["Title"], row.get("Phone"), row["Nightdesk_Lead_Score__c"]) == ("stays", None, 12.5)
    assert not sf.bulk2.Contact.get_unprocessed_records(job["job_id"]).splitlines()[1:]


def test_a_bulk_file_with_a_column_nobody_has_fails_as_a_whole(sf: Salesforce, made: Any, served: Any) -> None:
    from simple_salesforce.exceptions import SalesforceOperationError

    with pytest.raises(SalesforceOperationError, match="InvalidBatch"):
        sf.bulk2.Contact.update(records=[{"Id": made["Contact"][0], "Nope__c": "1"}], wait=0)


def test_a_new_field_is_seen_only_with_a_permission_set(sf: Salesforce, served: Any, made: Any) -> None:
    metadata = {"label": "Fit", **picklist("yes", "no")}
    body = {"FullName": "Account.Fit__c", "Metadata": metadata}
    field_id = sf.toolingexecute("sobjects/CustomField", "POST", body)["id"]
    with pytest.raises(SalesforceMalformedRequest) as error:
        sf.toolingexecute("sobjects/CustomField", "POST", body)
    assert code(error) == "DUPLICATE_DEVELOPER_NAME"
    assert "Fit__c" not in {one["name"] for one in sf.Account.describe()["fields"]}
    with pytest.raises(SalesforceMalformedRequest) as error:
        sf.Account.update(made["Account"][0], {"Fit__c": "yes"})
    assert code(error) == "INVALID_FIELD"
    parent = sf.query("SELECT Id FROM PermissionSet WHERE Name = 'Nightdesk'")["records"][0]["Id"]
    right = {"ParentId": parent, "SobjectType": "Account", "Field": "Account.Fit__c", "PermissionsRead": True}
    permission = sf.FieldPermissions.create(right)["id"]
    fields = {one["name"]: one for one in sf.Account.describe()["fields"]}
    assert not fields["Fit__c"]["updateable"]
    with pytest.raises(SalesforceMalformedRequest) as error:
        sf.Account.update(made["Account"][0], {"Fit__c": "yes"})
    assert code(error) == "INVALID_FIELD_FOR_INSERT_UPDATE"
    sf.FieldPermissions.update(permission, {"PermissionsEdit": True})
    assert sf.Account.update(made["Account"][0], {"Fit__c": "yes"}) == 204
    query = "query?q=SELECT+Id+FROM+CustomField+WHERE+DeveloperName='Fit'+AND+TableEnumOrId='Account'"
    assert sf.toolingexecute(query)["records"] == [{"Id": field_id}]
    got = sf.toolingexecute(f"sobjects/CustomField/{field_id}")
    assert got["Metadata"]["valueSet"]["restricted"]


def test_a_session_that_is_no_session_and_a_quota_that_is_used_up(sf: Salesforce, served: Any) -> None:
    org, authority, _, _ = served
    assert sf.api_usage == {}
    sf.query("SELECT COUNT() FROM Lead")
    assert sf.api_usage["api-usage"].total == 15000
    org.api.used, used = 15_000, org.api.used
    try:
        with pytest.raises(SalesforceRefusedRequest) as error:
            sf.query("SELECT COUNT() FROM Lead")
        assert code(error) == "REQUEST_LIMIT_EXCEEDED"
    finally:
        org.api.used = used
    session = requests.Session()
    session.verify, session.trust_env = str(authority), False
    stranger = Salesforce(instance_url=org.url, session_id="expired", session=session, version="62.0")
    with pytest.raises(SalesforceExpiredSession) as expired:
        stranger.query("SELECT Id FROM Lead")
    assert code(expired) == "INVALID_SESSION_ID"


def test_history_tells_who_changed_a_tracked_field(sf: Salesforce, served: Any, made: Any) -> None:
    store = served[0].store
    store.track("Contact", "Title", "Description")
    record_id = made["Contact"][11]
    sf.Contact.update(record_id, {"Title": "first", "Description": "long", "Phone": "1"})
    text = f"SELECT Field, OldValue, NewValue, CreatedById FROM ContactHistory WHERE ContactId = '{record_id}'"
    rows = {one["Field"]: one for one in sf.query(text)["records"]}
    assert rows["Title"]["NewValue"] == "first" and rows["Title"]["CreatedById"] == store.user("integration")
    assert rows["Description"]["NewValue"] is None  # of long texts Salesforce keeps only that they changed
    assert "Phone" not in rows
