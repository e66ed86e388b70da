"""Access tokens: until when one is valid and what it may do, with HubSpot's answers to one that is not or may not."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sandbox.crm import catalog
from sandbox.crm.clock import from_ms, iso, to_ms
from sandbox.crm.errors import ApiError

_READS = ("/batch/read", "/search")
_MORE = "https://developers.hubspot.com/scopes"


@dataclass(frozen=True, slots=True)
class Token:
    """One access token.

    Attributes:
        value: What the client sends.
        expires_at: From then on it is refused; None for a private app's, which lasts.
        scopes: What it may do (`crm.objects.contacts.write`, ...); None for everything.
    """

    value: str
    expires_at: datetime | None = None
    scopes: frozenset[str] | None = None


class Tokens:
    """The tokens an account knows."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens = list(tokens)

    def check(self, authorization: str, method: str, path: str, now: int) -> None:
        """Let a request pass, or not.

        Args:
            authorization: The header.
            method: The HTTP method.
            path: The address without its version (see `routes.canonical`).
            now: Epoch milliseconds.

        Raises:
            ApiError: 401 for a token nobody gave out or that has expired, 403 for a missing scope.
        """
        scheme, _, sent = authorization.partition(" ")
        known = next((t for t in self._tokens if hmac.compare_digest(sent.strip().encode(), t.value.encode())), None)
        if scheme.lower() != "bearer" or known is None:
            raise unknown()
        if known.expires_at is not None and now >= to_ms(known.expires_at):
            raise expired(now, to_ms(known.expires_at))
        needed = needed_scope(method, path)
        if known.scopes is not None and needed and needed not in known.scopes:
            raise missing_scope(needed)

    def expire(self, now: int, renewed: str | None = None) -> None:
        """End every token now; `renewed` is one that works from here on, with the rights of the first."""
        scopes = self._tokens[0].scopes if self._tokens else None
        others = [t for t in self._tokens if t.value != renewed]
        ended = [t if t.expires_at else replace(t, expires_at=from_ms(now)) for t in others]
        self._tokens = [*ended, *([Token(renewed, None, scopes)] if renewed else [])]


def needed_scope(method: str, path: str) -> str:
    """The scope a request needs; empty where any token will do. Activities go with contacts, as in HubSpot."""
    area, _, rest = path.lstrip("/").partition("/")
    name = rest.partition("/")[0]
    kind = catalog.ALIASES.get(name.lower(), name)
    if kind in catalog.ENGAGEMENTS:
        kind = "contacts"
    right = "read" if method == "GET" or path.endswith(_READS) else "write"
    match area:
        case "objects" | "associations":
            return f"crm.objects.{kind}.{right}"
        case "properties":
            return f"crm.schemas.{kind}.{right}"
        case "owners":
            return "crm.objects.owners.read"
        case "pipelines":
            return f"crm.objects.{kind}.read"
        case "statuses":
            return "communication_preferences.statuses.batch.read"
        case _:
            return ""


def unknown() -> ApiError:
    """401: no token, or none this account gave out."""
    return ApiError(
        401,
        "INVALID_AUTHENTICATION",
        "Authentication credentials not found. This API supports OAuth 2.0 authentication and you can find more"
        " details at https://developers.hubspot.com/docs/methods/auth/oauth-overview",
    )


def expired(now: int, since: int) -> ApiError:
    """401: the token was valid once."""
    return ApiError(
        401,
        "EXPIRED_AUTHENTICATION",
        f"The OAuth token used to make this call expired {max(0, now - since) // 1000} second(s) ago.",
        context={"expire time": [iso(since)]},
    )


def missing_scope(scope: str) -> ApiError:
    """403: the token is valid and may not do this."""
    return ApiError(
        403,
        "MISSING_SCOPES",
        f"This app hasn't been granted all required scopes to make this call. Read more about required scopes here:"
        f" {_MORE}.",
        errors=[
            {
                "message": "One or more of the following scopes are required.",
                "context": {"requiredGranularScopes": [scope]},
            }
        ],
        extra={"links": {"scopes": _MORE}},
    )
