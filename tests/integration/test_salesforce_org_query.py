"""What a loader asks of the sandbox org by SOQL, over HTTP as it would."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from sandbox.salesforce import setup
from sandbox.salesforce.values import stamp
from tests.salesforce_kit import NOW, add_fields
from tests.salesforce_org_kit import Loader, empty_org


def at(seconds: int) -> str:
    return stamp(NOW + timedelta(seconds=seconds)).replace(".000+0000", "Z")


@pytest.fixture
def org(tmp_path: Path) -> Iterator[Loader]:
    with empty_org(tmp_path / "org.sqlite") as loader:
        yield loader


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loader]:
    """2,500 contacts in three seconds: 500, 1,600 and 400."""
    with empty_org(tmp_path_factory.mktemp("org") / "org.sqlite") as loader:
        (account,) = loader.store.seed("Account", [{"Name": "Acme", "Website": "acme.example"}])
        number = 0
        for many in (500, 1_600, 400):
            people = [{"LastName": f"P{number + n}", "AccountId": account if n % 2 else None} for n in range(many)]
            loader.store.seed("Contact", people)
            number += many
            loader.clock.advance(1)
        yield loader


def test_pages_hold_at_most_2000_records_and_lead_to_the_next(filled: Loader) -> None:
    first = filled.query("SELECT Id, LastName FROM Contact").json()
    assert (first["totalSize"], first["done"], len(first["records"])) == (2_500, False, 2_000)
    second = filled.get(first["nextRecordsUrl"]).json()
    assert second["done"] and "nextRecordsUrl" not in second and len(second["records"]) == 500
    assert len({row["Id"] for row in first["records"] + second["records"]}) == 2_500
    assert [len(page) for page in filled.pages("SELECT Id FROM Contact", size=1_000)] == [1_000, 1_000, 500]
    assert [len(page) for page in filled.pages("SELECT Id FROM Contact LIMIT 300", size=1)] == [
        200,
        100,
    ]  # 200 at least


def test_a_page_can_be_asked_for_again(filled: Loader) -> None:
    url = filled.query("SELECT Id FROM Contact", size=500).json()["nextRecordsUrl"]
    assert filled.get(url).json() == filled.get(url).json()


def test_ties_at_a_border_are_whole_seconds(filled: Loader) -> None:
    stamps = [
        row["SystemModstamp"] for row in filled.rows("SELECT SystemModstamp FROM Contact ORDER BY SystemModstamp")
    ]
    assert sorted(set(stamps)) == [stamp(NOW + timedelta(seconds=n)) for n in range(3)]
    ordered = "SELECT Id, SystemModstamp FROM Contact {} ORDER BY SystemModstamp, Id LIMIT 700"
    first = filled.rows(ordered.format(""))
    border = first[-1]
    assert border["SystemModstamp"] == stamp(NOW + timedelta(seconds=1))
    after = f"WHERE SystemModstamp > {at(1)} OR (SystemModstamp = {at(1)} AND Id > '{border['Id']}')"
    second = filled.rows(ordered.format(after))
    assert not {row["Id"] for row in first} & {row["Id"] for row in second} and len(second) == 700
    # who asks for later ones only, loses the rest of the second
    assert filled.count("Contact", f"SystemModstamp > {at(1)}") == 400
    assert filled.count("Contact", f"SystemModstamp >= {at(1)}") == 2_000


def test_ranges_lists_and_counts(filled: Loader) -> None:
    assert filled.count("Contact") == 2_500
    assert filled.count("Contact", f"SystemModstamp >= {at(0)} AND SystemModstamp < {at(1)}") == 500
    assert filled.count("Contact", f"CreatedDate = {at(2)}") == 400
    assert filled.count("Contact", "LastName IN ('P1', 'p2', 'nobody')") == 2  # text compares without case
    assert filled.count("Contact", "AccountId != null") == 1_250
    assert filled.count("Contact", f"(LastName = 'P1' OR LastName = 'P600') AND SystemModstamp < {at(1)}") == 1
    assert filled.count("Contact", "LastName LIKE 'P24%' AND NOT LastName = 'P24'") == 110
    assert filled.count("Contact", "SystemModstamp = TODAY") == 2_500
    assert filled.count("Contact", "SystemModstamp < LAST_N_DAYS:3") == 0
    assert filled.count("Contact", f"SystemModstamp > {NOW:%Y-%m-%dT%H:%M:%S}%2B01:00".replace("%2B", "+")) == 2_500


def test_fields_over_relationships(filled: Loader) -> None:
    soql = "SELECT Id, Account.Name, Account.Owner.UserType, CreatedBy.Email FROM Contact ORDER BY Id LIMIT 2"
    without, has = filled.rows(soql)
    assert without["Account"] is None
    assert has["Account"]["Name"] == "Acme" and has["Account"]["attributes"]["type"] == "Account"
    assert has["CreatedBy"]["Email"] == "dana@org.example"
    assert filled.count("Contact", "Account.Website = 'acme.example'") == 1_250
    filled.store.seed("Task", [{"WhoId": filled.rows("SELECT Id FROM Contact LIMIT 1")[0]["Id"], "Subject": "x"}])
    assert filled.rows("SELECT Who.Type, What.Type FROM Task")[0]["Who"]["Type"] == "Contact"


@pytest.mark.parametrize(
    ("soql", "code"),
    [
        ("SELECT Nope FROM Contact", "INVALID_FIELD"),
        ("SELECT Account.Nope FROM Contact", "INVALID_FIELD"),
        ("SELECT Nobody.Name FROM Contact", "INVALID_FIELD"),
        ("SELECT Id, Id FROM Contact", "INVALID_FIELD"),
        ("SELECT Id FROM Contact WHERE SystemModstamp > '2026-01-01T00:00:00Z'", "INVALID_FIELD"),
        ("SELECT Id FROM Contact WHERE SystemModstamp > 2026-01-01", "INVALID_FIELD"),
        ("SELECT Id FROM Contact WHERE Description = 'x'", "INVALID_FIELD"),
        ("SELECT Id FROM Nothing", "INVALID_TYPE"),
        ("SELECT Id FROM CurrencyType", "INVALID_TYPE"),
        ("SELECT FROM Contact", "MALFORMED_QUERY"),
        ("SELECT COUNT(Id) FROM Contact", "MALFORMED_QUERY"),
        ("SELECT Id FROM Contact WHERE Email = 'a' AND Email = 'b' OR Email = 'c'", "MALFORMED_QUERY"),
        ("SELECT Id FROM Contact OFFSET 2001", "NUMBER_OUTSIDE_VALID_RANGE"),
        ("", "MALFORMED_QUERY"),
    ],
)
def test_a_query_that_cannot_be_run_says_why(filled: Loader, soql: str, code: str) -> None:
    assert filled.refused(filled.query(soql)) == code


def test_a_cursor_that_is_unknown_or_old_is_refused(org: Loader) -> None:
    org.store.seed("Contact", [{"LastName": f"P{n}"} for n in range(450)])
    url = org.query("SELECT Id FROM Contact", size=200).json()["nextRecordsUrl"]
    assert org.get(url).status_code == 200
    assert org.refused(org.get(url.replace("-200", "-9999"))) == "INVALID_QUERY_LOCATOR"
    assert org.refused(org.get("query/01gXX0000000009AAA-200")) == "INVALID_QUERY_LOCATOR"
    org.clock.advance(2 * 24 * 3600)
    assert org.refused(org.get(url)) == "INVALID_QUERY_LOCATOR"


def test_every_answer_says_how_much_of_the_quota_is_used(org: Loader) -> None:
    assert org.query("SELECT Id FROM Contact").headers["Sforce-Limit-Info"] == "api-usage=1/15000"
    assert org.query("SELECT Nope FROM Contact").headers["Sforce-Limit-Info"] == "api-usage=2/15000"


def test_limits_say_what_is_left_and_an_address_has_an_end(org: Loader) -> None:
    org.query("SELECT Id FROM Contact")
    assert org.get("limits").json()["DailyApiRequests"] == {"Max": 15_000, "Remaining": 14_998}
    many = ", ".join(f"'003XX{n:010}'" for n in range(1_000))
    assert org.refused(org.query(f"SELECT Id FROM Contact WHERE Id IN ({many})"), 414) == "URI_TOO_LONG"


def test_a_field_that_is_deleted_or_hidden_is_no_field(org: Loader) -> None:
    field = {"label": "Region", "type": "Text", "length": 40}
    org.store.put_custom_field("Contact", "Region__c", field)
    org.store.restrict("Contact", "Region__c", readable=True, editable=False)
    org.store.seed("Contact", [{"LastName": "A", "Region__c": "North"}])
    soql = "SELECT Id, Region__c FROM Contact"
    assert org.rows(soql)[0]["Region__c"] == "North"
    org.store.restrict("Contact", "Region__c", readable=False, editable=False)
    assert org.refused(org.query(soql)) == "INVALID_FIELD"
    org.store.restrict("Contact", "Region__c", readable=True, editable=False)
    org.store.drop_custom_field("Contact", "Region__c")
    assert org.refused(org.query(soql)) == "INVALID_FIELD"
    names = {one["name"] for one in org.get("sobjects/Contact/describe").json()["fields"]}
    assert "Region__c" not in names


def test_our_own_fields_are_loaded_as_any(org: Loader) -> None:
    add_fields(org.store)
    org.store.seed("Contact", [{"LastName": "A", "Nightdesk_Lead_Score__c": 80, "Nightdesk_Lead_Tier__c": "A"}])
    names = [one["name"] for one in org.get("sobjects/Contact/describe").json()["fields"]]
    ours = [name for name in names if name.startswith("Nightdesk_")]
    (row,) = org.rows(f"SELECT {', '.join(ours)} FROM Contact WHERE Nightdesk_Lead_Score__c != null")
    assert (row["Nightdesk_Lead_Score__c"], row["Nightdesk_Lead_Tier__c"]) == (80.0, "A")
    assert row["Nightdesk_Is_Fit__c"] is False and row["Nightdesk_Lead_Reason__c"] is None


def test_old_activities_are_seen_by_query_all_only(org: Loader) -> None:
    org.store.seed("Task", [{"Subject": "old", "IsArchived": True}, {"Subject": "new"}])
    assert org.count("Task") == 1 and org.count("Task", deleted=True) == 2
    rows = org.rows("SELECT Subject, IsArchived, IsDeleted FROM Task", deleted=True)
    assert {(row["Subject"], row["IsArchived"], row["IsDeleted"]) for row in rows} == {
        ("old", True, False), ("new", False, False),
    }  # fmt: skip


def test_several_currencies_bring_fields_and_objects(org: Loader) -> None:
    assert org.refused(org.query("SELECT CurrencyIsoCode FROM Opportunity")) == "INVALID_FIELD"
    with org.store.transaction():
        setup.currencies(org.store, "EUR", {"USD": 1.1})
        setup.dated_rate(org.store, "USD", "2026-01-01", 1.05)
        setup.dated_rate(org.store, "USD", "2026-06-01", 1.1)
    known = org.rows("SELECT IsoCode, IsCorporate FROM CurrencyType")
    assert {row["IsoCode"]: row["IsCorporate"] for row in known} == {"EUR": True, "USD": False}
    rates = org.rows("SELECT StartDate, NextStartDate, ConversionRate FROM DatedConversionRate ORDER BY StartDate")
    assert [(r["StartDate"], r["NextStartDate"], r["ConversionRate"]) for r in rates] == [
        ("2026-01-01", "2026-06-01", 1.05), ("2026-06-01", "9999-12-31", 1.1),
    ]  # fmt: skip
    org.store.seed("Opportunity", [{"Name": "Deal", "CurrencyIsoCode": "USD"}])
    assert org.rows("SELECT CurrencyIsoCode FROM Opportunity")[0]["CurrencyIsoCode"] == "USD"


def test_stages_and_picklists_with_values_nobody_can_choose_any_more(org: Loader) -> None:
    soql = "SELECT ApiName, MasterLabel, DefaultProbability, IsActive, IsClosed, IsWon FROM OpportunityStage"
    assert len(org.rows(soql)) == 10
    with org.store.transaction():
        setup.stages(org.store, [setup.Stage("disc", "Discovery", 20), setup.Stage("won", "Won", 100, True, True)])
    live = {row["ApiName"]: row for row in org.rows(soql) if row["IsActive"]}
    assert set(live) == {"disc", "won"} and live["won"]["IsWon"]
    assert len(org.rows(soql)) == 12
    values = [setup.Value("a", "Alpha"), setup.Value("b", "Beta", active=False)]
    setup.picklist(org.store, "Lead", "Rating", values)
    fields = {one["name"]: one for one in org.get("sobjects/Lead/describe").json()["fields"]}
    assert [(v["value"], v["label"], v["active"]) for v in fields["Rating"]["picklistValues"]] == [
        ("a", "Alpha", True), ("b", "Beta", False),
    ]  # fmt: skip
