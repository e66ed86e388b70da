"""One load of all mailboxes: read what is new, parse it, tell copies and conversations apart, write one package."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nightdesk.errors import NightdeskError
from sources.kit.report import LoadReport
from sources.kit.run import Run, loading, now
from sources.mailbox.settings import MailboxSettings
from sources.mailbox.stores import Item, Ledger, chunks, literal, literals
from sources.mailbox.tables import DATASET, LOCATIONS, TABLES

if TYPE_CHECKING:
    from nightdesk.erasure.tombstones import Tombstones
    from sources.mailbox.rows import Row

_MOST_PROBLEMS: Final = 200  # of one file or folder that are said one by one


def load(
    settings: Sequence[MailboxSettings],
    raw_path: Path,
    pipelines_dir: Path,
    on_progress: Callable[[str], None] | None = None,
    *,
    full: bool = False,
    tombstones: Tombstones | None = None,
    on_learned: Callable[[], object] = lambda: None,
    clock: Callable[[], datetime] = now,
) -> LoadReport:
    """Loads what is new in some mailboxes.

    Nothing is written before everything was read; a load that is killed changes nothing, and the next one reads again.
    Mail servers are only read from: no message is marked as seen.

    Args:
        settings: The mailboxes; one that is no longer among them keeps its messages.
        raw_path: The raw database; created when missing.
        pipelines_dir: Working directory of loads; may be deleted between them.
        on_progress: Called now and then with one line on how far the load is.
        full: Read and parse everything anew, say after an upgrade that reads more; conversations keep their ids.
        tombstones: People who were erased; None when nobody was.
        on_learned: Called before anything is written, so that what `tombstones` learned is kept first.
        clock: Now.

    Raises:
        NightdeskError: Two mailboxes have one name, a path is missing, a server refuses the login or cannot be reached
            (the other mailboxes are loaded before that is said), or the raw database is in use.
    """
    from sources.mailbox.collate import Copies
    from sources.mailbox.rows import read_all

    doubles = [name for name, count in Counter(one.name for one in settings).items() if count > 1]
    if doubles:
        raise NightdeskError(
            f"Two mailboxes are named {doubles[0]}", where="mailboxes", todo="Give each mailbox a name of its own."
        )
    say = on_progress or _quiet
    with loading(
        DATASET, TABLES, raw_path, pipelines_dir, tombstones=tombstones, on_learned=on_learned, clock=clock
    ) as run:
        problems = _Problems(run)
        failed: list[NightdeskError] = []
        # The files of a load are noted after its problems are known, because the note counts them.
        files: list[tuple[str, str, int, datetime, str, str, int]] = []

        def note_file(
            source: str, file: str, size: int, modified_at: datetime, sha256: str, form: str, records: int
        ) -> None:
            files.append((source, file, size, modified_at, sha256, form, records))

        ledger = Ledger(
            ask=run.previous,
            problem=problems.add,
            read_file=note_file,
            now=clock(),
            full=full,
        )
        with Copies(pipelines_dir / DATASET / "scratch", run.previous, full=full) as copies:
            count = 0
            for one in settings:
                try:
                    for rows, said in read_all(_items(one, ledger), ledger.now, one.workers):
                        copies.add(_recent(one, rows))
                        for file, place, what in said:
                            problems.add(file, place, what, "")
                        count += len(rows)
                        say(f"{one.name}: {count} messages read")
                except NightdeskError as error:
                    # The other mailboxes are none the worse for it: they are loaded, and then it is said.
                    if len(settings) == 1:
                        raise
                    failed.append(error)
            copies.settle()
            for page in copies.messages():
                run.add_arrow("messages", page)
            for page in copies.locations():
                run.add_arrow("locations", page)
            for page in copies.threads():
                run.add_arrow("threads", page)
        _note_gone(run, ledger)
        run.add("folders", (folder.row(ledger.now) for folder in ledger.folders))
        problems.close()
        for source, file, size, modified_at, sha256, form, records in files:
            run.file(source, file, size=size, modified_at=modified_at, sha256=sha256, form=form, records=records)
        run.requests += ledger.requests
        report = run.finish()
    if failed:
        first = failed[0]
        more = "" if len(failed) == 1 else f", and {len(failed) - 1} more mailboxes cannot be read"
        raise NightdeskError(
            f"{first.what}{more}", where=first.where, todo=f"{first.todo} The other mailboxes were loaded.".strip()
        )
    return report


def _items(settings: MailboxSettings, ledger: Ledger) -> Iterator[Item]:
    if settings.kind == "imap":
        from sources.mailbox.imap import read as read_imap

        return read_imap(settings, ledger)
    assert settings.path is not None
    if not settings.path.exists():
        raise NightdeskError(
            f"There is no mail at the path of mailbox {settings.name}",
            where=str(settings.path),
            todo="Correct the path, or take the mailbox out of the settings; what was loaded stays.",
        )
    if settings.kind == "mbox":
        from sources.mailbox.mbox import read as read_mbox

        return read_mbox(settings, ledger)
    from sources.mailbox.folders import read_eml, read_maildir

    return read_maildir(settings, ledger) if settings.kind == "maildir" else read_eml(settings, ledger)


def _recent(settings: MailboxSettings, rows: Sequence[Row]) -> list[Row]:
    """Marks what is older than the mailbox's start: its place is kept, lest it is read again, its text is not."""
    if settings.since is None:
        return list(rows)
    from sources.mailbox.rows import COLUMNS

    start = settings.since.isoformat()
    written, left_out = COLUMNS.index("occurred_at"), COLUMNS.index("is_left_out")
    return [
        row if row[written] is None or str(row[written]) >= start else (*row[:left_out], "true", *row[left_out + 1 :])
        for row in rows
    ]


def _note_gone(run: Run, ledger: Ledger) -> None:
    """Copies that are no longer where they were: the row stays, marked; the message stays as it is."""
    by_container: dict[str, list[str]] = {}
    for container, position in ledger.gone:
        by_container.setdefault(container, []).append(position)
    names = ", ".join(LOCATIONS.names[:-2])
    for container, positions in by_container.items():
        for some in chunks(positions, 2_000):
            rows = run.previous(
                f"select {names} from mailbox.locations where container = {literal(container)} "
                f"and position in ({literals(some)})"
            )
            run.add(
                "locations",
                (
                    (
                        *(
                            None if one is None else str(one).lower() if isinstance(one, bool) else str(one)
                            for one in row
                        ),
                        "true",
                        ledger.now.isoformat(),
                    )
                    for row in rows
                ),
            )
    if ledger.replaced:
        run.replace("locations", "container", ledger.replaced)


def _quiet(_: str) -> None:
    pass


class _Problems:
    """Says problems, and no more than a person would read of one file."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._counts: Counter[str] = Counter()

    def add(self, file: str, place: str, what: str, todo: str) -> None:
        self._counts[file] += 1
        if self._counts[file] <= _MOST_PROBLEMS:
            self._run.problem(file, place, what, todo)

    def close(self) -> None:
        for file, count in self._counts.items():
            if count > _MOST_PROBLEMS:
                self._run.problem(file, "", f"{count - _MOST_PROBLEMS} more messages have something wrong with them")
