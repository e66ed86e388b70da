"""What the write-back tests share: a small CRM, hand-made sync models, a ledger, and today's clock."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from nightdesk.ledger import connect, migrate
from nightdesk.policy import Policy, load
from reverse_etl import autonomy, setup
from reverse_etl.approve import approve
from reverse_etl.crms.hubspot import HubSpotAdapter
from reverse_etl.plan import PlanSummary, make
from reverse_etl.select import Selection
from reverse_etl.store import transaction
from sandbox.crm.limits import UNLIMITED
from sandbox.crm.server import RunningSandbox, running
from sandbox.crm.store import Store
from sandbox.records import SeedCompany, SeedObject

AS_OF = date(2026, 11, 17)
POLICIES = Path(__file__).parent.parent / "policies"
NOW = datetime(2026, 11, 17, 6, 0, tzinfo=UTC)
EVIDENCE = '[{"id": "f_0123456789ab", "quote": "We cannot move before July.", "url": "/records/emails/12"}]'


@dataclass
class ManualTime:
    """A clock that moves one millisecond per look, and as far as a test says."""

    now: datetime = NOW
    waited: list[float] = field(default_factory=list)

    def __call__(self) -> datetime:
        self.now += timedelta(milliseconds=1)
        return self.now

    def sleep(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.now += timedelta(seconds=seconds)


@cache
def project_policy() -> Policy:
    return load(POLICIES)


def policies(folder: Path, **changes: Callable[[str], str]) -> Policy:
    """The project's policies, with files (by stem) changed."""
    if not folder.exists():
        shutil.copytree(POLICIES, folder)
    for stem, change in changes.items():
        path = folder / f"{stem}.yml"
        before = path.read_text()
        after = change(before)
        assert before != after, f"{stem}.yml was not changed"
        path.write_text(after)
    return load(folder)


def company(contacts: int = 5, companies: int = 2, meetings: int = 0) -> SeedCompany:
    """Plain records with ids from 1."""
    made = datetime(2026, 1, 1, tzinfo=UTC)
    stamp = "2026-01-01T00:00:00.000Z"
    rows: list[SeedObject] = []
    for n in range(1, contacts + 1):
        rows.append(
            SeedObject(
                "contacts",
                str(n),
                {"email": f"p{n}@example.com", "firstname": f"P{n}", "createdate": stamp},
                made,
                made,
            )
        )
    for n in range(1, companies + 1):
        rows.append(
            SeedObject(
                "companies",
                str(n),
                {"name": f"Company {n}", "domain": f"c{n}.example", "createdate": stamp},
                made,
                made,
            )
        )
    for n in range(1, meetings + 1):
        rows.append(
            SeedObject(
                "meetings",
                str(n),
                {"hs_meeting_title": f"M{n}", "hs_timestamp": stamp, "hs_createdate": stamp},
                made,
                made,
            )
        )
    return SeedCompany(datetime(2026, 11, 17, tzinfo=UTC), (), (), rows, (), ())


def seed_store(path: Path, **sizes: int) -> Path:
    store = Store.create(path)
    store.seed(company(**sizes))
    store.close()
    return path


def row(
    record: str | int,
    name: str,
    desired: str | None,
    *,
    crm: str | None = None,
    last: str | None = None,
    object_type: str = "contacts",
    **more: Any,
) -> dict[str, Any]:
    """One row of a sync model."""
    return {
        "object_type": object_type,
        "record_id": str(record),
        "record_label": f"p{record}@example.com",
        "property": name,
        "crm_value": crm,
        "last_written_value": last,
        "desired_value": desired,
        "answer_id": f"a-{record}",
        "reason": "because",
        "confidence": 0.8,
        "evidence": EVIDENCE,
        "evidence_count": 1,
        "is_stale": False,
        "is_suppressed": False,
        "segment": None,
        "subject_id": None,
        **more,
    }


