"""One refresh at a time per data directory."""

from __future__ import annotations

import json
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from nightdesk.clock import Clock
from nightdesk.errors import NightdeskError


@contextmanager
def exclusive(data_dir: Path, command: str, clock: Clock) -> Generator[None]:
    """Hold the data directory's lock; the operating system lets go of it when the process dies, however it dies.

    Raises:
        NightdeskError: Another process holds it (its id and start are named), or the folder cannot be written.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        lock = FileLock(data_dir / "nightdesk.lock", timeout=0)
        lock.acquire()
    except Timeout:
        raise _at_work(data_dir) from None
    except OSError as error:
        raise NightdeskError(
            f"The data directory cannot be written: {error.strerror or error}",
            where=str(data_dir),
            todo="Free disk space or correct the folder's owner, then run the command again.",
        ) from error
    note = data_dir / "nightdesk.lock.json"
    try:
        note.write_text(
            json.dumps({"pid": os.getpid(), "command": command, "since": clock().isoformat(timespec="seconds")})
        )
        yield
    finally:
        note.unlink(missing_ok=True)
        lock.release()


def require_free(data_dir: Path) -> None:
    """Refuse at once while another Nightdesk is at work: DuckDB would not let us read beside it anyway.

    Raises:
        NightdeskError: Somebody holds the lock.
    """
    if not (data_dir / "nightdesk.lock").exists():
        return
    lock = FileLock(data_dir / "nightdesk.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise _at_work(data_dir) from None
    except OSError:
        return  # a folder that cannot be written is the next step's error, with its own words
    lock.release()


def _at_work(data_dir: Path) -> NightdeskError:
    return NightdeskError(
        f"Another nightdesk is at work here{_holder(data_dir)}",
        where=str(data_dir),
        todo="Wait until it has finished; two at the same time would ask and write everything twice.",
    )


def _holder(data_dir: Path) -> str:
    try:
        holder = json.loads((data_dir / "nightdesk.lock.json").read_text())
        return f": `{holder['command']}`, process {holder['pid']}, since {holder['since']}"
    except (OSError, ValueError, KeyError):
        return ""  # the note is only a courtesy; the lock itself is what counts
