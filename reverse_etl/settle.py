"""Closes interrupted applies: looks up what became of what they had sent, writes nothing, and gives the rest an end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from reverse_etl import audit
from reverse_etl.journal import IN_FLIGHT, Journal
from reverse_etl.judge import ApplyOp, Key
from reverse_etl.lease import Lease, acquire
from reverse_etl.store import Clock, transaction, utc
from reverse_etl.writing import Writer

if TYPE_CHECKING:
    import duckdb

    from reverse_etl.crms.protocol import CrmAdapter

_UNFINISHED_SQL = """
not dry_run and not exists (
    select 1 from audit_events where action = 'apply_finished' and subject = apply_runs.apply_run_id
)
"""


def settle_interrupted(con: duckdb.DuckDBPyConnection, adapter: CrmAdapter, actor: str, clock: Clock) -> None:
    """Settle every interrupted apply of this CRM, under the lease; without one nothing happens at all.

    Raises:
        NightdeskError: Another apply is running.
    """
    waiting = con.execute(
        f"select 1 from apply_runs inner join plans using (plan_id) where plans.crm = ? and {_UNFINISHED_SQL} limit 1",
        [adapter.crm],
    ).fetchone()
    if not waiting:
        return
    lease = acquire(con, f"apply:{adapter.crm}", clock)
    try:
        settle(con, adapter, actor, lease, clock, lambda _label, _count: None, lambda _: None, except_plan=None)
    finally:
        lease.release()


def settle(
    con: duckdb.DuckDBPyConnection,
    adapter: CrmAdapter,
    actor: str,
    lease: Lease,
    clock: Clock,
    observe: Callable[[str, int], None],
    sleep: Callable[[float], None],
    *,
    except_plan: str | None,
) -> None:
    """Close interrupted runs (of other plans): read what became of what they had sent, write nothing, end the rest."""
    runs = con.execute(
        f"""
        select apply_run_id, plan_id, apply_runs.digest
        from apply_runs inner join plans using (plan_id)
        where plans.crm = ? and plan_id is distinct from ? and {_UNFINISHED_SQL}
        """,
        [adapter.crm, except_plan],
    ).fetchall()
    for run, plan_id, digest in runs:
        journal = Journal(con, run, actor, lease, clock, observe)
        earlier = {op: e for op, e in journal.load().items() if e.state in IN_FLIGHT}
        found = con.execute(
            """
            select op_id, object_type, record_id, property, value_type, before_value, last_written_value, desired_value,
                wire_value, conflict_class, subject_id
            from plan_ops where plan_id = ? and list_contains(?::varchar[], op_id)
            order by object_type, length(record_id), record_id, property
            """,
            [plan_id, list(earlier)],
        ).fetchall()
        ops = [replace(ApplyOp(*row), may_write=False, earlier=earlier[row[0]]) for row in found]
        subject = {"plan_id": plan_id, "digest": digest, "fencing_token": lease.token}
        Writer(adapter, journal, subject, native(con, plan_id), sleep).run(ops)
        with transaction(con):
            lease.check()
            con.execute(
                """
                insert into op_results (apply_run_id, op_id, result, message, recorded_at)
                select ?, op_id, if(decision = 'denied', 'denied', 'not_approved'),
                    'the apply was interrupted before it', ?
                from plan_ops where plan_id = ? and op_id not in (select op_id from op_results where apply_run_id = ?)
                """,
                [run, utc(clock()), plan_id, run],
            )
            audit.append(
                con,
                clock,
                actor,
                "apply_finished",
                run,
                {**subject, "counts": counts_of(con, run), "interrupted": True},
            )
        observe("closed", len(ops))


def native(con: duckdb.DuckDBPyConnection, plan_id: str) -> frozenset[Key]:
    """Every field a plan writes to, by the record's own id."""
    return frozenset(
        con.execute("select object_type, record_id, property from plan_ops where plan_id = ?", [plan_id]).fetchall()
    )


def counts_of(con: duckdb.DuckDBPyConnection, run: str) -> dict[str, int]:
    """Operations per result of an apply run."""
    return {
        str(result): int(number)
        for result, number in con.execute(
            "select result, count(*) from op_results where apply_run_id = ? group by 1 order by 1", [run]
        ).fetchall()
    }
