"""The sample company as an org holds every fact of it: read back through the API, and laid beside the original."""

from __future__ import annotations

import csv
import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from nightdesk.errors import NightdeskError
from sandbox.company import generate, write
from sandbox.salesforce import company_fields as where
from sandbox.salesforce import sample
from sandbox.salesforce.values import stamp
from tests.salesforce_org_kit import Loader, serving

SIZE = 60


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("company")
    write(generate(contacts=SIZE, seed=11), folder)
    return folder


class Both:
    """The original file, the org made of it, and who is who."""

    def __init__(self, crm: sqlite3.Connection, org: Loader, made: sample.Made) -> None:
        self.crm, self.org, self.made = crm, org, made
        self.new: dict[tuple[str, str], str] = {(kind, old): new for kind, old, _, new in made.ids}
        self._rows: dict[str, dict[str, dict[str, Any]]] = {}

    def old(self, object_type: str) -> Iterator[tuple[str, dict[str, Any], dict[str, str]]]:
        for row in self.crm.execute(
            "select id, created_at, updated_at, archived_at, merged_into, properties from objects"
            " where object_type = ? order by id",
            (object_type,),
        ):
            names = ("created", "updated", "archived", "master")
            yield str(row[0]), dict(zip(names, row[1:5], strict=True)), json.loads(row[5])

    def rows(self, object_type: str) -> dict[str, dict[str, Any]]:
        if object_type not in self._rows:
            fields = [one["name"] for one in self.org.get(f"sobjects/{object_type}/describe").json()["fields"]]
            soql = f"SELECT {', '.join(fields)} FROM {object_type}"
            self._rows[object_type] = {row["Id"]: row for row in self.org.rows(soql, deleted=True)}
        return self._rows[object_type]

    def links(self, left: str, right: str) -> dict[str, set[str]]:
        found: dict[str, set[str]] = defaultdict(set)
        for a, b in self.crm.execute(
            "select from_id, to_id from associations where from_type = ? and to_type = ?", (left, right)
        ):
            found[str(a)].add(str(b))
        return found

    def owner(self, properties: dict[str, str]) -> str:
        return self.new["owner", properties.get("hubspot_owner_id", "")]


@pytest.fixture(scope="module")
def both(folder: Path) -> Iterator[Both]:
    made = sample.company(folder, folder / "plain.sqlite")
    crm = sqlite3.connect(folder / "crm.sqlite")
    with serving(made.org) as org:
        yield Both(crm, org, made)
    crm.close()


