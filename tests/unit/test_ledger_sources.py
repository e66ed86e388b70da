"""dbt's source YAML speaks of the ledger as the migrations build it, and of nothing else."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from nightdesk.ledger import connect, migrate

SOURCES = Path(__file__).parents[2] / "models" / "staging" / "ledger" / "_ledger__sources.yml"


@pytest.fixture(scope="module")
def ddl(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """Table to column to type, of a fresh ledger."""
    path = tmp_path_factory.mktemp("ledger") / "ledger.duckdb"
    migrate(path, lambda: datetime(2026, 11, 17, tzinfo=UTC))
    with connect(path, read_only=True) as ledger:
        rows = ledger.execute(
            "select table_name, column_name, data_type from information_schema.columns order by ordinal_position"
        ).fetchall()
    tables: dict[str, dict[str, str]] = {}
    for table, column, data_type in rows:
        tables.setdefault(table, {})[column] = data_type.lower()
    return tables


def test_every_source_table_exists_with_the_columns_it_is_said_to_have(ddl: dict[str, dict[str, str]]) -> None:
    sources: list[dict[str, Any]] = yaml.safe_load(SOURCES.read_text())["sources"]
    (source,) = [source for source in sources if source["name"] == "ledger"]
    assert (source["database"], source["schema"]) == ("ledger", "main")
    for table in source["tables"]:
        assert table["name"] in ddl, f"{table['name']} is in {SOURCES.name} and in no migration"
        described = {column["name"]: column.get("data_type") for column in table.get("columns", [])}
        actual = ddl[table["name"]]
        if described:
            assert set(described) == set(actual), f"columns of {table['name']}"
        for column, data_type in described.items():
            assert data_type is None or data_type.lower() == actual[column], f"{table['name']}.{column}"


def test_every_table_an_agent_fills_is_a_source(ddl: dict[str, dict[str, str]]) -> None:
    from enrich.store import TABLES

    sources: list[dict[str, Any]] = yaml.safe_load(SOURCES.read_text())["sources"]
    named = {table["name"] for source in sources if source["name"] == "ledger" for table in source["tables"]}
    assert {*TABLES, "outcomes", "runs"} <= named & set(ddl)
