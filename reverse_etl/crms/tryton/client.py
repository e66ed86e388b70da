"""JSON-RPC to one Tryton database: login, one call at a time, and what an answer means.

Tryton answers most refusals with status 200 and an `error` in the body, after rolling the call back: such an error
means that nothing was done. A call whose answer never came, or a 5xx to a write, may have been done.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

from reverse_etl.crms.http import Effect, HttpClient, OutcomeUnknown, RequestRefused, TryAgain
from reverse_etl.crms.protocol import CrmRefused, CrmUnavailable

if TYPE_CHECKING:
    import httpx2

# Kinds of errors in `RequestRefused.category`, as Tryton names them; its other exceptions come without a name.
USER_ERROR, USER_WARNING, CONCURRENCY = "UserError", "UserWarning", "ConcurrencyException"
SERVER_ERROR = "server error"


class _SessionEnded(Exception):
    """401: the session is not, or no longer, valid. Nothing was done."""


class TrytonClient(HttpClient[Any]):
    """One user in one database.

    Args:
        base_url: Origin of the server, such as `https://tryton.example.com`.
        database: Name of the database.
        user: Login of a user that only Nightdesk uses.
        password: Their password; never logged.
        timeout_seconds: For one answer.
        attempts: How often something that certainly did not happen, or a read, is tried.
        transport: Another httpx2 transport, for tests.
        sleep: Waiting, for tests.
    """

    def __init__(
        self,
        base_url: str,
        database: str,
        user: str,
        password: str,
        *,
        timeout_seconds: float = 60.0,
        attempts: int = 6,
        transport: httpx2.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(
            base_url,
            {"Accept": "application/json"},
            timeout_seconds=timeout_seconds,
            attempts=attempts,
            transport=transport,
            sleep=sleep,
        )
        self.database, self.user = database, user
        self._password = password
        self._path = f"/{quote(database, safe='')}/rpc/"
        self._authorization: str | None = None
        self._user_id: int | None = None

    @property
    def user_id(self) -> int:
        """Tryton's id of our user (logs in when that has not happened yet)."""
        if self._user_id is None:
            self._login()
        return cast("int", self._user_id)

    def call(
        self, method: str, *parameters: Any, context: Mapping[str, Any] | None = None, effect: Effect = "read"
    ) -> Any:
        """Call one method, in English so that its messages read the same everywhere; returns its result.

        A session that has ended is renewed once: Tryton looks at it before it does anything.

        Raises:
            RequestRefused: Tryton refused and did nothing; `category` is one of this module's kinds of errors.
            OutcomeUnknown: A write whose answer was lost, or a 5xx to it.
            CrmRefused: Wrong user, password, database or address, or a method our user may not call.
            CrmUnavailable: No connection, or it keeps failing.
        """
        body = {"id": 1, "method": method, "params": [*parameters, {"language": "en", **(context or {})}]}
        if self._authorization is None:
            self._login()
        try:
            return self._send(body, effect)
        except _SessionEnded:
            self._login()
        try:
            return self._send(body, effect)
        except _SessionEnded as error:
            raise CrmRefused(
                "Tryton ends the session at once", where=self._where, todo="Look into the server's log."
            ) from error

    def _send(self, body: Mapping[str, Any], effect: Effect) -> Any:
        headers = {"Authorization": self._authorization} if self._authorization else {}
        return self._request("POST", self._path, effect, json=body, headers=headers)

    def _login(self) -> None:
        self._authorization = None
        body = {"id": 1, "method": "common.db.login", "params": [self.user, {"password": self._password}, "en"]}
        try:
            answer = self._send(body, "read")
        except (_SessionEnded, RequestRefused) as error:
            # One attempt only: after a wrong password Tryton makes the next one wait, longer each time.
            raise CrmRefused(
                f"Tryton does not let the user `{self.user}` in",
                where=f"{self._where}/{self.database}",
                todo="Check NIGHTDESK_TRYTON_USER and NIGHTDESK_TRYTON_PASSWORD; the user needs the login method "
                "`password`.",
            ) from error
        except CrmUnavailable as error:
            raise CrmUnavailable(
                error.what,
                where=f"{self._where}/{self.database}",
                todo="Check NIGHTDESK_TRYTON_URL and NIGHTDESK_TRYTON_DATABASE, or run the same command again later.",
            ) from error
        self._user_id, token = int(answer[0]), str(answer[1])
        session = base64.b64encode(f"{self.user}:{self._user_id}:{token}".encode()).decode("ascii")
        self._authorization = f"Session {session}"

    def _take(self, where: str) -> None:
        """Tryton has no quota."""

    def _judge(self, response: httpx2.Response, effect: Effect) -> Any:
        status = response.status_code
        where = f"{response.request.method} {response.request.url}"
        if status == 401:
            raise _SessionEnded
        if status == 429:
            wait = _retry_after(response.headers)
            if self._authorization is not None or wait is not None:  # not Tryton itself, but a proxy before it
                raise TryAgain("rate limit (429)", wait)
            raise CrmUnavailable(
                "Tryton makes logins wait after too many wrong ones", where=where, todo="Try again in an hour."
            )
        if status >= 500:
            if effect == "read":
                raise TryAgain(f"HTTP {status}", None)
            raise OutcomeUnknown(f"HTTP {status}")
        if status in (403, 404, 405):
            raise CrmRefused(
                f"Tryton does not offer this to our user (HTTP {status})",
                where=where,
                todo="Check the address, the database's name and that it is Tryton 8.",
            )
        if status >= 400:
            raise RequestRefused(status, SERVER_ERROR, f"HTTP {status}", {})
        try:
            body: Any = response.json()
        except ValueError:
            body = None
        if not isinstance(body, dict) or not ({"result", "error"} & set(cast("dict[str, Any]", body))):
            if effect != "read":
                raise OutcomeUnknown(f"HTTP {status} with an answer that is not Tryton's")
            raise CrmRefused(
                "This address does not answer like Tryton", where=where, todo="Correct NIGHTDESK_TRYTON_URL."
            )
        answer = cast("dict[str, Any]", body)
        if answer.get("error") is not None:
            category, message = _explain(answer["error"])
            raise RequestRefused(status, category, message, answer)
        return answer.get("result")


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, when it says so as a number."""
    try:
        return max(0.0, float(headers["retry-after"]))
    except (KeyError, ValueError):
        return None


def _explain(error: Any) -> tuple[str, str]:
    """Kind and message of an error: `[kind, details]` for those Tryton names, `[message, traceback]` for others."""
    parts = cast("list[Any]", error) if isinstance(error, list) else [error]
    kind = str(parts[0]) if parts else ""
    details: Any = parts[1] if len(parts) > 1 else ""
    if kind == CONCURRENCY:
        return CONCURRENCY, str(details)
    if kind in (USER_ERROR, USER_WARNING) and isinstance(details, list):
        texts = [str(text) for text in cast("list[Any]", details) if isinstance(text, str) and text]
        # a warning begins with its technical name, which says nothing to a person
        return kind, " - ".join(texts[1:] if kind == USER_WARNING else texts)
    return SERVER_ERROR, kind
