"""One sample company in HubSpot and in Salesforce, as both sources load it, and the project's SQL over that.

dbt compiles the models once; here they run, in the order of their dependencies, over any pair of raw file and ledger.
That takes a second for a hundred models where a `dbt build` takes ten, and the SQL is the same.
"""

from __future__ import annotations

import csv
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import duckdb
from pydantic import SecretStr

from sandbox.company import generate, write
from sandbox.crm.limits import UNLIMITED
from sandbox.crm.server import running
from sandbox.salesforce import sample
from sandbox.salesforce.app import Api, Options
from sandbox.salesforce.company import People
from sandbox.salesforce.store import Store
from sandbox.virtual import InProcess, VirtualTime
from sources import hubspot, salesforce

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tests" / "integration"))

from test_models_support import Project  # noqa: E402

# What a canonical id calls the records of an object; a task is whatever it was in the other CRM.
KINDS = {
    "Account": "company", "Contact": "contact", "Lead": "lead", "Opportunity": "deal", "EmailMessage": "email",
    "Event": "meeting", "Note": "note", "User": "owner",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Model:
    """A compiled model or a seed."""

    unique_id: str
    relation: str
    is_view: bool
    sql: str


def compiled(project: Project, *select: str) -> list[Model]:
    """The selected models as SQL, each after those it reads."""
    project.dbt("compile", "--select", *(f"{one},resource_type:model" for one in select))
    nodes: Mapping[str, Any] = project.manifest.nodes
    wanted = {key: node for key, node in nodes.items() if node.resource_type == "model" and node.compiled_code}
    order: TopologicalSorter[str] = TopologicalSorter()
    for key, node in wanted.items():
        order.add(key, *node.depends_on.nodes)
    found: list[Model] = []
    for key in order.static_order():
        node = nodes.get(key)
        if node is None:
            continue  # a source
        if node.resource_type == "seed":
            types = ", ".join(f"'{name}': '{kind}'" for name, kind in node.config.column_types.items())
            path = ROOT / node.original_file_path
            sql = f"select * from read_csv('{path}', header = true, columns = {{{types}}})"
            found.append(Model(key, node.relation_name, False, sql))
        elif key in wanted:
            found.append(Model(key, node.relation_name, node.config.materialized == "view", node.compiled_code))
    return found


def build(models: list[Model], folder: Path) -> Path:
    """Run the models over `raw.duckdb` and `ledger.duckdb` in `folder`; returns the warehouse."""
    path = folder / "warehouse.duckdb"
    with duckdb.connect(str(path)) as warehouse:
        warehouse.execute("set TimeZone = 'UTC'")
        for name in ("raw", "ledger"):
            warehouse.execute(f"attach '{folder / f'{name}.duckdb'}' as {name} (read_only)")
        warehouse.execute("create schema if not exists staging")
        for model in models:
            kind = "view" if model.is_view else "table"
            try:
                warehouse.execute(f"create or replace {kind} {model.relation} as ({model.sql}\n)")
            except duckdb.Error as error:
                raise AssertionError(f"{model.unique_id}: {error}") from error
    return path


def hubspot_into(company: Path, raw: Path) -> None:
    """Load the sample company as HubSpot shows it."""
    with running(company / "crm.sqlite", limits=UNLIMITED) as crm:
        settings = hubspot.HubSpotSettings(base_url=crm.url, token=SecretStr(crm.token))
        hubspot.load(settings, raw, raw.parent / "pipelines")


def salesforce_into(company: Path, raw: Path, people: People) -> dict[str, tuple[str, str]]:
    """Load the sample company as a Salesforce org shows it.

    Returns:
        New canonical id -> the old canonical id and the old plain id.
    """
    made = sample.company(company, company / f"{people}.sqlite", people=people)
    clock = VirtualTime()
    org = Store.open(made.org, clock=clock)
    try:
        api = Api(org, Options())
        settings = salesforce.SalesforceSourceSettings(base_url="https://org.test", token=SecretStr(api.options.token))
        salesforce.load(
            settings, raw, raw.parent / "pipelines",
            transport=InProcess(api, clock), sleep=clock.sleep, clock=clock.now,
        )  # fmt: skip
    finally:
        org.close()
    return {
        f"salesforce:{KINDS.get(kind, old_kind)}:{new}": (f"hubspot:{old_kind}:{old}", old)
        for old_kind, old, kind, new in made.ids
        if old_kind != "pipeline" and old
    }


@dataclass(frozen=True, slots=True)
class Both:
    """The same company twice: what HubSpot's rows became, and what Salesforce's did."""

    hubspot: Path
    salesforce: Path
    ids: Mapping[str, tuple[str, str]]


def both(folder: Path, models: list[Model], *, contacts: int, people: People = "contacts") -> Both:
    """Make the sample company, load it through both CRMs and build the models over either."""
    company = folder / "company"
    write(generate(contacts), company)
    there, here = Project(folder / "hubspot"), Project(folder / "salesforce")
    there.create(with_policies=True)
    here.folder.mkdir()
    shutil.copy(there.ledger, here.ledger)
    shutil.copy(there.raw, here.raw)
    hubspot_into(company, there.raw)
    ids = salesforce_into(company, here.raw, people)
    return Both(build(models, there.folder), build(models, here.folder), ids)


def rows(warehouse: Path, table: str) -> Iterator[dict[str, Any]]:
    """A mart's rows, by column."""
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        connection.execute("set TimeZone = 'UTC'")
        cursor = connection.execute(f"select * from {table}")
        assert cursor.description is not None
        names = [column[0] for column in cursor.description]
        for row in cursor.fetchall():
            yield dict(zip(names, row, strict=True))


def read_seed(path: Path) -> list[dict[str, str | None]]:
    """A CSV file's rows by column name; empty cells are null."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        return [{name: value or None for name, value in row.items()} for row in csv.DictReader(file)]
