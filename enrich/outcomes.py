"""The numbers that add up: one outcome per record of a queue and run, computed from the ledger alone.

Set-based and idempotent: recording twice changes nothing, and a run that was killed records the same as one that was
not. An answer counts as this run's work only in the run that wrote it; in every other run it is `unchanged`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Literal, get_args

from enrich.arrow import Kind, registered
from nightdesk.errors import NightdeskError

if TYPE_CHECKING:
    import duckdb

Outcome = Literal["enriched", "unchanged", "gated", "insufficient_data", "rejected", "failed", "over_budget"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)

LeftOut = Mapping[str, tuple[Literal["failed", "over_budget"], str]]
"""Inputs that were due and not asked: input hash to outcome and reason."""

_COMPUTE = """
create or replace temp table drain_outcomes as
with last_failure as (
    select
        input_hash,
        max_by(coalesce(error, status), row(responded_at, attempt_id)) as error,
    from attempts
    where operation = $operation and run_id = $run_id and status in ('provider_error', 'invalid')
    group by all
)

select
    keys.record_type,
    keys.record_id,
    case
        when keys.gate is not null then 'gated'
        when keys.missing is not null then 'insufficient_data'
        when answers.run_id = $run_id then answers.outcome
        when answers.answer_id is not null then 'unchanged'
        when left_out.outcome is not null then left_out.outcome
        when last_failure.input_hash is not null then 'failed'
    end as outcome,
    case
        when keys.gate is not null then coalesce(keys.gate_reason, keys.gate)
        when keys.missing is not null then keys.missing
        when answers.run_id = $run_id then answers.reason
        when answers.answer_id is not null then
            case answers.outcome
                when 'enriched' then 'Same input as in run ' || answers.run_id
                else 'Same input as in run ' || answers.run_id || ', ' || answers.outcome || ' there'
                    || coalesce(': ' || answers.reason, '')
            end
        when left_out.outcome is not null then left_out.reason
        else last_failure.error
    end as reason,
    answers.answer_id,
from drain_keys as keys
left join answers
    on answers.operation = $operation
    and answers.record_id = keys.record_id
    and answers.input_hash = keys.input_hash
left join drain_left_out as left_out on keys.input_hash = left_out.input_hash
left join last_failure on keys.input_hash = last_failure.input_hash
"""


def record(
    connection: duckdb.DuckDBPyConnection,
    *,
    operation: str,
    run_id: str,
    selected: int,
    left_out: LeftOut,
    recorded_at: datetime,
) -> dict[str, int]:
    """Write the run's outcomes of an operation and return how many of each there are (all seven, zeros included).

    Args:
        connection: The ledger, with `drain_keys` filled.
        operation: Name of the operation.
        run_id: The run the outcomes belong to.
        selected: Records in the queue; the outcomes must add up to it.
        left_out: What was due and not asked, and why.
        recorded_at: UTC.

    Raises:
        NightdeskError: A record has no outcome, or the sum is not the number of records selected.
    """
    columns: dict[str, tuple[Kind, list[str]]] = {
        "input_hash": ("text", list(left_out)),
        "outcome": ("text", [outcome for outcome, _ in left_out.values()]),
        "reason": ("text", [reason for _, reason in left_out.values()]),
    }
    with registered(connection, "drain_left_out", columns):
        connection.execute(_COMPUTE, {"operation": operation, "run_id": run_id})
    without = connection.execute("select count(*), min(record_id) from drain_outcomes where outcome is null").fetchone()
    if without is not None and without[0]:
        raise NightdeskError(
            f"{without[0]} records of `{operation}` have no outcome, for instance {without[1]}",
            where=f"run {run_id}",
            todo="Run the command again; if it says the same, report it with the log.",
        )
    connection.begin()
    try:
        connection.execute(
            """
            delete from outcomes
            where run_id = $run_id
                and operation = $operation
                and not exists (select 1 from drain_outcomes where drain_outcomes.record_id = outcomes.record_id)
            """,
            {"operation": operation, "run_id": run_id},
        )
        connection.execute(
            """
            insert into outcomes
            select $run_id, $operation, record_type, record_id, outcome, reason, answer_id, $recorded_at
            from drain_outcomes as wanted
            where not exists (
                select 1
                from outcomes
                where outcomes.run_id = $run_id
                    and outcomes.operation = $operation
                    and outcomes.record_id = wanted.record_id
                    and outcomes.outcome = wanted.outcome
                    and outcomes.reason is not distinct from wanted.reason
                    and outcomes.answer_id is not distinct from wanted.answer_id
            )
            on conflict do update set
                outcome = excluded.outcome,
                reason = excluded.reason,
                answer_id = excluded.answer_id,
                recorded_at = excluded.recorded_at
            """,
            {"operation": operation, "run_id": run_id, "recorded_at": recorded_at},
        )
        connection.commit()
    except BaseException:
        connection.rollback()
        raise
    counts: dict[str, int] = dict.fromkeys(OUTCOMES, 0)
    counts.update(
        connection.execute(
            "select outcome, count(*) from outcomes where run_id = ? and operation = ? group by all",
            [run_id, operation],
        ).fetchall()
    )
    if sum(counts.values()) != selected:
        raise NightdeskError(
            f"The outcomes of `{operation}` add up to {sum(counts.values())}, the queue has {selected} records",
            where=f"run {run_id}",
            todo="Do not trust this night's numbers; report it with the log.",
        )
    return counts
