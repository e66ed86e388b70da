"""What can go wrong with a call to the Messages API, in the runner's words and without secrets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from enrich.agents.protocol import AgentRequest, AgentResponse
from nightdesk.errors import NightdeskError

if TYPE_CHECKING:
    from anthropic import APIError

_MAX_ERROR_CHARS = 300
_SECRET = re.compile(r"sk-[A-Za-z0-9_-]{6,}|(?i:bearer)\s+\S+|(?i:x-api-key)\W+\S+")

# Statuses that every further call of the operation would meet too, and what to do about each.
_HOPELESS: Mapping[int, str] = {
    401: "Check ANTHROPIC_API_KEY: the key is wrong, expired or of another workspace.",
    402: "Add credit to the account behind ANTHROPIC_API_KEY.",
    403: "The key may not use this model or workspace: check its permissions.",
    404: "Check the model's name in policies/budget.yml (and ANTHROPIC_BASE_URL, if set).",
}
_WORTH_ANOTHER_TRY = frozenset({408, 409, 425, 429})

# Statuses and errors after which the API may have done what it was asked to all the same.
_MAYBE_DONE = frozenset({408, 409})


@dataclass(frozen=True, slots=True)
class Fault:
    """One failed call.

    Attributes:
        what: One line, without secrets.
        is_retryable: Whether the same call may work later.
        retry_after_seconds: How long the API asks to wait, when it says so.
        may_have_worked: Whether the API may have done what it was asked to, and only its answer was lost.
    """

    what: str
    is_retryable: bool
    retry_after_seconds: float | None = None
    may_have_worked: bool = False


def read_fault(error: APIError, *, now: datetime, secret: str, where: str) -> Fault:
    """What an error of the SDK means; `secret` (the key) never stands in its text.

    Raises:
        NightdeskError: Every further call would fail the same way. `where` is what a 404 would be about.
    """
    from anthropic import APIConnectionError, APIResponseValidationError, APIStatusError, APITimeoutError

    if isinstance(error, APIStatusError):
        code = error.status_code
        if code in _HOPELESS:
            raise NightdeskError(
                f"The Anthropic API refuses to work ({code}): {one_line(error.api_message or error.message, secret)}",
                where=where if code == 404 else "api.anthropic.com or ANTHROPIC_BASE_URL",
                todo=f"{_HOPELESS[code]} What was answered so far is kept.",
            )
        is_retryable = code in _WORTH_ANOTHER_TRY or code >= 500
        should_retry = error.response.headers.get("x-should-retry")
        if should_retry in ("true", "false"):
            is_retryable = should_retry == "true"
        return Fault(
            one_line(f"{code} {error.type or ''}: {error.api_message or error.message}", secret),
            is_retryable,
            retry_after_seconds(error.response.headers, now=now),
            may_have_worked=code in _MAYBE_DONE or code >= 500,
        )
    if isinstance(error, APITimeoutError):
        return Fault("No answer in time", is_retryable=True, may_have_worked=not _never_connected(error))
    if isinstance(error, APIConnectionError):
        what = one_line(f"No connection: {error.__cause__ or error.message}", secret)
        return Fault(what, is_retryable=True, may_have_worked=not _never_connected(error))
    if isinstance(error, APIResponseValidationError):
        return Fault("The response was not one of the Messages API", is_retryable=True, may_have_worked=True)
    return Fault(one_line(error.message, secret), is_retryable=False, may_have_worked=True)


def _never_connected(error: APIError) -> bool:
    import httpx2

    return isinstance(error.__cause__, (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout))


def read_error(
    request: AgentRequest, error: APIError, *, asked_at: datetime, answered_at: datetime, secret: str
) -> AgentResponse:
    """An error of one call as a `provider_error`; `secret` (the key) never stands in its text.

    Raises:
        NightdeskError: Every further call would fail the same way.
    """
    fault = read_fault(error, now=answered_at, secret=secret, where=f"model {request.operation}")
    return AgentResponse(
        request.input_hash,
        "provider_error",
        error=fault.what,
        is_retryable=fault.is_retryable,
        retry_after_seconds=fault.retry_after_seconds,
        requested_at=asked_at,
        responded_at=answered_at,
    )


def retry_after_seconds(headers: Mapping[str, str], *, now: datetime) -> float | None:
    """How long a response asks to wait: `retry-after-ms`, or `retry-after` in seconds or as an HTTP date."""
    try:
        return max(0.0, float(headers["retry-after-ms"]) / 1000)
    except (KeyError, ValueError):
        pass
    value = headers.get("retry-after")
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    moment = http_date(value)
    return max(0.0, (moment - now).total_seconds()) if moment else None


def http_date(value: str) -> datetime | None:
    """An HTTP date as UTC; None when it is none."""
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def one_line(text: str, secret: str = "") -> str:
    """Error text fit for a table: one line, not long, without `secret` and without anything that looks like a key."""
    for form in {secret, repr(secret)[1:-1], repr(secret.encode())[2:-1]} if secret else ():
        text = text.replace(form, "[secret]")
    return _SECRET.sub("[secret]", " ".join(text.split()))[:_MAX_ERROR_CHARS]