def warehouse(path: Path, rows: Sequence[dict[str, Any]], *, source: int = 100) -> Path:
    """A warehouse with the sync models and a `contacts` table of `source` rows."""
    path.unlink(missing_ok=True)
    kinds = {
        "confidence": pa.float64(),
        "evidence_count": pa.int64(),
        "is_stale": pa.bool_(),
        "is_suppressed": pa.bool_(),
    }
    names = [*row(1, "x", None), "segment", "subject_id", "operation"]
    con = duckdb.connect(str(path))
    con.execute("create schema marts")
    con.execute(
        "create table marts.contacts as "
        f"select range::varchar as contact_id, 'p' || range || '@example.com' as email from range({source})"
    )
    con.execute("create table marts.accounts as select contact_id as account_id from marts.contacts")
    con.execute("create table marts.meetings as select contact_id as meeting_id from marts.contacts")
    for object_type in ("contacts", "companies", "meetings", "tasks", "notes"):
        mine = [entry for entry in rows if entry["object_type"] == object_type]
        con.register(
            "incoming",
            pa.table({n: pa.array([entry.get(n) for entry in mine], kinds.get(n, pa.string())) for n in names}),
        )
        con.execute(f"create table marts.sync_hubspot__{object_type} as select * from incoming")
        con.unregister("incoming")
    con.close()
    return path


@dataclass
class Desk:
    """Everything a write-back needs, against one sandbox."""

    folder: Path
    sandbox: RunningSandbox
    adapter: HubSpotAdapter
    policy: Policy
    clock: ManualTime
    ledger: duckdb.DuckDBPyConnection

    @property
    def ledger_path(self) -> Path:
        return self.folder / "ledger.duckdb"

    def plan(self, rows: Sequence[dict[str, Any]], *, source: int = 100, created_by: str = "nightdesk") -> PlanSummary:
        path = warehouse(self.folder / "warehouse.duckdb", rows, source=source)
        self.clock.now += timedelta(seconds=1)
        return make(path, self.ledger, self.adapter, self.policy, "run-1", AS_OF, created_by, self.clock)

    def approve(self, plan_id: str | None = None, *terms: str, **more: Any) -> Any:
        return approve(self.ledger, plan_id, Selection.parse(terms), "Dana", "revops", self.policy, self.clock, **more)

    def promote(self, operation: str, level: int, name: str | None = None) -> None:
        """Record that people raised an operation (or one property) step by step to `level`, without the reviews."""
        for step in range(autonomy.levels(self.ledger, self.policy)[operation, name], level):
            with transaction(self.ledger):
                autonomy.record(
                    self.ledger, (operation, name), step, step + 1, "promoted",
                    by="Dana", role="revops", reason="earned", evidence={}, policy=self.policy, clock=self.clock,
                )  # fmt: skip

    def value(self, record: str | int, name: str, object_type: str = "contacts") -> str | None:
        return self.adapter.read(object_type, [str(record)], [name]).found[str(record)].values[name]

    def edit(self, record: str | int, name: str, value: str, object_type: str = "contacts") -> None:
        """A person changes a value on the record page."""
        import httpx2

        answer = httpx2.post(
            f"{self.sandbox.url}/records/{object_type}/{record}/edit",
            data={"property": name, "value": value},
            trust_env=False,
        )
        assert answer.status_code in (200, 303), answer.text

    def journal(self) -> list[tuple[str, str, str, str, str]]:
        """What API writes really set: (object type, id, property, before, after)."""
        return [
            tuple(entry)
            for entry in self.sandbox.store.connection.execute(
                "select object_type, object_id, property, coalesce(before, ''), coalesce(after, '') from journal "
                "where action = 'set' and path like '%batch/update%' order by seq"
            )
        ]

    def requests(self, like: str = "%") -> int:
        return self.sandbox.store.connection.execute(
            "select count(*) from requests where path like ?", (like,)
        ).fetchone()[0]


@contextmanager
def desk(
    folder: Path, *, policy: Policy | None = None, faults: Any = None, prepared: bool = True, **sizes: int
) -> Iterator[Desk]:
    """A CRM with our properties, an empty ledger, and what drives them."""
    path = seed_store(folder / "crm.sqlite", **sizes)
    policy = policy or project_policy()
    clock = ManualTime()
    migrate(folder / "ledger.duckdb", clock)
    with running(path, limits=UNLIMITED, faults=faults) as sandbox:
        adapter = HubSpotAdapter.connect(
            sandbox.url, sandbox.token, policy, AS_OF, requests_per_10s=100_000, sleep=clock.sleep
        )
        if prepared:
            setup.apply(adapter, policy)
        ledger = connect(folder / "ledger.duckdb")
        try:
            yield Desk(folder, sandbox, adapter, policy, clock, ledger)
        finally:
            ledger.close()
            adapter.close()
