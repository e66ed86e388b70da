"""The identity models over tables of a test: the SQL that dbt runs, rendered and run without dbt."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import jinja2

from nightdesk import policy
from nightdesk.identity import review, step
from nightdesk.identity.pairs import link_id
from nightdesk.ledger import connect, migrate
from nightdesk.policy import tables
from nightdesk.prepare import Project

ROOT = Path(__file__).parents[1]
IDENTITY = ROOT / "models" / "intermediate" / "identity"
# In the order in which dbt builds them.
BEFORE_WEIGHING = (
    "int_identity_words",
    "int_identity_merges",
    "int_identity_addresses",
    "int_identity_people",
    "int_identity_accounts",
    "int_identity_cross_ids",
    "int_identity_keys",
)
AFTER_WEIGHING = (
    "int_identity_links",
    "int_identity_clusters",
    "int_record_aliases",
    "int_crm_links",
    "int_identity_reach",
)
INPUTS = """
create or replace table int_source_contacts (contact_id varchar, source_record_id varchar, source_object_type varchar,
    email varchar, first_name varchar, last_name varchar, job_title varchar, phone varchar, company_name varchar,
    country varchar, city varchar, created_at timestamptz, is_archived boolean, is_email_opted_out boolean,
    lead_status varchar, updated_at timestamptz);
create or replace table int_source_companies (account_id varchar, source_record_id varchar, source_object_type varchar,
    account_name varchar, domain varchar, country varchar, city varchar, created_at timestamptz, is_archived boolean);
create or replace table int_source_associations (from_object_type varchar, from_record_id varchar,
    to_object_type varchar, to_record_id varchar, association_type_id bigint);
create or replace table int_source_merges (object_type varchar, merged_record_id varchar, surviving_record_id varchar,
    reason varchar);
create or replace table int_source_deletions (object_type varchar, record_id varchar);
create or replace table int_source_participants (record_id varchar, source varchar,
    participant_name varchar, email varchar);
create or replace table int_source_emails (email_id varchar, thread_id varchar);
create or replace table int_internal_domains (domain varchar);
create or replace table crm_links (crm varchar, object_type varchar, crm_record_id varchar, record_id varchar);
create or replace table stg_hubspot__cross_ids as from crm_links;
create or replace table identity_links (link_id varchar, identity_run_id varchar, object_type varchar, kind varchar,
    left_record_id varchar, right_record_id varchar, match_probability double, match_weight double, weights json,
    inputs_hash varchar, model_hash varchar, is_withdrawn boolean, suggested_at timestamptz);
create or replace table identity_reviews (review_id varchar, link_id varchar, object_type varchar, kind varchar,
    left_record_id varchar, right_record_id varchar, decision varchar, reason varchar, reviewed_by varchar,
    inputs_hash varchar, sequence bigint, reviewed_at timestamptz);
create or replace table stg_policy__lists (list_name varchar, item varchar, parameter varchar);
create or replace table stg_policy__numbers (most_in_one_cluster integer, identity_suggest_from double,
    identity_caution_from double);
