"""The schema contract against a HubSpot that changes, and raw databases of older releases that go on being loaded."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
from test_sources_support import AS_OF, Bench, Template, bench, company, serving, shared_template

from nightdesk.errors import NightdeskError
from sources.hubspot.tables import DATASET, TABLES
from sources.kit import schema
from sources.registry import ensure_tables

FIXTURES = Path(__file__).parents[1] / "fixtures" / "raw"
SIZES = {"contacts": 4, "companies": 2, "deals": 2, "emails": 4, "calls": 1, "meetings": 1, "notes": 1, "tasks": 1}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    return shared_template(tmp_path_factory)


def define(it: Bench, sql: str, *values: object) -> None:
    """Changes the CRM itself behind its API; a new server reads it anew."""
    with it.sandbox.store.transaction() as connection:
        connection.execute(sql, values)


def rename(it: Bench, name: str, new: str) -> None:
    define(
        it,
        "update properties set name = ?, definition = json_set(definition, '$.name', ?) "
        "where object_type = 'contacts' and name = ?",
        new, new, name,
    )  # fmt: skip


def test_a_vanished_property_keeps_its_values_and_is_filled_when_it_is_back(template: Template, tmp_path: Path) -> None:
    with template.loaded(tmp_path) as it:
        rename(it, "jobtitle", "jobtitle_old")
    with serving(tmp_path) as it:
        it.edit("contacts", 1000002, firstname="Grace")
        assert it.load().schema_changes == [
            "contacts.jobtitle: property no longer exists in the CRM and may have been renamed to `jobtitle_old` (same "
            "label and type, not loaded); the values loaded last stay (docs/schema-contract.md)",
        ]
        # The record moved and was read without its title: the title stays as it was.
        kept = it.ask("select firstname, jobtitle from hubspot.contacts where id = '1000002'")
        assert kept == [("Grace", "Head of Ops")]
        gone = it.ask("select name, state from hubspot.property_definitions where state is not null")
        assert gone == [("jobtitle", "gone")]
        rename(it, "jobtitle_old", "jobtitle")
        # What was done to it in the meantime moved no stamp that a later load would look for.
        define(
            it,
            "update objects set properties = json_set(properties, '$.jobtitle', 'CFO') "
            "where object_type = 'contacts' and id = 1000003",
        )
    with serving(tmp_path) as it:
        assert it.load().schema_changes == [
            "contacts.jobtitle: property is there again and fills its column; its object type is read anew"
        ]
        assert it.ask("select jobtitle from hubspot.contacts where id = '1000003'") == [("CFO",)]


def test_an_opt_out_flag_that_vanishes_stops_the_load_and_nobody_is_opted_in(
    template: Template, tmp_path: Path
) -> None:
    with template.loaded(tmp_path) as it:
        before = it.contents()
        rename(it, "hs_email_optout", "optout")
    with serving(tmp_path) as it:
        for full in (False, True):
            with pytest.raises(NightdeskError, match="`hs_email_optout` of contacts no longer exists") as caught:
                it.load(full=full)
            assert caught.value.where == "contacts.hs_email_optout" and "`optout`" in caught.value.todo
        assert it.contents() == before


def test_a_renamed_lead_status_that_suppresses_people_is_said_loudly(template: Template, tmp_path: Path) -> None:
    policies = tmp_path / "policies"
    policies.mkdir()
    (policies / "suppression.yml").write_text("sources: [{source: lead_status, values: [OPEN]}]\n")
    with template.loaded(tmp_path / "crm") as it:
        options = it.ask(
            "select options from hubspot.property_definitions "
            "where object_type = 'contacts' and name = 'hs_lead_status'"
        )[0][0]
        assert '["OPEN", "Open"]' in str(options)
        define(
            it,
            """update properties set definition = replace(definition, '"OPEN"', '"OPENED"') """
            "where object_type = 'contacts' and name = 'hs_lead_status'",
        )
    with serving(tmp_path / "crm") as it:
        assert it.load(policies=policies).schema_changes == [
            "ATTENTION: contacts.hs_lead_status: value `OPEN` may now be `OPENED` (same label), and "
            "policies/suppression.yml still names `OPEN`: correct the file or the CRM"
        ]


@pytest.fixture
def upgraded(tmp_path: Path) -> Path:
    """A raw.duckdb as the release before wrote it."""
    raw = tmp_path / "raw.duckdb"
    with duckdb.connect(str(raw)) as connection:
        connection.execute((FIXTURES / "hubspot_one_source.sql").read_text(encoding="utf-8"))
    return raw


def test_a_raw_database_of_the_release_before_goes_on_being_loaded(upgraded: Path, tmp_path: Path) -> None:
    with duckdb.connect(str(upgraded)) as connection:  # as if that release had not loaded the names of companies
        connection.execute("update hubspot.companies set name = null")
        connection.execute(
            "update hubspot.property_definitions set is_loaded = false "
            "where object_type = 'companies' and name = 'name'"
        )
    with bench(tmp_path, company(SIZES)) as it:
        assert it.raw == upgraded
        shapes = "select table_name, column_name from duckdb_columns() where schema_name = 'hubspot'"
        old = set(it.ask(shapes))
        # Of the columns that release knew: a later one may add some.
        shown = {
            name: "select "
            + ", ".join(sorted(column for table, column in old if table == name))
            + f" from hubspot.{name}"
            for name in ("contacts", "deals", "associations", "property_history", "owners")
        }
        kept = {name: it.ask(f"{query} order by all") for name, query in shown.items()}
        marks = it.ask("select stream, watermark from hubspot.load_watermarks order by all")
        report = it.load()
        # Only what has a column to fill is read a second time; that, and what is remembered of properties, is written.
        assert report.schema_changes == [
            "companies.name: property is there and fills its column; its object type is read anew"
        ]
        assert {name for name, rows in report.rows_moved.items() if rows} == {
            "companies", "property_definitions", "load_watermarks"
        }  # fmt: skip
        assert it.ask("select name from hubspot.companies order by id") == [("Company 0",), ("Company 1",)]
        assert {name: it.ask(f"{query} order by all") for name, query in shown.items()} == kept
        assert it.ask("select stream, watermark from hubspot.load_watermarks order by all") == marks
        new = set(it.ask(shapes))
        assert old < new and {("property_definitions", "options"), ("property_definitions", "state")} <= new - old
        assert it.ask("select max(options) like '[[%' from hubspot.property_definitions") == [(True,)]
        assert it.moved() == {}


def test_an_upgraded_raw_database_has_the_shape_of_a_new_one(upgraded: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.duckdb"
    for raw in (upgraded, new):
        schema.ensure_tables(raw, DATASET, TABLES.values())

    def shape(path: Path) -> set[tuple[object, ...]]:
        with duckdb.connect(str(path), read_only=True) as connection:
            return set(
                connection.execute(
                    "select schema_name, table_name, column_name, data_type from duckdb_columns() "
                    "where not starts_with(table_name, '_dlt') and schema_name <> 'hubspot_staging'"
                ).fetchall()
            )

    assert shape(upgraded) == shape(new)


@pytest.mark.soak
def test_dbt_builds_on_an_upgraded_raw_database(upgraded: Path, tmp_path: Path) -> None:
    from nightdesk.clock import system_clock
    from nightdesk.dbt import Dbt
    from nightdesk.ledger import migrate

    ensure_tables(upgraded)
    migrate(tmp_path / "ledger.duckdb", system_clock)
    dbt = Dbt(Path(__file__).parents[2], tmp_path, AS_OF.date())
    names = [name for name in dbt.manifest()["nodes"] if name.startswith("model.") and ".stg_hubspot__" in name]
    built = dbt.build([name.rpartition(".")[2] for name in names])
    assert len(names) > 15 and built.statuses.get("error", 0) == 0
    with duckdb.connect(str(tmp_path / "warehouse.duckdb"), read_only=True) as connection:
        assert connection.execute("select 1 from duckdb_views() where view_name = 'stg_hubspot__emails'").fetchone()
