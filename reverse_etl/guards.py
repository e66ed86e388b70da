"""Brakes over a whole plan: aggregates that stop it from being approved or applied until a person accepts them by
name."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from nightdesk.errors import NightdeskError
from nightdesk.policy.caps import OWNER_PROPERTIES
from nightdesk.policy.models import KEYED_TYPES
from reverse_etl.crms.protocol import PRESENT, RECORD
from reverse_etl.store import find_table, first_event, utc

if TYPE_CHECKING:
    import duckdb

    from nightdesk.policy import Policy

SOURCE_TABLES = ("contacts", "accounts", "meetings")
# Where the records of an object type come from. Records that we create ourselves have no source.
SOURCES_OF: dict[str, tuple[str, ...]] = {
    "contacts": ("contacts",),
    "companies": ("accounts",),
    "deals": ("deals",),
    "meetings": ("meetings",),
    "Contact": ("contacts",),
    "Lead": ("contacts",),
    "Account": ("accounts",),
    "Opportunity": ("deals",),
    "party.party": ("contacts", "accounts"),
}
# Types of which only records of ours are ever written: a share of the source's records says nothing of them.
_OURS = frozenset(name for names in KEYED_TYPES.values() for name in names)
_WEEK = timedelta(days=7)
_COUNTED = "_guards_source_records"


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
    """Count the canonical records in the warehouse; None when none of the tables is there.

    Leaves the count of each table on the connection, for the guard that needs it; the next `measure` takes it away.
    """
    con.execute(f"create or replace temp table {_COUNTED} (source varchar, records bigint)")
    for table in sorted({*SOURCE_TABLES, *(source for sources in SOURCES_OF.values() for source in sources)}):
        if name := find_table(con, warehouse, table):
            con.execute(f"insert into {_COUNTED} select ?, count(*) from {name}", [table])
    row = con.execute(
        f"select sum(records) from {_COUNTED} where source in ({', '.join('?' * len(SOURCE_TABLES))})", [*SOURCE_TABLES]
    ).fetchone()
    return None if row is None or row[0] is None else int(row[0])


def _one(con: duckdb.DuckDBPyConnection, sql: str, parameters: list[Any] | None = None) -> float:
    row = con.execute(sql, parameters or []).fetchone()
    return float(row[0]) if row and row[0] is not None else 0.0


def measure(
    con: duckdb.DuckDBPyConnection,
    relation: str,
    policy: Policy,
    *,
    kind: str,
    source_rows: int | None,
    now: datetime | None = None,
    crm: str = "hubspot",
) -> tuple[GuardReading, ...]:
    """Measure every guard of the policy over the operations in `relation` that may be written (not the denied ones).

    Args:
        con: The ledger, after `count_source_rows` for a plan from the warehouse.
        relation: The decided operations.
        policy: The guards and their limits.
        kind: `sync`, `rollback` or `review`; some brakes are only for plans from the warehouse.
        source_rows: Rows of the source; None when they could not be counted.
        crm: Whose earlier plans the source is compared with.
        now: End of the week that creations are counted in; the newest result in the ledger when None.
    """
    counted = _source_records(con)
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
                # Archiving a task of ours that is no longer recommended empties no field.
                fields = f"{relation} where decision <> 'denied' and property <> '{RECORD}'"
                measured = _one(con, f"select avg((wire_value = '')::int) from {fields}")
            case "max_records_share":
                measured = 0.0 if kind != "sync" else _records_share(con, relation, counted)
            case "max_creates_per_owner_week":
                measured = 0.0 if kind != "sync" else _creates_per_owner(con, relation, now)
            case "min_source_share" if kind != "sync":
                measured, tripped_below = 1.0, True
            case "min_source_share":
                rows, tripped_below = source_rows, True
                measured = _source_share(con, source_rows, crm)
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


def _source_records(con: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """What `count_source_rows` left, taken away so that no later plan is measured by it."""
    if not con.execute("select 1 from duckdb_tables() where temporary and table_name = ?", [_COUNTED]).fetchone():
        return {}
    found = {str(name): int(records) for name, records in con.execute(f"from {_COUNTED}").fetchall()}
    con.execute(f"drop table {_COUNTED}")
    return found


def _records_share(con: duckdb.DuckDBPyConnection, relation: str, counted: dict[str, int]) -> float | None:
    """Of the source's records of an object type, how many would have a value replaced or emptied (worst type).

    Filling empty fields is what a first night is for. Fields of records that we made have a brake of their own.
    """
    shares = [0.0]
    for object_type, records in con.execute(
        f"""
        select object_type, count(distinct record_id)
        from {relation}
        where decision <> 'denied' and coalesce(before_value, '') <> ''
            and (object_type, record_id) not in (
                select (object_type, record_id) from {relation} where property = '{RECORD}'
            )
        group by object_type
        """
    ).fetchall():
        if str(object_type) in _OURS:
            continue
        sources = SOURCES_OF.get(str(object_type), ())
        if not sources or any(source not in counted for source in sources):
            return None
        there = sum(counted[source] for source in sources)
        if not there:
            return None
        shares.append(int(records) / there)
    return max(shares)


def _creates(alias: str) -> str:
    """SQL: the operation makes a record that is not there yet."""
    return (
        f"({alias}.property = '{RECORD}' and {alias}.desired_value = '{PRESENT}' "
        f"and coalesce({alias}.before_value, '') = '')"
    )


def _creates_per_owner(con: duckdb.DuckDBPyConnection, relation: str, now: datetime | None) -> float:
    """Records made for one owner in a week: those of the plan and those of the last seven days; the busiest owner's.

    The owner of a record is what the same plan says about its owner property; records without one are one owner's.
    """
    if now is None:
        row = con.execute("select max(recorded_at) from op_results").fetchone()
        now = row[0] if row else None
    owners = ", ".join(f"'{name}'" for name in sorted(OWNER_PROPERTIES))
    return _one(
        con,
        f"""
        with planned as (
            select ops.crm, ops.object_type, ops.record_id, coalesce(owned.desired_value, '') as owner
            from {relation} as ops
            left join {relation} as owned
                on owned.crm = ops.crm and owned.object_type = ops.object_type and owned.record_id = ops.record_id
                and lower(owned.property) in ({owners})
            where {_creates("ops")} and ops.decision <> 'denied'
        ),
        made as (
            select made.crm, made.object_type, made.record_id, coalesce(owned.desired_value, '') as owner
            from op_results
            inner join apply_runs using (apply_run_id)
            inner join plan_ops as made on made.plan_id = apply_runs.plan_id and made.op_id = op_results.op_id
            left join plan_ops as owned
                on owned.plan_id = made.plan_id and owned.crm = made.crm and owned.object_type = made.object_type
                and owned.record_id = made.record_id and lower(owned.property) in ({owners})
            where op_results.result = 'applied' and op_results.recorded_at > ?
                and {_creates("made")}
        ),
        busy as (
            select owner, count(distinct (crm, object_type, record_id)) as records
            from (from planned union all from made)
            group by owner
        )
        select max(records) from busy
        """,
        [utc(now) - _WEEK if now is not None else None],
    )


def _source_share(con: duckdb.DuckDBPyConnection, source_rows: int | None, crm: str) -> float | None:
    """Share against the newest plan whose load was not itself in doubt: two shrunken nights in a row must not pass."""
    if source_rows is None:
        return None
    for (text,) in con.execute(
        f"select guards::varchar from plans where kind = 'sync' and crm = ? "
        f"order by {first_event('plans.plan_id')} desc",
        [crm],
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
