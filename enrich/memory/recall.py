"""The durable log of recall: what each question that was really asked was reminded of, and what was left out and why.

dbt decides what is shown (`int_recall`); the queue and this log read the same rows, so they can't disagree. The mart
`recall_log` shows today's decisions and forgets yesterday's; the ledger keeps those behind every answer.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from nightdesk.errors import NightdeskError
from nightdesk.ledger import WAREHOUSE_ALIAS

if TYPE_CHECKING:
    import duckdb

DECISIONS = "int_recall"
COUNTED = ("superseded", "not_trusted", "not_relevant")
"""Decisions that follow from policy and the facts' own state: the log keeps their number, not each fact. They are
most of the rows and the least news; everything that competed for room is kept row by row."""


def append_log(connection: duckdb.DuckDBPyConnection, operation: str, run_id: str, now: datetime) -> int:
    """Append what recall decided for each question of `operation` that this run has asked; returns rows written.

    A question is asked when `attempts` holds a call of this run under its input hash, answered or not; records that
    share a context are one question. Whatever is in the log of a question already stays as it is, so calling this
    again (after a crash, or in another run that asks the same again) writes nothing twice.

    Args:
        connection: The ledger, with the warehouse attached and the drain's temp table `drain_keys` filled
            (`enrich.runner_queue.load_keys`). Best called after the attempts of the drain are committed.
        operation: Name of the operation. One that is not reminded of facts has no rows to log.
        run_id: The run that asked.
        now: UTC stamp of the rows.

    Raises:
        NightdeskError: The warehouse holds more than one table of recall decisions.
    """
    relation = _decisions(connection)
    if relation is None:
        return 0
    counted = ", ".join(f"'{decision}'" for decision in COUNTED)
    row = connection.execute(
        f"""
        insert into recall_log (
            operation, record_id, context_hash, decision, fact_id, position, usefulness, estimated_tokens, fact_count,
            run_id, logged_at
        )
        with asked as (
            select keys.record_id, keys.context_hash
            from drain_keys as keys
            where keys.input_hash is not null
                and exists (
                    select 1
                    from attempts
                    where attempts.operation = $operation
                        and attempts.run_id = $run_id
                        and attempts.input_hash = keys.input_hash
                )
                and not exists (
                    select 1
                    from recall_log as logged
                    where logged.operation = $operation and logged.context_hash = keys.context_hash
                )
            qualify row_number() over (
                partition by keys.context_hash order by keys.priority desc, keys.record_id
            ) = 1
        ),

        decided as (
            select
                asked.record_id,
                asked.context_hash,
                recall.decision,
                case when recall.decision in ({counted}) then '*' else recall.fact_id end as fact_id,
                recall.position,
                case when recall.decision in ({counted}) then null else recall.usefulness end as usefulness,
                recall.estimated_tokens,
            from asked
            inner join {relation} as recall
                on recall.operation = $operation and recall.record_id = asked.record_id
        )

        select
            $operation,
            record_id,
            context_hash,
            decision,
            fact_id,
            max(position),
            max(usefulness),
            sum(estimated_tokens)::bigint,
            count(*),
            $run_id,
            $now
        from decided
        group by record_id, context_hash, decision, fact_id
        order by record_id, context_hash, max(position), decision, fact_id
        """,
        {"operation": operation, "run_id": run_id, "now": now},
    ).fetchone()
    return 0 if row is None else int(row[0])


def _decisions(connection: duckdb.DuckDBPyConnection) -> str | None:
    """The table of decisions; None before it is built: queues that read no facts may be drained earlier."""
    found = connection.execute(
        "select schema_name from duckdb_tables() where database_name = ? and table_name = ?",
        [WAREHOUSE_ALIAS, DECISIONS],
    ).fetchall()
    if len(found) > 1:
        raise NightdeskError(
            f"There is more than one `{DECISIONS}` in the warehouse",
            where=", ".join(str(row[0]) for row in found),
            todo="Delete the warehouse and run `nightdesk build`: it is made anew from the ledger.",
        )
    return f'{WAREHOUSE_ALIAS}."{found[0][0]}"."{DECISIONS}"' if found else None
