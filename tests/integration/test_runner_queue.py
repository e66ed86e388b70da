"""What the runner asks of a queue and of the ledger's shape: contract, order, paging, hashes."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from enrich.hashing import INPUT_HASH_SQL, input_hash
from enrich.outcomes import OUTCOMES
from enrich.runner_queue import PAGE_ROWS
from enrich.store import TABLES
from nightdesk.errors import NightdeskError
from tests.runner_kit import OPERATION, Desk, Row, some_rows, write_warehouse


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "desk")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (Row("hubspot:contact:0", "Another context"), "is there more than once"),
        (Row("x"), "has neither gate, nor missing, nor context"),
        (Row("x", None, "freemail", "words"), "has both a gate and something missing"),
    ],
)
def test_a_queue_that_breaks_its_contract_is_refused_before_any_call(desk: Desk, row: Row, message: str) -> None:
    write_warehouse(desk.warehouse, [*some_rows(2), row])
    agent = desk.agent()
    with pytest.raises(NightdeskError, match=message):
        desk.drain(agent)
    assert agent.calls == []


def test_a_context_that_does_not_fit_its_hash_is_refused(desk: Desk) -> None:
    write_warehouse(desk.warehouse, some_rows(1))
    with duckdb.connect(str(desk.warehouse)) as warehouse:
        warehouse.execute(f"update activation.queue_{OPERATION} set context_hash = 'abc'")
    with pytest.raises(NightdeskError, match="not what its `context_hash` says"):
        desk.drain(desk.agent())


def test_no_queue_two_queues_and_a_missing_column_are_named(desk: Desk) -> None:
    write_warehouse(desk.warehouse, some_rows(1), operation="other")
    with pytest.raises(NightdeskError, match="There is no queue of `lead_quality`"):
        desk.drain(desk.agent())
    write_warehouse(desk.warehouse, some_rows(1))
    with duckdb.connect(str(desk.warehouse)) as warehouse:
        warehouse.execute(f"create schema twice; create table twice.queue_{OPERATION} (a int)")
    with pytest.raises(NightdeskError, match="more than one queue"):
        desk.drain(desk.agent())
    with duckdb.connect(str(desk.warehouse)) as warehouse:
        warehouse.execute(f"drop table activation.queue_{OPERATION}")
    with pytest.raises(NightdeskError, match="lacks a column"):
        desk.drain(desk.agent())


def test_a_queue_built_as_a_view_works_too(desk: Desk) -> None:
    write_warehouse(desk.warehouse, some_rows(5), as_view=True)
    assert desk.drain(desk.agent()).counts["enriched"] == 5


def test_more_than_a_page_is_asked_in_order_of_priority(desk: Desk) -> None:
    count = PAGE_ROWS + 50
    write_warehouse(desk.warehouse, [])
    with duckdb.connect(str(desk.warehouse)) as warehouse:
        warehouse.execute(
            f"""
            insert into activation.queue_{OPERATION}
            select '{OPERATION}', 'contact', 'r' || i, 'Word' || i, sha256('Word' || i), null, null, null, i, 10
            from range({count}) as numbers (i)
            """
        )
    agent = desk.agent(chunk_size=100, concurrency=1)
    report = desk.drain(agent)
    assert report.counts["enriched"] == count
    assert agent.calls == [f"r{number}" for number in reversed(range(count))]


def test_an_empty_queue_is_a_quiet_zero(desk: Desk) -> None:
    write_warehouse(desk.warehouse, [])
    report = desk.drain(desk.agent())
    assert (report.selected, set(report.counts), sum(report.counts.values())) == (0, set(OUTCOMES), 0)


def test_the_columns_written_are_those_of_the_ledger(desk: Desk) -> None:
    for table, columns in TABLES.items():
        described = desk.rows(f"select column_name from (describe {table})")
        assert [name for (name,) in described] == list(columns)


def test_input_hashes_are_the_same_in_sql_and_python() -> None:
    sql = f"select {INPUT_HASH_SQL} from (select 'c' as context_hash)"
    assert duckdb.execute(sql, {"operation_hash": "ö"}).fetchall() == [(input_hash("ö", "c"),)]
