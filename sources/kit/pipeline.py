"""The dlt side of a load: one resource per table, merged by primary key into the source's dataset of raw.duckdb."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nightdesk.errors import NightdeskError
from sources.kit.schema import identity
from sources.kit.tables import Table, dlt_columns

if TYPE_CHECKING:
    import dlt

_ADDED: Final = "rows are added: drop what a kill leaves"
_LIMITS: Final = ("500MB", "2GB")  # of DuckDB; the second where the first is too little: rows of many megabytes
_KEPT: Final = 10  # finished load packages kept for a look at what dlt did

# Set before dlt is imported: it reads the environment when its runtime starts.
_ENVIRONMENT: Final = {
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__LOG_LEVEL": "CRITICAL",
    "NORMALIZE__PARQUET_NORMALIZER__ADD_DLT_LOAD_ID": "true",
    "LOAD__TRUNCATE_STAGING_DATASET": "true",
    "LOAD__DELETE_COMPLETED_JOBS": "true",
    "LOAD__WORKERS": "1",  # DuckDB has one writer; more threads only wait for each other
    "NORMALIZE__WORKERS": "1",
}

# Evolve: a new release may add tables and columns. Freeze: a column never changes its type silently.
_CONTRACT: Final = {"tables": "evolve", "columns": "evolve", "data_type": "freeze"}


class Loader:
    """Completes what an interrupted load left, then writes one load package.

    Importing dlt takes longer than asking the CRM whether anything moved, so it is imported on first need only.

    Args:
        raw_path: The raw database.
        pipelines_dir: dlt's working directory; may be deleted between loads.
        dataset: The source's name.
        tables: Every table of the dataset, by name.
    """

    def __init__(self, raw_path: Path, pipelines_dir: Path, dataset: str, tables: Mapping[str, Table]) -> None:
        self._raw_path = raw_path
        self._dir = pipelines_dir
        self._dataset = dataset
        self._tables = tables
        self._name = f"nightdesk_{dataset}"
        self._target = pipelines_dir / "target"

    def _new_pipeline(self) -> dlt.Pipeline:
        self._dir.mkdir(parents=True, exist_ok=True)
        dlt = _dlt()
        return dlt.pipeline(
            self._name,
            pipelines_dir=str(self._dir),
            destination=dlt.destinations.duckdb(str(self._raw_path)),
            dataset_name=self._dataset,
        )

    def finish_pending(self) -> bool:
        """Loads the packages a killed load left complete; drops the rest. Returns whether anything was loaded.

        A package is complete once normalised. Dropping is safe: watermarks live in the raw database and count only
        when dlt marked their load complete, so whatever is dropped is read from the CRM again.
        """
        folder = self._dir / self._name
        if not _left_over(folder):
            return False
        try:
            # A package made for a raw file that was since deleted would leave the new one with its last rows only.
            if not self._target.exists() or self._target.read_text(encoding="utf-8") != identity(
                self._raw_path, self._dataset
            ):
                shutil.rmtree(folder, ignore_errors=True)
                return False
            pipeline = self._new_pipeline()
            if pipeline.list_normalized_load_packages():
                self._load(pipeline)
                return True
        except Exception as error:
            if _is_locked(error):
                raise _translated(error, self._raw_path) from error
            # A package torn by the kill cannot be trusted; its rows are still in the CRM.
        shutil.rmtree(folder, ignore_errors=True)
        return False

    def run(
        self,
        counts: Mapping[str, int],
        batches: Callable[[str], Iterator[Any]],
        release: Callable[[], None],
        *,
        empty: Collection[str] = (),
        distinct: bool = False,
    ) -> None:
        """Writes the moved rows of every table as one package.

        Args:
            counts: Moved rows per table; tables with none are left alone.
            batches: Arrow tables of a table's moved rows.
            release: Called after extraction, before the raw database is opened for writing.
            empty: Tables that hold nothing yet and get every key once: their rows are added without looking for the
                same keys, which halves the time. If such a load is killed its package is dropped, never gone on with:
                what it had written is found again by comparing, so nothing comes twice.
            distinct: No table is given a key twice. Then dlt need not look for the last row of each key, for which it
                holds every moved row in memory and fails where they are more than that.

        Raises:
            NightdeskError: the database is in use, or dlt refused or failed to write (disk full, changed column type).
        """
        try:
            note = _ADDED if empty else identity(self._raw_path, self._dataset)
            self._target.write_text(note, encoding="utf-8")
            pipeline = self._new_pipeline()
            # Every table is declared each time, so the stored schema does not depend on what happened to move.
            resources = [
                self._resource(
                    self._tables[name], batches if count else _nothing, is_empty=name in empty, distinct=distinct
                )
                for name, count in counts.items()
            ]
            source = _dlt().source(lambda: resources, name=self._dataset)()
            pipeline.extract(source, loader_file_format="parquet")
            release()
            pipeline.normalize()
            self._load(pipeline, _LIMITS if distinct else _LIMITS[-1:])
        except Exception as error:
            raise _translated(error, self._raw_path) from error
        self._tidy()

    def _tidy(self) -> None:
        """Forgets all but the latest packages: dlt keeps the folder of every load for good."""
        loaded = self._dir / self._name / "load" / "loaded"
        for old in sorted(loaded.iterdir(), key=lambda path: path.name)[:-_KEPT] if loaded.is_dir() else ():
            shutil.rmtree(old, ignore_errors=True)

    def _load(self, pipeline: dlt.Pipeline, limits: tuple[str, ...] = _LIMITS[-1:]) -> None:
        """Loads the package with one connection held open: dlt opens the file eight times, each with a checkpoint."""
        import duckdb

        with duckdb.connect(str(self._raw_path)) as held:
            # Of every connection of this process to the file. More threads write no faster, and each holds rows.
            held.execute("set threads = 1")
            for limit in limits:
                held.execute(f"set memory_limit = '{limit}'")
                try:
                    pipeline.load()
                    return
                except Exception as error:
                    # What has failed is rolled back, and the package still waits to be loaded.
                    if limit == limits[-1] or "Out of Memory" not in str(error):
                        raise

    def _resource(
        self, table: Table, batches: Callable[[str], Iterator[Any]], *, is_empty: bool, distinct: bool
    ) -> Any:
        return _dlt().resource(
            lambda: batches(table.name),
            name=table.name,
            primary_key=table.key,
            write_disposition="append"
            if is_empty
            else {"disposition": "merge", "strategy": "delete-insert", "deduplicated": distinct},
            columns=dlt_columns(table),
            schema_contract=_CONTRACT,
            file_format="parquet",
        )


def _dlt() -> Any:
    os.environ.update(_ENVIRONMENT)
    import dlt

    return dlt


def _left_over(folder: Path) -> bool:
    """Whether dlt's working folder holds a package, without importing dlt to find out."""
    places = ("normalize/extracted", "normalize/new", "load/new", "load/normalized")
    return any(any(path.iterdir()) for place in places if (path := folder / place).is_dir())


def _nothing(_: str) -> Iterator[Any]:
    yield from ()


def _is_locked(error: BaseException) -> bool:
    seen: BaseException | None = error
    while seen is not None:
        if "Could not set lock" in str(seen) or "Conflicting lock" in str(seen):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def _translated(error: Exception, raw_path: Path) -> NightdeskError:
    if _is_locked(error):
        return NightdeskError(
            "The raw database is in use by another process",
            where=str(raw_path),
            todo="Wait for the other load or build to end, then load again; what was read is kept.",
        )
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    return NightdeskError(
        f"dlt could not load the rows: {str(cause).splitlines()[0][:300] if str(cause) else type(cause).__name__}",
        where=str(raw_path),
        todo="Free disk space or fix what the message names, then load again; nothing is lost.",
    )
