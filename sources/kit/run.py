"""One load of one source: what it says is spooled, settled against what is loaded, and written as one package."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nightdesk.errors import NightdeskError
from sources.kit.report import LoadReport, Problem
from sources.kit.schema import ensure_tables, unreadable
from sources.kit.tables import Table

if TYPE_CHECKING:
    import duckdb

    from nightdesk.erasure.tombstones import Tombstones
    from sources.kit.settle import Settlement


def now() -> datetime:
    """The clock of a load."""
    return datetime.now(UTC)


class Run:
    """A load under way. Nothing reaches the raw database before `finish`. Thread-safe but for `finish`.

    Attributes:
        requests: Requests sent over the network; the source counts them.
    """

    def __init__(
        self,
        dataset: str,
        tables: Mapping[str, Table],
        raw_path: Path,
        folder: Path,
        tombstones: Tombstones | None,
        on_learned: Callable[[], object],
        clock: Callable[[], datetime],
    ) -> None:
        from sources.kit.spool import Spool

        self._started = time.monotonic()
        self._dataset = dataset
        self._tables = tables
        self._raw_path = raw_path
        self._folder = folder
        self._stones = tombstones
        self._on_learned = on_learned
        self._clock = clock
        self._spool = Spool(folder / "spool", {name: table.names for name, table in tables.items()})
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._lock = threading.Lock()
        self._replaced: dict[str, dict[str, set[str]]] = {}
        self._whole: set[str] = set()
        self._problems: list[Problem] = []
        self._changes: list[str] = []
        self._erased: Counter[str] = Counter()
        self.requests = 0

    # -- what is loaded ------------------------------------------------------------------------------------------------

    def previous(self, sql: str) -> list[tuple[Any, ...]]:
        """Asks the raw database as the last finished load left it; tables are `<dataset>.<table>`."""
        import duckdb

        with self._lock:
            if self._connection is None:
                try:
                    self._connection = duckdb.connect(str(self._raw_path), read_only=True)
                except duckdb.Error as error:
                    raise unreadable(self._raw_path, error) from error
                self._connection.execute("set timezone = 'UTC'")
            return self._connection.execute(sql).fetchall()

    # -- what the source says ------------------------------------------------------------------------------------------

    def add(self, table: str, rows: Iterable[Sequence[str | None]]) -> int:
        """Adds rows of text in column order; a later row with the same key wins. Returns how many were kept."""
        return self._spool.add(table, self._allowed(self._tables[table], rows))

    def add_arrow(self, table: str, page: Any) -> int:
        """Adds an Arrow table with (some of) the table's columns, text or typed. Returns how many rows were kept."""
        one = self._tables[table]
        if not self._is_checked(one):
            return self._spool.add_arrow(table, page)
        kept = [number for number, row in enumerate(page.to_pylist()) if not self._is_erased(one, row)]
        if len(kept) < page.num_rows:
            self._count_erased(table, page.num_rows - len(kept))
            page = page.take(kept)
        return self._spool.add_arrow(table, page)

    def replace(self, table: str, column: str, values: Iterable[str]) -> None:
        """Loaded rows with one of these values in a column are removed, unless their key is added in this load."""
        with self._lock:
            self._replaced.setdefault(table, {}).setdefault(column, set()).update(values)

    def whole(self, table: str) -> None:
        """The source said all there is of this table: loaded rows whose key is not added in this load are removed."""
        self._whole.add(table)

    def file(
        self, source: str, file: str, *, size: int, modified_at: datetime, sha256: str, form: str, records: int
    ) -> None:
        """Notes a file that was read (table `files`), and forgets what an earlier reading of it found wrong."""
        problems = sum(one.file == file for one in self._problems)
        modified = modified_at.astimezone(UTC).isoformat()
        row = (source, file, str(size), modified, sha256, form, str(records), str(problems), self._clock().isoformat())
        self._spool.add("files", [row])
        self.replace("problems", "file", [file])

    def problem(self, file: str, position: str | int | None, what: str, todo: str = "") -> None:
        """Notes one thing that could not be read.

        Args:
            file: The file, folder or mailbox.
            position: A line number, or a place in words.
            what: What is wrong.
            todo: What to do about it.
        """
        from sources.kit.erased import quotes

        place = f"line {position}" if isinstance(position, int) else position or ""
        if self._stones is not None and quotes(self._stones, file, place, what, todo):
            return  # it would go into the logs and the table of problems, and name somebody who was erased
        with self._lock:
            self._problems.append(Problem(file=file, position=place, what=what, todo=todo))

    def change(self, sentence: str) -> None:
        """Notes what is new or missing in the source's fields."""
        with self._lock:
            self._changes.append(sentence)

    # -- the end -------------------------------------------------------------------------------------------------------

    def finish(self) -> LoadReport:
        """Writes what moved and reports.

        Raises:
            NightdeskError: a value does not fit its column, the database is in use, or the disk is full.
        """
        import duckdb

        from sources.kit.settle import Settlement

        if "problems" in self._tables:
            seen = self._clock().isoformat()
            rows = ((one.file, one.position, one.what, one.todo, seen) for one in self._problems)
            self._spool.add("problems", rows)
            self._replaced.setdefault("problems", {}).setdefault("file", set()).update(o.file for o in self._problems)
        self._on_learned()
        # Most tables of a quiet night: nothing was said of them, so nothing can have moved.
        concerned = {
            name: table
            for name, table in self._tables.items()
            if name in self._whole or name in self._replaced or self._spool.has_rows(name)
        }
        self._spool.finish()
        self._close()
        try:
            with Settlement(self._spool.folder, self._raw_path, self._dataset, concerned) as settlement:
                for name in concerned:
                    settlement.simple(name, gone=self._gone(settlement, name))
                settlement.check_values()
                counts = dict.fromkeys(self._tables, 0) | settlement.counts()
                if any(counts.values()):
                    self._write(settlement, counts)
        except (OSError, duckdb.Error) as error:
            first = (str(error) or type(error).__name__).splitlines()[0][:300]
            raise NightdeskError(
                f"What was read from {self._dataset} could not be written: {first}",
                where=str(self._raw_path.parent),
                todo="Free disk space (or check the rights of the folder), then load again; what is loaded stays.",
            ) from error
        return LoadReport(
            rows_moved=counts,
            rows_total=totals(self._raw_path, self._dataset, self._tables),
            requests=self.requests,
            seconds=round(time.monotonic() - self._started, 3),
            schema_changes=self._changes,
            erased=dict(self._erased),
            problems=tuple(self._problems),
        )

    def close(self) -> None:
        """Forgets what was spooled and closes the database."""
        self._close()
        self._spool.remove()

    def _close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _write(self, settlement: Settlement, counts: Mapping[str, int]) -> None:
        from sources.kit.pipeline import Loader

        loader = Loader(self._raw_path, self._folder, self._dataset, self._tables)
        loader.run(counts, settlement.batches, settlement.close, distinct=True)

    def _gone(self, settlement: Settlement, name: str) -> str:
        if name in self._whole:
            return "true"
        conditions: list[str] = []
        for column, values in self._replaced.get(name, {}).items():
            noted = f"replaced_{name}_{column}"
            # One statement for all of them, also for none: row by row, fifty thousand would take ten seconds.
            settlement.sql.execute(f"create table {noted} as select unnest(?::varchar[]) as value", [sorted(values)])
            conditions.append(f'old."{column}" in (select value from {noted})')
        return " or ".join(conditions)

    # -- who was erased ------------------------------------------------------------------------------------------------

    def _allowed(self, table: Table, rows: Iterable[Sequence[str | None]]) -> Iterator[Sequence[str | None]]:
        if not self._is_checked(table):
            yield from rows
            return
        for row in rows:
            if self._is_erased(table, dict(zip(table.names, row, strict=True))):
                self._count_erased(table.name, 1)
            else:
                yield row

    def _is_checked(self, table: Table) -> bool:
        from sources.kit.erased import is_checked

        return self._stones is not None and is_checked(table)

    def _is_erased(self, table: Table, row: Mapping[str, Any]) -> bool:
        from sources.kit.erased import is_erased

        return self._stones is not None and is_erased(self._stones, table, row)

    def _count_erased(self, table: str, count: int) -> None:
        self._erased[table] += count


