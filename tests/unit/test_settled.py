"""What a night leaves unbuilt is what nothing has touched; whatever could have makes it build again."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest

from nightdesk import settled, waves
from sources import registry

MANIFEST: dict[str, Any] = {
    "nodes": {
        name: {
            "resource_type": "model",
            "name": name,
            "depends_on": {"nodes": reads, "macros": macros},
            "raw_code": code,
            "config": {},
        }
        for name, reads, macros, code in (
            ("people", ["hubspot.contacts"], [], "select 1"),
            ("talks", ["transcripts.calls"], [], "select 1"),
            ("both", ["people", "talks"], ["loop_a"], "select 1"),
            ("judged", ["people", "ledger.facts"], [], "select 1"),
            ("dated", ["people"], [], "select {{ as_of() }}"),
            ("after_dated", ["dated"], [], "select 1"),
            ("today", ["people"], [], "select current_date"),
            ("stamped", ["people"], [], "select '{{ invocation_id }}'"),
            ("circle", ["people"], ["turn_b"], "select 1"),
            ("from_file", ["people"], [], "select * from read_csv('x.csv')"),
            ("constant", [], [], "select 1"),
        )
    },
    "sources": {
        "hubspot.contacts": {"source_name": "hubspot", "name": "contacts"},
        "transcripts.calls": {"source_name": "transcripts", "name": "calls"},
        "ledger.facts": {"source_name": "ledger", "name": "facts"},
    },
    "macros": {
        name: {"package_name": "nightdesk", "macro_sql": code, "depends_on": {"macros": macros}}
        for name, code, macros in (
            ("loop_a", "x", ["loop_b"]),
            ("loop_b", "x", ["loop_a"]),
            # Two that call each other, of which one looks at the day.
            ("turn_a", "x", ["turn_b", "day"]),
            ("turn_b", "x", ["turn_a"]),
            ("day", "{{ as_of() }}", []),
        )
    },
}
GRAPH = waves.read(MANIFEST)
HUBSPOT, TALKS = {"people"}, {"talks"}
ALL = HUBSPOT | TALKS | {"both"}


@dataclass
class Night:
    folder: Path
    hash: str = "one"

    def __post_init__(self) -> None:
        self.data = self.folder / "data"
        self.raw, self.warehouse, self.ledger = (self.data / f"{one}.duckdb" for one in ("raw", "warehouse", "ledger"))

    def make(self) -> Night:
        (self.folder / "tests/dbt").mkdir(parents=True)
        self.data.mkdir()
        for dataset, table in (("hubspot", "contacts"), ("transcripts", "calls")):
            self.run(self.raw, f"create schema {dataset}")
            self.run(self.raw, f"create table {dataset}.{table} (id varchar, _removed boolean, _dlt_load_id varchar)")
            self.run(self.raw, f"insert into {dataset}.{table} select i, null, '100.5' from range(3) as t(i)")
        self.run(self.warehouse, "create table people (id varchar)")
        self.run(self.ledger, "create table erasures (erasure_id varchar, finished_at timestamptz)")
        return self

    @property
    def project(self) -> Any:
        paths = SimpleNamespace(data_dir=self.data, raw=self.raw, warehouse=self.warehouse, ledger=self.ledger)
        return SimpleNamespace(folder=self.folder, settings=paths, policy=SimpleNamespace(project_hash=self.hash))

    def run(self, path: Path, sql: str) -> None:
        with duckdb.connect(str(path)) as connection:
            connection.execute(sql)

    def settled(self) -> set[str]:
        return set(settled.models(self.project, GRAPH))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Night(tmp_path_factory.mktemp("night") / "project").make().folder


@pytest.fixture
def night(made: Path, tmp_path: Path) -> Night:
    shutil.copytree(made, tmp_path / "project")
    it = Night(tmp_path / "project")
    settled.remember(it.project)
    return it


def test_a_quiet_night_builds_only_what_looks_at_more_than_raw_tables(night: Night) -> None:
    assert night.settled() == ALL
    with duckdb.connect(str(night.warehouse), read_only=True) as connection:
        connection.execute("select * from people").fetchall()
    assert night.settled() == ALL  # looking changes nothing


def insert(load: str) -> str:
    return f"insert into hubspot.contacts values ('9', null, '{load}')"


CHANGES: dict[str, tuple[Callable[[Night], object], set[str]]] = {
    "a load": (lambda it: it.run(it.raw, insert("200.5")), TALKS),
    # Neither is in dlt's list of loads, nor does a later load find anything that moved.
    "a load that was killed after it wrote": (lambda it: it.run(it.raw, insert("150.5")), TALKS),
    "a load with a clock that went back": (lambda it: it.run(it.raw, insert("050.5")), TALKS),
    "a load that was killed after it deleted": (
        lambda it: it.run(it.raw, "delete from hubspot.contacts where id = '1'"),
        TALKS,
    ),
    "a row that a load replaced": (
        lambda it: it.run(it.raw, "update hubspot.contacts set _dlt_load_id = '200.5' where id = '1'"),
        TALKS,
    ),
    "a row of another load, replaced while the newest stays the newest": (
        lambda it: it.run(
            it.raw,
            "insert into transcripts.calls values ('8', null, '300.5');"
            "update hubspot.contacts set _dlt_load_id = '200.5' where id <> '1'",
        ),
        set(),
    ),
    "an erasure that was begun": (lambda it: it.run(it.ledger, "insert into erasures values ('e', null)"), set()),
    "a deleted warehouse": (lambda it: it.warehouse.unlink(), set()),
    "a warehouse made by somebody else": (lambda it: it.run(it.warehouse, "create table more as select 1 as a"), set()),
    "a warehouse from a backup": (
        lambda it: (shutil.copy2(it.warehouse, it.data / "copy"), os.replace(it.data / "copy", it.warehouse)),
        set(),
    ),
    "a build that was killed: what it made is in the log of the warehouse alone": (
        lambda it: it.warehouse.with_name("warehouse.duckdb.wal").write_bytes(b"log"),
        set(),
    ),
    "a changed model": (lambda it: setattr(it, "hash", "two"), set()),
    "a changed data test": (lambda it: (it.folder / "tests/dbt/new.sql").write_text("select 1"), set()),
    "a changed profile": (lambda it: (it.folder / "profiles.yml").write_text("threads: 1"), set()),
    "a note that is torn": (lambda it: (it.data / settled.NOTE).write_text('{"warehouse": ['), set()),
    "a note that is no mapping": (lambda it: (it.data / settled.NOTE).write_text("[1]"), set()),
    "a raw file from a backup": (
        lambda it: (shutil.copy2(it.raw, it.data / "copy"), os.replace(it.data / "copy", it.raw)),
        set(),
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_whatever_was_touched_is_built_again(night: Night, what: str) -> None:
    change, left = CHANGES[what]
    change(night)
    assert night.settled() == left


def test_an_erasure_that_a_refresh_finishes_makes_everything_due(night: Night) -> None:
    night.run(night.ledger, "insert into erasures values ('e', null)")
    settled.remember(night.project)
    assert night.settled() == ALL
    night.run(night.ledger, "update erasures set finished_at = now()")
    assert night.settled() == set()


def test_a_new_release_with_another_raw_table_builds_everything(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "digest", lambda: "another shape")
    assert night.settled() == set()


def test_only_models_and_tests_that_something_touched_are_due(night: Night) -> None:
    night.run(night.raw, insert("200.5"))
    due = waves.Freshness(GRAPH, settled.models(night.project, GRAPH)).rest()
    assert set(due) == set(GRAPH.models) - TALKS
