"""Access tokens for an integration user without anybody logging in: OAuth's client credentials flow."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from reverse_etl.crms.protocol import CrmRefused, CrmUnavailable

if TYPE_CHECKING:
    import ssl

    import httpx2

_PATH = "/services/oauth2/token"


def client_credentials(
    base_url: str,
    client_id: str,
    client_secret: str,
    *,
    verify: ssl.SSLContext | bool = True,
    transport: httpx2.BaseTransport | None = None,
    timeout_seconds: float = 30.0,
) -> Callable[[], str]:
    """A function that gets a new access token each time it is called.

    Args:
        base_url: The org's own address; the common log-in address does not take this flow.
        client_id: The connected app's consumer key.
        client_secret: Its secret; never logged.
        verify: Certificates to trust.
        transport: Another httpx2 transport, for tests.
        timeout_seconds: For one answer.
    """

    def token() -> str:
        import httpx2

        where = f"POST {base_url}{_PATH}"
        form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": client_secret}
        try:
            with httpx2.Client(
                base_url=base_url, verify=verify, transport=transport, timeout=timeout_seconds, trust_env=False
            ) as http:
                response = http.post(_PATH, data=form)
        except httpx2.RequestError as error:
            raise CrmUnavailable(
                f"No access token: {type(error).__name__}", where=where, todo="Run the same command again later."
            ) from error
        try:
            body = cast("dict[str, Any]", response.json())
            return str(body["access_token"])
        except (ValueError, KeyError, TypeError) as error:
            raise CrmRefused(
                f"Salesforce gives no access token: {_reason(response)}",
                where=where,
                todo="Check NIGHTDESK_SALESFORCE_CLIENT_ID and _CLIENT_SECRET, and that the connected app allows the "
                "client credentials flow (docs/salesforce.md).",
            ) from error

    return token


def _reason(response: httpx2.Response) -> str:
    try:
        body: Any = response.json()
    except ValueError:
        body = None
    found = cast("dict[str, Any]", body) if isinstance(body, dict) else {}
    return str(found.get("error_description") or found.get("error") or f"HTTP {response.status_code}")[:200]
