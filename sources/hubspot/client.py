"""HTTP to a HubSpot-shaped API: one connection pool, limits obeyed, failures told apart."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import httpx2
import orjson
import tenacity

from nightdesk.errors import NightdeskError
from sources.hubspot.limiter import WindowLimiter
from sources.hubspot.settings import HubSpotSettings

Json = dict[str, Any]
Params = Sequence[tuple[str, str]]

_LONGEST_WAIT = 30.0


class Stopped(Exception):
    """Another stream failed; this one gives up quietly."""


class _Again(Exception):
    """A failure worth another try."""

    def __init__(self, why: str, wait: float | None = None) -> None:
        self.why = why
        self.wait = wait
        super().__init__(why)


class HubSpotClient:
    """GET and POST with retries. All requests of a load are reads, so each may be repeated. Thread-safe.

    Args:
        settings: Where and how fast.
        transport: A transport for tests; the network otherwise.
        sleep: Called with seconds to wait; by default a wait that ends when the load is stopped.
        clock: Monotonic seconds, for the limits.
    """

    def __init__(
        self,
        settings: HubSpotSettings,
        *,
        transport: httpx2.BaseTransport | None = None,
        sleep: Callable[[float], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self.stopped = threading.Event()
        sleep = sleep or self._pause
        self._sleep = sleep
        self._slots = threading.BoundedSemaphore(settings.in_flight)
        self._burst = WindowLimiter(settings.requests_per_10s, 10.0, clock=clock, sleep=sleep)
        self._search = WindowLimiter(settings.searches_per_second, 1.0, clock=clock, sleep=sleep)
        self._count = 0
        self._count_lock = threading.Lock()
        self._http = httpx2.Client(
            base_url=settings.base_url,
            headers={"Authorization": f"Bearer {settings.token.get_secret_value()}", "Accept": "application/json"},
            timeout=httpx2.Timeout(settings.timeout_seconds, connect=10.0),
            limits=httpx2.Limits(max_connections=settings.in_flight, max_keepalive_connections=settings.in_flight),
            # Reading the trusted certificates takes 0.1 s; a plain http address (the sandbox) has no use for them.
            verify=settings.base_url.startswith("https://"),
            transport=transport,
        )

    @property
    def requests(self) -> int:
        """Requests sent so far, repeated ones included."""
        return self._count

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def __enter__(self) -> HubSpotClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _pause(self, seconds: float) -> None:
        """Waits, unless the load is over."""
        if self.stopped.wait(seconds):
            raise Stopped

    def get(self, path: str, params: Params = ()) -> Json:
        """One GET.

        Raises:
            NightdeskError: see `_problem`.
        """
        return self._call("GET", path, params=params)

    def post(self, path: str, body: Mapping[str, Any], params: Params = (), *, search: bool = False) -> Json:
        """One POST that reads (batch read, search)."""
        return self._call("POST", path, params=params, body=body, search=search)

    def _call(
        self, method: str, path: str, *, params: Params, body: Mapping[str, Any] | None = None, search: bool = False
    ) -> Json:
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_Again),
            stop=tenacity.stop_after_attempt(self.settings.max_attempts),
            wait=self._wait,
            sleep=self._sleep,
            reraise=True,
        )
        try:
            return retrying(self._once, method, path, params, body, search)
        except _Again as error:
            raise NightdeskError(
                f"The CRM does not answer: {error.why} ({self.settings.max_attempts} tries)",
                where=f"{method} {self.settings.base_url.rstrip('/')}{path}",
                todo="Check that the CRM is up and reachable from here, then load again; nothing was changed.",
            ) from error

    def _wait(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome is not None else None
        backoff = min(self.settings.backoff_seconds * 2 ** (state.attempt_number - 1), _LONGEST_WAIT)
        asked = error.wait if isinstance(error, _Again) else None
        return backoff if asked is None else max(asked, 0.05)

    def _once(self, method: str, path: str, params: Params, body: Mapping[str, Any] | None, search: bool) -> Json:
        limiter = self._search if search else self._burst
        with self._slots:
            limiter.acquire()
            if self.stopped.is_set():
                raise Stopped
            with self._count_lock:
                self._count += 1
            try:
                response = self._http.request(
                    method,
                    path,
                    params=list(params),
                    content=None if body is None else orjson.dumps(body),
                    headers=None if body is None else {"Content-Type": "application/json"},
                )
            except httpx2.TransportError as error:
                raise _Again(f"{type(error).__name__}: {error}".rstrip(": ")) from error
        self._heed(limiter, response)
        if response.status_code in (200, 201, 207):
            return self._decode(method, path, response)
        raise self._problem(method, path, response, limiter)

    @staticmethod
    def _heed(limiter: WindowLimiter, response: httpx2.Response) -> None:
        """Follows the rate limit headers: a lower maximum, or nothing left because others use the same quota."""
        headers = response.headers
        maximum, interval = (
            headers.get("X-HubSpot-RateLimit-Max"),
            headers.get("X-HubSpot-RateLimit-Interval-Milliseconds"),
        )
        if maximum and interval and maximum.isdigit() and interval.isdigit() and int(maximum) and int(interval):
            per_10s = int(maximum) * 10_000 // int(interval)
            if per_10s < limiter.limit:
                limiter.lower(per_10s)
            if headers.get("X-HubSpot-RateLimit-Remaining") == "0":
                limiter.pause(min(int(interval) / 1000 / 10, _LONGEST_WAIT))

    def _decode(self, method: str, path: str, response: httpx2.Response) -> Json:
        try:
            body = orjson.loads(response.content)
        except orjson.JSONDecodeError:
            body = None
        if not isinstance(body, dict) or not isinstance(cast("Json", body).get("results"), list):
            raise self._foreign(method, path, f"answered {response.status_code} without a HubSpot result list")
        return cast("Json", body)

    def _problem(self, method: str, path: str, response: httpx2.Response, limiter: WindowLimiter) -> Exception:
        """The exception for an answer that is not a result: try again, or tell the person."""
        status = response.status_code
        body = _json_object(response)
        message = str(body.get("message", "")).strip()
        where = f"{method} {self.settings.base_url.rstrip('/')}{path}"
        if status == 429:
            if body.get("policyName") == "DAILY":
                return NightdeskError(
                    "The CRM's daily request quota is used up",
                    where=where,
                    todo="Load again after midnight in the portal's time zone; nothing of the last load is lost.",
                )
            wait = _retry_after(response)
            limiter.pause(wait if wait is not None else self.settings.backoff_seconds)
            return _Again("429 rate limit", wait)
        if status >= 500 or status in (408, 423, 425):
            return _Again(f"HTTP {status} {message}".strip(), _retry_after(response))
        if status == 401 and body:
            return NightdeskError(
                "The CRM refuses the token (401)",
                where=where,
                todo="Put a valid private app token into the settings; `nightdesk init` shows where.",
            )
        if status == 403 and body:
            return NightdeskError(
                f"The token may not read this (403): {message}",
                where=where,
                todo="Give the private app the missing scope, then load again.",
            )
        if "category" in body or "correlationId" in body:
            return NightdeskError(
                f"The CRM refused a request ({status}): {message}",
                where=where,
                todo="Check base_path in the settings; if it is right, report this: the loader asked wrongly.",
            )
        return self._foreign(method, path, f"answered {status}, not as HubSpot does")

    def _foreign(self, method: str, path: str, what: str) -> NightdeskError:
        return NightdeskError(
            f"This URL {what}: probably not a HubSpot API",
            where=f"{method} {self.settings.base_url.rstrip('/')}{path}",
            todo="Check base_url and base_path in the settings (HubSpot's own is https://api.hubapi.com, /crm/v3).",
        )


def _json_object(response: httpx2.Response) -> Json:
    try:
        body = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        return {}
    return cast("Json", body) if isinstance(body, dict) else {}


def _retry_after(response: httpx2.Response) -> float | None:
    text = response.headers.get("Retry-After", "")
    return min(float(text), _LONGEST_WAIT) if text.isdigit() else None
