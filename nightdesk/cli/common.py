"""What commands share: settings, a prepared project, a console, a progress line."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from nightdesk.clock import system_clock
from nightdesk.errors import NightdeskError

if TYPE_CHECKING:
    from rich.console import Console

    from nightdesk.prepare import Project
    from nightdesk.refresh import Progress
    from reverse_etl.select import Selection


def console() -> Console:
    """Standard output. Wide enough in a log file, as wide as the terminal elsewhere."""
    from rich.console import Console

    found = Console(highlight=False)
    if not found.is_terminal:
        found = Console(highlight=False, width=120)
    return found


def prepared(*, may_be_unfinished: bool = False) -> Project:
    """The project in the current folder, ready to work on.

    Args:
        may_be_unfinished: Whether the command may run while an erasure is half done; a command that finishes it may.

    Raises:
        NightdeskError: There is no project here, somebody is at work, or an erasure has to be finished first.
    """
    from nightdesk import lock, logs, prepare, settings
    from nightdesk.erasure.run import require_none_pending

    folder = Path.cwd()
    read = settings.read(folder)
    lock.require_free(read.data_dir)
    logs.to_file(read.logs)
    project = prepare.project(folder, read, system_clock)
    if not may_be_unfinished:
        require_none_pending(read)
    return project


@contextmanager
def progress_line(out: Console) -> Generator[Progress]:
    """A live line on a terminal; elsewhere one plain line a step and at most one every five seconds.

    A `Notice` is shown whatever the time, and stays above the live line.
    """
    from rich.markup import escape
    from rich.text import Text

    from nightdesk.notices import Notice

    def note(step: str, text: str) -> None:
        out.print(Text(f"{step}: {text}", style="yellow"), soft_wrap=True)

    if out.is_terminal:
        with out.status("starting") as status:

            def live(step: str, text: str) -> None:
                if isinstance(text, Notice):
                    note(step, text)
                else:
                    status.update(f"[bold]{step}[/bold]  {escape(text)}")

            yield live
        return
    state = {"step": "", "at": 0.0}

    def plain(step: str, text: str) -> None:
        now = time.monotonic()
        if isinstance(text, Notice):
            note(step, text)
        elif step != state["step"] or now - float(state["at"]) >= 5:
            state["step"], state["at"] = step, now
            out.print(Text(f"{step}: {text}"))

    yield plain


def chosen_crm(project: Project, given: str | None) -> str:
    """The CRM that `--crm` names; the first that `sources.yml` names when it was left out.

    Raises:
        NightdeskError: There is no such CRM.
    """
    from nightdesk.crms import NAMES

    name = project.sources.crms[0] if given is None else given
    if name not in NAMES:
        raise NightdeskError(f"There is no CRM `{name}`", todo=f"One of: {', '.join(NAMES)}.")
    return name


def selection(select: list[str] | None) -> Selection:
    """The operations that `--select` means; all when it was not given."""
    from reverse_etl.select import Selection

    return Selection.parse(select or ())


def chosen_changes(select: list[str] | None, everything: bool) -> Selection:
    """A verdict names what it is about: a selection, or everything in so many words.

    Raises:
        NightdeskError: Neither was said, or both.
    """
    if bool(select) == everything:
        raise NightdeskError(
            "Say which changes: either --select KEY:VALUE or --all",
            todo="`nightdesk review` shows them; --select takes the same filters.",
        )
    return selection(select)
