"""What is due: the queue against the ledger, set-based, and read back in pages small enough to hold.

Works on one ledger connection with the warehouse attached. Temporary tables, all prefixed `drain_`:
`drain_keys` one row per record of the queue (no contexts), `drain_due` one row per input nobody has answered.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from enrich.arrow import Kind, registered
from enrich.hashing import INPUT_HASH_SQL
from nightdesk.errors import NightdeskError
from nightdesk.ledger import WAREHOUSE_ALIAS

if TYPE_CHECKING:
    from datetime import datetime

    import duckdb

PAGE_ROWS = 2_000
PAGE_BYTES = 16 * 1024 * 1024
_BYTES_PER_TOKEN = 4
_TOKENS_IF_UNKNOWN = 500

FINAL = "gave_up"
"""`attempts.stop_reason` of a provider error after which the runner did not ask again in that run."""
RETRY = "to_retry"
"""`attempts.stop_reason` of a provider error that the runner meant to follow with another try."""
NOT_CHECKED = "Not checked: the record, the prompt or the policy has changed since it was answered"
"""`attempts.error` of a spooled answer to a question that is no longer asked."""


@dataclass(frozen=True, slots=True)
class QueueRow:
    """One record to be asked about."""

    record_type: str
    record_id: str
    context: str
    context_hash: str
    input_hash: str
    tries: int


def load_keys(connection: duckdb.DuckDBPyConnection, operation: str, operation_hash: str) -> int:
    """Fill `drain_keys` from the operation's queue model; returns how many records it has.

    Raises:
        NightdeskError: There is no queue model, it lacks a column, or it breaks its contract (a record twice, a row
            to be answered without context).
    """
    import duckdb

    relation = _queue_relation(connection, operation)
    try:
        connection.execute(
            f"""
            create or replace temp table drain_keys as
            select
                rowid as rid,
                record_type,
                record_id,
                context_hash,
                gate,
                gate_reason,
                missing,
                coalesce(priority, 0) as priority,
                coalesce(estimated_tokens, {_TOKENS_IF_UNKNOWN}) as estimated_tokens,
                operation as queue_operation,
                context is null as has_no_context,
                case when gate is null and missing is null then {INPUT_HASH_SQL} end as input_hash
            from {relation}
            """,
            {"operation_hash": operation_hash},
        )
    except duckdb.BinderException as error:
        raise NightdeskError(
            f"The queue of `{operation}` lacks a column: {str(error).splitlines()[0]}",
            where=relation,
            todo="A queue model needs operation, record_type, record_id, context, context_hash, gate, gate_reason, "
            "missing, priority and estimated_tokens.",
        ) from error
    _hold_to_contract(connection, operation, relation)
    return _count(connection, "select count(*) from drain_keys")


def note_question(
    connection: duckdb.DuckDBPyConnection,
    operation: str,
    operation_hash: str,
    who: tuple[str, str | None],
    run_id: str,
    now: datetime,
) -> bool:
    """Write down that this is the question from now on; answers to another one are stale. False if it was already.

    Args:
        connection: The ledger.
        operation: Name of the operation.
        operation_hash: Everything but the record that an answer depends on.
        who: Agent and model.
        run_id: The run that asks it first.
        now: UTC.
    """
    row = connection.execute(
        """
        select operation_hash from questions where operation = ? order by asked_since desc, run_id desc limit 1
        """,
        [operation],
    ).fetchone()
    if row is not None and row[0] == operation_hash:
        return False
    connection.execute(
        "insert into questions values (?, ?, ?, ?, ?, ?)", [operation, operation_hash, *who, run_id, now]
    )
    return True


def select_due(connection: duckdb.DuckDBPyConnection, operation: str, run_id: str, max_tries: int) -> int:
    """Fill `drain_due`, one row per distinct input without an answer, best first; returns how many there are.

    Left out: inputs answered before in whatever way, and inputs this very run has given up on.
    """
    connection.execute(
        f"""
        create or replace temp table drain_due as
        with tried_calls as (
            select
                input_hash,
                -- One call of several that was answered waits for the others; it is no try of the question.
                count(*) filter (where call_hash is null or status = 'provider_error') as tries,
                -- A whole answer that the check choked on, or a failure that is not worth another try tonight. One that
                -- was not even looked at, because nobody asked its question any more, ends nothing.
                bool_or(
                    case
                        when status = 'provider_error' then stop_reason = '{FINAL}'
                        else call_hash is null or status = 'invalid'
                    end
                    and error is distinct from '{NOT_CHECKED}'
                ) as is_over,
            from attempts
            where operation = $operation and run_id = $run_id
            group by input_hash, call_hash
        ),

        tried as (
            select
                input_hash,
                max(tries) as tries,
                bool_or(is_over) as is_over,
            from tried_calls
            group by input_hash
        ),

        open_keys as (
            select
                drain_keys.*,
                coalesce(tried.tries, 0) as tries,
            from drain_keys
            left join tried using (input_hash)
            where drain_keys.input_hash is not null
                and not coalesce(tried.is_over, false)
                and coalesce(tried.tries, 0) < $max_tries
                and not exists (
                    select 1
                    from answers
                    where answers.operation = $operation and answers.input_hash = drain_keys.input_hash
                )
            qualify row_number() over (
                partition by drain_keys.input_hash order by priority desc, record_id
            ) = 1
        ),

        ordered as (
            select
                *,
                row_number() over (order by priority desc, record_id) as seq,
            from open_keys
        ),

        sized as (
            select
                *,
                sum(estimated_tokens) over (order by seq) * {_BYTES_PER_TOKEN} // {PAGE_BYTES} as bytes_page,
                (seq - 1) // {PAGE_ROWS} as rows_page,
            from ordered
        )

        select
            * exclude (bytes_page, rows_page),
            dense_rank() over (order by bytes_page, rows_page) as page,
        from sized
        """,
        {"operation": operation, "run_id": run_id, "max_tries": max_tries},
    )
    return _count(connection, "select count(*) from drain_due")


def read_page(connection: duckdb.DuckDBPyConnection, operation: str, page: int) -> list[QueueRow]:
    """The due records of one page (numbered from 1), best first; empty after the last.

    Raises:
        NightdeskError: A context is not what its hash says.
    """
    relation = _queue_relation(connection, operation)
    rows = connection.execute(
        f"""
        select due.record_type, due.record_id, queue.context, due.context_hash, due.input_hash, due.tries
        from drain_due as due
        inner join {relation} as queue on due.rid = queue.rowid
        where due.page = ?
        order by due.seq
        """,
        [page],
    ).fetchall()
    return [_verified(QueueRow(*row), relation) for row in rows]


def heard_before(connection: duckdb.DuckDBPyConnection, operation: str) -> dict[str, list[str]]:
    """Calls of due questions that are answered and paid for already, as places in the spool by input hash.

    Only questions that take several calls have any: the others are answered, and then not due.
    """
    rows = connection.execute(
        """
        select attempts.input_hash, list(attempts.response_ref order by attempts.responded_at, attempts.attempt_id)
        from attempts
        where attempts.operation = $operation
            and attempts.call_hash is not null
            and attempts.status in ('ok', 'refused', 'truncated')
            and attempts.input_hash in (select drain_due.input_hash from drain_due)
        group by attempts.input_hash
        """,
        {"operation": operation},
    ).fetchall()
    return dict(rows)


def due_tokens(connection: duckdb.DuckDBPyConnection) -> int:
    """Estimated tokens of all due contexts."""
    return _count(connection, "select coalesce(sum(estimated_tokens), 0)::bigint from drain_due")


def due_after(connection: duckdb.DuckDBPyConnection, seq: int) -> list[str]:
    """Input hashes of the due records after the first `seq`."""
    return [row[0] for row in connection.execute("select input_hash from drain_due where seq > ?", [seq]).fetchall()]


def read_contexts(
    connection: duckdb.DuckDBPyConnection, operation: str, wanted: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], str]:
    """Contexts by (record_id, context_hash), of those that the queue still shows so."""
    relation = _queue_relation(connection, operation)
    columns: dict[str, tuple[Kind, list[str]]] = {
        "record_id": ("text", [record_id for record_id, _ in wanted]),
        "context_hash": ("text", [context_hash for _, context_hash in wanted]),
    }
    with registered(connection, "drain_wanted", columns):
        rows = connection.execute(
            f"""
            select keys.record_id, keys.context_hash, queue.context
            from drain_keys as keys
            inner join {relation} as queue on keys.rid = queue.rowid
            where queue.context is not null
                and exists (
                    select 1
                    from drain_wanted
                    where drain_wanted.record_id = keys.record_id and drain_wanted.context_hash = keys.context_hash
                )
            """
        ).fetchall()
    return {(record_id, context_hash): context for record_id, context_hash, context in rows}


def _verified(row: QueueRow, relation: str) -> QueueRow:
    if hashlib.sha256(row.context.encode()).hexdigest() != row.context_hash:
        raise NightdeskError(
            f"The context of {row.record_id} is not what its `context_hash` says",
            where=relation,
            todo="`context_hash` must be sha256(context): answers are paid for once under it.",
        )
    return row


def _hold_to_contract(connection: duckdb.DuckDBPyConnection, operation: str, relation: str) -> None:
    problem = connection.execute(
        """
        select 'is there more than once' as problem, record_id from drain_keys
        group by record_id having count(*) > 1
        union all
        select 'has neither gate, nor missing, nor context', record_id from drain_keys
        where gate is null and missing is null and (has_no_context or context_hash is null)
        union all
        select 'has both a gate and something missing', record_id from drain_keys
        where gate is not null and missing is not null
        union all
        select 'belongs to operation `' || coalesce(queue_operation, 'null') || '`', record_id from drain_keys
        where queue_operation is distinct from $operation
        order by record_id
        limit 1
        """,
        {"operation": operation},
    ).fetchone()
    if problem is not None:
        raise NightdeskError(
            f"Record {problem[1]} {problem[0]} in the queue of `{operation}`",
            where=relation,
            todo="Fix the queue model; nothing was asked.",
        )


def _queue_relation(connection: duckdb.DuckDBPyConnection, operation: str) -> str:
    """The queue's table; a queue built as a view is copied once, because pages are read back by row id."""
    name = f"queue_{operation}"
    tables = connection.execute(
        "select schema_name, false from duckdb_tables() where database_name = $db and table_name = $name"
        " union all "
        "select schema_name, true from duckdb_views() where database_name = $db and view_name = $name and not internal",
        {"db": WAREHOUSE_ALIAS, "name": name},
    ).fetchall()
    if len(tables) != 1:
        found = "no" if not tables else "more than one"
        raise NightdeskError(
            f"There is {found} queue of `{operation}` in the warehouse",
            where=name,
            todo="Run `nightdesk build`, and keep one model of that name.",
        )
    schema, is_view = tables[0]
    relation = f'{WAREHOUSE_ALIAS}."{schema}"."{name}"'
    if not is_view:
        return relation
    connection.execute(f"create temp table if not exists drain_{name} as select * from {relation}")
    return f"temp.main.drain_{name}"


def _count(connection: duckdb.DuckDBPyConnection, sql: str) -> int:
    row = connection.execute(sql).fetchone()
    assert row is not None
    return int(row[0])
