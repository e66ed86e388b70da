"""Runs the sandbox CRM: blocking for the command line, in a thread for tests."""

from __future__ import annotations

import signal
import socket
import threading
import time
from asyncio import BaseTransport
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nightdesk.errors import NightdeskError
from sandbox.crm.clock import Clock
from sandbox.crm.limits import LIVE, Limits
from sandbox.crm.store import Store

if TYPE_CHECKING:
    import uvicorn

    from sandbox.crm.faults import Fault

DEFAULT_PORT = 8765


@dataclass(frozen=True, slots=True)
class RunningSandbox:
    """A sandbox that answers at `url`. `store` is a second connection to the same file, for looking and for edits."""

    url: str
    token: str
    store: Store


@contextmanager
def running(
    store_path: str | Path,
    *,
    token: str = "sandbox-token",
    port: int = 0,
    limits: Limits | None = None,
    clock: Clock | None = None,
    faults: Fault | None = None,
    merge_new_id: bool = False,
) -> Generator[RunningSandbox]:
    """Serves a store on 127.0.0.1 in a thread of its own until the block ends.

    Args:
        store_path: An existing store.
        token: The access token clients must send.
        port: 0 for any free port.
        limits: Default `Limits()`: 190 requests in 10 s, search 5/s, no search lag. `UNLIMITED` switches them off.
        clock: Default the sandbox's own clock. Rate limits and search lag run on it too: with a manual clock that
            nobody moves, tokens do not come back.
        faults: Scripted trouble.
        merge_new_id: See `Options`.
    """
    from sandbox.crm.app import Options

    store, client_store = Store.open(store_path, clock=clock), Store.open(store_path, clock=clock)
    options = Options(token=token, limits=limits or Limits(), faults=faults, merge_new_id=merge_new_id)
    client_store.search_lag_ms = int(options.limits.search_lag_s * 1000)
    listener = _listen("127.0.0.1", port)
    server = _server(store, options)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="sandbox-crm", daemon=True)
    thread.start()
    try:
        while not server.started:
            if not thread.is_alive():
                raise NightdeskError("The sandbox CRM did not start.", where=str(store_path))
            time.sleep(0.005)
        host, bound = listener.getsockname()[:2]
        yield RunningSandbox(f"http://{host}:{bound}", token, client_store)
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        listener.close()
        client_store.close()
        store.close()


def serve(
    store_path: str | Path,
    host: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    *,
    token: str = "sandbox-token",
    limits: Limits | None = None,
    faults: Fault | None = None,
    on_start: Callable[[str], None] | None = None,
) -> None:
    """Serves a store until interrupted (Ctrl-C, SIGTERM).

    Args:
        store_path: An existing store.
        host: 127.0.0.1 unless told: the record pages have no log-in.
        port: 0 for any free port.
        token: The access token clients must send.
        limits: Default `LIVE`, where search lags 3 s behind writes as in the real thing.
        faults: Scripted trouble.
        on_start: Called with the URL once the port is bound.

    Raises:
        NightdeskError: No such store, or the port is taken.
    """
    from sandbox.crm.app import Options

    with Store.open(store_path) as store:
        listener = _listen(host, port)
        server = _server(store, Options(token=token, limits=limits or LIVE, faults=faults))
        if on_start is not None:
            on_start(f"http://{host}:{listener.getsockname()[1]}")
        try:
            server.run(sockets=[listener])
        finally:
            listener.close()


def _listen(host: str, port: int) -> socket.socket:
    # asyncio switches Nagle's delay off (40 ms an answer) only on sockets whose protocol is given.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise NightdeskError(
            f"The sandbox CRM cannot listen there: {error.strerror}.",
            where=f"{host}:{port}", todo="Stop what uses that port, or choose another one.",
        ) from error  # fmt: skip
    return listener


def _server(store: Store, options: Any) -> uvicorn.Server:
    import uvicorn
    from uvicorn.protocols.http.h11_impl import H11Protocol

    from sandbox.crm.app import build_app

    class Protocol(H11Protocol):
        """Lets a fault reach the connection, to close it without an answer."""

        def connection_made(self, transport: BaseTransport) -> None:  # type: ignore[override]
            self.app_state = {**self.app_state, "transport": transport}
            super().connection_made(transport)  # type: ignore[arg-type]

    class Server(uvicorn.Server):
        """Ends by returning: uvicorn would raise the signal again, and the store would not be closed."""

        @contextmanager
        def capture_signals(self) -> Generator[None]:
            if threading.current_thread() is not threading.main_thread():
                yield
                return
            before = {sig: signal.signal(sig, self.handle_exit) for sig in (signal.SIGINT, signal.SIGTERM)}
            try:
                yield
            finally:
                for sig, handler in before.items():
                    signal.signal(sig, handler)

    config = uvicorn.Config(
        build_app(store, options), http=Protocol, lifespan="off", access_log=False, log_level="warning",
        timeout_keep_alive=75, timeout_graceful_shutdown=3,
    )  # fmt: skip
    return Server(config)
