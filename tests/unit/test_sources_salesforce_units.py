"""The Salesforce source without an org: names, pages, merges, history, and what `describe` answers are held to."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pydantic import ValidationError

from nightdesk.errors import NightdeskError
from sources.kit.contract import Field
from sources.salesforce import SalesforceSourceSettings
from sources.salesforce.api import Select, moment, parse_time
from sources.salesforce.contract import Definitions, check
from sources.salesforce.history import HISTORIES, history_rows
from sources.salesforce.merges import Merge, MergeBook
from sources.salesforce.pages import of_csv, of_records
from sources.salesforce.settings import custom_columns
from sources.salesforce.tables import ACCOUNT, CONTACT, LEAD, OBJECTS, TABLES, USER, ObjectType, snake

SHARED = Path(__file__).parents[3] / "shared" / "data" / "salesforce_describe"
SETTINGS = SalesforceSourceSettings(base_url="https://org.test", token="t")
TYPES = {"bool": "boolean", "timestamp": "datetime", "date": "date", "bigint": "int", "money": "currency",
         "probability": "percent", "double": "double"}  # fmt: skip


def describe(kind: ObjectType, **types: str | None) -> dict[str, Any]:
    """An org that shows every field of ours, apart from what `types` says (None: not there)."""
    kinds = {column.name: TYPES.get(column.kind, "string") for column in kind.table.columns}
    fields = {name: kinds[column] for column, name in (kind.fields | kind.customs).items()} | types
    entries = [{"name": name, "label": name, "type": one} for name, one in fields.items() if one]
    return {"name": kind.name, "fields": entries, "replicateable": True}


def remember(found: Definitions) -> list[Field]:
    """What the next load knows of this one."""
    return [
        Field(str(a), str(b), str(c), str(d), is_loaded=loaded == "true", is_gone=state == "gone")
        for a, b, c, d, _, _, loaded, _, state in found.rows
    ]


@pytest.mark.parametrize(
    ("name", "column"),
    [("Id", "id"), ("SystemModstamp", "system_modstamp"), ("CurrencyIsoCode", "currency_iso_code"),
     ("IsRecurrence2", "is_recurrence_2"), ("Recurrence2PatternText", "recurrence_2_pattern_text"),
     ("Closed_Lost_Reason__c", "closed_lost_reason"), ("HasOptedOutOfEmail", "has_opted_out_of_email")],
)  # fmt: skip
def test_a_field_and_its_column_are_called_alike(name: str, column: str) -> None:
    assert snake(name) == column


def test_every_table_has_a_key_and_every_object_its_stamp() -> None:
    assert all(table.key for table in TABLES.values())
    for kind in OBJECTS:
        assert not kind.stamp or kind.stamp in kind.fields.values(), kind.name
        assert set(kind.fields) | set(kind.customs) == set(kind.table.names)


# Settings -------------------------------------------------------------------------------------------------------------


def test_a_setting_for_a_column_that_is_not_there_says_which_there_are() -> None:
    with pytest.raises(ValidationError, match=r"contacts\.tongue.*contacts\.language"):
        SalesforceSourceSettings(base_url="https://o.test", token="t", custom_fields={"contacts.tongue": "Sprache__c"})
    with pytest.raises(ValidationError, match="token"):
        SalesforceSourceSettings(base_url="https://o.test")


def test_custom_fields_take_the_names_of_the_org_and_an_empty_one_is_none() -> None:
    settings = SalesforceSourceSettings(
        base_url="https://o.test", token="t",
        custom_fields={"contacts.language": "Sprache__c", "contacts.lead_status": ""},
    )  # fmt: skip
    fields = settings.fields_of(CONTACT)
    assert fields["language"] == "Sprache__c" and "lead_status" not in fields
    assert fields["lifecycle_stage"] == "Lifecycle_Stage__c" and fields["email"] == "Email"
    assert "t'" not in repr(settings.token)


# Pages ----------------------------------------------------------------------------------------------------------------


def test_json_values_become_the_text_a_file_would_hold() -> None:
    page = of_records(
        [{"Id": "1", "B": True, "N": 12.5, "T": None}, {"Id": "2", "B": False, "N": 3}], ["Id", "B", "N", "T"]
    )
    assert page.to_pylist() == [
        {"Id": "1", "B": "true", "N": "12.5", "T": None},
        {"Id": "2", "B": "false", "N": "3", "T": None},
    ]


def test_a_file_keeps_line_breaks_and_quotes_and_an_empty_cell_is_nothing(tmp_path: Path) -> None:
    path = tmp_path / "page.csv"
    path.write_text('"Id","Text"\n"1","one\nof ""two"" lines, said ö"\n"2",""\n"3",\n', encoding="utf-8")
    rows = [row for table in of_csv(path) for row in table.to_pylist()]
    assert rows == [
        {"Id": "1", "Text": 'one\nof "two" lines, said ö'},
        {"Id": "2", "Text": None},
        {"Id": "3", "Text": None},
    ]


def test_a_file_of_nothing_but_a_header_has_no_rows_and_a_broken_one_is_told(tmp_path: Path) -> None:
    path = tmp_path / "page.csv"
    path.write_text('"Id","Text"\n')
    assert sum(table.num_rows for table in of_csv(path)) == 0
    path.write_text("")
    assert list(of_csv(path)) == []
    path.write_text('"Id","Text"\n"1","a"\n"2"\n')
    with pytest.raises(ValueError, match="2"):
        list(of_csv(path))


def test_a_query_asks_from_a_stamp_on_and_in_its_order() -> None:
    since = datetime(2026, 11, 17, 6, 0, tzinfo=UTC)
    select = Select("Contact", ("Id", "Email"), "SystemModstamp", since)
    assert select.soql() == (
        "SELECT Id, Email FROM Contact WHERE SystemModstamp >= 2026-11-17T06:00:00.000Z ORDER BY SystemModstamp, Id"
    )
    assert select.soql(ordered=False).endswith(">= 2026-11-17T06:00:00.000Z")
    assert Select("User", ("Id",)).soql() == "SELECT Id FROM User ORDER BY Id"
    assert "Id IN ('1') AND CreatedDate" in Select("A", ("Id",), "CreatedDate", since, "Id IN ('1')").soql()


def test_both_spellings_of_a_time_are_one() -> None:
    assert parse_time("2026-11-17T06:00:00.000+0000") == parse_time("2026-11-17T06:00:00.000Z")
    assert moment(parse_time("2026-11-17T08:00:00.250+0200")) == "2026-11-17T06:00:00.250Z"


# Merges ---------------------------------------------------------------------------------------------------------------


def test_chains_of_merges_lead_to_who_is_still_there() -> None:
    book = MergeBook()
    assert not book
    book.add(Merge("Lead", "L", "Contact", "B", "converted"))
    book.add(Merge("Contact", "B", "Contact", "C", "merged"))
    before = [("Contact", "A", "Contact", "B", "merged"), ("Contact", "X", "Contact", "Y", "merged")]
    assert sorted(book.rows(before)) == [
        ("Contact", "A", "Contact", "C", "merged"),
        ("Contact", "B", "Contact", "C", "merged"),
        ("Lead", "L", "Contact", "C", "converted"),
    ]


def test_a_merge_that_was_undone_and_one_in_a_circle_end() -> None:
    book = MergeBook()
    book.drop("Contact", ["A"])
    book.add(Merge("Contact", "B", "Contact", "C", "merged"))
    book.add(Merge("Contact", "C", "Contact", "B", "merged"))
    rows = book.rows([("Contact", "A", "Contact", "B", "merged")])
    assert {row[1] for row in rows} == {"B", "C"}


# History --------------------------------------------------------------------------------------------------------------


def test_history_is_a_row_for_each_field() -> None:
    change = next(one for one in HISTORIES if one.name == "ContactHistory")
    page = pa.table(
        {"Id": ["h1"], "ContactId": ["c1"], "Field": ["Title"], "OldValue": [None], "NewValue": ["CTO"],
         "CreatedDate": ["2026-11-17T06:00:00.000Z"], "CreatedById": ["u1"]}
    )  # fmt: skip
    assert list(history_rows(change, page)) == [
        ("ContactHistory", "h1", "Contact", "c1", "Title", None, "CTO", "2026-11-17T06:00:00.000Z", "u1")
    ]
    snapshot = next(one for one in HISTORIES if one.snapshot)
    page = pa.table(
        {"Id": ["h2"], "OpportunityId": ["o1"], "StageName": ["Won"], "Amount": ["5.00"], "CloseDate": ["2026-11-01"],
         "Probability": ["100"], "CreatedDate": ["2026-11-17T06:00:00.000Z"], "CreatedById": ["u1"]}
    )  # fmt: skip
    rows = list(history_rows(snapshot, page))
    assert [(row[4], row[6]) for row in rows] == [
        ("StageName", "Won"), ("Amount", "5.00"), ("CloseDate", "2026-11-01"), ("Probability", "100"),
    ]  # fmt: skip
    assert len({(row[0], row[1], row[4]) for row in rows}) == 4  # the key of the table


# The schema contract --------------------------------------------------------------------------------------------------


def test_a_changed_type_stops_the_load_and_names_object_and_field() -> None:
    before = remember(check(ACCOUNT, describe(ACCOUNT), [], SETTINGS))
    with pytest.raises(NightdeskError, match=r"Industry.*Account.*string to picklist") as found:
        check(ACCOUNT, describe(ACCOUNT, Industry="picklist"), before, SETTINGS)
    assert found.value.where == "Account.Industry" and "accept_type_changes" in found.value.todo
    accepted = SETTINGS.model_copy(update={"accept_type_changes": ("Account.Industry",)})
    assert check(ACCOUNT, describe(ACCOUNT, Industry="picklist"), before, accepted).changes == ()
    with pytest.raises(NightdeskError, match="AnnualRevenue"):  # no column for money can hold it, at the first load too
        check(ACCOUNT, describe(ACCOUNT, AnnualRevenue="string"), [], SETTINGS)


def test_a_new_field_is_told_and_a_vanished_one_keeps_its_values() -> None:
    before = remember(check(LEAD, describe(LEAD), [], SETTINGS))
    found = check(LEAD, describe(LEAD, Rating=None, Beverage__c="string"), before, SETTINGS)
    assert found.kept == ("rating",) and "Rating" not in found.asked and "Beverage__c" not in found.asked
    assert any("Lead.Rating" in line for line in found.changes)
    assert any("Lead.Beverage__c" in line and "new" in line for line in found.changes)
    again = check(LEAD, describe(LEAD), remember(found), SETTINGS)
    assert again.refill and any("Lead.Rating" in line and "again" in line for line in again.changes)


def test_a_standard_field_an_org_never_had_is_no_news_but_one_that_a_setting_names_is() -> None:
    found = check(CONTACT, describe(CONTACT, CurrencyIsoCode=None, Language__c=None), [], SETTINGS)
    assert not any("CurrencyIsoCode" in line for line in found.changes)
    assert any("Contact.Language__c" in line for line in found.changes)
    assert "currency_iso_code" not in found.fields and "language" not in found.fields


@pytest.mark.parametrize(
    ("kind", "name"), [(CONTACT, "HasOptedOutOfEmail"), (LEAD, "Email"), (ACCOUNT, "SystemModstamp")]
)
def test_a_field_nothing_can_be_loaded_without_stops_the_first_load_too(kind: ObjectType, name: str) -> None:
    with pytest.raises(NightdeskError, match=name):
        check(kind, describe(kind, **{name: None}), [], SETTINGS)


def test_users_are_loaded_whatever_is_hidden_of_them() -> None:
    found = check(USER, describe(USER, Email=None, SystemModstamp=None), [], SETTINGS)
    assert "email" not in found.fields and "Id" in found.asked


def test_our_own_fields_are_asked_for_and_picklists_kept_in_their_order() -> None:
    described = describe(LEAD, Nightdesk_Score__c="double", Status="picklist")
    status = next(one for one in described["fields"] if one["name"] == "Status")
    status["picklistValues"] = [
        {"value": "new", "label": "New", "active": True, "defaultValue": True},
        {"value": "old", "label": "Old", "active": False, "defaultValue": False},
    ]
    found = check(LEAD, described, [], SETTINGS)
    assert found.namespaced == {"Nightdesk_Score__c": "double"} and "Nightdesk_Score__c" in found.asked
    assert found.picklists == (
        ("Lead", "Status", "new", "New", "true", "true", "0"),
        ("Lead", "Status", "old", "Old", "false", "false", "1"),
    )


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real describe answers lie beside the project")
def test_real_orgs_fit_the_columns() -> None:
    read = 0
    for kind in OBJECTS:
        path = SHARED / f"{kind.name}.json"
        if not path.is_file():
            continue
        missing = [f"{kind.name}.HasOptedOutOfEmail"] if kind.name in ("Contact", "Lead") else []
        settings = SETTINGS.model_copy(update={"accept_missing": tuple(missing)})
        found = check(kind, json.loads(path.read_text()), [], settings)
        assert {"id", "system_modstamp", "is_deleted"} <= set(found.fields), kind.name
        read += 1
    assert read >= 6


# The documentation ----------------------------------------------------------------------------------------------------


PAGE = (Path(__file__).parents[2] / "docs" / "salesforce-source.md").read_text(encoding="utf-8")


def test_every_setting_table_and_custom_column_is_documented_as_it_is() -> None:
    for name, setting in SalesforceSourceSettings.model_fields.items():
        line = next(
            (one for one in PAGE.splitlines() if one.startswith("| `") and f"`{name}`" in one.split("|")[1]), ""
        )
        assert line, f"`{name}` is missing"
        if isinstance(setting.default, int | float):
            assert f"{setting.default:,}".removesuffix(".0") in line, name
    assert not [name for name in TABLES if f"`{name}`" not in PAGE]
    for column, name in custom_columns().items():
        assert f"| `{column}` | `{name}` |" in PAGE, column
