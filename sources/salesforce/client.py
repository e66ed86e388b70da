"""HTTP to one Salesforce org for reading: failures told apart, reads tried again, the day's quota left to people.

The write-back has a client of its own (`reverse_etl.crms.salesforce.client`): it may never send a write twice and reads
small answers one after the other. A load only reads, from several threads, and streams files to disk. What both need is
in `nightdesk.salesforce`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx2
import orjson
import tenacity

from nightdesk.errors import NightdeskError
from nightdesk.salesforce import client_credentials, first_error, usage
from sources.salesforce.settings import SalesforceSourceSettings

Json = dict[str, Any]

_LONGEST_WAIT = 30.0
_CHUNK = 1 << 16


class Stopped(Exception):
    """Another stream failed; this one gives up quietly."""


class Again(Exception):
    """A failure worth another try."""

    def __init__(self, why: str, wait: float | None = None) -> None:
        self.why = why
        self.wait = wait
        super().__init__(why)


class _Expired(Exception):
    """401: this token is no longer valid."""

    def __init__(self, token: str, message: str) -> None:
        self.token = token
        self.message = message
        super().__init__(message)


class Refused(Exception):
    """The org refuses this one request; `code` is Salesforce's, such as `INVALID_FIELD`."""

    def __init__(self, status: int, code: str, message: str, where: str) -> None:
        self.status = status
        self.code = code
        self.message = message
        self.where = where
        super().__init__(f"{status} {code}: {message}")

    def explained(self) -> NightdeskError:
        """The refusal as a message for people."""
        if self.status == 403 or self.code.startswith("INSUFFICIENT_ACCESS"):
            return NightdeskError(
                f"The integration's user may not read this: {self.code} {self.message}".strip()[:500],
                where=self.where,
                todo="Give its profile or permission set the API and the right to read the object, then load again.",
            )
        return NightdeskError(
            f"Salesforce refused a request ({self.status}): {self.code} {self.message}".strip()[:500],
            where=self.where,
            todo="Check api_version in the settings; if it is right, report this: the loader asked wrongly.",
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """A 2xx answer: its JSON (None for a file) and its headers."""

    body: Any
    headers: Mapping[str, str]


class SalesforceClient:
    """GET, POST and DELETE with retries. All of a load's requests may be repeated. Thread-safe.

    Args:
        settings: Where and how fast.
        transport: A transport for tests; the network otherwise.
        sleep: Called with seconds to wait; by default a wait that ends when the load is stopped.
        clock: Now, for the message that says when to go on.
    """

    def __init__(
        self,
        settings: SalesforceSourceSettings,
        *,
        transport: httpx2.BaseTransport | None = None,
        sleep: Callable[[float], None] | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.settings = settings
        self.stopped = threading.Event()
        self._sleep = sleep or self._pause
        self._clock = clock
        self._slots = threading.BoundedSemaphore(settings.in_flight)
        self._lock = threading.Lock()
        self._renewing = threading.Lock()
        self._used: tuple[int, int] | None = None
        self._latest: Mapping[str, str] = {}
        self._count = 0
        self.data_path = f"/services/data/v{settings.api_version}"
        self._base = settings.base_url.rstrip("/")
        verify = _trusted(settings)
        self._renew = (
            client_credentials(
                self._base,
                settings.client_id,
                settings.client_secret.get_secret_value(),
                verify=verify,
                transport=transport,
            )
            if settings.client_id
            else None
        )
        self._token = settings.token.get_secret_value()
        self._http = httpx2.Client(
            base_url=self._base,
            headers={"Accept": "application/json"},
            timeout=httpx2.Timeout(settings.timeout_seconds, connect=10.0),
            limits=httpx2.Limits(max_connections=settings.in_flight, max_keepalive_connections=settings.in_flight),
            verify=verify,
            transport=transport,
        )

    @property
    def requests(self) -> int:
        """Requests sent so far, repeated ones included."""
        return self._count

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def __enter__(self) -> SalesforceClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _pause(self, seconds: float) -> None:
        """Waits, unless the load is over."""
        if self.stopped.wait(seconds):
            raise Stopped

    def wait(self, seconds: float) -> None:
        """Waits as between two tries."""
        self._sleep(seconds)

    def org_now(self) -> datetime:
        """What the org's clock said in the latest answer; ours where it does not say."""
        try:
            return parsedate_to_datetime(self._latest.get("date", "")).astimezone(UTC)
        except (TypeError, ValueError):
            return self._clock()

    # -- requests ------------------------------------------------------------------------------------------------------

    def get(self, path: str, params: Mapping[str, str] | None = None, *, page_size: int | None = None) -> Answer:
        """One GET for JSON.

        Args:
            path: Below `/services/data/vNN.N`, or from the root when it begins with `/`.
            params: Query parameters.
            page_size: How many records a page of a query may have.

        Raises:
            Refused: 4xx that concerns this request.
            NightdeskError: session, rights, quota, wrong address, or the org does not answer.
        """
        headers = {} if page_size is None else {"Sforce-Query-Options": f"batchSize={page_size}"}
        return self._call("GET", path, params=params, headers=headers)

    def post(self, path: str, body: Mapping[str, Any]) -> Answer:
        """One POST. A load only makes query jobs, of which one too many does no harm."""
        return self._call("POST", path, body=body)

    def delete(self, path: str) -> Answer:
        """One DELETE, of a query job that is done with."""
        return self._call("DELETE", path)

    def download(self, path: str, params: Mapping[str, str], target: Path) -> Mapping[str, str]:
        """Streams a CSV file to disk, whole or not at all; returns the answer's headers."""
        return self._call("GET", path, params=params, headers={"Accept": "text/csv"}, target=target).headers

    def _call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        target: Path | None = None,
    ) -> Answer:
        full = path if path.startswith("/") else f"{self.data_path}/{path}"
        where = f"{method} {self._base}{full.partition('?')[0]}"
        renewed = False
        while True:
            try:
                return self._tries(method, full, where, params, body, headers or {}, target)
            except _Expired as error:
                if renewed or not self._renewed(error.token):
                    raise NightdeskError(
                        f"Salesforce refuses the session: {error.message}",
                        where=where,
                        todo="Get a new access token into NIGHTDESK_SALESFORCE_TOKEN (or set up a connected app, which "
                        "renews it by itself), then load again; nothing was changed.",
                    ) from error
                renewed = True

    def _tries(
        self,
        method: str,
        path: str,
        where: str,
        params: Mapping[str, str] | None,
        body: Mapping[str, Any] | None,
        headers: Mapping[str, str],
        target: Path | None,
    ) -> Answer:
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(Again),
            stop=tenacity.stop_after_attempt(self.settings.max_attempts),
            wait=self._wait,
            sleep=self._sleep,
            reraise=True,
        )
        try:
            return retrying(self._once, method, path, where, params, body, headers, target)
        except Again as error:
            raise down(error.why, self.settings.max_attempts, where) from error

    def _wait(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome is not None else None
        backoff = min(self.settings.backoff_seconds * 2 ** (state.attempt_number - 1), _LONGEST_WAIT)
        asked = error.wait if isinstance(error, Again) else None
        return backoff if asked is None else max(asked, 0.05)

    def _once(
        self,
        method: str,
        path: str,
        where: str,
        params: Mapping[str, str] | None,
        body: Mapping[str, Any] | None,
        headers: Mapping[str, str],
        target: Path | None,
    ) -> Answer:
        with self._slots:
            if self.stopped.is_set():
                raise Stopped
            token = self._current(where)
            sent = {"Authorization": f"Bearer {token}", **headers}
            if body is not None:
                sent["Content-Type"] = "application/json"
            try:
                with self._http.stream(
                    method,
                    path,
                    params=dict(params) if params else None,
                    content=None if body is None else orjson.dumps(body),
                    headers=sent,
                ) as response:
                    return self._judged(response, token, where, target)
            except httpx2.TransportError as error:
                raise Again(f"{type(error).__name__}: {error}".rstrip(": ")) from error
            except httpx2.DecodingError as error:
                raise Again("half an answer (it cannot be decompressed)") from error

    def _judged(self, response: httpx2.Response, token: str, where: str, target: Path | None) -> Answer:
        self._heed(response)
        good = 200 <= response.status_code < 300
        if good and target is not None:
            written = 0
            with target.open("wb") as file:
                for chunk in response.iter_bytes(_CHUNK):
                    written += file.write(chunk)
            _check_whole(response, written)
            return Answer(None, response.headers)
        content = response.read()
        if good:
            _check_whole(response, len(content))
            if response.status_code == 204:
                return Answer(None, response.headers)
        try:
            parsed: Any = orjson.loads(content) if content else None
            readable = bool(content)
        except orjson.JSONDecodeError:
            parsed, readable = None, False
        if good and not readable:
            if "json" in response.headers.get("content-type", ""):
                raise Again("half an answer (its JSON ends too early)")
            raise self._foreign(where, f"answered {response.status_code} without JSON")
        if good:
            return Answer(parsed, response.headers)
        raise self._problem(response, parsed, token, where)

    # -- session and quota ---------------------------------------------------------------------------------------------

    def _current(self, where: str) -> str:
        """The token to send, and one more request counted."""
        with self._lock:
            if self._used is not None:
                used, limit = self._used
                if used >= limit * self.settings.quota_share:
                    raise self._used_up(used, limit, where)
            token = self._token
        if not token and self._renewed(""):
            token = self._token
        with self._lock:
            self._count += 1
        return token

    def _renewed(self, old: str) -> bool:
        """Whether there is another token than `old` now. One thread asks for it, the others take what it got."""
        with self._renewing:
            if self._token != old:
                return True
            if self._renew is None:
                return False
            token = self._renew()
            with self._lock:
                changed, self._token = token != self._token, token
            return changed

    def _heed(self, response: httpx2.Response) -> None:
        self._latest = response.headers
        if (seen := usage(response.headers)) is not None:
            with self._lock:
                self._used = seen

    def _used_up(self, used: int, limit: int, where: str) -> NightdeskError:
        latest = self._clock().astimezone(UTC) + timedelta(hours=24)
        return NightdeskError(
            f"{used:,} of the org's {limit:,} API requests of the last 24 hours are used; a load stops at "
            f"{self.settings.quota_share:.0%}, the rest is left for people and other programs",
            where=where,
            todo="The org counts the last 24 hours, so requests come back one by one: load again in a few hours, at "
            f"the latest at {latest:%Y-%m-%d %H:%M} UTC, or raise quota_share. Nothing was changed.",
        )

    # -- what an answer means ------------------------------------------------------------------------------------------

    def _problem(self, response: httpx2.Response, parsed: Any, token: str, where: str) -> Exception:
        """The exception for an answer that is not a result."""
        status = response.status_code
        code, message, _ = first_error(parsed)
        if status == 401:
            return _Expired(token, message or "HTTP 401")
        if code == "REQUEST_LIMIT_EXCEEDED" and "oncurrent" not in message:
            return NightdeskError(
                "The org's API requests of the last 24 hours are used up",
                where=where,
                todo="The org counts the last 24 hours: load again in a few hours, at the latest at "
                f"{self._clock().astimezone(UTC) + timedelta(hours=24):%Y-%m-%d %H:%M} UTC. Nothing was changed.",
            )
        if code == "REQUEST_LIMIT_EXCEEDED" or status == 429:
            return Again(f"too many requests at once ({status})", _retry_after(response))
        if status >= 500 or status in (408, 420, 423, 425) or code in ("SERVER_UNAVAILABLE", "UNABLE_TO_LOCK_ROW"):
            return Again(f"HTTP {status} {message}".strip(), _retry_after(response))
        if 300 <= status < 400:
            return self._foreign(where, f"sends us elsewhere (HTTP {status})")
        if not code:
            return self._foreign(where, f"answered {status}, not as Salesforce does")
        return Refused(status, code, message, where)

    def _foreign(self, where: str, what: str) -> NightdeskError:
        return NightdeskError(
            f"This URL {what}: probably not a Salesforce org",
            where=where,
            todo="Check base_url in the settings: the org's own address (https://mycompany.my.salesforce.com).",
        )


def down(why: str, attempts: int, where: str) -> NightdeskError:
    """The error for an org that failed every time."""
    return NightdeskError(
        f"Salesforce does not answer: {why} ({attempts} tries)",
        where=where,
        todo="Check that the org is up and reachable from here, then load again; nothing was changed.",
    )


def _check_whole(response: httpx2.Response, length: int) -> None:
    """As many bytes as announced have come: on the wire, or in memory where there was none (a test's transport)."""
    announced = response.headers.get("content-length", "")
    got = response.num_bytes_downloaded or length
    if announced.isdigit() and got < int(announced):
        raise Again(f"half an answer ({got:,} of {int(announced):,} bytes)")


def _retry_after(response: httpx2.Response) -> float | None:
    text = response.headers.get("retry-after", "")
    return min(float(text), _LONGEST_WAIT) if text.isdigit() else None


def _trusted(settings: SalesforceSourceSettings) -> Any:
    """Certificates to trust. Reading the usual ones takes 0.1 s; a plain http address has no use for them."""
    if settings.ca_bundle is None:
        return settings.base_url.startswith("https://")
    import ssl

    try:
        return ssl.create_default_context(cafile=str(settings.ca_bundle))
    except (OSError, ssl.SSLError) as error:
        raise NightdeskError(
            f"The file of certificates cannot be read: {error}",
            where=str(settings.ca_bundle),
            todo="Correct ca_bundle in the settings: a PEM file of the authorities to trust.",
        ) from error