"""


@cache
def shipped() -> policy.Policy:
    """The policy of the project."""
    return policy.load(ROOT / "policies")


@cache
def sql(name: str) -> str:
    """One model as plain SQL over tables of the same names."""
    macros = (ROOT / "macros" / "identity.sql").read_text(encoding="utf-8")
    path = next(iter((ROOT / "models").rglob(f"{name}.sql")))
    environment = jinja2.Environment()
    environment.globals |= {"ref": str, "source": lambda _, table: table, "config": lambda **_: ""}
    return environment.from_string(macros + path.read_text(encoding="utf-8")).render()


def person(record: str, first: str | None = None, last: str | None = None, **more: Any) -> dict[str, Any]:
    """A row of int_source_contacts; `record` is `hubspot:1` or `salesforce:lead:7`."""
    source, *kind, number = record.split(":")
    singular = kind[0] if kind else "contact"
    return {
        "contact_id": f"{source}:{singular}:{number}",
        "source_record_id": number,
        "source_object_type": "contacts" if source == "hubspot" else singular.title(),
        "first_name": first,
        "last_name": last,
        "is_archived": False,
        **more,
    }


def account(record: str, name: str | None = None, domain: str | None = None, **more: Any) -> dict[str, Any]:
    """A row of int_source_companies; `record` is `hubspot:1`."""
    source, number = record.split(":")
    return {
        "account_id": f"{source}:company:{number}",
        "source_record_id": number,
        "source_object_type": "companies" if source == "hubspot" else "Account",
        "account_name": name,
        "domain": domain,
        "is_archived": False,
        **more,
    }


def insert(con: duckdb.DuckDBPyConnection, table: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """Append rows of any columns, the others null."""
    rows = list(rows)
    if not rows:
        return
    columns = sorted({name for row in rows for name in row})
    marks = ", ".join("(" + ", ".join("?" for _ in columns) + ")" for _ in rows)
    con.execute(
        f"insert into {table} ({', '.join(columns)}) values {marks}",
        [row.get(name) for row in rows for name in columns],
    )


@dataclass
class World:
    """Inputs of the identity models, and what they make of them."""

    con: duckdb.DuckDBPyConnection
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    @classmethod
    def of(cls, con: duckdb.DuckDBPyConnection, **inputs: Sequence[Mapping[str, Any]]) -> World:
        """A world with these inputs (table name to rows) and the policy of the project; nothing built yet."""
        con.execute("set threads = 1")  # a few rows: more of them only wait for each other
        con.execute(INPUTS)
        chosen = shipped()
        lists = [row[1:] for row in tables.rows(chosen)["policy_lists"]]
        insert(
            con,
            "stg_policy__lists",
            ({"list_name": name, "item": item, "parameter": parameter} for name, item, parameter in lists),
        )
        con.execute(
            "insert into stg_policy__numbers values (?, ?, ?)",
            [chosen.identity.most_in_one_cluster, chosen.identity.suggest_from, chosen.identity.caution_from],
        )
        for table, rows in inputs.items():
            insert(con, table, rows)
        return cls(con)

    def build(self, *names: str) -> None:
        """Build these models as tables."""
        for table in ("identity_links", "identity_reviews"):
            rendered = sql(f"stg_ledger__{table}")
            self.con.execute(f"create or replace table stg_ledger__{table} as {rendered}")
        for name in names:
            self.con.execute(f"create or replace table {name} as {sql(name)}")

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """What a query gives."""
        return self.con.execute(query, list(values)).fetchall()


@cache
def _fresh_ledger() -> bytes:
    """A ledger with the policy of the project and nothing else, made once."""
    with tempfile.TemporaryDirectory() as folder:
        path, now = Path(folder) / "ledger.duckdb", datetime(2026, 11, 17, tzinfo=UTC)
        migrate(path, lambda: now)
        with connect(path) as ledger:
            tables.load_into(ledger, shipped(), now)
        return path.read_bytes()


@dataclass
class Nights:
    """A data directory whose warehouse the identity models are built in, night after night."""

    data_dir: Path
    inputs: dict[str, list[dict[str, Any]]]
    hour: int = 0
    world: World = field(init=False)
    is_written: bool = True

    def __post_init__(self) -> None:
        from nightdesk.settings import Settings

        self.settings = Settings(_env_file=None, data_dir=self.data_dir, policies=ROOT / "policies")  # pyright: ignore
        self.data_dir.mkdir(parents=True)
        self.settings.ledger.write_bytes(_fresh_ledger())

    def clock(self) -> datetime:
        """An hour later each time it is asked."""
        self.hour += 1
        return datetime(2026, 11, 17, tzinfo=UTC) + timedelta(hours=self.hour)

    def night(self) -> step.Report:
        """Build what comes before weighing, weigh, and build the rest."""
        self.build(*BEFORE_WEIGHING, afresh=True)
        report = self.weigh()
        self.build(*AFTER_WEIGHING)
        return report

    def weigh(self) -> step.Report:
        """The step alone."""
        self.write()
        return step.run(Project(ROOT, self.settings, shipped()), clock=self.clock, run_id="run")

    def build(self, *names: str, afresh: bool = False) -> None:
        """Build models in the warehouse, from the inputs and what the ledger holds now."""
        if afresh:
            self.world = World.of(duckdb.connect(), **self.inputs)
        con = self.world.con
        con.execute(f"attach '{self.settings.ledger}' as ledger (read_only)")
        for table in ("identity_links", "identity_reviews"):
            con.execute(f"create or replace table {table} as select * from ledger.main.{table}")
        con.execute("detach ledger")
        self.world.build(*names)
        self.is_written = False

    def write(self) -> None:
        """Put what the step and the reviews read into the warehouse's file; all else is quicker in memory."""
        if self.is_written:
            return
        con, self.is_written = self.world.con, True
        self.settings.warehouse.unlink(missing_ok=True)
        con.execute(f"attach '{self.settings.warehouse}' as warehouse")
        built = {str(row[0]) for row in con.execute("show tables").fetchall()}
        for name in ("int_identity_people", "int_identity_accounts", "int_identity_keys", "int_identity_links"):
            if name in built:
                con.execute(f"create table warehouse.{name} as from {name}")
        con.execute("detach warehouse")

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """What a query on the warehouse gives."""
        return self.world.rows(query, *values)

    def ledger(self, query: str) -> list[tuple[Any, ...]]:
        """What a query on the ledger gives."""
        with connect(self.settings.ledger, read_only=True) as con:
            return con.execute(query).fetchall()

    def link(self, one: str, other: str) -> review.Link:
        """The link between two records."""
        self.write()
        return review.find(self.settings, link_id(one, other))

    def decide(self, one: str, other: str, decision: Any, **more: Any) -> review.Decided:
        """Decide about the link between two records."""
        self.write()
        return review.decide(
            self.settings, link_id(one, other), decision, **{"actor": "ada", "clock": self.clock, **more}
        )
