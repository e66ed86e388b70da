"""What commands share: settings, a prepared project, a console, a progress line."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from nightdesk.clock import system_clock

if TYPE_CHECKING:
    from rich.console import Console

    from nightdesk.prepare import Project
    from nightdesk.refresh import Progress


def console() -> Console:
    """Standard output. Wide enough in a log file, as wide as the terminal elsewhere."""
    from rich.console import Console

    found = Console(highlight=False)
    if not found.is_terminal:
        found = Console(highlight=False, width=120)
    return found


def prepared() -> Project:
    """The project in the current folder, ready to work on."""
    from nightdesk import lock, logs, prepare, settings

    folder = Path.cwd()
    read = settings.read(folder)
    lock.require_free(read.data_dir)
    logs.to_file(read.logs)
    return prepare.project(folder, read, system_clock)


@contextmanager
def progress_line(out: Console) -> Generator[Progress]:
    """A live line on a terminal; elsewhere one plain line a step and at most one every five seconds."""
    if out.is_terminal:
        with out.status("starting") as status:
            yield lambda step, text: status.update(f"[bold]{step}[/bold]  {text}")
        return
    state = {"step": "", "at": 0.0}

    def plain(step: str, text: str) -> None:
        now = time.monotonic()
        if step != state["step"] or now - float(state["at"]) >= 5:
            state["step"], state["at"] = step, now
            out.print(f"{step}: {text}")

    yield plain
