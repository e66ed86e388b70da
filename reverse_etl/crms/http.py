"""What the HTTP clients of all CRMs share: reads are tried again, writes never blindly, and there is a budget.

A write whose answer never came may have happened: it raises `OutcomeUnknown` and nobody here sends it again. Only what
certainly did not happen (a refusal to listen, no connection) is retried.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from reverse_etl.crms.protocol import CrmRefused, CrmUnavailable

if TYPE_CHECKING:
    import ssl

    import httpx2

Effect = Literal["read", "write", "create"]
T = TypeVar("T")
_WINDOW_SECONDS = 10.0


class OutcomeUnknown(Exception):
    """A write was sent and its fate is not known (time-out, lost connection, 5xx)."""


class RequestRefused(Exception):
    """The CRM answered 4xx to this request; `status`, `category` and `message` say why."""

    def __init__(self, status: int, category: str, message: str, body: Mapping[str, Any]) -> None:
        self.status, self.category, self.message, self.body = status, category, message, body
        super().__init__(f"{status} {category}: {message}")


class TryAgain(Exception):
    """Certainly not done; `wait` is what the CRM asked for in seconds, None if it said nothing."""

    def __init__(self, why: str, wait: float | None) -> None:
        self.why, self.wait = why, wait
        super().__init__(why)


class MadeToWait(Exception):
    """Nothing was done, and so much time has passed that what was read before the write may no longer be true."""


class RequestBudget:
    """At most `per_window` requests in any ten seconds: what is left of the quota belongs to people and other tools."""

    def __init__(self, per_window: int, now: Callable[[], float], sleep: Callable[[float], None]) -> None:
        self._per_window, self._now, self._sleep = max(1, per_window), now, sleep
        self._sent: deque[float] = deque()
        self._lock = threading.Lock()

    def take(self) -> float:
        """Wait until one more request fits, then count it; returns the seconds waited."""
        waited = 0.0
        while True:
            with self._lock:
                now = self._now()
                while self._sent and now - self._sent[0] >= _WINDOW_SECONDS:
                    self._sent.popleft()
                if len(self._sent) < self._per_window:
                    self._sent.append(now)
                    return waited
                wait = max(_WINDOW_SECONDS - (now - self._sent[0]), 0.001)
            waited += wait
            self._sleep(wait)


class HttpClient(ABC, Generic[T]):
    """Connections to one CRM. A CRM's client says what an answer means (`_judge`) and what a request costs (`_take`).

    Args:
        base_url: Origin of the API.
        headers: Sent with every request.
        timeout_seconds: For one answer.
        attempts: How often something that certainly did not happen, or a read, is tried.
        transport: Another httpx2 transport, for tests.
        verify: Certificates to trust; True means those httpx2 trusts by itself.
        sleep: Waiting, for tests.
    """

    def __init__(
        self,
        base_url: str,
        headers: Mapping[str, str],
        *,
        timeout_seconds: float,
        attempts: int,
        transport: httpx2.BaseTransport | None,
        verify: ssl.SSLContext | bool = True,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        import httpx2

        self._where, self._attempts, self._sleep = base_url, attempts, sleep
        self.requests_sent = 0
        self._http = httpx2.Client(
            base_url=base_url,
            headers=dict(headers),
            timeout=timeout_seconds,
            transport=transport,
            trust_env=False,
            verify=verify,
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    @abstractmethod
    def _take(self, where: str) -> None:
        """Wait until the quota allows one more request, and count it."""

    @abstractmethod
    def _judge(self, response: httpx2.Response, effect: Effect) -> T:
        """What an answer means: its content, or one of this module's exceptions."""

    def _request(self, method: str, path: str, effect: Effect, **arguments: Any) -> T:
        """Send one request; `arguments` are httpx2's.

        Raises:
            RequestRefused: 4xx that concerns this request.
            OutcomeUnknown: A write or create whose answer was lost.
            CrmRefused: The address is no address, or what `_judge` says.
            CrmUnavailable: No connection, or it keeps failing.
        """
        from tenacity import Retrying, retry_if_exception_type, stop_after_attempt

        def wait(state: Any) -> float:
            error = state.outcome.exception()
            asked = error.wait if isinstance(error, TryAgain) else None
            return asked if asked is not None else min(0.5 * 2 ** (state.attempt_number - 1), 10.0)

        retrying = Retrying(
            retry=retry_if_exception_type(TryAgain),
            stop=stop_after_attempt(self._attempts),
            wait=wait,
            sleep=self._sleep,
            reraise=True,
        )
        try:
            return retrying(self._once, method, path, effect, arguments)
        except TryAgain as error:
            raise CrmUnavailable(
                f"The CRM could not be reached: {error.why}",
                where=f"{method} {self._where}{path}",
                todo="Run the same command again later: it resumes where it stopped.",
            ) from error

    def _once(self, method: str, path: str, effect: Effect, arguments: Mapping[str, Any]) -> T:
        import httpx2

        self._take(f"{method} {self._where}{path}")
        self.requests_sent += 1
        try:
            response = self._http.request(method, path, **arguments)
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as error:
            raise TryAgain(type(error).__name__, None) from error
        except (httpx2.InvalidURL, httpx2.UnsupportedProtocol) as error:
            raise CrmRefused(
                "The CRM's address is not a URL", where=self._where, todo="Correct the base URL."
            ) from error
        except httpx2.RequestError as error:  # also an answer that cannot be decompressed
            if effect == "read":
                raise TryAgain(type(error).__name__, None) from error
            raise OutcomeUnknown(f"no answer ({type(error).__name__})") from error
        return self._judge(response, effect)
