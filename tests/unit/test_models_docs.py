"""What the dbt project promises on paper: a model without grain, key, contract or column docs fails here."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

ROOT = Path(__file__).parents[2]
MODELS = ROOT / "models"
MIGRATIONS = ROOT / "nightdesk" / "ledger" / "migrations"
QUEUE_COLUMNS = [
    "operation",
    "record_type",
    "record_id",
    "context",
    "context_hash",
    "gate",
    "gate_reason",
    "missing",
    "priority",
    "estimated_tokens",
]


def _yaml() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for path in MODELS.rglob("*.yml"):
        for model in yaml.safe_load(path.read_text(encoding="utf-8")).get("models", ()):
            assert model["name"] not in found, f"{model['name']} is described twice"
            found[model["name"]] = model
    return found


DOCUMENTED = _yaml()
FILES = {path.stem: path for path in sorted(MODELS.rglob("*.sql"))}
PUBLIC = {name for name, path in FILES.items() if "marts" in path.parts}


def test_every_model_is_described_and_nothing_else_is() -> None:
    assert set(DOCUMENTED) == set(FILES)


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_model_says_its_grain_its_columns_and_its_key(name: str) -> None:
    model = DOCUMENTED[name]
    assert re.match(r"(One row|Always one row)\b", model["description"]), model["description"]
    assert all(column.get("description", "").strip().endswith((".", "?")) for column in model["columns"]), name
    if name in PUBLIC:
        assert model["config"]["contract"]["enforced"]
        keys = [constraint["columns"] for constraint in model["constraints"] if constraint["type"] == "primary_key"]
        assert all(column["data_type"] for column in model["columns"])
    else:
        keys = [test["primary_key"]["arguments"]["columns"] for test in model.get("data_tests", ())]
    if name not in (
        "stg_policy__numbers",
        "stg_policy__delivery",
    ):  # one row by construction: an aggregate without groups
        assert len(keys) == 1
        assert set(keys[0]) <= {column["name"] for column in model["columns"]}


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_model_opens_with_its_grain_and_never_asks_the_time(name: str) -> None:
    text = FILES[name].read_text(encoding="utf-8")
    assert re.match(r"-- (One row|Always one row)\b", text)
    assert not re.search(r"current_(date|timestamp)|\bnow\(\)|\btoday\(\)|get_current_timestamp", text, re.IGNORECASE)


def _ledger_tables() -> dict[str, list[str]]:
    """Table to its columns, in order, after all migrations."""
    tables: dict[str, list[str]] = {}
    with duckdb.connect() as ledger:
        for migration in sorted(MIGRATIONS.glob("*.sql")):
            ledger.execute(migration.read_text(encoding="utf-8"))
        for table, column in ledger.execute(
            "select table_name, column_name from duckdb_columns() where not internal order by table_oid, column_index"
        ).fetchall():
            tables.setdefault(table, []).append(column)
    return tables


def test_ledger_staging_shows_every_column_of_the_ledger() -> None:
    tables = _ledger_tables()
    source = yaml.safe_load((MODELS / "staging" / "ledger" / "_ledger__sources.yml").read_text(encoding="utf-8"))[
        "sources"
    ][0]
    named = {table["name"] for table in source["tables"]}
    assert named <= set(tables)
    for path in (MODELS / "staging" / "ledger").glob("*.sql"):
        table = path.stem.removeprefix("stg_ledger__")
        shown = re.findall(r"^    (\w+),?$", path.read_text(encoding="utf-8"), re.MULTILINE)
        # A column that a later migration added may stand where it belongs.
        assert sorted(shown) == sorted(tables[table]), table


def test_every_operation_has_one_queue_and_one_published_model_and_an_agent() -> None:
    roles: dict[tuple[str, str], str] = {}
    for name, path in FILES.items():
        for role, operation in re.findall(r"'role': '(\w+)', 'operation': '(\w+)'", path.read_text(encoding="utf-8")):
            assert (role, operation) not in roles
            roles[role, operation] = name
    recall = yaml.safe_load((ROOT / "policies" / "autonomy.yml").read_text(encoding="utf-8"))["operations"]
    exposures = {
        item["name"]: item
        for item in yaml.safe_load((MODELS / "exposures.yml").read_text(encoding="utf-8"))["exposures"]
    }
    for operation in recall:
        assert roles["queue", operation] == f"queue_{operation}"
        assert roles["published", operation] == f"published_{operation}"
        assert [column["name"] for column in DOCUMENTED[f"queue_{operation}"]["columns"]] == QUEUE_COLUMNS
        assert set(exposures[f"agent_{operation}"]["depends_on"]) == {
            f"ref('queue_{operation}')",
            f"ref('published_{operation}')",
        }
    assert len(roles) == 2 * len(recall)


def test_every_mapped_field_is_a_published_column() -> None:
    fields = yaml.safe_load((ROOT / "policies" / "field_mapping.yml").read_text(encoding="utf-8"))["fields"]
    marts = {"contacts": "contacts_enriched", "companies": "accounts_enriched", "meetings": "meetings_enriched"}
    desired = FILES["int_desired_values"].read_text(encoding="utf-8")
    for object_type, mapped in fields.items():
        if object_type in ("tasks", "notes"):  # records of ours: made of several things, not of one mart's columns
            made = FILES[f"sync_hubspot__{object_type}"].read_text(encoding="utf-8")
            assert all(f"'{item['property']}'" in made for item in mapped), object_type
            continue
        columns = {column["name"] for column in DOCUMENTED[marts[object_type]]["columns"]}
        for item in mapped:
            assert item["field"] in columns
            assert f"('{item['field']}', '{item['operation']}'" in desired