@contextmanager
def loading(
    dataset: str,
    tables: Mapping[str, Table],
    raw_path: Path,
    pipelines_dir: Path,
    *,
    tombstones: Tombstones | None = None,
    on_learned: Callable[[], object] = lambda: None,
    clock: Callable[[], datetime] = now,
) -> Generator[Run]:
    """Opens a load: finishes what a killed one left complete, makes missing tables, keeps other loads out.

    Args:
        dataset: The source's name.
        tables: Every table of it.
        raw_path: The raw database; created when missing.
        pipelines_dir: Working directory of all loads; may be deleted between them.
        tombstones: People who were erased; None when nobody was.
        on_learned: Called before anything is written, so that what `tombstones` learned is kept first.
        clock: Now.

    Raises:
        NightdeskError: another load of this source is running, or the raw database is in use.
    """
    from filelock import FileLock, Timeout

    folder = pipelines_dir / dataset
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "load.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise NightdeskError(
            f"Another load of {dataset} is running", where=str(folder), todo="Wait for it to end, then load again."
        ) from error
    try:
        from sources.kit.pipeline import Loader

        ensure_tables(raw_path, dataset, tables.values())
        Loader(raw_path, folder, dataset, tables).finish_pending()
        run = Run(dataset, tables, raw_path, folder, tombstones, on_learned, clock)
        try:
            yield run
        finally:
            run.close()
    finally:
        lock.release()


def totals(raw_path: Path, dataset: str, tables: Iterable[str]) -> dict[str, int]:
    """Rows per table."""
    import duckdb

    connection = duckdb.connect(str(raw_path), read_only=True)
    try:
        sql = " union all ".join(f"select '{name}', count(*) from {dataset}.\"{name}\"" for name in tables)
        return {str(name): int(count) for name, count in connection.execute(sql).fetchall()}
    finally:
        connection.close()
