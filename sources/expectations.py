"""The border in: what must hold of the raw tables before a night builds on them, checked by Great Expectations.

The suites are data (tests/expectations): `every` for all sources, one folder more per source. DuckDB computes a small
frame per check and Great Expectations judges the frames; see `sources.borders`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from nightdesk.errors import NightdeskError
from sources.borders.border import Crossing, settle
from sources.borders.frames import Before, Framed, framed, raw_sql
from sources.borders.suites import SUITES_DIR, Suite, suites_of
from sources.borders.verdicts import BorderReport, Verdict, stopping

if TYPE_CHECKING:
    import duckdb

    from sources.kit.tables import Table


def check(
    raw_path: Path,
    *,
    as_of: date,
    previous_counts: Mapping[str, int] | None = None,
    docs_dir: Path | None = None,
    suites_dir: Path = SUITES_DIR,
    datasets: Collection[str] | None = None,
    ledger: Path | None = None,
    run_id: str | None = None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> BorderReport:
    """Checks the raw tables of every source that has been loaded against its suites.

    Args:
        raw_path: The raw database, opened read-only.
        as_of: The night's today.
        previous_counts: Rows per `<dataset>.<table>` before this load, to notice a loss.
        docs_dir: Where the Data Docs are; with it, frames that did not change are not judged again.
        suites_dir: Where the suites are.
        datasets: Only these sources; all that were loaded when None.
        ledger: Where the verdicts are appended and the measures of the load before are; neither when None.
        run_id: The run that checks; the newest one of the ledger when None.
        clock: Now, in UTC.

    Raises:
        NightdeskError: An expectation of severity `stop` failed (table, expectation, up to 5 offending rows), or a
            suite is broken. The verdicts are in the ledger all the same.
    """
    started = time.monotonic()
    before = _measures(ledger)
    crossings = _crossings(raw_path, suites_dir, as_of, previous_counts or {}, before, datasets)
    settled = settle("raw", crossings, docs_dir=docs_dir, now=clock(), about=f"as of {as_of.isoformat()}")
    failed = [one for result in settled.values() for one in stopping(result.verdicts)]
    if ledger is not None:
        from nightdesk.ledger import connect
        from sources.borders.record import append_checks, append_measures

        with connect(ledger) as connection:
            run_id = run_id or _newest_run(connection)
            append_checks(connection, "raw", settled, run_id=run_id, now=clock())
            if not failed:
                append_measures(connection, _measured(crossings), run_id=run_id, now=clock())
    if failed:
        raise _failure(failed, raw_path)
    return BorderReport(
        verdicts=tuple(one for result in settled.values() for one in result.verdicts),
        loaded=tuple(crossings),
        repeated=bool(settled) and all(result.is_repeated for result in settled.values()),
        seconds=round(time.monotonic() - started, 3),
    )


def prepare() -> None:
    """Imports Great Expectations aside. Call it when a long load begins: the import then costs no time of its own.

    A failing import is not noticed here; `check` meets it again and says so.
    """
    import threading

    from sources.borders.gx import import_gx

    threading.Thread(target=import_gx, name="import-great-expectations", daemon=True).start()


def _crossings(
    raw_path: Path,
    suites_dir: Path,
    as_of: date,
    counts: Mapping[str, int],
    measures: Mapping[str, Mapping[str, float]],
    only: Collection[str] | None,
) -> dict[str, Crossing]:
    import duckdb

    from sources.kit.schema import unreadable
    from sources.registry import datasets

    try:
        connection = duckdb.connect(str(raw_path), read_only=True)
    except duckdb.Error as error:
        raise unreadable(raw_path, error) from error
    found: dict[str, Crossing] = {}
    try:
        connection.execute("set timezone = 'UTC'")
        for dataset, tables in datasets().items():
            if (only is None or dataset in only) and _is_loaded(connection, dataset, tables):
                suites = suites_of(dataset, suites_dir)
                before = Before(counts, measures.get(dataset, {}))
                found[dataset] = Crossing(suites, _frames(connection, suites, dataset, tables, before, as_of))
    finally:
        connection.close()
    return found


def _is_loaded(connection: duckdb.DuckDBPyConnection, dataset: str, tables: Mapping[str, Table]) -> bool:
    there = {
        str(row[0])
        for row in connection.execute(
            f"select table_name from duckdb_tables() where schema_name = '{dataset}'"
        ).fetchall()
    }
    return any(
        connection.execute(f'select 1 from {dataset}."{name}" limit 1').fetchone() is not None
        for name in tables
        if name in there
    )


def _frames(
    connection: duckdb.DuckDBPyConnection,
    suites: Sequence[Suite],
    dataset: str,
    tables: Mapping[str, Table],
    before: Before,
    as_of: date,
) -> list[Framed]:
    frames: list[Framed] = []
    for suite in suites:
        for one in suite.checks:
            sql = raw_sql(connection, one, dataset, tables, before, as_of)
            where = f"{dataset}, {one.frame or one.table}"
            if sql and (frame := framed(connection, suite, one, sql, where)) is not None:
                frames.append(frame)
    return frames


def _measures(ledger: Path | None) -> dict[str, dict[str, float]]:
    if ledger is None:
        return {}
    from nightdesk.ledger import connect
    from sources.borders.record import read_measures

    with connect(ledger, read_only=True) as connection:
        return read_measures(connection)


def _measured(crossings: Mapping[str, Crossing]) -> dict[str, dict[str, float]]:
    """Dataset to measure to what it is now."""
    found: dict[str, dict[str, float]] = {}
    for dataset, crossing in crossings.items():
        for frame in crossing.frames:
            if frame.check.frame == "measures":
                name, now = frame.columns.index("table"), frame.columns.index("now")
                found.setdefault(dataset, {}).update({str(row[name]): float(row[now]) for row in frame.rows})
    return found


def _newest_run(connection: duckdb.DuckDBPyConnection) -> str | None:
    row = connection.execute("select run_id from runs order by started_at desc limit 1").fetchone()
    return None if row is None else str(row[0])


def _failure(failed: Sequence[Verdict], raw_path: Path) -> NightdeskError:
    count = "An expectation" if len(failed) == 1 else f"{len(failed)} expectations"
    return NightdeskError(
        f"{count} of the raw data failed:\n  " + "\n  ".join(one.sentence for one in failed),
        where=str(raw_path),
        todo="Correct the records at the source and load again, or the expectation in tests/expectations if it is "
        "wrong (docs/borders.md).",
    )
