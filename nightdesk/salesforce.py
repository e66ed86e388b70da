"""What loading from Salesforce and writing to it have in common: access tokens, the day's quota, error bodies."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, cast

from nightdesk.errors import NightdeskError

if TYPE_CHECKING:
    import ssl

    import httpx2

API_VERSION: Final = "62.0"
_TOKEN_PATH: Final = "/services/oauth2/token"
_USAGE = re.compile(r"api-usage=(\d+)/(\d+)")


class TokenUnreachable(NightdeskError):
    """No access token, because nobody answered: worth another try later."""


class TokenRefused(NightdeskError):
    """No access token, because the org refuses."""


def client_credentials(
    base_url: str,
    client_id: str,
    client_secret: str,
    *,
    verify: ssl.SSLContext | bool = True,
    transport: httpx2.BaseTransport | None = None,
    timeout_seconds: float = 30.0,
) -> Callable[[], str]:
    """A function that gets a new access token each time it is called, by OAuth's client credentials flow.

    Args:
        base_url: The org's own address; the common log-in address does not take this flow.
        client_id: The connected app's consumer key.
        client_secret: Its secret; never logged.
        verify: Certificates to trust.
        transport: Another httpx2 transport, for tests.
        timeout_seconds: For one answer.

    Raises:
        TokenUnreachable, TokenRefused: by the function, when there is no token.
    """

    def token() -> str:
        import httpx2

        where = f"POST {base_url}{_TOKEN_PATH}"
        form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": client_secret}
        try:
            with httpx2.Client(
                base_url=base_url, verify=verify, transport=transport, timeout=timeout_seconds, trust_env=False
            ) as http:
                response = http.post(_TOKEN_PATH, data=form)
        except httpx2.RequestError as error:
            raise TokenUnreachable(
                f"No access token: {type(error).__name__}", where=where, todo="Run the same command again later."
            ) from error
        try:
            body = cast("dict[str, Any]", response.json())
            return str(body["access_token"])
        except (ValueError, KeyError, TypeError) as error:
            raise TokenRefused(
                f"Salesforce gives no access token: {_reason(response)}",
                where=where,
                todo="Check NIGHTDESK_SALESFORCE_CLIENT_ID and _CLIENT_SECRET, and that the connected app allows the "
                "client credentials flow (docs/salesforce.md).",
            ) from error

    return token


def usage(headers: Mapping[str, str]) -> tuple[int, int] | None:
    """Requests of the last 24 hours and how many the org has, as each answer says; None where it does not."""
    found = _USAGE.search(headers.get("sforce-limit-info", ""))
    return (int(found[1]), int(found[2])) if found else None


def first_error(parsed: Any) -> tuple[str, str, Mapping[str, Any]]:
    """Code, message and body of the first error; Salesforce sends a list, OAuth an object."""
    if isinstance(parsed, list) and parsed and isinstance(parsed[0], dict):
        first = cast("dict[str, Any]", parsed[0])
        return str(first.get("errorCode", "")), str(first.get("message", "")), first
    if isinstance(parsed, dict):
        body = cast("dict[str, Any]", parsed)
        return str(body.get("error", "")), str(body.get("error_description", "")), body
    return "", "", {}


def _reason(response: httpx2.Response) -> str:
    try:
        body: Any = response.json()
    except ValueError:
        body = None
    found = cast("dict[str, Any]", body) if isinstance(body, dict) else {}
    return str(found.get("error_description") or found.get("error") or f"HTTP {response.status_code}")[:200]
