"""Fields that keep failing are set aside: planned as denied, visible, until a person releases them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from nightdesk.errors import NightdeskError
from reverse_etl import audit
from reverse_etl.select import Selection
from reverse_etl.store import Clock, opened, rows, transaction, utc

if TYPE_CHECKING:
    import duckdb

AFTER_REFUSALS = 3


def refresh(con: duckdb.DuckDBPyConnection, clock: Clock, actor: str, *, after: int = AFTER_REFUSALS) -> int:
    """Set aside fields whose same value the CRM has refused `after` times; call it inside a transaction; returns how
    many."""
    found = rows(
        con,
        """
        select plan_ops.crm, plan_ops.object_type, plan_ops.record_id, plan_ops.property,
            arg_max(coalesce(op_results.message, 'refused'), op_results.recorded_at) as reason
        from op_results
        inner join apply_runs using (apply_run_id)
        inner join plan_ops on plan_ops.plan_id = apply_runs.plan_id and plan_ops.op_id = op_results.op_id
        left join (
            select crm, object_type, record_id, property, max(coalesce(released_at, quarantined_at)) as since,
                bool_or(released_at is null) as is_held
            from quarantine group by all
        ) as held using (crm, object_type, record_id, property)
        where op_results.result = 'refused' and op_results.recorded_at > coalesce(held.since, '-infinity'::timestamptz)
            and not coalesce(held.is_held, false)
        group by plan_ops.crm, plan_ops.object_type, plan_ops.record_id, plan_ops.property, plan_ops.wire_value
        having count(*) >= ?
        """,
        [after],
    )
    now = utc(clock())
    for entry in found:
        con.execute(
            "insert into quarantine values (?, ?, ?, ?, ?, ?, null) on conflict do nothing",
            [entry["crm"], entry["object_type"], entry["record_id"], entry["property"], entry["reason"], now],
        )
    if found:
        audit.append(
            con,
            clock,
            actor,
            "quarantined",
            "quarantine",
            {"fields": [[e["object_type"], e["record_id"], e["property"]] for e in found]},
        )
    return len(found)


def listing(ledger: Path | duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """Fields set aside now, oldest first."""
    with opened(ledger) as con:
        return rows(
            con,
            "select * from quarantine where released_at is null order by quarantined_at, object_type, "
            "record_id, property",
        )


def release(ledger: Path | duckdb.DuckDBPyConnection, select: Selection, actor: str, clock: Clock) -> int:
    """Let fields be planned again; returns how many.

    Raises:
        NightdeskError: The selection uses more than object, record and property, or nothing matches.
    """
    if any(key not in ("object", "record", "property") for key, _ in select.terms):
        raise NightdeskError("The quarantine knows object, record and property only", todo="Select by those.")
    if any(key == "record" and "@" in value for key, values in select.terms for value in values):
        raise NightdeskError("The quarantine knows records by id only", todo="Use record:contact:123.")
    where, parameters = select.where()
    with opened(ledger) as con:
        held = con.execute(
            f"select count(*) from quarantine where released_at is null and {where}", parameters
        ).fetchone()
        if not held or not held[0]:
            raise NightdeskError("Nothing that is set aside is selected", todo="Look at `nightdesk quarantine`.")
        with transaction(con):
            audit.append(
                con,
                clock,
                actor,
                "released",
                "quarantine",
                {"select": [list(map(str, (k, *v))) for k, v in select.terms]},
            )
            con.execute(
                f"update quarantine set released_at = ? where released_at is null and {where}",
                [utc(clock()), *parameters],
            )
        audit.anchor(con, clock)
        return int(held[0])
