"""HTTP to HubSpot: bearer token, a request budget below the account's quota, 429 obeyed, reads retried, writes not.

A write whose answer never came may have happened: it raises `OutcomeUnknown` and nobody here sends it again. Only what
certainly did not happen (429, no connection) is retried.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from reverse_etl.crms.http import (
    Effect,
    HttpClient,
    MadeToWait,
    OutcomeUnknown,
    RequestBudget,
    RequestRefused,
    TryAgain,
)
from reverse_etl.crms.protocol import CrmRefused, CrmUnavailable
from reverse_etl.crms.quota import DailyQuota

if TYPE_CHECKING:
    import httpx2

__all__ = ["HubSpotClient", "OutcomeUnknown", "RequestBudget", "RequestRefused", "explain_errors"]


# How old a look at a record may become, by waits of ours, before what was decided on it is not sent any more.
_FRESH_SECONDS = 2.0


class TokenRefused(CrmRefused):
    """401: this token is not, or no longer, valid."""


class HubSpotClient(HttpClient[tuple[int, dict[str, Any]]]):
    """One account.

    Args:
        base_url: `https://api.hubapi.com` or the sandbox's address.
        token: Private app token; never logged.
        base_path: `/crm/v3` or a dated version such as `/crm/2026-03` (see `object_path`).
        requests_per_10s: The account's quota.
        share: How much of that quota we take.
        quota: The day's quota, as the answers' headers tell it.
        timeout_seconds: For one answer.
        attempts: How often something that certainly did not happen, or a read, is tried.
        renew: Reads the token again, for one that has expired meanwhile; asked once for each request that is refused
            for its token. None for a token that lasts.
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
        quota: DailyQuota | None = None,
        timeout_seconds: float = 30.0,
        attempts: int = 6,
        renew: Callable[[], str] | None = None,
        transport: httpx2.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(
            base_url,
            {"Authorization": f"Bearer {token}", "Accept": "application/json"},
            timeout_seconds=timeout_seconds,
            attempts=attempts,
            transport=transport,
            sleep=sleep,
        )
        self.base_path = base_path.rstrip("/")
        self._renew = renew
        self._patience: float | None = None  # seconds left to wait before a look at the records is too old
        self._budget = RequestBudget(int(requests_per_10s * share), now, sleep)
        self.quota = quota or DailyQuota(share_for_people=0.0)

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
        fresh: bool = False,
    ) -> tuple[int, dict[str, Any]]:
        """Send one request; returns status and body of a 2xx answer.

        Args:
            fresh: Do not send what was decided on a look at the records that is older than two seconds by now.

        Raises:
            MadeToWait: With `fresh`: the rate, ours or the CRM's, made us wait; the wait is over and nothing was done.
            RequestRefused: 4xx that concerns this request.
            OutcomeUnknown: A write or create whose answer was lost, or a 5xx to it.
            CrmRefused: 401, 403, or an address that is no HubSpot.
            CrmUnavailable: No connection, the daily quota is used up, or it keeps failing.
        """
        send = self._at_once if fresh else self._request
        try:
            return send(method, path, effect, json=json, params=params)
        except TokenRefused:
            if self._renew is None:
                raise
            # A refused token means that nothing was done, so even a write may be sent again.
            self._http.headers["Authorization"] = f"Bearer {self._renew()}"
            return send(method, path, effect, json=json, params=params)

    def _at_once(self, method: str, path: str, effect: Effect, **arguments: Any) -> tuple[int, dict[str, Any]]:
        """Send a request, or give up as soon as waiting for it has taken too long."""
        self._patience, pause = _FRESH_SECONDS, 0.5
        try:
            while True:
                try:
                    return self._once(method, path, effect, arguments)
                except TryAgain as error:
                    wait = pause if error.wait is None else error.wait
                    self._sleep(wait)
                    self._have_waited(wait)
                    pause *= 2
        finally:
            self._patience = None

    def _take(self, where: str) -> None:
        self.quota.take(where)
        self._have_waited(self._budget.take())

    def _have_waited(self, seconds: float) -> None:
        if self._patience is not None:
            self._patience -= seconds
            if self._patience < 0:
                raise MadeToWait("the rate made us wait")

    def _count(self, headers: Mapping[str, str]) -> None:
        """Take over the day's count; OAuth apps' answers have none, and then only their 429 says when to stop."""
        try:
            limit = int(headers["x-hubspot-ratelimit-daily"])
            self.quota.seen(limit - int(headers["x-hubspot-ratelimit-daily-remaining"]), limit)
        except (KeyError, ValueError):
            return

    def _judge(self, response: httpx2.Response, effect: Effect) -> tuple[int, dict[str, Any]]:
        status = response.status_code
        self._count(response.headers)
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
            raise TryAgain("rate limit (429)", _retry_after(response.headers))
        if status >= 500:
            if effect == "read":
                raise TryAgain(f"HTTP {status}", _retry_after(response.headers))
            raise OutcomeUnknown(f"HTTP {status}")
        if status in (401, 403):
            raise (TokenRefused if status == 401 else CrmRefused)(
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
