"""Writes enrich's tables of the ledger: attempts with all that follows from them, in bulk, one transaction a batch.

An attempt and everything its answer produced are committed together, so a row in `attempts` says that its spooled
response has been dealt with.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from enrich.arrow import Kind, registered
from enrich.hashing import ANSWER_ID_SQL, answer_id
from enrich.runner_queue import FINAL, RETRY
from enrich.spool import SpoolLine
from nightdesk.errors import NightdeskError

if TYPE_CHECKING:
    import duckdb

    from enrich.answer import CheckedAnswer

TABLES: Mapping[str, Mapping[str, Kind]] = {
    "attempts": {
        "attempt_id": "text",
        "run_id": "text",
        "operation": "text",
        "record_type": "text",
        "record_id": "text",
        "input_hash": "text",
        "agent": "text",
        "model": "text",
        "status": "text",
        "stop_reason": "text",
        "input_tokens": "big",
        "cache_read_tokens": "big",
        "cache_write_tokens": "big",
        "output_tokens": "big",
        "cost_usd": "usd",
        "error": "text",
        "response_ref": "text",
        "requested_at": "time",
        "responded_at": "time",
        "call_hash": "text",
    },
    "answers": {
        "answer_id": "text",
        "operation": "text",
        "record_type": "text",
        "record_id": "text",
        "input_hash": "text",
        "context_hash": "text",
        "agent": "text",
        "model": "text",
        "operation_hash": "text",
        "policy_hash": "text",
        "run_id": "text",
        "attempt_id": "text",
        "outcome": "text",
        "reason": "text",
        "confidence": "share",
        "evidence_count": "int",
        "dropped_count": "int",
        "answered_at": "time",
    },
    "judgements": {"answer_id": "text", "component": "text", "level": "text", "evidence_count": "int"},
    "sentences": {"answer_id": "text", "section": "text", "position": "int", "body": "text"},
    "facts": {
        "fact_id": "text",
        "answer_id": "text",
        "document_id": "text",
        "predicate": "text",
        "fact_value": "text",
        "polarity": "text",
        "fact_date": "day",
        "author_side": "text",
        "author": "text",
        "span_start": "int",
        "span_end": "int",
        "quote": "text",
    },
    "evidence": {
        "answer_id": "text",
        "item_kind": "text",
        "item_key": "text",
        "position": "int",
        "evidence_kind": "text",
        "evidence_id": "text",
        "quote": "text",
    },
    "rejections": {
        "attempt_id": "text",
        "item_kind": "text",
        "item_key": "text",
        "position": "int",
        "body": "text",
        "reason": "text",
    },
}
"""The columns written, in the order of the DDL; a test holds them equal to the ledger's."""


