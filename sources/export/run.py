"""One import: find the files, see what in them is newer than what is loaded, write it as one package."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nightdesk.errors import NightdeskError
from sources.export.settings import ExportSettings
from sources.kit.report import LoadReport, Problem
from sources.kit.run import now, totals

if TYPE_CHECKING:
    from nightdesk.erasure.tombstones import Tombstones
    from sources.export.settle import TableExport

_AGAIN = "Correct it and import again: what is loaded stays, and only what is newer moves."


def load(
    settings: ExportSettings,
    raw_path: Path,
    pipelines_dir: Path,
    on_progress: Callable[[str, int], None] | None = None,
    *,
    tombstones: Tombstones | None = None,
    on_learned: Callable[[], object] = lambda: None,
    clock: Callable[[], datetime] = now,
) -> LoadReport:
    """Loads the files of an export. May be killed at any moment and started again; a second time moves nothing.

    A record that is loaded in the same or a newer version stays as it is. A line or value that cannot be read leaves
    its row out, and is named in the report with its file and line; the rest is loaded. Large objects that an export
    filled first (emails, calls, meetings, notes, tasks) are read over the API from the newest record of the export on.

    Args:
        settings: Which CRM, and where the files are.
        raw_path: The raw database; created when missing.
        pipelines_dir: Working directory of all loads; may be deleted between them.
        on_progress: Called with a table and the rows moved so far.
        tombstones: People who were erased: whatever is theirs stays out. None when nobody was.
        on_learned: Called before anything is written, so that what `tombstones` learned is kept first.
        clock: Now.

    Raises:
        NightdeskError: no file of an export is there, another load is running, or the database is in use.
    """
    import duckdb
    from filelock import FileLock, Timeout

    from sources.export import files
    from sources.export.settle import TableExport, connect
    from sources.export.targets import targets
    from sources.kit.pipeline import Loader
    from sources.kit.schema import ensure_tables
    from sources.registry import datasets

    started = time.monotonic()
    tables = datasets()[settings.crm]
    known = targets(settings.crm, settings.columns)
    found, unknown = files.find(settings.path, known)
    # HubSpot's load works in the folder itself, the others in one of their own: an import takes its CRM's place.
    folder = pipelines_dir if settings.crm == "hubspot" else pipelines_dir / settings.crm
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "load.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise NightdeskError(
            f"A load of {settings.crm} is running", where=str(folder), todo="Wait for it to end, then import again."
        ) from error
    try:
        ensure_tables(raw_path, settings.crm, tables.values())
        loader = Loader(raw_path, folder, settings.crm, tables)
        loader.finish_pending()
        sql = connect(folder, raw_path)
        problems = [
            Problem(file=one, what="no table is known for it", todo="Name the file by its table, or leave it out.")
            for one in unknown
        ]
        try:
            exports = {
                name: TableExport(sql, settings.crm, known[name], [one for one in found if one.table == name])
                for name in sorted({one.table for one in found})
            }
            moving = {name: one for name, one in exports.items() if one.readers}
            marks = _watermarks(settings.crm, moving, clock)

            def batches(table: str) -> Iterator[Any]:
                if table == "load_watermarks":
                    yield _mark_rows(tables[table], marks)
                    return
                yield from moving[table].batches(
                    tombstones, lambda rows: on_progress(table, rows) if on_progress else None
                )

            # How many rows move is known only when they have: asking first would read every file once more.
            counts = dict.fromkeys(moving, 1) | ({"load_watermarks": len(marks)} if marks else {})
            empty = {name for name, one in moving.items() if one.is_fresh}

            def release() -> None:
                """What could not be read is known once everything was; then the raw database is dlt's to write."""
                problems.extend(_problems(exports))
                sql.close()
                on_learned()

            if moving:
                loader.run(counts, batches, release, empty=empty, distinct=True)
            else:
                release()
        except duckdb.Error as error:
            raise NightdeskError(
                f"The export could not be loaded: {str(error).splitlines()[0][:300]}",
                where=str(settings.path),
                todo="Free disk space or correct what the message names, then import again; what is loaded stays.",
            ) from error
        finally:
            sql.close()
    finally:
        lock.release()
    ignored = [
        f"{reader.file.shown}: column {column} is not loaded"
        for one in exports.values()
        for reader in one.readers
        for column in reader.ignored
    ]
    return LoadReport(
        rows_moved={name: one.rows_moved for name, one in exports.items()},
        rows_total=totals(raw_path, settings.crm, exports),
        requests=0,
        seconds=round(time.monotonic() - started, 3),
        schema_changes=ignored,
        erased={name: one.rows_erased for name, one in exports.items() if one.rows_erased},
        problems=tuple(problems),
    )


def _watermarks(crm: str, moving: dict[str, TableExport], clock: Callable[[], datetime]) -> list[tuple[str, str, str]]:
    """(stream, newest stamp, loaded at) of the streams whose next load over the API may begin where the export ends.

    Only large objects without a history of their own, which nothing else has filled. HubSpot's say what they are filed
    under in a file of associations; without one they are read again.
    """
    from sources.salesforce.tables import OBJECTS

    if crm == "hubspot":
        streams = {name: name for name in ("emails", "calls", "meetings", "notes", "tasks")}
        if "associations" not in moving:
            return []
    else:
        large = ("EmailMessage", "Task", "Event")
        streams = {kind.table.name: kind.name for kind in OBJECTS if kind.name in large}
    return [
        (stream, newest, clock().isoformat())
        for table, stream in streams.items()
        if table in moving and moving[table].is_fresh and (newest := moving[table].newest())
    ]


def _mark_rows(table: Any, marks: list[tuple[str, str, str]]) -> Any:
    from importlib import import_module

    pa: Any = import_module("pyarrow")  # ships no types
    rows = [
        {"stream": stream, "watermark": datetime.fromisoformat(newest), "loaded_at": datetime.fromisoformat(at)}
        for stream, newest, at in marks
    ]
    return pa.Table.from_pylist(rows, schema=table.arrow_schema())


def _problems(exports: dict[str, TableExport]) -> Iterator[Problem]:
    for one in exports.values():
        for file, what, todo in one.unreadable:
            yield Problem(file=file, what=what, todo=todo)
        for reader in one.readers:
            for place, what in reader.unread(one.read_by):
                yield Problem(file=reader.file.shown, position=place, what=what, todo=_AGAIN)
        for misfit in one.misfits:
            what = (
                f"`{misfit.column}` holds {misfit.value!r}, which is no {misfit.kind}; the row was left out"
                if misfit.kind
                else "the key is empty; the row was left out"
            )
            yield Problem(file=misfit.file, position=misfit.place, what=what, todo=_AGAIN)
        if one.rows_left_out > len(one.misfits):
            more = one.rows_left_out - len(one.misfits)
            yield Problem(file=one.table.name, what=f"about {more:,} more rows were left out for the same reasons")
