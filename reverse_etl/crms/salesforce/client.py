"""HTTP to one Salesforce org: the session renewed once, the day's quota respected, reads retried, writes not."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from nightdesk.salesforce import API_VERSION, first_error, usage
from reverse_etl.crms.http import Effect, HttpClient, OutcomeUnknown, RequestBudget, RequestRefused, TryAgain
from reverse_etl.crms.protocol import CrmRefused, CrmUnavailable
from reverse_etl.crms.quota import DailyQuota

if TYPE_CHECKING:
    import ssl

    import httpx2

SHARE_FOR_PEOPLE = 0.2  # of the org's daily requests, unless policy says otherwise
# 403 with one of these is about the record or field of the request, not about who we are.
_ABOUT_THE_RECORD = re.compile(
    r"INSUFFICIENT_ACCESS|ENTITY_IS_LOCKED|CANNOT_|FIELD_|INVALID_FIELD|TRANSFER_REQUIRES_READ"
)


@dataclass(frozen=True, slots=True)
class Answer:
    """A 2xx answer: its JSON (numbers with a point are `Decimal`), or its text where it is a file."""

    status: int
    body: Any
    text: str = ""


class SessionExpired(Exception):
    """401: the session is not, or no longer, valid."""

    def __init__(self, message: str, where: str) -> None:
        self.message, self.where = message, where
        super().__init__(message)


class SalesforceClient(HttpClient[Answer]):
    """One org.

    Args:
        base_url: The org's own address (`https://mycompany.my.salesforce.com`), without a path.
        token: Access token or session id; never logged.
        renew: Gets another token when Salesforce says that this one has expired; asked once per request.
        api_version: Such as `62.0`.
        quota: The org's requests of a day; unless given, a fifth of them is left for people.
        requests_per_10s: A speed limit of our own; Salesforce sets none for short requests.
        timeout_seconds: For one answer.
        attempts: How often something that certainly did not happen, or a read, is tried.
        transport: Another httpx2 transport, for tests.
        verify: Certificates to trust.
        sleep, now: Waiting and monotonic time, for tests.
    """

    def __init__(
        self,
        base_url: str,
        token: str,
        *,
        renew: Callable[[], str] | None = None,
        api_version: str = API_VERSION,
        quota: DailyQuota | None = None,
        requests_per_10s: int = 100,
        timeout_seconds: float = 60.0,
        attempts: int = 6,
        transport: httpx2.BaseTransport | None = None,
        verify: ssl.SSLContext | bool = True,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(
            base_url,
            {"Authorization": f"Bearer {token}", "Accept": "application/json"},
            timeout_seconds=timeout_seconds,
            attempts=attempts,
            transport=transport,
            verify=verify,
            sleep=sleep,
        )
        self._token, self._new_token = token, renew
        self._budget = RequestBudget(requests_per_10s, now, sleep)
        self.quota = quota or DailyQuota(SHARE_FOR_PEOPLE)
        self.data_path = f"/services/data/v{api_version}"

    def wait(self, seconds: float) -> None:
        """Wait, on the clock tests move."""
        self._sleep(seconds)

    def request(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        csv: str | None = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        effect: Effect = "read",
    ) -> Answer:
        """Send one request.

        Args:
            method: HTTP method.
            path: Below `/services/data/vNN.N`, or from the root when it begins with `/`.
            body: Sent as JSON.
            csv: Sent as a CSV file instead.
            params: Query parameters.
            headers: More headers.
            effect: What is known when no answer comes: nothing happened (`read`), or nobody knows.

        Raises:
            RequestRefused: 300, 4xx that concerns this request; `category` is Salesforce's error code.
            OutcomeUnknown: A write whose answer was lost, or a 5xx to it.
            CrmRefused: Session or rights, or an address that is no Salesforce.
            CrmUnavailable: No connection, the quota is used up, or it keeps failing.
        """
        target = path if path.startswith("/") else f"{self.data_path}/{path}"
        arguments: dict[str, Any] = {"params": params, "headers": dict(headers or {})}
        if csv is not None:
            arguments["content"] = csv.encode()
            arguments["headers"]["Content-Type"] = "text/csv; charset=UTF-8"
        elif body is not None:
            arguments["content"] = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
            arguments["headers"]["Content-Type"] = "application/json"
        try:
            return self._request(method, target, effect, **arguments)
        except SessionExpired as error:
            self._renew(error)
        try:
            return self._request(method, target, effect, **arguments)
        except SessionExpired as error:
            raise self._refused(error) from error

    def _renew(self, error: SessionExpired) -> None:
        token = self._new_token() if self._new_token else self._token
        if not token or token == self._token:
            raise self._refused(error) from error
        self._token = token
        self._http.headers["Authorization"] = f"Bearer {token}"

    @staticmethod
    def _refused(error: SessionExpired) -> CrmRefused:
        return CrmRefused(
            f"Salesforce refuses the session: {error.message}",
            where=error.where,
            todo="Get a new access token (docs/salesforce.md) into NIGHTDESK_SALESFORCE_TOKEN and run it again.",
        )

    def _take(self, where: str) -> None:
        self.quota.take(where)
        self._budget.take()

    def _judge(self, response: httpx2.Response, effect: Effect) -> Answer:
        status = response.status_code
        if (seen := usage(response.headers)) is not None:
            self.quota.seen(*seen)
        if 200 <= status < 300 and "csv" in response.headers.get("content-type", ""):
            return Answer(status, None, response.text)
        try:
            parsed: Any = json.loads(response.content, parse_float=Decimal) if response.content else None
            readable = True
        except ValueError:
            parsed, readable = None, False
        where = f"{response.request.method} {response.request.url.copy_with(query=None)}"
        if status >= 500:
            if effect == "read":
                raise TryAgain(f"HTTP {status}", _seconds(response.headers.get("retry-after")))
            raise OutcomeUnknown(f"HTTP {status}")
        if status >= 300:
            raise self._refusal(status, parsed, where)
        if not readable:
            if effect != "read":
                raise OutcomeUnknown(f"HTTP {status} with an answer that is not JSON")
            raise CrmRefused(
                "This address does not answer like Salesforce",
                where=where,
                todo="Correct NIGHTDESK_SALESFORCE_URL: the org's own address, without a path.",
            )
        return Answer(status, parsed)

    def _refusal(self, status: int, parsed: Any, where: str) -> Exception:
        """What a 3xx or 4xx means."""
        code, message, body = first_error(parsed)
        if status == 401:
            return SessionExpired(message or "HTTP 401", where)
        if code == "REQUEST_LIMIT_EXCEEDED" and "oncurrent" in message:
            return TryAgain(f"too many requests at once ({message})", None)
        if code == "REQUEST_LIMIT_EXCEEDED":
            return CrmUnavailable(
                "The org's API requests of the last 24 hours are used up",
                where=where,
                todo="Run the same command again later: it resumes where it stopped.",
            )
        if status == 429:
            return TryAgain("too many requests (429)", None)
        if status == 403 and not _ABOUT_THE_RECORD.match(code):
            return CrmRefused(
                f"Salesforce refuses: {code} {message}".strip(),
                where=where,
                todo="Check the integration user's profile and the permission set (docs/salesforce.md).",
            )
        if 300 < status < 400:
            return CrmRefused(f"The org answers from another address (HTTP {status})", where=where)
        return RequestRefused(status, code, message or f"HTTP {status}", body)


def _seconds(text: str | None) -> float | None:
    try:
        return None if text is None else max(0.0, float(text))
    except ValueError:
        return None
