"""One erasure from beginning to end: find the person, say what would go, set the tombstones, remove, prove.

The tombstones are written first. From then on every step works from them alone, and every step may be repeated: a
process that is killed at any point is taken up by the next `nightdesk erase` or `nightdesk refresh` and ends the same.
The raw tables, which say who is meant, are cleaned last.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from nightdesk import ledger, logs, runs
from nightdesk.clock import Clock
from nightdesk.erasure import files, ledger_rows, places, raw_rows, rewrite, scope, tombstones
from nightdesk.erasure.needles import Needles
from nightdesk.erasure.person import Person, find
from nightdesk.errors import NightdeskError

if TYPE_CHECKING:
    from collections.abc import Generator

    import duckdb

    from nightdesk.prepare import Project
    from nightdesk.settings import Settings

Progress = Callable[[str, str], None]
Observe = Callable[[str], None]


def _unobserved(_: str) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Report:
    """What an erasure removes (or would).

    Attributes:
        erasure_id: Empty for a dry run.
        person: Who was found.
        numbers: What goes, by kind.
        in_crm: (object type, record id, properties) that hold values of ours in the CRM.
        values: Texts of ours on other records that quote or name the person.
        strangers: Files in the data directory that are not ours and show the person.
        named_files: Files and folders we read from, outside of the data directory, whose names show the person.
    """

    erasure_id: str
    person: Person
    numbers: dict[str, int]
    in_crm: list[tuple[str, str, list[str]]] = field(default_factory=list[tuple[str, str, list[str]]])
    values: list[str] = field(default_factory=list[str])
    strangers: list[Path] = field(default_factory=list[Path])
    named_files: list[str] = field(default_factory=list[str])

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing left to remove."""
        return not any(self.numbers.values())


def look(settings: Settings, named: str) -> Report:
    """Say what an erasure would remove; nothing is changed.

    Raises:
        NightdeskError: Nobody here is known by that name.
    """
    with _everything(settings, read_only=True) as con:
        stones = tombstones.read(con) or tombstones.Tombstones(tombstones.fresh_key())
        person = find(con, named, stones)
        if person.erased_before:
            return Report(person.erased_before, person, {})
        for kind, text in person.subjects():
            stones.learn(kind, text, "")
        return _measure(con, settings, person, stones.of({""}), "")


def erase(
    project: Project, named: str, *, reason: str, clock: Clock, progress: Progress, observe: Observe = _unobserved
) -> Report:
    """Erase a person. The caller holds the data directory's lock and has finished what was pending.

    Args:
        project: The prepared project.
        named: An email address or a record id of theirs.
        reason: Why; kept with the proof, so it must not name the person.
        clock: Wall clock, UTC.
        progress: Told what is happening, as (step, text).
        observe: Told after each step, for tests that kill the process there.

    Raises:
        NightdeskError: Nobody is known by that name, the reason names the person, or a file cannot be rewritten.
    """
    settings = project.settings
    progress("find", "who is meant, and what rests on their texts")
    with _everything(settings, read_only=True) as con:
        stones = tombstones.read(con)
        is_first = stones is None
        stones = stones or tombstones.Tombstones(tombstones.fresh_key())
        person = find(con, named, stones)
        if person.erased_before:
            return Report(person.erased_before, person, {})
        needles = Needles(person.addresses, person.names)
        if needles.has_address(reason) or needles.has_name(reason):
            raise NightdeskError(
                "The reason names the person, and it is kept with the proof",
                todo="Say it without name and address, such as a ticket's number.",
            )
        run = runs.new_run_id(clock)
        erasure_id = f"erasure-{run}"
        for kind, text in person.subjects():
            stones.learn(kind, text, erasure_id)
        report = _measure(con, settings, person, stones.of({erasure_id}), erasure_id)
        _require_nothing_at_the_provider(con, settings)
        for value in report.values:
            stones.learn("value", value, erasure_id)
    _begin(settings, project, report, stones, is_first, run, reason, clock)
    observe("tombstones")
    finish(project, clock=clock, progress=progress, observe=observe)
    return report


