"""Salesforce in the fault matrix: an org with three contacts and our fields, on virtual time."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from nightdesk.policy import Policy
from reverse_etl import setup
from reverse_etl.crms.quota import DailyQuota
from reverse_etl.crms.salesforce import SalesforceAdapter
from sandbox.faults import MODELS, FaultFile, parse
from sandbox.salesforce.app import Api, Options
from sandbox.salesforce.bulk import Job
from sandbox.salesforce.scripted import FaultRunner
from sandbox.salesforce.store import Store
from sandbox.virtual import InProcess, VirtualTime, pause
from tests.fault_kit import AS_OF, Sent, Set
from tests.reverse_kit import project_policy, row

FIELDS = {"score": "Nightdesk_Lead_Score__c", "tier": "Nightdesk_Lead_Tier__c", "text": "Nightdesk_Lead_Reason__c"}


def contacts_only() -> Policy:
    """The project's policy with a mapping of contacts alone."""
    policy = project_policy()
    mapping = policy.mapping("salesforce")
    mapping = mapping.model_copy(update={"fields": {"Contact": mapping.fields["Contact"]}, "asked": {}})
    return replace(policy, mappings={**policy.mappings, "salesforce": mapping})


@dataclass
class SalesforceBench:
    """The sandbox org in this process."""

    api: Api
    store: Store
    runner: FaultRunner
    adapter: SalesforceAdapter
    policy: Policy
    time: VirtualTime
    ids: Mapping[str, str]

    @property
    def names(self) -> dict[str, str]:
        return {record_id: name for name, record_id in self.ids.items()}

    def strike(self, faults: Sequence[Mapping[str, Any]]) -> None:
        self.runner.replace(parse({"faults": [self._translated(fault) for fault in faults]}))

    def _translated(self, fault: Mapping[str, Any]) -> dict[str, Any]:
        found = dict(fault)
        for key in ("property", "field", "sets"):
            if key in found:
                found[key] = FIELDS.get(found[key], found[key])
        for key in ("record", "into"):
            if key in found:
                found[key] = self.ids[found[key]]
        if "records" in found:
            found["records"] = [self.ids[one] for one in found["records"]]
        if found["fault"] == "property_renamed":
            found["to"] = "Nightdesk_Another__c"
        if "object_type" in MODELS[found["fault"]].model_fields:
            found.setdefault("object_type", "Contact")
        return found

    def rows(self, wanted: Mapping[tuple[str, str], str], *, doubted: bool = False) -> list[dict[str, Any]]:
        """`doubted` changes nothing: no load reads Salesforce, so planning reads every record."""
        return [
            row(self.ids[record], FIELDS[name], value, object_type="Contact")
            for (record, name), value in wanted.items()
        ]

    def warehouse(self, path: Path, rows: Sequence[dict[str, Any]]) -> Path:
        return warehouse(path, rows)

    def value(self, record: str, name: str) -> str | None:
        found = self.store.get("Contact", self.ids[record])
        while found is not None and found.master_id:
            found = self.store.get("Contact", found.master_id)
        value = None if found is None else found.get(FIELDS[name])
        return None if value is None else str(value)

    def sets(self) -> list[Set]:
        fields = {value: key for key, value in FIELDS.items()}
        us = self.store.user("integration")
        return [
            Set(
                self.names.get(one["record_id"], one["record_id"]), fields.get(one["field"], one["field"]),
                one["after"] or "", one["user_id"] == us,
            )
            for one in self.store.journal(action="set")
            if str(one["field"]).startswith("Nightdesk_") and one["before"] != one["after"]
        ]  # fmt: skip

    def created(self) -> int:
        return len(self.store.journal(action="create", user_id=self.store.user("integration")))

    def sent(self) -> list[Sent]:
        found: list[Sent] = []
        for one in self.store.requests():
            *_, parent, tail = one["path"].split("/")
            may = not 300 <= one["status"] < 500
            job = self.api.state.jobs.get(tail if one["method"] == "PATCH" else parent)
            if "/jobs/" in one["path"]:  # asking what became of a job is a look, too
                rows = csv.DictReader(io.StringIO(job.data or "")) if isinstance(job, Job) else ()
                starts = one["method"] == "PATCH"
                records = frozenset(self.names[str(entry["Id"])] for entry in rows)
                found.append(Sent("write" if starts else "read", records, may))
                continue
            is_write = (one["method"] == "PATCH" and "tooling" not in one["path"]) or tail == "composite"
            kind = "write" if is_write else "read" if "composite" in one["path"] else "other"
            sent = {i for i in str(one["records"]).split(";") if i} or ({tail} if is_write else set())
            # What was refused in so many words did not happen.
            named = frozenset(self.names.get(i, i) for i in sent - set(str(one["refused"]).split(";")))
            found.append(Sent(kind, named, may))
        return found


