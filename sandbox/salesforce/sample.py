"""The sample company as a Salesforce org: made once, and served."""

from __future__ import annotations

import csv
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any

from nightdesk.errors import NightdeskError
from sandbox.crm.clock import ManualClock
from sandbox.salesforce.app import Api, Options
from sandbox.salesforce.company import Move, People
from sandbox.salesforce.store import Store

ORG = "org.sqlite"
LINKS = "crm_links.csv"
OPENING = datetime(2026, 11, 17, 5, tzinfo=UTC)


class Elapsed:
    """The sample company's morning, and real time from there."""

    def __init__(self, start: datetime = OPENING) -> None:
        self._start, self._since = start, monotonic()

    def now(self) -> datetime:
        """Now; never goes back."""
        return self._start + timedelta(seconds=monotonic() - self._since)


def make(folder: Path) -> int:
    """Make the org that is served out of the sample company in `folder`, once; and beside it `crm_links.csv`, which
    says who is who. People who are not far along are leads.

    Returns:
        How many people and companies are linked.

    Raises:
        NightdeskError: There is no sample company.
    """
    made = company(folder, folder / ORG, people="leads")
    links = [
        ("salesforce", kind, new, f"hubspot:{old_kind}:{old}")
        for old_kind, old, kind, new in made.ids
        if old_kind in ("company", "contact") and new not in made.gone
    ]
    _write(folder / LINKS, ("crm", "object_type", "crm_record_id", "record_id"), links)
    return len(links)


@dataclass(frozen=True, slots=True)
class Made:
    """An org that was made.

    Attributes:
        org: Its file.
        ids: Who is who: the old type in the singular, the old id, the new object and the new id. The owner without an
            old id is the user who owns what nobody owns.
        gone: New ids of records that were deleted or merged away.
    """

    org: Path
    ids: tuple[tuple[str, str, str, str], ...]
    gone: frozenset[str]


def company(folder: Path, org: Path, *, people: People = "contacts") -> Made:
    """The whole sample company in `folder` as an org: everything that happened in it, stamps, links, histories, merges
    and deletions included. Where each fact stands is told in `company_fields`.

    Beside the org lies `<org's name>_ids.csv` with `Made.ids`.

    Args:
        folder: Where `crm.sqlite` lies.
        org: The org's file, not there yet.
        people: `contacts`: everybody is one. `leads`: those who are not far along and have no part in a deal are
            leads, and every third contact of an account was a lead once.

    Raises:
        NightdeskError: There is no sample company, or the org exists.
    """
    source = folder / "crm.sqlite"
    if not source.is_file():
        raise NightdeskError(
            "There is no sample company yet", where=str(folder), todo="Make one with `nightdesk sandbox generate`."
        )
    store = Store.create(org, clock=ManualClock(OPENING))
    crm = sqlite3.connect(f"file:{source}?mode=ro", uri=True)
    try:
        with store.transaction():
            move = Move(crm, store, people)
            move.everything()
            gone = {str(i) for (i,) in store.connection.execute("select id from records where is_deleted = 1")}
        store.connection.execute("analyze")
    finally:
        crm.close()
        store.close()
    ids = tuple(move.ids())
    _write(org.with_name(f"{org.stem}_ids.csv"), ("old_type", "old_id", "object_type", "id"), ids)
    return Made(org, ids, frozenset(gone))


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def serve(
    folder: Path, *, port: int, options: Options | None = None, on_start: Callable[[str], None] | None = None
) -> None:
    """Serve the org of the sample company on http://127.0.0.1 until interrupted, making it first if it is not there.

    Salesforce itself speaks TLS only; on one's own machine plain HTTP does, and Nightdesk takes either.

    Args:
        folder: The sample company's.
        port: 0 for any free one.
        options: How the org behaves.
        on_start: Called with the URL.

    Raises:
        NightdeskError: There is no sample company, or the port is taken.
    """
    import socket

    import uvicorn
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class Protocol(H11Protocol):
        """Lets a fault reach the connection, to close it without an answer."""

        def connection_made(self, transport: Any) -> None:
            self.app_state = {**self.app_state, "transport": transport}
            super().connection_made(transport)

    if not (folder / ORG).is_file():
        make(folder)
    store = Store.open(folder / ORG, clock=Elapsed())
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        listener.close()
        store.close()
        raise NightdeskError(
            f"The sandbox org cannot listen there: {error.strerror}", where=f"127.0.0.1:{port}",
            todo="Choose another port with --port.",
        ) from error  # fmt: skip
    if on_start is not None:
        on_start(f"http://127.0.0.1:{listener.getsockname()[1]}")
    config = uvicorn.Config(
        Api(store, options or Options()), http=Protocol, lifespan="off", access_log=False, log_level="warning",
        timeout_graceful_shutdown=3,
    )  # fmt: skip
    try:
        uvicorn.Server(config).run(sockets=[listener])
    finally:
        listener.close()
        store.close()