def pending(settings: Settings) -> list[str]:
    """Ids of erasures that were begun and not finished."""
    if not settings.ledger.exists():
        return []
    with ledger.connect(settings.ledger, read_only=True) as con:
        rows = con.execute("select erasure_id from erasures where finished_at is null order by started_at").fetchall()
    return [str(row[0]) for row in rows]


def require_none_pending(settings: Settings) -> None:
    """Refuse to work on data of which somebody is half erased.

    Raises:
        NightdeskError: An erasure was begun and not finished.
    """
    unfinished = pending(settings)
    if unfinished:
        raise NightdeskError(
            f"An erasure was begun and not finished: {unfinished[0]}",
            where=str(settings.data_dir),
            todo="Run `nightdesk erase --finish` (or `nightdesk refresh`, which finishes it first).",
        )


def finish(project: Project, *, clock: Clock, progress: Progress, observe: Observe = _unobserved) -> list[str]:
    """Bring every erasure that was begun to its end; returns their ids. The caller holds the lock."""
    settings = project.settings
    unfinished = pending(settings)
    if not unfinished:
        return []
    found = tombstones.read_file(settings.ledger)
    stones = (found or tombstones.Tombstones(tombstones.fresh_key())).of(unfinished)
    for folder in (settings.data_dir, settings.logs):
        if folder.is_dir():
            rewrite.remove_leftovers(folder)

    progress("erase", "spool, recordings and logs")
    with _everything(settings, read_only=True) as con:
        built = scope.build(con, stones)
        marks = files.Marks.read(con, built.needles)
    files.clean_lines(settings.data_dir, marks)
    observe("lines")
    for folder in sorted({settings.logs, Path(os.environ.get("DBT_TARGET_PATH", "target")) / "logs"}):
        files.clean_logs(folder, marks)
    observe("logs")

    progress("erase", "answers, facts, plans in the ledger")
    with _everything(settings, read_only=False) as con:
        built = scope.build(con, stones)
        ledger_rows.select_operations(con, built)
        ledger_rows.remove(con, built, stones, unfinished[0], clock)
    observe("ledger rows")
    rewrite.compact(settings.ledger, lambda step: observe(f"ledger {step}"))

    progress("erase", "warehouse, published files, working folders")
    files.remove_rebuilt(
        settings.data_dir, dlt=settings.pipelines, published=settings.published, warehouse=settings.warehouse
    )
    observe("rebuilt files")

    progress("erase", "raw tables")
    if settings.raw.exists():
        _raw(settings, stones)
    observe("raw rows")
    rewrite.compact(settings.raw, lambda step: observe(f"raw {step}"))
    _end(settings, unfinished, stones, clock)
    observe("finished")
    return unfinished


