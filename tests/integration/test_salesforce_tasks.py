"""Tasks of ours in Salesforce: made once, found by our key alone, taken back by us or left alone when a person did."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nightdesk.errors import NightdeskError
from reverse_etl.crms.protocol import PRESENT, RECORD, PropertySpec, RecordWrite
from reverse_etl.crms.salesforce import SalesforceAdapter
from sandbox.faults import FaultFile, parse
from sandbox.salesforce.app import Options
from sandbox.salesforce.scripted import FaultRunner
from sandbox.virtual import pause
from tests.salesforce_kit import Org, adapter, org

KEY, OTHER = "nd_task_0001", "nd_task_0002"
NAMES = [RECORD, "Subject", "@Contact", "@Lead", "@Account"]


@pytest.fixture
def it(tmp_path: Path) -> Iterator[tuple[Org, SalesforceAdapter]]:
    faults = FaultRunner(FaultFile(), pause=pause)
    with org(tmp_path / "org.sqlite", fields=False, options=Options(faults=faults)) as running:
        crm = adapter(running)
        before = crm.read("Task", [KEY], NAMES)
        assert set(before.found[KEY].values.values()) == {None}  # nothing is ours before the set-up
        for name in ("Nightdesk_Op_Key__c", "Nightdesk_State__c"):
            crm.create_property("Task", PropertySpec(name, name, "text", "nightdesk", is_unique="Key" in name))
        yield running, crm


def made(it: Org, *keys: str) -> list[RecordWrite]:
    link = {"@Contact": it.ids["Contact"][0], "@Account": it.ids["Account"][0]}
    return [RecordWrite(key, f"t-{key}", {RECORD: PRESENT, "Subject": f"Call {key}", **link}) for key in keys]


def test_a_task_hangs_on_its_person_and_its_account(it: tuple[Org, SalesforceAdapter]) -> None:
    running, crm = it
    said = crm.write("Task", made(running, KEY, OTHER))
    assert {one.state for one in said.values()} == {"acknowledged"}
    values = crm.read("Task", [KEY, OTHER], NAMES).found[OTHER].values
    contact, account = running.ids["Contact"][0], running.ids["Account"][0]
    assert values == {
        RECORD: PRESENT,
        "Subject": f"Call {OTHER}",
        "@Contact": contact,
        "@Lead": None,
        "@Account": account,
    }
    crm.write("Task", [RecordWrite(KEY, "u", {"Subject": "Call again", "Status": "Completed"})])
    assert crm.read("Task", [KEY], ["Subject", "Status"]).found[KEY].values == {
        "Subject": "Call again",
        "Status": "Completed",
    }
    assert len(running.store.all("Task")) == 2


def test_a_lost_answer_and_the_same_again_make_one_task(it: tuple[Org, SalesforceAdapter]) -> None:
    running, crm = it
    faults = running.api.options.faults
    assert isinstance(faults, FaultRunner)
    faults.replace(parse({"faults": [{"fault": "drop", "when": {"kind": "write"}}]}))
    assert crm.write("Task", made(running, KEY))[f"t-{KEY}"].state == "unknown"
    assert crm.write("Task", made(running, KEY))[f"t-{KEY}"].state == "acknowledged"
    assert len(running.store.all("Task", deleted=True)) == 1


def test_what_a_person_deleted_stays_gone_and_what_we_took_back_may_come_again(
    it: tuple[Org, SalesforceAdapter],
) -> None:
    running, crm = it
    crm.write("Task", made(running, KEY, OTHER))
    by_key = {row.values["Nightdesk_Op_Key__c"]: row.id for row in running.store.all("Task")}
    with running.store.transaction():
        running.saver().delete("Task", by_key[OTHER])
    assert crm.write("Task", [RecordWrite(KEY, "w", {RECORD: ""})])["w"].state == "acknowledged"
    read = crm.read("Task", [KEY, OTHER], NAMES)
    assert read.missing == {OTHER: "deleted in the CRM"} and read.found[KEY].values[RECORD] is None
    assert crm.write("Task", [RecordWrite(KEY, "w", {RECORD: ""})])["w"].message == "it was gone already"
    assert crm.write("Task", [RecordWrite(KEY, "u", {"Subject": "x"})])["u"].refusal == "gone"
    assert crm.write("Task", made(running, KEY))[f"t-{KEY}"].state == "acknowledged"
    assert crm.read("Task", [KEY], NAMES).found[KEY].values[RECORD] == PRESENT


def test_a_key_that_two_tasks_share_is_a_duplicate(it: tuple[Org, SalesforceAdapter]) -> None:
    running, crm = it
    faults = running.api.options.faults
    assert isinstance(faults, FaultRunner)
    faults.replace(parse({"faults": [{"fault": "ambiguous_key", "when": {"kind": "write"}}]}))
    said = crm.write("Task", made(running, KEY, OTHER))
    assert [said[f"t-{key}"].refusal for key in (KEY, OTHER)] == ["duplicate", None]


def test_a_bad_task_is_named_and_a_persons_task_cannot_be_meant(it: tuple[Org, SalesforceAdapter]) -> None:
    running, crm = it
    contact, lead = running.ids["Contact"][0], running.ids["Lead"][0]
    wrong = [
        {RECORD: "perhaps"},
        {RECORD: PRESENT, "@Contact": lead},
        {RECORD: PRESENT, "@Contact": contact, "@Lead": lead},
        {RECORD: PRESENT, "@Account": ""},
        {RECORD: PRESENT, "ActivityDate": "soon"},
        {RECORD: PRESENT, "Nightdesk_Op_Key__c": OTHER},
    ]
    writes = [RecordWrite(f"nd_wrong_{n}", f"t{n}", values) for n, values in enumerate(wrong)]
    said = crm.write("Task", [*writes, *made(running, KEY)])
    assert [said[f"t{n}"].refusal for n in range(len(wrong))] == ["bad_value"] * len(wrong)
    assert said[f"t-{KEY}"].state == "acknowledged" and len(running.store.all("Task")) == 1
    (theirs,) = running.store.seed("Task", [{"Subject": "a person's"}])
    for bad in (theirs, "", "short"):
        with pytest.raises(NightdeskError, match="not ours to touch"):
            crm.write("Task", [RecordWrite(bad, "t", {"Subject": "x"})])
