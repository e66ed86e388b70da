"""A whole write-back on a Salesforce org: set up, plan, approve, apply, verify, undo; and what people do meanwhile."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

from nightdesk.crms import open_crm
from nightdesk.ledger import connect, migrate
from nightdesk.policy import Policy
from nightdesk.prepare import Project
from nightdesk.settings import Settings
from reverse_etl import audit, setup
from reverse_etl import plan as planning
from reverse_etl.apply import ApplyReport, apply
from reverse_etl.approve import approve
from reverse_etl.crms.salesforce import SalesforceAdapter
from reverse_etl.plan import PlanSummary
from reverse_etl.rollback import plan_rollback
from reverse_etl.select import Selection
from reverse_etl.verify import verify
from sandbox.salesforce import sample
from sandbox.salesforce.server import running
from sandbox.salesforce.store import Store
from sandbox.virtual import VirtualTime
from tests.reverse_kit import AS_OF, project_policy, row, seed_store
from tests.salesforce_kit import Org, adapter, certificate, org, prepare
from tests.salesforce_target import warehouse

SCORE, TIER = "Nightdesk_Lead_Score__c", "Nightdesk_Lead_Tier__c"


@dataclass
class Desk:
    """An org, a ledger, and what drives them."""

    folder: Path
    org: Org
    adapter: SalesforceAdapter
    policy: Policy
    ledger: duckdb.DuckDBPyConnection

    @property
    def clock(self) -> VirtualTime:
        return self.org.clock

    def plan(self, *rows: dict[str, Any]) -> PlanSummary:
        self.clock.advance(1)
        path = warehouse(self.folder / "warehouse.duckdb", rows)
        return planning.make(path, self.ledger, self.adapter, self.policy, "run-1", AS_OF, "nightdesk", self.clock)

    def apply(self) -> ApplyReport:
        self.clock.advance(1)
        approve(self.ledger, None, Selection(), "Dana", "revops", self.policy, self.clock)
        return apply(self.ledger, None, self.adapter, self.policy, "Dana", False, self.clock, sleep=self.clock.sleep)


def want(object_type: str, record: str, name: str, value: str) -> dict[str, Any]:
    return row(record, name, value, object_type=object_type)


@contextmanager
def desk(tmp_path: Path, seeded: Path, ids: dict[str, Any]) -> Iterator[Desk]:
    shutil.copy(seeded, tmp_path / "org.sqlite")
    migrate(tmp_path / "ledger.duckdb", VirtualTime())
    with org(tmp_path / "org.sqlite", ids) as it, connect(tmp_path / "ledger.duckdb") as ledger:
        yield Desk(tmp_path, it, adapter(it), project_policy(), ledger)


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """An org that `crm setup` has been through."""
    path = tmp_path_factory.mktemp("org") / "org.sqlite"
    ids = prepare(path, contacts=6, fields=False)
    with org(path, ids) as it:
        crm, policy = adapter(it), project_policy()
        assert setup.difference(crm, policy).exit_code == 2
        made = setup.apply(crm, policy)
        assert len(made.properties) > 40 and setup.difference(crm, policy).is_empty
        it.store.connection.execute("delete from journal")
        it.store.connection.execute("delete from requests")
    return path, ids


def test_a_night_is_written_verified_and_undone(tmp_path: Path, seeded: tuple[Path, dict[str, Any]]) -> None:
    with desk(tmp_path, *seeded) as it:
        contacts, (lead, other) = it.org.ids["Contact"], it.org.ids["Lead"]
        it.org.edit("Contact", contacts[0], {SCORE: 60.5})
        it.org.edit("Contact", contacts[3], {"HasOptedOutOfEmail": True})
        before = {i: dict(it.org.store.get("Contact", i).values) for i in contacts}
        with it.org.store.transaction():
            _, became = it.org.saver().convert(lead)
        it.plan(
            *(want("Contact", i, SCORE, "61") for i in contacts),
            want("Contact", contacts[1], TIER, "B"),
            want("Lead", lead, SCORE, "70"),
            want("Lead", other, SCORE, "71"),
            want("Account", it.org.ids["Account"][0], "Nightdesk_Icp_Score__c", "80"),
        )
        it.org.edit("Contact", contacts[4], {SCORE: 9})  # a person is faster than the approval
        report = it.apply()
        refused = {p["record_id"]: p["result"] for p in report.problems}
        assert refused == {contacts[4]: "conflict"}
        assert report.counts["denied"] == 1 and report.counts["applied"] == 8, report.counts
        assert it.org.value("Contact", contacts[3], SCORE) is None  # left alone
        assert it.org.value("Contact", became, SCORE) == 70.0 and it.org.value("Lead", lead, SCORE) is None
        assert it.org.value("Contact", contacts[4], SCORE) == 9.0

        it.org.edit("Contact", contacts[2], {SCORE: 3})
        states = verify(it.ledger, it.adapter, None, it.clock).counts
        assert states == {"holds": 7, "changed_by_person": 1}
        it.clock.advance(1)
        plan_rollback(it.ledger, None, it.adapter, it.policy, "run-2", AS_OF, "nightdesk", it.clock)
        undone = it.apply()
        assert undone.counts["applied"] == 7, (undone.counts, undone.problems)
        after = {i: it.org.store.get("Contact", i).values for i in contacts}
        changed = {i for i in contacts if after[i] != before[i]}
        assert changed == {contacts[2], contacts[4]}  # both by people
        assert it.org.value("Contact", contacts[0], SCORE) == 60.5
        assert audit.verify(it.ledger).ok
        foreign = [f for _, f, _ in it.org.written() if not str(f).startswith("Nightdesk_")]
        assert not foreign


def test_nothing_is_written_where_nobody_can_see_who_wants_to_be_left_alone(
    tmp_path: Path, seeded: tuple[Path, dict[str, Any]]
) -> None:
    with desk(tmp_path, *seeded) as it:
        it.plan(want("Contact", it.org.ids["Contact"][0], SCORE, "61"))
        it.org.store.restrict("Contact", "HasOptedOutOfEmail", readable=False, editable=False)
        with pytest.raises(Exception, match="hides HasOptedOutOfEmail"):
            it.apply()
        assert it.org.written() == []


def test_the_settings_reach_an_org_over_tls_with_a_connected_app(
    tmp_path: Path, seeded: tuple[Path, dict[str, Any]]
) -> None:
    """As a command would: the address, the app and the authorities to trust come from the settings."""
    path, ids = seeded
    shutil.copy(path, tmp_path / "org.sqlite")
    server, authority = certificate(tmp_path)
    with running(tmp_path / "org.sqlite", certificate=server) as served:
        given: dict[str, Any] = {
            "salesforce_url": served.url, "salesforce_client_id": "sandbox-app", "data_dir": tmp_path / "data",
            "salesforce_client_secret": "sandbox-secret", "salesforce_ca_bundle": authority,
        }  # fmt: skip
        migrate(tmp_path / "data" / "ledger.duckdb", VirtualTime())
        settings = Settings(_env_file=None, **given)
        with open_crm(Project(tmp_path, settings, project_policy()), "salesforce") as crm:
            assert crm.describe("Contact").properties[SCORE].value_type == "number"
            assert ids["Contact"][0] in crm.read("Contact", ids["Contact"], [SCORE]).found
        assert {one["status"] for one in served.store.requests()} == {200}


@pytest.mark.soak
def test_ten_thousand_contacts_take_a_few_dozen_requests(tmp_path: Path) -> None:
    ids = prepare(tmp_path / "seeded.sqlite", contacts=10_000, accounts=50)
    with desk(tmp_path, tmp_path / "seeded.sqlite", ids) as it:
        people = it.org.ids["Contact"]
        setup.apply(it.adapter, it.policy)
        it.org.api.used, it.org.api.options.daily_limit = 0, 1_000
        it.plan(
            *(want("Contact", one, SCORE, "61") for one in people), *(want("Contact", one, TIER, "B") for one in people)
        )
        planned = it.org.api.used
        report = it.apply()
        assert report.counts == {"applied": 20_000}
        kinds: dict[str, int] = {}
        for one in it.org.store.requests():
            kind = "jobs" if "/jobs/" in one["path"] else one["path"].rpartition("v62.0/")[2]
            kinds[kind] = kinds.get(kind, 0) + 1
        print(planned, it.org.api.used, json.dumps(kinds))
        assert it.org.api.used - planned < 60
        written = it.org.written(object="Contact")
        assert len(written) == len({(i, f) for i, f, _ in written}) == 20_000


def test_the_sample_company_becomes_an_org_that_knows_who_is_who(tmp_path: Path) -> None:
    seed_store(tmp_path / "crm.sqlite", contacts=4, companies=2)
    assert sample.make(tmp_path) == 6
    store = Store.open(tmp_path / sample.ORG)
    with (tmp_path / sample.LINKS).open(newline="") as file:
        links = list(csv.DictReader(file))
    for link in links:
        kind, _, number = link["record_id"].rpartition(":")
        found = store.get(link["object_type"], link["crm_record_id"])
        assert link["crm"] == "salesforce" and found is not None
        if kind == "hubspot:contact":
            assert found.values["Email"] == f"p{number}@example.com" and link["object_type"] in ("Lead", "Contact")
        else:
            assert kind == "hubspot:company" and link["object_type"] == "Account"
    store.close()
    with pytest.raises(Exception, match="already exists"):
        sample.make(tmp_path)
    with pytest.raises(Exception, match="no sample company"):
        sample.make(tmp_path / "elsewhere")
