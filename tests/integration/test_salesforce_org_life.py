"""What happens to whole records in the sandbox org, and what a loader then sees of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sandbox.salesforce import life, setup
from sandbox.salesforce.errors import SalesforceError
from sandbox.salesforce.saving import Origin, Saver
from tests.salesforce_kit import NOW
from tests.salesforce_org_kit import Loader, empty_org


class Org(Loader):
    ids: dict[str, str]

    def do(self, name: str, *arguments: Any, **more: Any) -> Any:
        """A person does something, a second later."""
        self.clock.advance(1)
        with self.store.transaction():
            return getattr(Saver(self.store, self.api.state.org, Origin(self.store.user("dana"))), name)(
                *arguments, **more
            )

    def row(self, object_type: str, record_id: str, *names: str) -> dict[str, Any]:
        found = self.rows(f"SELECT {', '.join(names)} FROM {object_type} WHERE Id = '{record_id}'", deleted=True)
        return {name: found[0][name] for name in names}

    def since(self, object_type: str, stamp: str) -> set[str]:
        """Ids of records that changed after a stamp, deleted ones too."""
        moment = stamp.replace(".000+0000", "Z")
        rows = self.rows(f"SELECT Id FROM {object_type} WHERE SystemModstamp > {moment}", deleted=True)
        return {row["Id"] for row in rows}


@pytest.fixture
def org(tmp_path: Path) -> Iterator[Org]:
    with empty_org(tmp_path / "org.sqlite") as loader:
        it = Org(loader.api, loader.clock)
        a, b = it.store.seed("Account", [{"Name": "A"}, {"Name": "B"}])
        people = [{"LastName": "X", "AccountId": a}, {"LastName": "Y", "AccountId": b}]
        x, y = it.store.seed("Contact", people)
        lead = it.store.seed("Lead", [{"LastName": "L", "Company": "New", "Email": "l@new.example", "City": "Oslo",
                                       "HasOptedOutOfEmail": True}])[0]  # fmt: skip
        it.ids = {"a": a, "b": b, "x": x, "y": y, "lead": lead}
        deal = {"Name": "Deal", "StageName": "Prospecting", "CloseDate": "2026-12-01", "AccountId": b, "Amount": 100.0}
        it.ids["deal"] = it.do("create", "Opportunity", deal)
        it.ids["role"] = it.do("create", "OpportunityContactRole", {"OpportunityId": it.ids["deal"], "ContactId": y})
        call = {"Subject": "Call", "WhoId": y, "WhatId": it.ids["deal"], "TaskSubtype": "Call", "Status": "Completed"}
        it.ids["call"] = it.do("create", "Task", call)
        it.ids["note"] = it.do("create", "Note", {"ParentId": y, "Title": "N", "Body": "text"})
        it.ids["todo"] = it.do("create", "Task", {"Subject": "Write", "WhoId": lead})
        yield it


def test_an_activity_knows_its_account_and_its_people(org: Org) -> None:
    names = ("AccountId", "IsClosed", "CompletedDateTime", "Status")
    call = org.row("Task", org.ids["call"], *names)
    assert (call["AccountId"], call["IsClosed"]) == (org.ids["b"], True) and call["CompletedDateTime"]
    assert org.row("Task", org.ids["todo"], *names) == {
        "AccountId": None, "IsClosed": False, "CompletedDateTime": None, "Status": "Not Started",
    }  # fmt: skip
    who = org.rows("SELECT TaskId, RelationId, IsWhat FROM TaskRelation ORDER BY Id")
    assert [(one["TaskId"], one["RelationId"]) for one in who] == [
        (org.ids["call"], org.ids["y"]), (org.ids["todo"], org.ids["lead"]),
    ]  # fmt: skip
    org.do("update", "Task", org.ids["call"], {"WhoId": org.ids["x"], "WhatId": None})
    assert org.row("Task", org.ids["call"], "AccountId")["AccountId"] == org.ids["a"]
    people = org.rows(f"SELECT RelationId FROM TaskRelation WHERE TaskId = '{org.ids['call']}'")
    assert [one["RelationId"] for one in people] == [org.ids["x"]]


def test_what_is_deleted_takes_along_what_hangs_on_it_and_comes_back_with_it(org: Org) -> None:
    before = org.row("Contact", org.ids["y"], "SystemModstamp")["SystemModstamp"]
    org.clock.advance(5)
    org.do("delete", "Contact", org.ids["y"])
    gone = {"Contact": "y", "OpportunityContactRole": "role", "Task": "call", "Note": "note"}
    for object_type, name in gone.items():
        assert org.row(object_type, org.ids[name], "IsDeleted") == {"IsDeleted": True}
        assert org.ids[name] in org.since(object_type, before)
        assert org.count(object_type, f"Id = '{org.ids[name]}'") == 0
    assert org.row("Opportunity", org.ids["deal"], "IsDeleted") == {"IsDeleted": False}
    assert org.count("Contact", "IsDeleted = true", deleted=True) == 1
    org.do("undelete", "Contact", org.ids["y"])
    for object_type, name in gone.items():
        assert org.row(object_type, org.ids[name], "IsDeleted") == {"IsDeleted": False}
    with pytest.raises(SalesforceError, match="UNDELETE_FAILED"):
        org.do("undelete", "Contact", org.ids["y"])


def test_a_merge_leaves_a_loser_that_knows_its_master_and_moves_what_hung_on_it(org: Org) -> None:
    org.do("merge", "Contact", org.ids["x"], org.ids["y"])
    loser = org.row("Contact", org.ids["y"], "IsDeleted", "MasterRecordId", "SystemModstamp")
    assert loser["IsDeleted"] and loser["MasterRecordId"] == org.ids["x"]
    assert org.row("Contact", org.ids["x"], "SystemModstamp")["SystemModstamp"] == loser["SystemModstamp"]
    assert org.row("Task", org.ids["call"], "WhoId") == {"WhoId": org.ids["x"]}
    assert org.row("Note", org.ids["note"], "ParentId") == {"ParentId": org.ids["x"]}
    role = org.row("OpportunityContactRole", org.ids["role"], "ContactId", "IsDeleted", "SystemModstamp")
    assert (role["ContactId"], role["IsDeleted"]) == (org.ids["x"], False)
    assert role["SystemModstamp"] == loser["SystemModstamp"]  # so that a loader sees the new person
    told = org.get(
        "sobjects/Contact/deleted", start=(NOW - timedelta(hours=1)).isoformat(),
        end=(NOW + timedelta(hours=1)).isoformat(),
    ).json()  # fmt: skip
    assert [one["id"] for one in told["deletedRecords"]] == [org.ids["y"]]
    with pytest.raises(SalesforceError, match="UNDELETE_FAILED"):
        org.do("undelete", "Contact", org.ids["y"])
    org.do("merge", "Account", org.ids["a"], org.ids["b"])
    assert org.row("Opportunity", org.ids["deal"], "AccountId") == {"AccountId": org.ids["a"]}
    assert org.row("Contact", org.ids["x"], "AccountId") == {"AccountId": org.ids["a"]}
    assert org.row("Task", org.ids["call"], "AccountId") == {"AccountId": org.ids["a"]}
    with pytest.raises(SalesforceError, match="cannot be merged"):
        org.do("merge", "Opportunity", org.ids["deal"], org.ids["deal"])


def test_a_converted_lead_stays_and_what_it_did_goes_to_its_contact(org: Org) -> None:
    account, contact = org.do("convert", org.ids["lead"], deal="First deal")
    lead = org.row("Lead", org.ids["lead"], "IsConverted", "IsDeleted", "ConvertedContactId", "ConvertedAccountId",
                   "ConvertedOpportunityId", "Status", "ConvertedDate")  # fmt: skip
    assert (lead["IsConverted"], lead["IsDeleted"], lead["Status"]) == (True, False, "Closed - Converted")
    assert (lead["ConvertedContactId"], lead["ConvertedAccountId"]) == (contact, account)
    person = org.row("Contact", contact, "Email", "MailingCity", "HasOptedOutOfEmail", "AccountId")
    assert person == {"Email": "l@new.example", "MailingCity": "Oslo", "HasOptedOutOfEmail": True, "AccountId": account}
    todo = org.row("Task", org.ids["todo"], "WhoId", "WhatId", "AccountId")
    assert todo == {"WhoId": contact, "WhatId": lead["ConvertedOpportunityId"], "AccountId": account}
    roles = org.rows("SELECT ContactId, OpportunityId FROM OpportunityContactRole WHERE IsPrimary = true")
    assert [(one["ContactId"], one["OpportunityId"]) for one in roles] == [(contact, lead["ConvertedOpportunityId"])]
    with pytest.raises(SalesforceError, match="CANNOT_UPDATE_CONVERTED_LEAD"):
        org.do("convert", org.ids["lead"])


def test_what_is_emptied_out_of_the_bin_is_told_by_get_deleted_only(org: Org) -> None:
    with pytest.raises(SalesforceError, match="not in the recycle bin"):
        life.erase(org.store, "Contact", [org.ids["y"]], org.store.now())
    org.do("delete", "Contact", org.ids["y"])
    org.clock.advance(1)
    with org.store.transaction():
        assert life.erase(org.store, "Contact", [org.ids["y"]], org.store.now()) == 5  # its links and notes as well
    assert org.count("Contact", deleted=True) == 1
    assert org.count("Task", f"Id = '{org.ids['call']}'", deleted=True) == 0
    told = org.get(
        "sobjects/Contact/deleted", start=(NOW - timedelta(hours=1)).isoformat(),
        end=(NOW + timedelta(hours=1)).isoformat(),
    ).json()  # fmt: skip
    assert [one["id"] for one in told["deletedRecords"]] == [org.ids["y"]]
    assert told["earliestDateAvailable"] == org.store.now()


def test_the_history_of_tracked_fields_and_of_opportunities(org: Org) -> None:
    org.store.track("Contact", "Title", "Description")
    org.store.track("Opportunity", "StageName", "Amount")
    org.do("update", "Contact", org.ids["x"], {"Title": "CFO", "Description": "long text", "Phone": "1"})
    org.do("update", "Contact", org.ids["x"], {"Title": None})
    org.do("update", "Opportunity", org.ids["deal"], {"StageName": "Closed Won", "Amount": 250.0})
    made = org.do("create", "Contact", {"LastName": "Z"})
    rows = org.rows("SELECT ContactId, Field, OldValue, NewValue, CreatedById, CreatedDate FROM ContactHistory")
    assert [(one["ContactId"], one["Field"], one["OldValue"], one["NewValue"]) for one in rows] == [
        (org.ids["x"], "Title", None, "CFO"), (org.ids["x"], "Description", None, None),
        (org.ids["x"], "Title", "CFO", None), (made, "created", None, None),
    ]  # fmt: skip
    assert {one["CreatedById"] for one in rows} == {org.store.user("dana")}
    moment = rows[2]["CreatedDate"].replace(".000+0000", "Z")
    assert org.count("ContactHistory", f"CreatedDate >= {moment}") == 2
    deal = org.row("Opportunity", org.ids["deal"], "IsClosed", "IsWon", "Probability", "ForecastCategory",
                   "ExpectedRevenue")  # fmt: skip
    assert tuple(deal.values()) == (True, True, 100.0, "Closed", 250.0)
    history = org.rows("SELECT StageName, Amount, Probability FROM OpportunityHistory ORDER BY CreatedDate, Id")
    assert [(one["StageName"], one["Amount"], one["Probability"]) for one in history] == [
        ("Prospecting", 100.0, 10.0), ("Closed Won", 250.0, 100.0),
    ]  # fmt: skip
    changes = org.rows("SELECT Field, OldValue, NewValue FROM OpportunityFieldHistory ORDER BY Field")
    assert [(one["Field"], one["OldValue"], one["NewValue"]) for one in changes] == [
        ("Amount", 100.0, 250.0), ("StageName", "Prospecting", "Closed Won"),
    ]  # fmt: skip
    org.do("delete", "Contact", org.ids["x"])
    assert org.count("ContactHistory") == 1 and org.count("ContactHistory", deleted=True) == 4


def test_an_event_ends_when_its_minutes_are_over_and_may_come_again(org: Org) -> None:
    start = "2026-11-20T09:00:00.000+0000"
    made = org.do("create", "Event", {"Subject": "Demo", "WhoId": org.ids["x"], "StartDateTime": start,
                                      "DurationInMinutes": 45})  # fmt: skip
    names = ("EndDateTime", "ActivityDate", "EndDate", "AccountId", "IsAllDayEvent")
    assert tuple(org.row("Event", made, *names).values()) == (
        "2026-11-20T09:45:00.000+0000", "2026-11-20", "2026-11-20", org.ids["a"], False,
    )  # fmt: skip
    org.do("update", "Event", made, {"StartDateTime": "2026-11-21T23:30:00.000+0000"})
    assert tuple(org.row("Event", made, *names[:3]).values()) == (
        "2026-11-22T00:15:00.000+0000", "2026-11-21", "2026-11-22",
    )  # fmt: skip
    weeks = [f"2026-12-{day:02}T10:00:00.000+0000" for day in (1, 8, 15)]
    with org.store.transaction():
        saver = Saver(org.store, org.api.state.org, Origin(org.store.user("dana")))
        series, events = life.series(saver, {"Subject": "Weekly", "DurationInMinutes": 30}, weeks)
    rows = org.rows("SELECT Id, StartDateTime, IsRecurrence, RecurrenceActivityId FROM Event WHERE Subject = 'Weekly'")
    assert [row["Id"] for row in rows if row["IsRecurrence"]] == [series]
    told = {row["Id"]: row["StartDateTime"] for row in rows if row["RecurrenceActivityId"] == series}
    assert told == dict(zip(events, weeks, strict=True))


def test_who_wrote_an_email_is_a_lead_until_the_lead_is_converted(org: Org) -> None:
    message = org.do("create", "EmailMessage", {"Subject": "Hi", "FromAddress": "l@new.example", "Incoming": True})
    org.do("create", "EmailMessageRelation", {"EmailMessageId": message, "RelationType": "FromAddress",
                                              "RelationId": org.ids["lead"]})  # fmt: skip
    soql = "SELECT RelationId, RelationObjectType FROM EmailMessageRelation"
    assert org.rows(soql)[0]["RelationObjectType"] == "Lead"
    _, contact = org.do("convert", org.ids["lead"])
    assert (org.rows(soql)[0]["RelationId"], org.rows(soql)[0]["RelationObjectType"]) == (contact, "Contact")


def test_a_picklist_value_that_is_renamed(org: Org) -> None:
    changed = org.row("Opportunity", org.ids["deal"], "SystemModstamp")
    with org.store.transaction():
        org.clock.advance(1)
        setup.rename(org.store, "Opportunity", "StageName", "Prospecting", label="First talks")
    fields = {one["name"]: one for one in org.get("sobjects/Opportunity/describe").json()["fields"]}
    value = fields["StageName"]["picklistValues"][0]
    assert (value["value"], value["label"]) == ("Prospecting", "First talks")
    stages = org.rows("SELECT MasterLabel FROM OpportunityStage WHERE ApiName = 'Prospecting'")
    assert [one["MasterLabel"] for one in stages] == ["First talks"]
    assert org.row("Opportunity", org.ids["deal"], "SystemModstamp") == changed  # a label changes no record
    with org.store.transaction():
        setup.rename(org.store, "Opportunity", "StageName", "Prospecting", value="talks", label="First talks")
    after = org.row("Opportunity", org.ids["deal"], "StageName", "SystemModstamp")
    assert after["StageName"] == "talks" and after["SystemModstamp"] > changed["SystemModstamp"]
    org.store.put_custom_field("Contact", "Tier__c", {
        "label": "Tier", "type": "Picklist",
        "valueSet": {"restricted": True, "valueSetDefinition": {"value": [{"fullName": "A"}, {"fullName": "B"}]}},
    })  # fmt: skip
    with org.store.transaction():
        setup.rename(org.store, "Contact", "Tier__c", "A", value="Gold", label="Gold")
    assert org.store.fields("Contact")["Tier__c"].options == ("Gold", "B")
    with pytest.raises(KeyError):
        setup.rename(org.store, "Contact", "Tier__c", "nothing", label="x")
