"""HTTP to HubSpot: bearer token, a request budget below the account's quota, 429 obeyed, reads retried, writes not.

A write whose answer never came may have happened: it raises `OutcomeUnknown` and nobody here sends it again. Only what
certainly did not happen (429, no connection) is retried.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, cast

from reverse_etl.crms.protocol import CrmRefused, CrmUnavailable

if TYPE_CHECKING:
    import httpx2

Effect = Literal["read", "write", "create"]
_WINDOW_SECONDS = 10.0


class OutcomeUnknown(Exception):
    """A write was sent and its fate is not known (time-out, lost connection, 5xx)."""


class RequestRefused(Exception):
    """The CRM answered 4xx to this request; `status`, `category` and `message` say why."""

    def __init__(self, status: int, category: str, message: str, body: Mapping[str, Any]) -> None:
        self.status, self.category, self.message, self.body = status, category, message, body
        super().__init__(f"{status} {category}: {message}")


class _TryAgain(Exception):
    """Certainly not done; `wait` is what the CRM asked for in seconds, None if it said nothing."""

    def __init__(self, why: str, wait: float | None) -> None:
        self.why, self.wait = why, wait
        super().__init__(why)


class RequestBudget:
    """At most `per_window` requests in any ten seconds: what is left of the quota belongs to people and other tools."""

    def __init__(self, per_window: int, now: Callable[[], float], sleep: Callable[[float], None]) -> None:
        self._per_window, self._now, self._sleep = max(1, per_window), now, sleep
        self._sent: deque[float] = deque()
        self._lock = threading.Lock()

    def take(self) -> None:
        """Wait until one more request fits, then count it."""
        while True:
            with self._lock:
                now = self._now()
                while self._sent and now - self._sent[0] >= _WINDOW_SECONDS:
                    self._sent.popleft()
                if len(self._sent) < self._per_window:
                    self._sent.append(now)
                    return
                wait = _WINDOW_SECONDS - (now - self._sent[0])
            self._sleep(max(wait, 0.001))


class HubSpotClient:
    """One account.

    Args:
        base_url: `https://api.hubapi.com` or the sandbox's address.
        token: Private app token; never logged.
        base_path: `/crm/v3` or a dated version such as `/crm/2026-03` (see `object_path`).
        requests_per_10s: The account's quota.
        share: How much of the quota we take.
        timeout_seconds: For one answer.
        attempts: How often something that certainly did not happen, or a read, is tried.
        transport: Another httpx2 transport, for tests.
        sleep, now: Waiting and monotonic time, for tests.
    """

    def __init__(
        self,
        base_url: str,
        token: str,
        *,
        base_path: str = "/crm/v3",
        requests_per_10s: int = 190,
        share: float = 0.9,
        timeout_seconds: float = 30.0,
        attempts: int = 6,
        transport: httpx2.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        import httpx2

        self.base_path = base_path.rstrip("/")
        self._where = base_url
        self._attempts, self._sleep = attempts, sleep
        self._budget = RequestBudget(int(requests_per_10s * share), now, sleep)
        self.requests_sent = 0
        self._http = httpx2.Client(
            base_url=base_url,
            headers={"Authorization": f"Bearer {token}", "Accept": "application/json"},
            timeout=timeout_seconds,
            transport=transport,
            trust_env=False,
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def object_path(self, object_type: str, tail: str = "") -> str:
        """Path of an object type's endpoint: `/crm/v3/objects/contacts/...` or `/crm/objects/2026-03/contacts/...`."""
        if self.base_path.startswith("/crm/objects/"):
            return f"{self.base_path}/{object_type}{tail}"
        return f"{self.base_path}/objects/{object_type}{tail}"

    def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        params: Mapping[str, str] | None = None,
        effect: Effect = "read",
    ) -> tuple[int, dict[str, Any]]:
        """Send one request; returns status and body of a 2xx answer.

        Raises:
            RequestRefused: 4xx that concerns this request.
            OutcomeUnknown: A write or create whose answer was lost, or a 5xx to it.
            CrmRefused: 401, 403, or an address that is no HubSpot.
            CrmUnavailable: No connection, the daily quota is used up, or it keeps failing.
        """
        from tenacity import Retrying, retry_if_exception_type, stop_after_attempt

        def wait(state: Any) -> float:
            error = state.outcome.exception()
            asked = error.wait if isinstance(error, _TryAgain) else None
            return asked if asked is not None else min(0.5 * 2 ** (state.attempt_number - 1), 10.0)

        retrying = Retrying(
            retry=retry_if_exception_type(_TryAgain),
            stop=stop_after_attempt(self._attempts),
            wait=wait,
            sleep=self._sleep,
            reraise=True,
        )
        try:
            return retrying(self._once, method, path, json, params, effect)
        except _TryAgain as error:
            raise CrmUnavailable(
                f"The CRM could not be reached: {error.why}",
                where=f"{method} {self._where}{path}",
                todo="Run the same command again later: it resumes where it stopped.",
            ) from error

    def _once(
        self, method: str, path: str, json: Any, params: Mapping[str, str] | None, effect: Effect
    ) -> tuple[int, dict[str, Any]]:
        import httpx2

        self._budget.take()
        self.requests_sent += 1
        try:
            response = self._http.request(method, path, json=json, params=params)
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as error:
            raise _TryAgain(type(error).__name__, None) from error
        except (httpx2.InvalidURL, httpx2.UnsupportedProtocol) as error:
            raise CrmRefused(
                "The CRM's address is not a URL", where=self._where, todo="Correct the base URL."
            ) from error
        except httpx2.TransportError as error:
            if effect == "read":
                raise _TryAgain(type(error).__name__, None) from error
            raise OutcomeUnknown(f"no answer ({type(error).__name__})") from error
        return self._judge(response, effect)

    def _judge(self, response: httpx2.Response, effect: Effect) -> tuple[int, dict[str, Any]]:
        status = response.status_code
        try:
            parsed: Any = response.json() if response.content else {}
        except ValueError:
            parsed = None
        body = cast("dict[str, Any]", parsed) if isinstance(parsed, dict) else {}
        where = f"{response.request.method} {response.request.url}"
        if status == 429:
            if body.get("policyName") == "DAILY":
                raise CrmUnavailable(
                    "The CRM's daily quota is used up",
                    where=where,
                    todo="Run again after midnight of the portal: it resumes.",
                )
            raise _TryAgain("rate limit (429)", _retry_after(response.headers))
        if status >= 500:
            if effect == "read":
                raise _TryAgain(f"HTTP {status}", _retry_after(response.headers))
            raise OutcomeUnknown(f"HTTP {status}")
        if status in (401, 403):
            raise CrmRefused(
                f"The CRM refuses the token: {body.get('message') or status}",
                where=where,
                todo="Check the token and its scopes.",
            )
        if status >= 400:
            raise RequestRefused(
                status, str(body.get("category", "")), str(body.get("message", f"HTTP {status}")), body
            )
        if status >= 300 or (parsed is None and response.content):
            if effect != "read":
                raise OutcomeUnknown(f"HTTP {status} with an answer that is not JSON")
            raise CrmRefused("This address does not answer like HubSpot", where=where, todo="Correct the base URL.")
        return status, body


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait: `Retry-After`, else HubSpot's interval header, else nothing said."""
    for name, unit in (("retry-after", 1.0), ("x-hubspot-ratelimit-interval-milliseconds", 0.001)):
        try:
            return max(0.0, float(headers[name]) * unit)
        except (KeyError, ValueError):
            continue
    return None


def explain_errors(body: Mapping[str, Any], fallback: str) -> str:
    """One line out of HubSpot's error body: its message and those of its parts, at most 500 characters."""
    parts = [str(body.get("message") or fallback)]
    errors = cast("Sequence[dict[str, Any]]", [e for e in body.get("errors") or () if isinstance(e, dict)])
    parts += [str(error["message"]) for error in errors if error.get("message")]
    unique = list(dict.fromkeys(parts))
    return " | ".join(unique)[:500]
