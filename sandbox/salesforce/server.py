"""Runs the sandbox org over TLS in a thread of its own; without a network, see `sandbox.virtual.InProcess`."""

from __future__ import annotations

import socket
import threading
import time
from asyncio import BaseTransport
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nightdesk.errors import NightdeskError
from sandbox.salesforce.app import Api, Options
from sandbox.salesforce.store import Store

if TYPE_CHECKING:
    from sandbox.crm.clock import Clock


@dataclass(frozen=True, slots=True)
class RunningOrg:
    """An org that answers at `url`. `store` is a second connection to the same file, for looking and for edits."""

    url: str
    token: str
    store: Store
    api: Api


@contextmanager
def running(
    store_path: str | Path,
    *,
    certificate: str | Path,
    options: Options | None = None,
    clock: Clock | None = None,
    port: int = 0,
) -> Generator[RunningOrg]:
    """Serve an org on https://127.0.0.1 until the block ends.

    Args:
        store_path: An existing store.
        certificate: PEM file with the server's private key and certificates; Salesforce's clients insist on TLS.
        options: How the org behaves.
        clock: Its time; five in the morning of the sample's day and standing still unless given.
        port: 0 for any free one.
    """
    import uvicorn
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class Protocol(H11Protocol):
        """Lets a fault reach the connection, to close it without an answer."""

        def connection_made(self, transport: BaseTransport) -> None:  # type: ignore[override]
            self.app_state = {**self.app_state, "transport": transport}
            super().connection_made(transport)  # type: ignore[arg-type]

    chosen = options or Options()
    store, second = Store.open(store_path, clock=clock), Store.open(store_path, clock=clock)
    api = Api(store, chosen)
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", port))
    config = uvicorn.Config(
        api, http=Protocol, lifespan="off", access_log=False, log_level="warning", timeout_graceful_shutdown=3,
        ssl_certfile=str(certificate),
    )  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="sandbox-org", daemon=True)
    thread.start()
    try:
        while not server.started:
            if not thread.is_alive():
                raise NightdeskError("The sandbox org did not start.", where=str(store_path))
            time.sleep(0.005)
        yield RunningOrg(f"https://127.0.0.1:{listener.getsockname()[1]}", chosen.token, second, api)
    finally:
        server.should_exit = server.force_exit = True  # clients keep their connections; nobody waits for them
        thread.join(timeout=10)
        listener.close()
        second.close()
        store.close()
