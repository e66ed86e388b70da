"""The kit every source is built on: the last row of a key counts, only what moved is written, and the counts add up."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nightdesk.errors import NightdeskError
from sources.kit.run import Run, loading
from sources.kit.spool import Spool
from sources.kit.tables import Table, by_name, files_table, problems_table, table

THINGS = table(
    "toy", "things", "name number", ("text", "name"), ("bigint", "number"), ("text", "part"), ("bool", "yes")
)
TABLES = by_name(THINGS, files_table("toy"), problems_table("toy"))
Row = tuple[str, str, str | None, str | None]


class Applied:
    """Writes what moved without dlt: the settlement decides what moves, and it is what is tried here."""

    def __init__(self, raw: Path, folder: Path, dataset: str, tables: dict[str, Table]) -> None:
        self.raw, self.tables = raw, tables

    def finish_pending(self) -> bool:
        return False

    def run(self, counts: dict[str, int], batches: Any, release: Any, **_: object) -> None:
        moved = {name: [page for page in batches(name)] for name, count in counts.items() if count}
        release()
        with duckdb.connect(str(self.raw)) as con:
            for name, pages in moved.items():
                page = pa.concat_tables(pages)
                assert page.num_rows == counts[name]
                one = self.tables[name]
                keys = ", ".join(f'"{key}"' for key in one.key)
                assert con.execute(f"select count(distinct ({keys})) from page").fetchone() == (page.num_rows,)
                con.execute(f'delete from toy."{name}" where ({keys}) in (select ({keys}) from page)')
                con.execute(
                    f'insert into toy."{name}" by name '
                    "select *, 'load' as _dlt_load_id from page where _removed is null"
                )


def loaded(raw: Path) -> dict[tuple[str, int], tuple[str | None, bool | None]]:
    with duckdb.connect(str(raw), read_only=True) as con:
        rows = con.execute("select name, number, part, yes from toy.things").fetchall()
    found = {(name, number): (part, yes) for name, number, part, yes in rows}
    assert len(found) == len(rows)
    return found


NAMES = st.sampled_from(["a", "b", "it's"])
PARTS = st.sampled_from([None, "", "x", "y"])
ROWS = st.lists(
    st.tuples(NAMES, st.sampled_from(["1", "1.0", "2"]), PARTS, st.sampled_from([None, "", "true", "false"])),
    max_size=6,
)
LOAD = st.tuples(ROWS, st.booleans(), st.booleans(), st.lists(PARTS.filter(bool), max_size=2))
_READ = {None: None, "": None, "true": True, "false": False}


@given(st.lists(LOAD, min_size=2, max_size=3))
@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
def test_whatever_loads_come_the_table_is_what_the_source_said_last(
    loads: list[tuple[list[Row], bool, bool, list[str]]],
) -> None:
    model: dict[tuple[str, int], tuple[str | None, bool | None]] = {}
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr("sources.kit.pipeline.Loader", Applied)
        raw = Path(folder) / "raw.duckdb"
        for rows, is_arrow, is_whole, replaced in loads:
            before = dict(model)
            said = {(name, int(float(number))): (part, _READ[yes]) for name, number, part, yes in rows}
            if is_whole:
                model = {}
            model = {key: value for key, value in model.items() if value[0] not in replaced} | said
            with loading("toy", TABLES, raw, Path(folder) / "dlt") as run:
                if is_arrow and rows:
                    columns = list(zip(*rows, strict=True))
                    run.add_arrow("things", pa.table(dict(zip(THINGS.names, map(list, columns), strict=True))))
                else:
                    run.add("things", rows)
                if is_whole:
                    run.whole("things")
                if replaced:
                    run.replace("things", "part", replaced)
                report = run.finish()
            assert loaded(raw) == model
            moved = sum(before.get(key, 0) != model.get(key, 0) for key in before.keys() | model.keys())
            assert report.rows_moved["things"] == moved
            assert report.rows_total["things"] == len(model)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sources.kit.pipeline.Loader", Applied)


def one_load(folder: Path, *rows: Row) -> dict[tuple[str, int], tuple[str | None, bool | None]]:
    with loading("toy", TABLES, folder / "raw.duckdb", folder / "dlt") as run:
        run.add("things", rows)
        run.finish()
    return loaded(folder / "raw.duckdb")


def test_a_row_without_a_key_stops_the_load_and_leaves_what_is_loaded(tmp_path: Path, quick: None) -> None:
    before = one_load(tmp_path, ("a", "1", "x", "true"))
    with pytest.raises(NightdeskError, match="A row of things has no `name`") as caught:
        one_load(tmp_path, ("b", "1", "x", "true"), (None, "2", "y", None), (None, "3", "y", None))  # type: ignore[arg-type]
    assert caught.value.where and caught.value.todo
    assert loaded(tmp_path / "raw.duckdb") == before


def test_a_value_that_is_no_number_names_the_row(tmp_path: Path, quick: None) -> None:
    with pytest.raises(NightdeskError, match="`yes` of things holds 'perhaps', which is no bool") as caught:
        one_load(tmp_path, ("a", "7", "x", "perhaps"))
    assert caught.value.where == "things.yes, 7"


def test_a_folder_may_be_called_like_a_pattern(tmp_path: Path, quick: None) -> None:
    folder = tmp_path / "it's [all] * mine"
    folder.mkdir()
    assert one_load(folder, ("a", "1", "x", "true")) == {("a", 1): ("x", True)}


def test_rows_may_add_others_while_they_are_made_and_memory_is_given_back_on_the_way(
    tmp_path: Path, quick: None
) -> None:
    with loading("toy", TABLES, tmp_path / "raw.duckdb", tmp_path / "dlt") as run:

        def rows() -> Iterator[Row]:
            for number in range(12_001):
                if number == 12_000:
                    # Two pages are on disk before the last row is made.
                    assert len(list((tmp_path / "dlt/toy/spool/things").glob("*.parquet"))) == 2
                    run.add("problems", [("f", "line 1", "odd", "", "2026-01-01T00:00:00Z")])
                yield "a", str(number), None, None

        assert run.add("things", rows()) == 12_001
        report = run.finish()
    assert (report.rows_moved["things"], report.rows_total["problems"]) == (12_001, 1)


def test_a_row_of_the_wrong_length_leaves_no_half_of_it(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", {"things": THINGS.names})
    with pytest.raises(ValueError, match="3 values for 4 columns"):
        spool.add("things", [("a", "1", "x")])
    assert not spool.has_rows("things")
    spool.add("things", [("a", "1", "x", None)])
    spool.finish()


def test_problems_of_a_file_that_is_read_again_are_said_anew(tmp_path: Path, quick: None) -> None:
    def read(run: Run, file: str, *problems: str) -> None:
        from datetime import UTC, datetime

        for what in problems:
            run.problem(file, 3, what)
        run.file(file, file, size=1, modified_at=datetime(2026, 1, 1, tzinfo=UTC), sha256="", form="", records=1)

    def kept() -> list[tuple[str, str]]:
        with duckdb.connect(str(tmp_path / "raw.duckdb"), read_only=True) as con:
            return con.execute("select file, what from toy.problems order by all").fetchall()

    for files, expected in (
        ({"one": ("bad", "worse"), "two": ("bad",)}, [("one", "bad"), ("one", "worse"), ("two", "bad")]),
        ({"one": ("bad",)}, [("one", "bad"), ("two", "bad")]),
        ({"two": ()}, [("one", "bad")]),
    ):
        with loading("toy", TABLES, tmp_path / "raw.duckdb", tmp_path / "dlt") as run:
            for file, problems in files.items():
                read(run, file, *problems)
            run.finish()
        assert kept() == expected


def test_dlt_writes_the_same_and_a_raw_file_that_was_deleted_is_filled_anew(tmp_path: Path) -> None:
    raw = tmp_path / "raw.duckdb"
    rows: list[Row] = [("a", "1", "x", "true"), ("a", "1.0", None, "false"), ("b", "1", "x", None)]
    assert one_load(tmp_path, *rows) == {("a", 1): (None, False), ("b", 1): ("x", None)}
    with loading("toy", TABLES, raw, tmp_path / "dlt") as run:
        run.add("things", [("b", "1", None, None), ("c", "1", "new", None)])
        run.replace("things", "part", ["nothing has this"])
        run.whole("things")
        assert run.finish().rows_moved["things"] == 3
    assert loaded(raw) == {("b", 1): (None, None), ("c", 1): ("new", None)}
    raw.unlink()
    assert one_load(tmp_path, *rows) == {("a", 1): (None, False), ("b", 1): ("x", None)}
