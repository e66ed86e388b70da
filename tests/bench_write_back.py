"""How fast the write-back is, and how many requests it sends, beside what was promised and beside another tool.

Run alone with `python -m tests.bench_write_back`; `make bench` calls `main()` too. The CRM is the sandbox in a process
of its own, under HubSpot's rate limit; what was sent is read from the sandbox's own list of requests.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from nightdesk.ledger import connect, migrate
from nightdesk.policy import Policy, load
from reverse_etl import setup
from reverse_etl.apply import ApplyReport, apply
from reverse_etl.approve import approve
from reverse_etl.crms.hubspot import HubSpotAdapter
from reverse_etl.guards import GuardReading
from reverse_etl.plan import PlanSummary, make
from reverse_etl.select import Selection
from tests import bench_differences, bench_drt
from tests.bench_sync import make_warehouse
from tests.e2e.world import World
from tests.reverse_kit import seed_store

ROOT = Path(__file__).parents[1]
AS_OF = date(2026, 11, 17)
TOKEN = "sandbox-token"
CONTACTS = int(os.environ.get("BENCH_CHANGED", "10000"))
DRT_CONTACTS = int(os.environ.get("BENCH_DRT_CONTACTS", "500"))  # nine a second; 10,000 take nineteen minutes
FIELDS = 3
BURST = 190
# Reads, writes and read-backs of full batches, and what describing the properties and asking closer may add.
MOST_REQUESTS_PER_BATCH, MOST_EXTRA = 3, 30


@dataclass(frozen=True, slots=True)
class Traffic:
    """What the CRM saw: requests by path, refusals for going too fast, and the busiest ten seconds."""

    by_path: dict[str, int]
    too_many: int
    busiest: int

    @property
    def total(self) -> int:
        """All requests."""
        return sum(self.by_path.values())


def main() -> int:
    """Measure everything and print it; 1 when a promise is missed."""
    policy = load(ROOT / "policies")
    print(f"write-back: {os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f} before it begins", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        missed = [
            writing(Path(folder) / "write", policy),
            one_bad_record(Path(folder) / "bad", policy),
            bench_differences.main(),
        ]
        beside_drt(Path(folder) / "drt", policy)
    print(f"load average {os.getloadavg()[0]:.1f} after it; seconds of CPU tell more than seconds on a busy machine")
    return int(any(missed))


def writing(folder: Path, policy: Policy) -> int:
    """10,000 changed contacts with three fields each."""
    with _desk(folder, policy, CONTACTS) as desk:
        make_warehouse(desk.warehouse, policy, records=CONTACTS, fields=FIELDS, source=CONTACTS, fresh=True)
        plan = desk.plan()
        since, began, cpu = desk.last_request(), time.monotonic(), time.process_time()
        report = desk.apply(plan)
        seconds, cpu = time.monotonic() - began, time.process_time() - cpu
        traffic = desk.traffic(since)
        commits = desk.one("select count(distinct recorded_at) from write_attempts")
        again = desk.plan_count()
    assert report.counts == {"applied": CONTACTS * FIELDS}, report.counts
    batches = -(-CONTACTS // 100)
    most = MOST_REQUESTS_PER_BATCH * batches + MOST_EXTRA
    print(
        f"apply: {CONTACTS:,} contacts x {FIELDS} fields, all read back: {traffic.total:,} requests (promised about "
        f"{MOST_REQUESTS_PER_BATCH * batches}, at most {most}), {seconds:.1f} s, {traffic.too_many} refused for speed "
        f"(promised 0), busiest 10 s {traffic.busiest} of {BURST}"
    )
    for path, number in sorted(traffic.by_path.items()):
        print(f"    {number:6,}  {path}")
    print(
        f"    {1e6 * cpu / plan.operation_count:,.0f} us of CPU a field, {commits:,} journal times, planned again: "
        f"{again} changes left (promised 0)",
        flush=True,
    )
    return int(traffic.total > most or traffic.too_many > 0 or traffic.busiest > BURST or again > 0)


def one_bad_record(folder: Path, policy: Policy, contacts: int = 500) -> int:
    """One value that no CRM could hold, and one record that is archived between plan and apply."""
    with _desk(folder, policy, contacts) as desk:
        make_warehouse(desk.warehouse, policy, records=contacts, fields=FIELDS, source=contacts, fresh=True)
        desk.spoil(
            "update marts.sync_hubspot__contacts set desired_value = 'seventy' "
            "where record_id = '250' and property = 'nightdesk_lead_score'"
        )
        plan = desk.plan()
        desk.archive("123")
        since = desk.last_request()
        report = desk.apply(plan)
        traffic = desk.traffic(since)
    expected = {"applied": contacts * FIELDS - 1 - FIELDS, "denied": 1, "refused": FIELDS}
    print(
        f"apply with a bad value and an archived record among {contacts}: {dict(report.counts)}, exit code "
        f"{report.exit_code}, {traffic.total} requests",
        flush=True,
    )
    for problem in report.problems:
        print(f"    {problem['record_id']} {problem['property']}: {problem['message']}")
    return int(report.counts != expected)


def beside_drt(folder: Path, policy: Policy) -> None:
    """The same fields of the same contacts with drt-core, one of them bad; no promise of ours hangs on it."""
    if bench_drt.python() is None:
        print("drt-core: not measured (DRT_VENV names no virtual environment that has it)", flush=True)
        return
    rows = [
        (f"p{n}@example.com", str(n % 101), "ABCD"[n % 4], f"Champion {n} is active")
        for n in range(1, DRT_CONTACTS + 1)
    ]
    bad = [*rows]
    bad[DRT_CONTACTS // 2] = (rows[DRT_CONTACTS // 2][0], "seventy", *rows[DRT_CONTACTS // 2][2:])
    for name, given, on_error in (
        ("all good", rows, "skip"),
        ("one bad value, on_error: skip", bad, "skip"),
        ("one bad value, on_error: fail (its default)", bad, "fail"),
    ):
        with _desk(folder / on_error / str(given is bad), policy, DRT_CONTACTS) as desk:
            since = desk.last_request()
            ended = bench_drt.run(folder / f"project-{on_error}-{given is bad}", desk.url, TOKEN, given, on_error)
            traffic = desk.traffic(since)
            written = desk.written()
        said = ended.said.get("syncs", [{}])[0]
        print(
            f"drt-core, {DRT_CONTACTS:,} contacts, {name}: {traffic.total:,} requests, {ended.seconds:.1f} s, "
            f"{traffic.too_many} refused for speed, exit code {ended.exit_code}; says {said.get('rows_synced')} "
            f"synced, {said.get('rows_failed')} failed; contacts written: {written:,}",
            flush=True,
        )


# the desk -------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Desk:
    """A sandbox CRM in a process of its own, an empty ledger, and the adapter as `nightdesk apply` uses it."""

    world: World
    policy: Policy
    adapter: HubSpotAdapter
    ledger: Any

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.world.port}"

    @property
    def warehouse(self) -> Path:
        return self.world.folder / "warehouse.duckdb"

    def plan(self) -> PlanSummary:
        return make(self.warehouse, self.ledger, self.adapter, self.policy, "bench", AS_OF, "nightdesk", _now)

    def apply(self, plan: PlanSummary) -> ApplyReport:
        tripped: list[GuardReading] = [reading for reading in plan.guards if reading.tripped]
        approve(
            self.ledger, plan.plan_id, Selection.parse(()), "bench", "revops", self.policy, _now,
            accept_guards=[reading.guard for reading in tripped],
        )  # fmt: skip
        return apply(self.ledger, plan.plan_id, self.adapter, self.policy, "bench", False, _now)

    def plan_count(self) -> int:
        return self.plan().counts.get("decision", {}).get("require_approval", 0)

    def spoil(self, sql: str) -> None:
        import duckdb

        with duckdb.connect(str(self.warehouse)) as con:
            con.execute(sql)

    def archive(self, contact: str) -> None:
        import httpx2

        answer = httpx2.delete(
            f"{self.url}/crm/v3/objects/contacts/{contact}",
            headers={"Authorization": f"Bearer {TOKEN}"},
            trust_env=False,
        )
        assert answer.status_code == 204, answer.text

    def one(self, sql: str) -> int:
        return int(self.ledger.execute(sql).fetchone()[0])

    def last_request(self) -> int:
        return self.world.crm("select coalesce(max(seq), 0) from requests")[0][0]

    def written(self) -> int:
        """Contacts of which the CRM holds a score now, whatever anybody says of them."""
        return self.world.crm(
            "select count(distinct object_id) from journal where action = 'set' and property = 'nightdesk_lead_score'"
        )[0][0]

    def traffic(self, since: int) -> Traffic:
        rows = self.world.crm("select method, path, status, received_at from requests where seq > ?", (since,))
        by_path: dict[str, int] = {}
        for method, path, _, _ in rows:
            # One path for all records, where a tool names the record in it.
            named = "/".join(part if "@" not in part and not part.isdigit() else "…" for part in path.split("/"))
            by_path[f"{method} {named}"] = by_path.get(f"{method} {named}", 0) + 1
        times = sorted(row[3] for row in rows)
        busiest = first = 0
        for last, moment in enumerate(times):
            while moment - times[first] >= 10_000:
                first += 1
            busiest = max(busiest, last - first + 1)
        return Traffic(by_path, sum(row[2] == 429 for row in rows), busiest)


@contextmanager
def _desk(folder: Path, policy: Policy, contacts: int) -> Generator[Desk]:
    world = World(folder / "world")
    world.store.parent.mkdir(parents=True)
    seed_store(world.store, contacts=contacts)
    process = world.start("sandbox", "serve", "--port", str(world.port))
    try:
        deadline = time.monotonic() + 60
        while True:
            with closing(socket.socket()) as probe:
                if probe.connect_ex(("127.0.0.1", world.port)) == 0:
                    break
            assert process.poll() is None and time.monotonic() < deadline, "the sandbox did not start"
            time.sleep(0.05)
        adapter = HubSpotAdapter.connect(f"http://127.0.0.1:{world.port}", TOKEN, policy, AS_OF)
        setup.apply(adapter, policy)
        migrate(folder / "ledger.duckdb", _now)
        ledger = connect(folder / "ledger.duckdb")
        try:
            yield Desk(world, policy, adapter, ledger)
        finally:
            ledger.close()
            adapter.close()
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)


def _now() -> datetime:
    return datetime.now(UTC)


if __name__ == "__main__":
    sys.exit(main())
