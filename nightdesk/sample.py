"""The sample company on this machine: make it, serve it, let a day pass in it."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from nightdesk.errors import NightdeskError

if TYPE_CHECKING:
    from sandbox.crm.faults import Fault

TODAY = date(2026, 11, 17)  # a Tuesday; the sample company's fixed today
TOKEN = "sandbox-token"
PORT = 8765
STORE = "crm.sqlite"
TRUTH = "truth.duckdb"  # only the evaluation opens it


def make(folder: Path, *, contacts: int, seed: int, force: bool) -> Mapping[str, int]:
    """Generate the company and fill a new sandbox CRM with it.

    Returns:
        How many records of each object type there are.

    Raises:
        NightdeskError: There is one already and `force` is off.
    """
    from sandbox import company

    if (folder / STORE).exists() and not force:
        raise NightdeskError(
            "There is a sample company already",
            where=str(folder),
            todo="Use it as it is, or replace it with `nightdesk sandbox generate --force`.",
        )
    # Made beside and moved into place: an interrupted generation leaves no half company behind.
    fresh = folder.with_name(folder.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    company.write(company.generate(contacts=contacts, seed=seed, as_of=TODAY), fresh)
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)
    return _live_records(folder / STORE)


def _live_records(store: Path) -> dict[str, int]:
    with closing(sqlite3.connect(store)) as connection:
        return dict(
            connection.execute(
                "select object_type, count(*) from objects where archived_at is null and merged_into is null group by 1"
            ).fetchall()
        )


def serve_forever(
    folder: Path,
    *,
    port: int,
    requests_per_10s: int,
    on_start: Callable[[str], None],
    faults: Fault | None = None,
) -> None:
    """Serve the sandbox CRM in this process until it is told to stop; `faults` go wrong meanwhile.

    Raises:
        NightdeskError: There is no sample company, or the port is taken.
    """
    from sandbox.crm import server
    from sandbox.crm.limits import LIVE

    store = folder / STORE
    if not store.exists():
        raise NightdeskError(
            "There is no sample company yet", where=str(folder), todo="Make one with `nightdesk sandbox generate`."
        )
    if port and _listening(port):
        raise NightdeskError(
            f"Port {port} is taken",
            where=f"127.0.0.1:{port}",
            todo="A sandbox may be running already; otherwise choose another with --port.",
        )
    server.serve(
        store, port=port, token=TOKEN, limits=replace(LIVE, burst=requests_per_10s), faults=faults, on_start=on_start
    )


@contextmanager
def served(folder: Path, port: int = PORT) -> Generator[str]:
    """Serve the sandbox CRM in a process of its own while the block runs; a CRM is another machine, after all.

    Yields:
        Its URL.

    Raises:
        NightdeskError: It did not come up within 20 seconds; the message carries what it said.
    """
    if _listening(port):
        raise NightdeskError(
            f"Port {port} is taken",
            where=f"127.0.0.1:{port}",
            todo="Stop the sandbox that is running there (Ctrl-C in its terminal) and start the demo again.",
        )
    log = folder / "server.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "nightdesk", "sandbox", "serve", "--port", str(port)],
            env=os.environ | {"NIGHTDESK_DATA_DIR": str(folder.parent)},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            deadline = time.monotonic() + 20
            while not _listening(port):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise NightdeskError(
                        f"The sandbox CRM did not start: {log.read_text().strip()[-300:] or 'it said nothing'}",
                        where=str(log),
                        todo="Mend what it names, then start again.",
                    )
                time.sleep(0.05)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def change(folder: Path, *, share: float, seed: int) -> Mapping[str, int]:
    """Let something happen to a share of the contacts, as people and customers would.

    Raises:
        NightdeskError: There is no sample company.
    """
    from sandbox import company

    if not (folder / STORE).exists():
        raise NightdeskError(
            "There is no sample company yet", where=str(folder), todo="Make one with `nightdesk sandbox generate`."
        )
    changed = company.change(folder / STORE, folder / TRUTH, share=share, seed=seed)
    return {**changed.contacts, "new emails": changed.emails}


def _listening(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex(("127.0.0.1", port)) == 0