def _require_nothing_at_the_provider(con: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    """Refuse while a batch with their texts is under way: its results would bring the texts back.

    Raises:
        NightdeskError: Some of their questions are with the model provider.
    """
    from enrich.agents.batch_journal import Journal, batch_file

    path = batch_file(settings.data_dir)
    if not path.exists():
        return
    theirs = {
        str(row[0]) for row in con.execute("select record_id from gone union select record_id from rested").fetchall()
    }
    waiting = sum(
        1 for batch in Journal(path).batches if batch.is_open for _, one in batch.calls.values() if one in theirs
    )
    if waiting:
        raise NightdeskError(
            f"{waiting} questions that show this person are with the model provider, in a batch",
            where=str(path),
            todo="Run `nightdesk refresh` until the batch is collected, then erase.",
        )


def _begin(
    settings: Settings,
    project: Project,
    report: Report,
    stones: tombstones.Tombstones,
    is_first: bool,
    run: str,
    reason: str,
    clock: Clock,
) -> None:
    """Write the journal's row and the tombstones in one transaction: from here on the erasure will be finished."""
    now = clock()
    with ledger.connect(settings.ledger) as con:
        con.begin()
        if is_first:
            con.execute("insert into erasure_key values (?, ?)", [stones.key.hex(), now])
        con.execute(
            "insert into runs values (?, 'erase', null, ?, null, ?, ?)", [run, settings.as_of, project.policy.hash, now]
        )
        con.execute("insert into run_events values (?, 1, 'run', 'started', ?, null, null)", [run, now])
        con.execute(
            "insert into erasures values (?, ?, ?, ?, ?, ?, null)",
            [report.erasure_id, run, settings.actor, reason, json.dumps(report.numbers), now],
        )
        tombstones.insert(con, stones.learned, clock)
        con.commit()
    logs.log("erasure started", erasure_id=report.erasure_id)


def _end(settings: Settings, finished: list[str], stones: tombstones.Tombstones, clock: Clock) -> None:
    """Note the end in the journal and in the audit chain: ids, numbers and hashes, nothing of the person."""
    from reverse_etl import audit
    from reverse_etl.store import transaction

    with ledger.connect(settings.ledger) as con:
        with transaction(con):
            for erasure_id in finished:
                run_id, removed, requested_by = con.execute(
                    "select run_id, removed::varchar, requested_by from erasures where erasure_id = ?", [erasure_id]
                ).fetchone() or ("", "{}", "")
                hashes = sorted(digest for (_, digest), one in stones.known.items() if one == erasure_id)
                audit.append(
                    con,
                    clock,
                    str(requested_by),
                    "person_erased",
                    erasure_id,
                    {
                        "erasure_id": erasure_id,
                        "removed": json.loads(removed),
                        "tombstones": len(hashes),
                        "tombstones_sha256": audit.sha256("".join(hashes)),
                    },
                )
                con.execute("update erasures set finished_at = ? where erasure_id = ?", [clock(), erasure_id])
                con.execute(
                    "insert into run_events select ?, coalesce(max(sequence), 0) + 1, 'run', 'finished', ?, ?, null "
                    "from run_events where run_id = ?",
                    [run_id, clock(), removed, run_id],
                )
        audit.anchor(con, clock)
    for erasure_id in finished:
        logs.log("erasure finished", erasure_id=erasure_id)


def _raw(settings: Settings, stones: tombstones.Tombstones) -> None:
    import duckdb

    from sources.kit.schema import unreadable

    try:
        with duckdb.connect(str(settings.raw)) as con:
            raw_rows.remove(con, stones)
    except duckdb.IOException as error:
        raise unreadable(settings.raw, error) from error


def _measure(
    con: duckdb.DuckDBPyConnection, settings: Settings, person: Person, stones: tombstones.Tombstones, erasure_id: str
) -> Report:
    built = scope.build(con, stones)
    ledger_rows.select_operations(con, built)
    marks = files.Marks.read(con, built.needles)
    documents = person.by_type()
    numbers = {"contact_records": len(person.contacts), "addresses": len(person.addresses)}
    numbers |= {kind: documents.get(kind, 0) for kind in tombstones.ENGAGEMENTS}
    numbers |= {"documents_shared_with_others": person.shared}
    numbers |= ledger_rows.count(con)
    numbers |= {"raw_rows": raw_rows.count(con, built.ids)}
    numbers |= {"spool_and_recorded_lines": sum(files.count_lines(settings.data_dir, marks).values())}
    return Report(
        erasure_id,
        person,
        numbers,
        ledger_rows.written_values(con),
        ledger_rows.shown_values(con, built),
        files.strangers(settings.data_dir, marks),
        places.named_files(con, built.needles),
    )


@contextmanager
def _everything(settings: Settings, *, read_only: bool) -> Generator[duckdb.DuckDBPyConnection]:
    """The ledger with the raw tables and, if there is one, the warehouse; in the raw tables, the views of `places`."""
    from sources.registry import ensure_tables

    if not settings.raw.exists():
        ensure_tables(settings.raw)
    attach = {"raw": settings.raw}
    if settings.warehouse.exists():
        attach["warehouse"] = settings.warehouse
    with ledger.connect(settings.ledger, read_only=read_only, attach=attach) as con:
        places.connect(con)
        yield con
