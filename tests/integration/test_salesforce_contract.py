"""The promises every adapter makes, kept by Salesforce."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from reverse_etl.crms.protocol import PropertySpec
from sandbox.faults import FaultFile, parse
from sandbox.salesforce.app import Options
from sandbox.salesforce.happenings import edit
from sandbox.salesforce.scripted import FaultRunner
from sandbox.virtual import pause
from tests.adapter_contract import AdapterContract, Kit
from tests.salesforce_kit import Org, adapter, org, prepare


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    path = tmp_path_factory.mktemp("org") / "org.sqlite"
    return path, prepare(path, contacts=60)


class TestSalesforce(AdapterContract):
    @pytest.fixture
    def kit(self, prepared: tuple[Path, dict[str, Any]], tmp_path: Path) -> Iterator[Kit]:
        shutil.copy(prepared[0], tmp_path / "org.sqlite")
        faults = FaultRunner(FaultFile(), pause=pause)
        with org(tmp_path / "org.sqlite", prepared[1], options=Options(faults=faults)) as running:
            yield salesforce(running, faults)


def salesforce(it: Org, faults: FaultRunner) -> Kit:
    free = iter(it.ids["Contact"])
    it.store.track("Contact", "Nightdesk_Lead_Reason__c", "Nightdesk_Lead_Evidence__c")

    def raw(record: str, name: str) -> str | None:
        value = it.value("Contact", record, name)
        return None if value is None else str(value).lower() if isinstance(value, bool) else str(value)

    def person_edits(record: str, name: str, value: str) -> None:
        it.clock.advance(1)
        edit(it.store, it.api.state.org, "Contact", record, name, value)

    def delete(record: str) -> None:
        with it.store.transaction():
            it.saver().delete("Contact", record)

    def merge(loser: str, survivor: str) -> None:
        with it.store.transaction():
            it.saver().merge("Contact", survivor, loser)

    @contextmanager
    def closed(name: str) -> Iterator[None]:
        it.store.restrict("Contact", name, readable=True, editable=False)
        yield
        it.store.restrict("Contact", name, readable=True, editable=True)

    @contextmanager
    def lost(done: bool) -> Iterator[None]:
        faults.replace(parse({"faults": [{"fault": "drop", "committed": done, "when": {"kind": "write"}}]}))
        yield
        faults.replace(FaultFile())

    crm = adapter(it)
    for name in ("Nightdesk_Op_Key__c", "Nightdesk_State__c"):
        crm.create_property("Task", PropertySpec(name, name, "text", "nightdesk", is_unique="Key" in name))
    return Kit(
        crm,
        "Contact",
        {
            "number": ["Nightdesk_Lead_Score__c"],
            "text": ["Nightdesk_Lead_Reason__c", "Nightdesk_Lead_Evidence__c"],
            "enumeration": ["Nightdesk_Lead_Tier__c"],
            "date": ["Nightdesk_Lead_Scored_On__c"],
            "datetime": ["Nightdesk_Lead_Seen__c"],
            "boolean": ["Nightdesk_Is_Fit__c"],
        },
        create=lambda count: [next(free) for _ in range(count)],
        edit=person_edits,
        raw=raw,
        delete=delete,
        writes=lambda: sum(one["method"] == "PATCH" for one in it.store.requests()),
        unknown_id="003XX00000000zzYAA",
        bad=("Nightdesk_Lead_Tier__c", "Z"),
        not_ours="FirstName",
        values={"enumeration": ["A", "B", "C", "D"]},
        closed=closed,
        lost=lost,
        merge=merge,
        has_versions=True,
        keyed=("Task", {"Subject": "Call", "ActivityDate": "2026-11-18", "@Contact": ""}),
    )