class Batch:
    """Rows on their way into the ledger, column by column."""

    def __init__(self) -> None:
        self._columns: dict[str, list[list[Any]]] = {table: [[] for _ in columns] for table, columns in TABLES.items()}
        self.attempts = 0
        self.answers = 0

    def add_attempt(self, line: SpoolLine, ref: str, *, status: str | None = None, error: str | None = None) -> None:
        """One call. `status` and `error` replace the response's own when the check found out more."""
        response = line.response
        stop_reason = response.stop_reason
        if response.status == "provider_error":
            stop_reason = FINAL if line.is_final else RETRY
        self._add(
            "attempts",
            line.attempt_id,
            line.run_id,
            line.operation,
            line.record_type,
            line.record_id,
            line.input_hash,
            line.agent,
            response.model or line.model,
            status or response.status,
            stop_reason,
            response.input_tokens,
            response.cache_read_tokens,
            response.cache_write_tokens,
            response.output_tokens,
            response.cost_usd,
            error or response.error,
            ref,
            line.requested_at,
            line.responded_at,
            line.call_hash,
        )
        self.attempts += 1

    def add_answer(self, line: SpoolLine, checked: CheckedAnswer) -> None:
        """What the check let through, and what it did not."""
        key = answer_id(line.operation, line.record_id, line.input_hash)
        self._add(
            "answers",
            key,
            line.operation,
            line.record_type,
            line.record_id,
            line.input_hash,
            line.context_hash,
            line.agent,
            line.response.model or line.model,
            line.operation_hash,
            line.policy_hash,
            line.run_id,
            line.attempt_id,
            checked.outcome,
            checked.reason,
            checked.confidence,
            checked.evidence_count,
            checked.dropped_count,
            line.responded_at,
        )
        for judgement in checked.judgements:
            self._add("judgements", key, judgement.component, judgement.level, judgement.evidence_count)
        for sentence in checked.sentences:
            self._add("sentences", key, sentence.section, sentence.position, sentence.body)
        for fact in checked.facts:
            self._add(
                "facts",
                fact.fact_id,
                key,
                fact.document_id,
                fact.predicate,
                fact.fact_value,
                fact.polarity,
                fact.fact_date,
                fact.author_side,
                fact.author,
                fact.span_start,
                fact.span_end,
                fact.quote,
            )
        for item in checked.evidence:
            self._add(
                "evidence",
                key,
                item.item_kind,
                item.item_key,
                item.position,
                item.evidence_kind,
                item.evidence_id,
                item.quote,
            )
        for rejection in checked.rejections:
            self._add(
                "rejections",
                line.attempt_id,
                rejection.item_kind,
                rejection.item_key,
                rejection.position,
                rejection.body,
                rejection.reason,
            )
        self.answers += 1

    def commit(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Append everything in one transaction; on an error nothing is appended.

        Raises:
            NightdeskError: The ledger cannot be written. The responses are in the spool and are taken up next time.
        """
        import duckdb

        if not self.attempts:
            return
        connection.begin()
        try:
            for table in TABLES:
                values = self._columns[table]
                if values[0]:
                    kinds = TABLES[table].items()
                    columns: dict[str, tuple[Kind, list[Any]]] = {
                        name: (kind, column) for (name, kind), column in zip(kinds, values, strict=True)
                    }
                    with registered(connection, "drain_rows", columns):
                        connection.execute(f"insert into {table} by name select * from drain_rows")
            connection.commit()
        except duckdb.Error as error:
            connection.rollback()
            raise NightdeskError(
                f"The ledger cannot be written: {str(error).splitlines()[0]}",
                where="ledger",
                todo="Free some space if the disk is full, then run again: the raw answers are in the spool.",
            ) from error

    def _add(self, table: str, *values: Any) -> None:
        for column, value in zip(self._columns[table], values, strict=True):
            column.append(value)


def known_attempts(connection: duckdb.DuckDBPyConnection, attempt_ids: Iterable[str]) -> set[str]:
    """Which of these calls the ledger has already."""
    return _known(connection, "attempts", "attempt_id", list(attempt_ids))


def known_answers(connection: duckdb.DuckDBPyConnection, answer_ids: Iterable[str]) -> set[str]:
    """Which of these answers the ledger has already."""
    return _known(connection, "answers", "answer_id", list(answer_ids))


def _known(connection: duckdb.DuckDBPyConnection, table: str, column: str, ids: Collection[str]) -> set[str]:
    if not ids:
        return set()
    with registered(connection, "drain_ids", {"id": ("text", list(ids))}):
        rows = connection.execute(
            f"select {column} from {table} where {column} in (select id from drain_ids)"
        ).fetchall()
    return {row[0] for row in rows}


def spent_of_night(connection: duckdb.DuckDBPyConnection, run_id: str, as_of: date) -> dict[str, Decimal]:
    """USD per operation that this run, and every other run of the same day, has cost so far."""
    rows = connection.execute(
        """
        select operation, sum(cost_usd)
        from attempts
        left join runs using (run_id)
        where attempts.run_id = ? or runs.as_of = ?
        group by all
        """,
        [run_id, as_of],
    ).fetchall()
    return {operation: Decimal(usd) for operation, usd in rows}


def copy_to_twins(connection: duckdb.DuckDBPyConnection, operation: str, run_id: str, now: datetime) -> int:
    """Give records whose input somebody else's record was already answered for that same answer; returns how many.

    Two records with the same context are one question, asked once. Ids that name the record (facts, spans) are made
    anew the way `enrich.answer.check` makes them. Needs `drain_keys`.
    """
    new_id = ANSWER_ID_SQL.format(operation="$operation", record_id="keys.record_id", input_hash="keys.input_hash")
    connection.execute(
        f"""
        create or replace temp table drain_twins as
        select
            keys.record_type,
            keys.record_id,
            source.answer_id as source_id,
            source.record_id as source_record_id,
            {new_id} as answer_id,
        from drain_keys as keys
        inner join answers as source on source.operation = $operation and source.input_hash = keys.input_hash
        where not exists (
            select 1
            from answers as own
            where own.operation = $operation
                and own.record_id = keys.record_id
                and own.input_hash = keys.input_hash
        )
        qualify row_number() over (partition by keys.record_id order by source.answered_at, source.record_id) = 1
        """,
        {"operation": operation},
    )
    row = connection.execute("select count(*) from drain_twins").fetchone()
    if row is None or not row[0]:
        return 0
    fact_id = (
        "'f_' || substr(sha256(twin.record_id || '|' || facts.predicate || '|' || facts.fact_value || '|'"
        " || facts.polarity || '|' || facts.span_start || '-' || facts.span_end), 1, 12)"
    )
    connection.begin()
    try:
        connection.execute(
            f"""
            create or replace temp table drain_twin_facts as
            select facts.* replace (twin.answer_id as answer_id, twin.record_id as document_id, {fact_id} as fact_id),
                facts.fact_id as source_fact_id
            from facts inner join drain_twins as twin on facts.answer_id = twin.source_id
            """
        )
        connection.execute(
            """
            insert into answers by name
            select answers.* replace (
                twin.answer_id as answer_id,
                twin.record_type as record_type,
                twin.record_id as record_id,
                $run_id as run_id,
                $now as answered_at,
                coalesce(answers.reason || ' ', '') || '(same context as ' || twin.source_record_id || ')' as reason
            )
            from answers inner join drain_twins as twin on answers.answer_id = twin.source_id
            """,
            {"run_id": run_id, "now": now},
        )
        for table in ("judgements", "sentences"):
            connection.execute(
                f"""
                insert into {table} by name
                select {table}.* replace (twin.answer_id as answer_id)
                from {table} inner join drain_twins as twin on {table}.answer_id = twin.source_id
                """
            )
        connection.execute("insert into facts by name select * exclude (source_fact_id) from drain_twin_facts")
        connection.execute(
            """
            insert into evidence by name
            select evidence.* replace (
                twin.answer_id as answer_id,
                coalesce(fact.fact_id, evidence.item_key) as item_key,
                case
                    when evidence.evidence_kind = 'span'
                        and starts_with(evidence.evidence_id, twin.source_record_id || '#')
                        then twin.record_id || substr(evidence.evidence_id, length(twin.source_record_id) + 1)
                    else evidence.evidence_id
                end as evidence_id
            )
            from evidence
            inner join drain_twins as twin on evidence.answer_id = twin.source_id
            left join drain_twin_facts as fact
                on evidence.item_kind = 'fact'
                and fact.answer_id = twin.answer_id
                and fact.source_fact_id = evidence.item_key
            """
        )
        connection.commit()
    except BaseException:
        connection.rollback()
        raise
    return int(row[0])