def warehouse(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """A warehouse with Salesforce's sync models and a `contacts` table of 100 rows."""
    path.unlink(missing_ok=True)
    kinds = {"confidence": pa.float64(), "evidence_count": pa.int64(), "is_stale": pa.bool_()}
    kinds["is_suppressed"] = pa.bool_()
    names = list(row(1, "x", None))
    con = duckdb.connect(str(path))
    con.execute("create schema marts")
    con.execute(
        "create table marts.contacts as "
        "select range::varchar as contact_id, 'p' || range || '@example.com' as email from range(100)"
    )
    con.execute("create table marts.accounts as select contact_id as account_id from marts.contacts")
    con.execute("create table marts.meetings as select contact_id as meeting_id from marts.contacts")
    for object_type in ("Contact", "Lead", "Account"):
        mine = [entry for entry in rows if entry["object_type"] == object_type]
        table = pa.table({n: pa.array([entry[n] for entry in mine], kinds.get(n, pa.string())) for n in names})
        con.register("incoming", table)
        con.execute(f"create table marts.sync_salesforce__{object_type.lower()} as select * from incoming")
        con.unregister("incoming")
    con.close()
    return path


class SalesforceTarget:
    """Salesforce, as the sandbox org speaks it."""

    crm = "salesforce"
    conditional, collection = 0, 200
    token, renewed = "00Dsandbox!session", "second-token"

    def seed(self, folder: Path) -> None:
        store = Store.create(folder / "org.sqlite")
        (account,) = store.seed("Account", [{"Name": "Acme"}])
        people = [{"LastName": f"P{n}", "Email": f"p{n}@example.com", "AccountId": account} for n in range(1, 6)]
        made = dict(zip("12345", store.seed("Contact", people), strict=True))
        (folder / "ids.json").write_text(json.dumps(made))
        store.close()
        with self.open(folder) as bench:
            setup.apply(bench.adapter, bench.policy)
            bench.store.connection.execute("delete from requests")
            bench.store.connection.execute("delete from journal")

    @contextmanager
    def open(self, folder: Path) -> Iterator[Any]:
        policy = contacts_only()
        time, runner = VirtualTime(), FaultRunner(FaultFile(), pause=pause)
        store = Store.open(folder / "org.sqlite", clock=time)
        api = Api(store, Options(token=self.token, faults=runner))
        api.sessions.users[self.renewed] = store.user("integration")
        adapter = SalesforceAdapter.connect(
            "https://org.test", self.token, policy, AS_OF, transport=InProcess(api, time), sleep=time.sleep,
            now=time.monotonic, renew=lambda: self.renewed, timeout_seconds=30, quota=DailyQuota(0.2),
        )  # fmt: skip
        adapter = SalesforceAdapter(
            adapter.client,
            "Nightdesk_",
            group=policy.mapping("salesforce").group.name,
            collection=self.collection,
            conditional=self.conditional,
        )
        ids = json.loads((folder / "ids.json").read_text())
        try:
            yield SalesforceBench(api, store, runner, adapter, policy, time, ids)
        finally:
            adapter.close()
            store.close()


class SalesforceBulkTarget(SalesforceTarget):
    """The same org, written to by bulk jobs."""

    conditional, collection = 0, 2


class SalesforceConditionalTarget(SalesforceTarget):
    """The same org, each record written on the condition that nobody was faster."""

    conditional = 25
