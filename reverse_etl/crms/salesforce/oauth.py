"""Access tokens for an integration user without anybody logging in: OAuth's client credentials flow."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from nightdesk import salesforce
from reverse_etl.crms.protocol import CrmRefused, CrmUnavailable

if TYPE_CHECKING:
    import ssl

    import httpx2


def client_credentials(
    base_url: str,
    client_id: str,
    client_secret: str,
    *,
    verify: ssl.SSLContext | bool = True,
    transport: httpx2.BaseTransport | None = None,
    timeout_seconds: float = 30.0,
) -> Callable[[], str]:
    """A function that gets a new access token each time it is called; see `nightdesk.salesforce`.

    Raises:
        CrmUnavailable, CrmRefused: by the function, when there is no token.
    """
    renew = salesforce.client_credentials(
        base_url, client_id, client_secret, verify=verify, transport=transport, timeout_seconds=timeout_seconds
    )

    def token() -> str:
        try:
            return renew()
        except salesforce.TokenUnreachable as error:
            raise CrmUnavailable(error.what, where=error.where, todo=error.todo) from error
        except salesforce.TokenRefused as error:
            raise CrmRefused(error.what, where=error.where, todo=error.todo) from error

    return token
