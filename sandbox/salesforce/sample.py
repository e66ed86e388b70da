"""The sample company as a Salesforce org: companies as accounts, people as contacts, or as leads while they are."""

from __future__ import annotations

import csv
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any

from nightdesk.errors import NightdeskError
from sandbox.crm.store import Record
from sandbox.crm.store import Store as HubSpotStore
from sandbox.salesforce.app import Api, Options
from sandbox.salesforce.store import Store

ORG = "org.sqlite"
LINKS = "crm_links.csv"
_PAGE = 1_000
_LEADS = frozenset({"subscriber", "lead", "marketingqualifiedlead"})


class Elapsed:
    """The sample company's morning, and real time from there."""

    def __init__(self, start: datetime = datetime(2026, 11, 17, 5, tzinfo=UTC)) -> None:
        self._start, self._since = start, monotonic()

    def now(self) -> datetime:
        """Now; never goes back."""
        return self._start + timedelta(seconds=monotonic() - self._since)


def make(folder: Path) -> int:
    """Make an org out of the sample company in `folder`, once; and beside it `crm_links.csv`, which says who is who.

    Returns:
        How many records are linked.

    Raises:
        NightdeskError: There is no sample company.
    """
    source = folder / "crm.sqlite"
    if not source.is_file():
        raise NightdeskError(
            "There is no sample company yet", where=str(folder), todo="Make one with `nightdesk sandbox generate`."
        )
    links: list[tuple[str, str, str, str]] = []
    org = Store.create(folder / ORG, clock=Elapsed())
    try:
        with HubSpotStore.open(source) as crm:
            accounts = _copy(crm, org, "companies", _account, links)
            employer = dict(
                crm.connection.execute(
                    "select from_id, min(to_id) from associations where from_type = 'contacts' "
                    "and to_type = 'companies' group by 1"
                ).fetchall()
            )

            def person(record: Record) -> tuple[str, dict[str, Any]]:
                return _person(record, accounts.get(employer.get(record.id, 0)))

            _copy(crm, org, "contacts", person, links)
    finally:
        org.close()
    with (folder / LINKS).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["crm", "object_type", "crm_record_id", "record_id"])
        writer.writerows(links)
    return len(links)


def _copy(
    crm: HubSpotStore,
    org: Store,
    object_type: str,
    becomes: Callable[[Record], tuple[str, dict[str, Any]]],
    links: list[tuple[str, str, str, str]],
) -> dict[int, str]:
    """Copy all live records of one kind; returns the new ids by the old ones."""
    made: dict[int, str] = {}
    ours = "company" if object_type == "companies" else "contact"
    user, after = org.user("sam"), 0
    with org.transaction():
        while records := crm.page(object_type, after=after, limit=_PAGE):
            for record in records:
                kind, values = becomes(record)
                made[record.id] = org.insert(kind, values, user=user)
                links.append(("salesforce", kind, made[record.id], f"hubspot:{ours}:{record.id}"))
            after = records[-1].id + 1
    return made


def _account(record: Record) -> tuple[str, dict[str, Any]]:
    read = record.properties.get
    return "Account", {
        "Name": read("name") or read("domain") or f"Company {record.id}", "Website": read("domain"),
        "BillingCity": read("city"), "BillingCountry": read("country"), "Phone": read("phone"),
    }  # fmt: skip


def _person(record: Record, account: str | None) -> tuple[str, dict[str, Any]]:
    read = record.properties.get
    values: dict[str, Any] = {
        "FirstName": read("firstname"), "LastName": read("lastname") or read("email") or f"Person {record.id}",
        "Email": read("email"), "Phone": read("phone"), "Title": read("jobtitle"),
    }  # fmt: skip
    if account is None or read("lifecyclestage") in _LEADS:
        return "Lead", {**values, "Company": read("company") or "unknown", "Status": "Open - Not Contacted"}
    return "Contact", {**values, "AccountId": account}


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