def second(ms: int) -> str:
    return stamp(datetime.fromtimestamp(ms // 1000, UTC))


def same(old: str | None, new: Any) -> bool:
    """Whether a field holds what a property held, numbers and instants as such."""
    if not old:
        return new is None or new is False
    if isinstance(new, bool):
        return old == str(new).lower()
    if isinstance(new, int | float):
        return float(old) == float(new)
    if str(new).endswith("+0000"):
        return stamp(datetime.fromisoformat(old)) == new
    return old == new


MAPS = (
    ("contacts", "contact", "Contact", where.CONTACT), ("companies", "company", "Account", where.ACCOUNT),
    ("deals", "deal", "Opportunity", where.OPPORTUNITY), ("emails", "email", "EmailMessage", where.EMAIL),
    ("calls", "call", "Task", where.CALL), ("meetings", "meeting", "Event", where.MEETING),
    ("tasks", "task", "Task", where.TASK),
)  # fmt: skip


@pytest.mark.parametrize(("old_type", "kind", "object_type", "fields"), MAPS, ids=[one[0] for one in MAPS])
def test_every_record_keeps_its_values_stamps_and_owner(
    both: Both, old_type: str, kind: str, object_type: str, fields: dict[str, str]
) -> None:
    rows = both.rows(object_type)
    count = 0
    for old, stamps, properties in both.old(old_type):
        row = rows[both.new[kind, old]]
        for name, field in fields.items():
            if name == "lastname" and not properties.get(name):
                assert row[field] == where.NOT_PROVIDED
                continue
            told = properties.get(name)
            told = told[:128] if told and field in where.CUT else told
            assert same(told, row[field]), (old, name, told, row[field])
        assert row["CreatedDate"] == second(stamps["created"])
        assert row["SystemModstamp"] == second(max(stamps["updated"], stamps["archived"] or 0))
        assert row["IsDeleted"] == (stamps["archived"] is not None)
        if "OwnerId" in row:
            assert row["OwnerId"] == both.owner(properties)
        if stamps["master"] is not None:
            assert row["MasterRecordId"] == both.new[kind, str(stamps["master"])]
        count += 1
    assert count > 0


def test_the_company_has_merged_and_archived_records_at_all(both: Both) -> None:
    assert any(row["MasterRecordId"] for row in both.rows("Contact").values())
    assert any(row["IsArchived"] for row in both.rows("Task").values())


def test_calls_keep_their_transcripts_and_what_came_of_them(both: Both) -> None:
    rows = both.rows("Task")
    for old, _, properties in both.old("calls"):
        row = rows[both.new["call", old]]
        has = properties["hs_call_has_transcript"] == "true"
        body, other = ("Call_Transcript__c", "Description") if has else ("Description", "Call_Transcript__c")
        assert row[body] == properties.get("hs_call_body") and row[other] is None
        assert row["CallType"].upper() == properties["hs_call_direction"]
        assert where.DISPOSITIONS[properties["hs_call_disposition"]] == row["CallDisposition"]
        assert row["TaskSubtype"] == "Call" and row["Status"].upper() == properties["hs_call_status"]
        assert row["CallDurationInSeconds"] == int(properties["hs_call_duration"]) // 1000


def test_emails_keep_their_headers_and_who_wrote_to_whom(both: Both) -> None:
    rows, tasks = both.rows("EmailMessage"), both.rows("Task")
    for old, _, properties in both.old("emails"):
        row, known = rows[both.new["email", old]], json.loads(properties["hs_email_headers"])
        lines = dict(line.split(": ", 1) for line in row["Headers"].split("\n"))
        assert {name: lines[name] for name in known["headers"]} == known["headers"]
        assert row["MessageIdentifier"] == known["headers"]["Message-ID"]
        assert row["FromName"] == f"{known['from']['firstName']} {known['from']['lastName']}".strip()
        assert lines["From"] == f'"{row["FromName"]}" <{known["from"]["email"]}>'
        assert row["ToAddress"] == "; ".join(one["email"] for one in known["to"])
        assert (row["CcAddress"] or "") == "; ".join(one["email"] for one in known["cc"])
        direction = {("3", False): "EMAIL", ("4", True): "FORWARDED_EMAIL"}.get((row["Status"], row["Incoming"]))
        assert (direction or "INCOMING_EMAIL") == properties["hs_email_direction"]
        beside = tasks[row["ActivityId"]]
        assert (beside["TaskSubtype"], beside["OwnerId"]) == ("Email", both.owner(properties))


def test_notes_and_tasks(both: Both) -> None:
    for old, _, properties in both.old("notes"):
        assert both.rows("Note")[both.new["note", old]]["Body"] == properties["hs_note_body"]
    status = {new: old for old, new in where.TASK_STATUS.items()}
    priority = {new: old for old, new in where.TASK_PRIORITY.items()}
    kind = {new: old for old, new in where.TASK_TYPE.items()}
    for old, _, properties in both.old("tasks"):
        row = both.rows("Task")[both.new["task", old]]
        told = (status[row["Status"]], priority[row["Priority"]], kind[row["Type"]], row["TaskSubtype"])
        assert told == (*(properties[f"hs_task_{name}"] for name in ("status", "priority", "type")), "Task")
        assert row["ActivityDate"] == properties["hs_timestamp"][:10]
        assert (row["CompletedDateTime"] is not None) == row["IsClosed"]


def test_every_association_is_there(both: Both) -> None:
    new = both.new
    contacts, deals = both.rows("Contact"), both.rows("Opportunity")
    for old, companies in both.links("contacts", "companies").items():
        assert {contacts[new["contact", old]]["AccountId"]} == {new["company", one] for one in companies}
    for old, companies in both.links("deals", "companies").items():
        assert {deals[new["deal", old]]["AccountId"]} == {new["company", one] for one in companies}
    roles: dict[str, set[str]] = defaultdict(set)
    for row in both.rows("OpportunityContactRole").values():
        roles[row["OpportunityId"]].add(row["ContactId"])
    for old, people in both.links("deals", "contacts").items():
        assert roles[new["deal", old]] == {new["contact", one] for one in people}
    primary = [row["OpportunityId"] for row in both.rows("OpportunityContactRole").values() if row["IsPrimary"]]
    assert len(primary) == len(set(primary)) == len(roles)
    people_of: dict[str, set[str]] = defaultdict(set)
    for name, field in (("TaskRelation", "TaskId"), ("EventRelation", "EventId"),
                        ("EmailMessageRelation", "EmailMessageId")):  # fmt: skip
        for row in both.rows(name).values():
            if (row["RelationId"] or "").startswith("003"):
                people_of[row[field]].add(row["RelationId"])
    for kind, object_type in (("email", "EmailMessage"), ("call", "Task"), ("meeting", "Event"), ("task", "Task")):
        people, companies, opportunities = (both.links(f"{kind}s", to) for to in ("contacts", "companies", "deals"))
        for old, _, _ in both.old(f"{kind}s"):
            row = both.rows(object_type)[new[kind, old]]
            what = row["RelatedToId"] if kind == "email" else row["WhatId"]
            assert people_of[row["Id"]] == {new["contact", one] for one in people[old]}
            assert {what} & set(deals) == {new["deal", one] for one in opportunities[old]}
            account = deals[what]["AccountId"] if what in deals else what
            assert {account} == {new["company", one] for one in companies[old]}
            if kind != "email":
                assert row["AccountId"] == account and row["WhoId"] in people_of[row["Id"]]
    people = both.links("notes", "contacts")
    for old, _, _ in both.old("notes"):
        assert {both.rows("Note")[new["note", old]]["ParentId"]} == {new["contact", one] for one in people[old]}


def test_histories_are_what_changed_and_what_was_there_before(both: Both) -> None:
    kinds = {"contacts": ("contact", "ContactHistory", "ContactId"), "deals": ("deal", "OpportunityFieldHistory",
             "OpportunityId"), "companies": ("company", "AccountHistory", "AccountId")}  # fmt: skip
    users = {str(json.loads(text)["userIdIncludingInactive"]): both.new["owner", str(number)]
             for number, text in both.crm.execute("select id, definition from owners")}  # fmt: skip
    for old_type, (kind, object_type, parent) in kinds.items():
        found: dict[tuple[str, str], list[tuple[Any, ...]]] = defaultdict(list)
        for row in sorted(both.rows(object_type).values(), key=lambda one: (one["CreatedDate"], one["Id"])):
            found[row[parent], row["Field"]].append(
                (row["CreatedDate"], row["OldValue"], row["NewValue"], row["CreatedById"])
            )
        for name, field in where.HISTORY[old_type].items():
            told: dict[str, list[tuple[int, str, str]]] = defaultdict(list)
            for record, value, ms, user in both.crm.execute(
                "select object_id, value, changed_at, user_id from history where object_type = ? and property = ?"
                " order by object_id, changed_at, seq",
                (old_type, name),
            ):
                told[str(record)].append((ms, value, user))
            assert told
            for record, values in told.items():
                changes = found[both.new[kind, record], field]
                assert len(changes) == len(values) - 1  # the first value was there from the start
                for before, after, change in zip(values, values[1:], changes, strict=False):
                    assert change[0] == second(after[0])
                    assert same(before[1], change[1]) and same(after[1], change[2])
                    assert not after[2] or change[3] == users[after[2]]


def test_snapshots_of_opportunities_begin_with_how_they_were_made(both: Both) -> None:
    listed: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in both.rows("OpportunityHistory").values():
        listed[row["OpportunityId"]].append(row)
    for deal in both.rows("Opportunity").values():
        rows = sorted(listed[deal["Id"]], key=lambda one: (one["CreatedDate"], one["Id"]))
        assert rows[0]["CreatedDate"] == deal["CreatedDate"]
        last = rows[-1]
        assert (last["StageName"], last["Amount"], last["CloseDate"]) == (
            deal["StageName"], deal["Amount"], deal["CloseDate"],
        )  # fmt: skip


def test_owners_pipelines_and_those_who_said_no(both: Both) -> None:
    users = both.rows("User")
    for number, text in both.crm.execute("select id, definition from owners"):
        one, row = json.loads(text), users[both.new["owner", str(number)]]
        assert (row["Email"], row["FirstName"], row["LastName"]) == (one["email"], one["firstName"], one["lastName"])
        assert row["IsActive"] != one["archived"] and row["Department"] == one["teams"][0]["name"]
        assert row["TimeZoneSidKey"]
    kinds, deals = both.rows("RecordType"), both.rows("Opportunity")
    for old, _, properties in both.old("deals"):
        row = deals[both.new["deal", old]]
        assert kinds[row["RecordTypeId"]]["DeveloperName"] == properties["pipeline"]
        assert row["RecordTypeId"] == both.new["pipeline", properties["pipeline"]]
        assert row["CloseDate"] == properties["closedate"][:10]
    stages = {row["ApiName"]: row for row in both.rows("OpportunityStage").values()}
    for pipeline, text in both.crm.execute("select id, definition from pipelines where object_type = 'deals'"):
        listed = json.loads(text)["stages"]
        for one in listed:
            row = stages[one["id"]]
            assert row["MasterLabel"] == one["label"] and row["IsActive"]
            assert row["DefaultProbability"] == float(one["metadata"]["probability"]) * 100
            assert row["IsClosed"] == (one["metadata"]["isClosed"] == "true")
        path = f"ui-api/object-info/Opportunity/picklist-values/{both.new['pipeline', pipeline]}/StageName"
        assert [one["value"] for one in both.org.get(path).json()["values"]] == [one["id"] for one in listed]
    no = {email: (second(ms), source) for email, ms, source in both.crm.execute(
        "select email, changed_at, source from unsubscribes")}  # fmt: skip
    told = {
        row["Email"]: (row["Email_Opt_Out_Date_Time__c"], row["Email_Opt_Out_Source__c"])
        for row in both.rows("Contact").values()
        if row["Email_Opt_Out_Date_Time__c"]
    }
    assert told == no


def test_who_is_who_is_written_down(both: Both) -> None:
    with (both.made.org.parent / "plain_ids.csv").open(newline="") as file:
        listed = [tuple(row.values()) for row in csv.DictReader(file)]
    assert listed == list(both.made.ids)
    total = both.crm.execute("select count(*) from objects").fetchone()[0]
    assert sum(kind not in ("owner", "pipeline") for kind, *_ in listed) == total
    assert len({new for _, _, _, new in listed}) == len(listed)


def test_the_same_company_with_leads(folder: Path) -> None:
    made = sample.company(folder, folder / "leads.sqlite", people="leads")
    kinds = {(kind, old): object_type for kind, old, object_type, _ in made.ids}
    assert {object_type for (kind, _), object_type in kinds.items() if kind == "contact"} == {"Lead", "Contact"}
    with serving(made.org) as org:
        people = org.count("Contact", deleted=True) + org.count("Lead", "IsConverted = false", deleted=True)
        assert people == sum(kind == "contact" for kind, _ in kinds)
        converted = org.rows("SELECT ConvertedContactId, ConvertedAccountId, Status FROM Lead WHERE IsConverted = true")
        assert converted
        for lead in converted:
            (contact,) = org.rows(f"SELECT AccountId FROM Contact WHERE Id = '{lead['ConvertedContactId']}'")
            assert contact["AccountId"] == lead["ConvertedAccountId"] and lead["Status"] == "Closed - Converted"
        fields = {row["Field"] for row in org.rows("SELECT Field FROM LeadHistory", deleted=True)}
        assert "Lifecycle_Stage__c" in fields <= set(where.HISTORY["contacts"].values())
        losers = org.rows("SELECT Id, MasterRecordId FROM Lead WHERE MasterRecordId != null", deleted=True)
        losers += org.rows("SELECT Id, MasterRecordId FROM Contact WHERE MasterRecordId != null", deleted=True)
        assert losers and all(one["Id"][:3] == one["MasterRecordId"][:3] for one in losers)
        who = org.rows("SELECT WhoId, WhatId FROM Task WHERE WhoId != null", deleted=True)
        assert any(one["WhoId"].startswith("00Q") for one in who)
        assert all(one["WhatId"] is None for one in who if one["WhoId"].startswith("00Q"))
        roles = org.rows("SELECT ContactId FROM OpportunityContactRole", deleted=True)
        assert all(one["ContactId"].startswith("003") for one in roles)
    with pytest.raises(NightdeskError, match="already exists"):
        sample.company(folder, folder / "leads.sqlite")
    with pytest.raises(NightdeskError, match="no sample company"):
        sample.company(folder / "elsewhere", folder / "other.sqlite")
