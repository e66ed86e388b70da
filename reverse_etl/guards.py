"""Brakes over a whole plan: aggregates that stop it from being approved or applied until a person accepts them by
name."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from nightdesk.errors import NightdeskError
from reverse_etl.store import find_table, first_event

if TYPE_CHECKING:
    import duckdb

    from nightdesk.policy import Policy

SOURCE_TABLES = ("contacts", "accounts", "meetings")


@dataclass(frozen=True, slots=True)
class GuardReading:
    """One guard as measured. `measured` None: it could not be measured, which counts as tripped."""

    guard: str
    limit: float
    measured: float | None
    tripped: bool
    about: str
    source_rows: int | None = None


def to_json(readings: tuple[GuardReading, ...]) -> str:
    """The readings as `plans.guards` keeps them."""
    return json.dumps(
        [
            {
                "guard": r.guard,
                "limit": r.limit,
                "measured": r.measured,
                "tripped": r.tripped,
                "about": r.about,
                **({"source_rows": r.source_rows} if r.guard == "min_source_share" else {}),
            }
            for r in readings
        ]
    )


def from_json(text: str) -> tuple[GuardReading, ...]:
    """Read `plans.guards` back."""
    return tuple(GuardReading(**entry) for entry in json.loads(text))


def sealed(readings: tuple[GuardReading, ...]) -> str:
    """What of the guards belongs to a plan's digest: limits and verdicts."""
    return json.dumps([[r.guard, r.limit, r.tripped] for r in sorted(readings, key=lambda r: r.guard)])


def count_source_rows(con: duckdb.DuckDBPyConnection, warehouse: str) -> int | None:
    """Count the canonical records in the warehouse; None when none of the tables is there."""
    tables = [name for table in SOURCE_TABLES if (name := find_table(con, warehouse, table))]
    if not tables:
        return None
    return sum(int((con.execute(f"select count(*) from {name}").fetchone() or (0,))[0]) for name in tables)


def _one(con: duckdb.DuckDBPyConnection, sql: str, parameters: list[Any] | None = None) -> float:
    row = con.execute(sql, parameters or []).fetchone()
    return float(row[0]) if row and row[0] is not None else 0.0


def measure(
    con: duckdb.DuckDBPyConnection, relation: str, policy: Policy, *, kind: str, source_rows: int | None
) -> tuple[GuardReading, ...]:
    """Measure every guard of the policy over the operations in `relation` that may be written (not the denied ones)."""
    readings: list[GuardReading] = []
    for guard in policy.guards.guards:
        limit, rows, tripped_below = float(guard.limit), None, False
        measured: float | None
        match str(guard.guard):
            case "max_operations":
                measured = _one(con, f"select count(*) from {relation} where decision <> 'denied'")
            case "max_clears_share" if kind != "sync":
                # Undoing a first write is nothing but clears, and a person approves every one of them; a question that
                # nobody has to answer any more is cleared too.
                measured = 0.0
            case "max_clears_share":
                measured = _one(con, f"select avg((wire_value = '')::int) from {relation} where decision <> 'denied'")
            case "min_source_share" if kind != "sync":
                measured, tripped_below = 1.0, True
            case "min_source_share":
                rows, tripped_below = source_rows, True
                measured = _source_share(con, source_rows)
            case "max_score_movement_share":
                measured = 0.0 if kind != "sync" else _movement(con, relation, policy.guards.score_movement_points)
            case _:
                raise NightdeskError(f"Nothing measures the guard `{guard.guard}`", where="policies/guards.yml")
        tripped = measured is None or (measured < limit if tripped_below else measured > limit)
        readings.append(
            GuardReading(
                guard.guard, limit, None if measured is None else round(measured, 6), tripped, guard.about, rows
            )
        )
    return tuple(readings)


def _source_share(con: duckdb.DuckDBPyConnection, source_rows: int | None) -> float | None:
    """Share against the newest plan whose load was not itself in doubt: two shrunken nights in a row must not pass."""
    if source_rows is None:
        return None
    for (text,) in con.execute(
        f"select guards::varchar from plans where kind = 'sync' order by {first_event('plans.plan_id')} desc"
    ).fetchall():
        for reading in from_json(text):
            if reading.guard == "min_source_share" and not reading.tripped and reading.source_rows:
                return source_rows / reading.source_rows
    return 1.0 if source_rows else 0.0


def _movement(con: duckdb.DuckDBPyConnection, relation: str, points: int | Decimal) -> float:
    """Share of scored fields (written before, or with a value now) whose score moves by more than `points`.

    Measured from our own last score where there is one: a person's edit is no movement of the scoring.
    """
    return _one(
        con,
        f"""
        with moving as (
            select object_type, record_id, property,
                abs(
                    try_cast(desired_value as double)
                    - try_cast(coalesce(nullif(last_written_value, ''), before_value) as double)
                ) > ? as is_far
            from {relation}
            where value_type = 'number' and decision <> 'denied'
                and coalesce(last_written_value, '') || coalesce(before_value, '') <> ''
        ),
        written as (
            select plan_ops.object_type, plan_ops.record_id, plan_ops.property
            from op_results
            inner join apply_runs using (apply_run_id)
            inner join plan_ops on plan_ops.plan_id = apply_runs.plan_id and plan_ops.op_id = op_results.op_id
            where op_results.result in ('applied', 'already_there') and plan_ops.value_type = 'number'
        ),
        scored as (
            select object_type, record_id, property from moving
            union
            select object_type, record_id, property from written
        )
        select (select count(*) from moving where is_far) / nullif((select count(*) from scored), 0)
        """,
        [points],
    )
