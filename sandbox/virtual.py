"""Time that only moves when somebody waits, and a client's way into a sandbox that runs on it: no socket, no waiting.

A sandbox built with `pause` waits on this clock instead of the real one. A client that has less patience than the
sandbox takes gets its read time-out, and the sandbox's work is done later all the same, as on a real server.
"""

from __future__ import annotations

import heapq
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator, MutableMapping
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import httpx2

Pause = Callable[[float], Awaitable[None]]
Message = MutableMapping[str, Any]
_START = datetime(2026, 11, 17, 6, tzinfo=UTC)


class VirtualTime:
    """A clock for both sides of a test: the sandbox reads it, whoever sleeps moves it.

    Args:
        start: The first now.
        tick: How far a look through `__call__` moves it, in seconds, so that two events never share a stamp.
    """

    def __init__(self, start: datetime = _START, tick: float = 0.001) -> None:
        self._start, self._now, self._tick = start, start, timedelta(seconds=tick)
        self.waited: list[float] = []

    def now(self) -> datetime:
        """The time, as the sandbox reads it; looking does not move it."""
        return self._now

    def __call__(self) -> datetime:
        self._now += self._tick
        return self._now

    def monotonic(self) -> float:
        """Seconds since the start."""
        return (self._now - self._start).total_seconds()

    def sleep(self, seconds: float) -> None:
        """Wait, as a client does; `waited` remembers it."""
        self.waited.append(seconds)
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        if seconds < 0:
            raise ValueError("time does not go back")
        self._now += timedelta(seconds=seconds)


class _Wait:
    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __await__(self) -> Generator[float, None, None]:
        yield self.seconds


async def pause(seconds: float) -> None:
    """What a sandbox awaits instead of `asyncio.sleep` when it runs behind `InProcess`."""
    await _Wait(seconds)


class _Connection:
    """What a fault may abort (see `sandbox.crm.faults.DropConnection`)."""

    def __init__(self) -> None:
        self.aborted = False

    def abort(self) -> None:
        self.aborted = True


class _Broken(httpx2.SyncByteStream):
    """The first part of a body, then a reset connection."""

    def __init__(self, part: bytes, request: httpx2.Request) -> None:
        self._part, self._request = part, request

    def __iter__(self) -> Iterator[bytes]:
        yield self._part
        raise httpx2.ReadError("connection reset in the middle of the answer", request=self._request)


class InProcess(httpx2.BaseTransport):
    """Drives an ASGI app request by request, on virtual time.

    Args:
        app: The sandbox; all it may await is `pause` and the request itself.
        time: The clock it and its client share.
    """

    def __init__(
        self, app: Callable[[Any, Any, Any], Coroutine[Any, Any, None] | Awaitable[None]], time: VirtualTime
    ) -> None:
        self._app, self._time = app, time
        self._late: list[tuple[float, int, Generator[float, None, None]]] = []
        self._number = count()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """One request and its answer.

        Raises:
            httpx2.ReadTimeout: The sandbox takes longer than the client waits; its work stays due.
            httpx2.RemoteProtocolError: It closed the connection without an answer.
        """
        self.settle()
        sent: list[Message] = []
        connection = _Connection()
        work = self._work(request, request.read(), sent, connection)
        patience: float | None = request.extensions.get("timeout", {}).get("read")
        waited = 0.0
        for seconds in work:
            if patience is not None and waited + seconds > patience:
                due = self._time.monotonic() + seconds
                self._time.advance(patience - waited)
                heapq.heappush(self._late, (due, next(self._number), work))
                raise httpx2.ReadTimeout("no answer in time", request=request)
            waited += seconds
            self._time.advance(seconds)
        return self._answer(request, sent, connection)

    def settle(self) -> None:
        """Do what clients have given up waiting for and what is due by now."""
        while self._late and self._late[0][0] <= self._time.monotonic():
            due, _, work = heapq.heappop(self._late)
            for seconds in work:
                heapq.heappush(self._late, (due + seconds, next(self._number), work))
                break

    def _work(
        self, request: httpx2.Request, body: bytes, sent: list[Message], connection: _Connection
    ) -> Generator[float, None, None]:
        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            sent.append(message)

        url = request.url
        scope: Message = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": request.method,
            "scheme": url.scheme, "path": url.path, "raw_path": url.raw_path.partition(b"?")[0],
            "query_string": url.query, "root_path": "", "headers": [(k.lower(), v) for k, v in request.headers.raw],
            "client": ("127.0.0.1", 1), "server": (url.host, url.port or 80), "state": {"transport": connection},
        }  # fmt: skip
        return self._app(scope, receive, send).__await__()  # type: ignore[return-value]

    @staticmethod
    def _answer(request: httpx2.Request, sent: list[Message], connection: _Connection) -> httpx2.Response:
        start = next((message for message in sent if message["type"] == "http.response.start"), None)
        body = b"".join(message.get("body", b"") for message in sent if message["type"] == "http.response.body")
        if start is None:
            raise httpx2.RemoteProtocolError("the server closed the connection without an answer", request=request)
        stream = _Broken(body, request) if connection.aborted else httpx2.ByteStream(body)
        return httpx2.Response(start["status"], headers=start["headers"], stream=stream, request=request)
