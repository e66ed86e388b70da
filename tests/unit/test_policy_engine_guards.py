"""Brakes over a whole plan: each counts what it says, and one that cannot be measured is on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from nightdesk.ledger import connect, migrate
from nightdesk.policy import load
from reverse_etl import guards

POLICY = load(Path(__file__).parents[2] / "policies")
LIMITS = {str(guard.guard): guard.limit for guard in POLICY.guards.guards}
NOW = datetime(2026, 11, 17, 6, tzinfo=UTC)


@pytest.fixture(scope="module")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("guards") / "ledger.duckdb"
    migrate(path, lambda: NOW)
    return path


@pytest.fixture
def con(blank: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    ledger = connect(blank)
    ledger.execute("attach ':memory:' as warehouse")
    yield ledger
    ledger.close()


def op(record: int, name: str = "nightdesk_lead_tier", desired: str | None = "A", **more: Any) -> dict[str, Any]:
    return {
        "crm": "hubspot", "object_type": "contacts", "record_id": str(record), "property": name,
        "value_type": "enumeration", "before_value": None, "last_written_value": None, "desired_value": desired,
        "wire_value": desired or "", "decision": "require_approval", **more,
    }  # fmt: skip


def decided(con: duckdb.DuckDBPyConnection, ops: list[dict[str, Any]]) -> None:
    names = list(op(1))
    con.execute(f"create or replace temp table decided ({', '.join(f'{name} varchar' for name in names)})")
    for entry in ops:
        con.execute(f"insert into decided values ({', '.join('?' * len(names))})", [entry[name] for name in names])


def source(con: duckdb.DuckDBPyConnection, **records: int) -> int | None:
    for table, number in records.items():
        con.execute(f"create or replace table warehouse.main.{table} as select range as id from range({number})")
    return guards.count_source_rows(con, "warehouse")


def read(
    con: duckdb.DuckDBPyConnection, name: str, *, kind: str = "sync", rows: int | None = 100
) -> guards.GuardReading:
    readings = guards.measure(con, "decided", POLICY, kind=kind, source_rows=rows, now=NOW)
    assert {reading.guard for reading in readings} == set(LIMITS)
    return next(reading for reading in readings if reading.guard == name)


def test_every_guard_is_on_the_project_s_policy() -> None:
    from typing import get_args

    from nightdesk.policy.models import GuardName

    assert set(LIMITS) == set(get_args(GuardName))


def test_records_are_counted_once_of_their_own_kind_and_only_where_something_is_replaced(
    con: duckdb.DuckDBPyConnection,
) -> None:
    changed = [op(n, before_value="B") for n in range(1, 7)]
    twice = [op(n, "nightdesk_lead_score", "70", before_value="60") for n in range(1, 7)]
    filled = [op(n) for n in range(7, 11)]
    denied = [op(n, before_value="B", decision="denied") for n in range(7, 11)]
    company = [op(1, "nightdesk_icp_tier", "A", object_type="companies", before_value="B")]
    decided(con, [*changed, *twice, *filled, *denied, *company])
    source(con, contacts=10, accounts=10)
    found = read(con, "max_records_share")
    assert (found.measured, found.tripped) == (0.6, True)
    # The counts of one plan are not the measure of the next.
    assert read(con, "max_records_share").measured is None
    source(con, contacts=12, accounts=10)
    assert not read(con, "max_records_share").tripped
    assert read(con, "max_records_share", kind="rollback").measured == 0


def test_what_cannot_be_measured_is_on(con: duckdb.DuckDBPyConnection) -> None:
    decided(con, [op(1, before_value="B", object_type="deals")])
    rows = source(con, contacts=10)
    assert rows == 10
    found = read(con, "max_records_share", rows=rows)
    assert found.measured is None and found.tripped
    decided(con, [op(1, before_value="B")])
    source(con, contacts=0)
    assert read(con, "max_records_share").tripped
    decided(con, [])
    assert guards.count_source_rows(con, "temp") is None
    found = read(con, "min_source_share", rows=None)
    assert found.measured is None and found.tripped


def task(record: int, owner: str | None, decision: str = "require_approval") -> list[dict[str, Any]]:
    made = [op(record, "@record", "present", object_type="tasks", decision=decision)]
    if owner:
        made.append(op(record, "hubspot_owner_id", owner, object_type="tasks", decision=decision))
    return made


def test_tasks_of_one_owner_are_counted_over_a_week_with_those_made_before(con: duckdb.DuckDBPyConnection) -> None:
    plan = [entry for n in range(5) for entry in task(n, "7")] + [entry for n in range(5, 8) for entry in task(n, "8")]
    plan += [entry for n in range(8, 20) for entry in task(n, "7", "denied")]
    plan += [op(30, "@record", "present", object_type="tasks", before_value="present"), *task(40, None)]
    decided(con, plan)
    source(con, contacts=10)
    assert read(con, "max_creates_per_owner_week").measured == 5
    _made(con, "recent", NOW - timedelta(days=6), owner="8", tasks=4)
    _made(con, "long-ago", NOW - timedelta(days=8), owner="8", tasks=50)
    assert read(con, "max_creates_per_owner_week").measured == 7
    assert read(con, "max_creates_per_owner_week", kind="rollback").measured == 0


def _made(con: duckdb.DuckDBPyConnection, plan: str, when: datetime, *, owner: str, tasks: int) -> None:
    header = {
        "plan_id": plan, "run_id": "r", "crm": "hubspot", "kind": "sync", "as_of": date(2026, 11, 10), "digest": "d",
        "policy_hash": "p", "mapping_hash": "m", "schema_hash": "s", "operation_count": 1, "guards": "[]",
        "created_by": "nightdesk", "created_at": when, "expires_at": when,
    }  # fmt: skip
    con.execute(
        f"insert into plans ({', '.join(header)}) values ({', '.join('?' * len(header))})", list(header.values())
    )
    con.execute("insert into apply_runs values (?, 'r', ?, 'd', false, 'Dana', 1, ?)", [plan, plan, when])
    for n in range(tasks):
        for name, value in (("@record", "present"), ("hubspot_owner_id", owner)):
            values = {
                "plan_id": plan, "op_id": f"{n}-{name}", "crm": "hubspot", "object_type": "tasks",
                "record_id": f"{plan}-{n}", "property": name, "value_type": "text", "desired_value": value,
                "wire_value": value, "conflict_class": "new", "reason": "", "evidence": "[]", "evidence_count": 0,
                "operation": "x", "field_class": "owned", "risk": "low", "autonomy_level": 2, "is_stale": False,
                "is_suppressed": False, "is_namespaced": True, "decision": "require_approval", "deciding_rule": "x",
            }  # fmt: skip
            con.execute(
                f"insert into plan_ops ({', '.join(values)}) values ({', '.join('?' * len(values))})",
                list(values.values()),
            )
            con.execute(
                "insert into op_results (apply_run_id, op_id, result, recorded_at) values (?, ?, 'applied', ?)",
                [plan, f"{n}-{name}", when],
            )


def test_archiving_a_task_empties_no_field(con: duckdb.DuckDBPyConnection) -> None:
    gone = op(1, "@record", None, object_type="tasks", before_value="present")
    decided(con, [gone, op(1), op(2)])
    source(con, contacts=10)
    assert read(con, "max_clears_share").measured == 0
    decided(con, [op(1, desired=None, before_value="A"), *(op(n) for n in range(2, 11))])
    source(con, contacts=10)
    found = read(con, "max_clears_share")
    assert (found.measured, found.tripped) == (0.1, True)
