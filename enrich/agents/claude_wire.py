"""Between the runner's words and the Messages API: requests, responses and errors, translated without I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Literal, cast

from enrich.agents.claude_price import cost_usd
from enrich.agents.protocol import AgentRequest, AgentResponse
from nightdesk.errors import NightdeskError

if TYPE_CHECKING:
    from anthropic import APIError
    from anthropic.types import Message
    from anthropic.types.message_create_params import MessageCreateParamsNonStreaming

Effort = Literal["low", "medium", "high"]

# Limits of the API's grammar for structured output.
MAX_OPTIONAL_FIELDS = 24
MAX_UNION_FIELDS = 16

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


def transformed_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The output schema as the API's grammar takes it.

    Raises:
        NightdeskError: It has more optional or union fields than the API allows.
    """
    from anthropic import transform_schema

    transformed = transform_schema(dict(schema))
    optional, unions = _count(transformed)
    if optional > MAX_OPTIONAL_FIELDS or unions > MAX_UNION_FIELDS:
        raise NightdeskError(
            f"The output model has {optional} optional and {unions} union fields; the API takes at most "
            f"{MAX_OPTIONAL_FIELDS} and {MAX_UNION_FIELDS}",
            where="output.py of the operation",
            todo="Make fields required, with an empty value for `none`.",
        )
    return transformed


def _count(schema: object) -> tuple[int, int]:
    """How many optional and how many union fields there are, at any depth."""
    optional = unions = 0
    children: list[object] = []
    if isinstance(schema, dict):
        node = cast("dict[str, Any]", schema)
        optional = len(set(node.get("properties", {})) - set(node.get("required", ())))
        unions = int("anyOf" in node or isinstance(node.get("type"), list))
        children = list(node.values())
    elif isinstance(schema, list):
        children = cast("list[object]", schema)
    for child in children:
        more_optional, more_unions = _count(child)
        optional, unions = optional + more_optional, unions + more_unions
    return optional, unions


def build_request(
    request: AgentRequest, *, model: str, effort: Effort, schema: dict[str, Any]
) -> MessageCreateParamsNonStreaming:
    """The body of one call.

    The shared prefix comes first and ends in the one cache breakpoint: the same bytes for every record of the
    operation, and nothing of a record before it. No temperature, no tools: a judgement has nothing to call.
    """
    return {
        "model": model,
        "max_tokens": request.max_output_tokens,
        "system": [{"type": "text", "text": request.system_prefix, "cache_control": {"type": "ephemeral"}}],
        "messages": [{"role": "user", "content": request.user_message}],
        "output_config": {"effort": effort, "format": {"type": "json_schema", "schema": schema}},
    }


def read_message(
    request: AgentRequest, message: Message, *, model: str, asked_at: datetime, answered_at: datetime
) -> AgentResponse:
    """A message as the runner's response: whether it ended by itself, was refused or was cut off, and what it cost.

    Priced as the model that was asked for: its price is known, while the answer may name a dated version of it.

    Raises:
        ValueError: It is no message (a proxy's page, another API): the SDK hands on whatever came.
    """
    if not _is_message(message):
        raise ValueError("not a response of the Messages API")
    text = "".join(block.text for block in message.content if block.type == "text")
    usage = message.usage
    read, written = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
    response = AgentResponse(
        request.input_hash,
        "ok",
        text,
        stop_reason=message.stop_reason,
        model=message.model,
        input_tokens=usage.input_tokens,
        cache_read_tokens=read,
        cache_write_tokens=written,
        output_tokens=usage.output_tokens,
        cost_usd=cost_usd(
            model,
            input_tokens=usage.input_tokens,
            cache_read_tokens=read,
            cache_write_tokens=written,
            output_tokens=usage.output_tokens,
            asked_at=asked_at,
        ),
        requested_at=asked_at,
        responded_at=answered_at,
    )
    if message.stop_reason in ("end_turn", "stop_sequence"):
        return response
    if message.stop_reason == "refusal":
        details = message.stop_details
        why = ": ".join(word for word in (details.category, details.explanation) if word) if details else ""
        return replace(response, status="refused", error=one_line(why) or "no reason given")
    return replace(response, status="truncated", error=f"stopped by {message.stop_reason or 'nothing it named'}")


def _is_message(value: object) -> bool:
    from anthropic.types import Message, Usage

    if not isinstance(value, Message):
        return False
    content: object = getattr(value, "content", None)  # the SDK promises types that it does not check
    usage: object = getattr(value, "usage", None)
    return isinstance(content, list) and isinstance(usage, Usage)


def read_error(
    request: AgentRequest, error: APIError, *, asked_at: datetime, answered_at: datetime, secret: str
) -> AgentResponse:
    """An error of one call as a `provider_error`; `secret` (the key) never stands in its text.

    Raises:
        NightdeskError: Every further call would fail the same way.
    """
    from anthropic import APIConnectionError, APIResponseValidationError, APIStatusError, APITimeoutError

    is_retryable, retry_after = False, None
    if isinstance(error, APIStatusError):
        code = error.status_code
        if code in _HOPELESS:
            raise NightdeskError(
                f"The Anthropic API refuses to work ({code}): {one_line(error.api_message or error.message, secret)}",
                where=f"model {request.operation}" if code == 404 else "api.anthropic.com or ANTHROPIC_BASE_URL",
                todo=f"{_HOPELESS[code]} What was answered so far is kept.",
            )
        what = f"{code} {error.type or ''}: {error.api_message or error.message}"
        is_retryable = code in _WORTH_ANOTHER_TRY or code >= 500
        should_retry = error.response.headers.get("x-should-retry")
        if should_retry in ("true", "false"):
            is_retryable = should_retry == "true"
        retry_after = retry_after_seconds(error.response.headers, now=answered_at)
    elif isinstance(error, APITimeoutError):
        what, is_retryable = "No answer in time", True
    elif isinstance(error, APIConnectionError):
        what, is_retryable = f"No connection: {error.__cause__ or error.message}", True
    elif isinstance(error, APIResponseValidationError):
        what, is_retryable = "The response was not one of the Messages API", True
    else:
        what = error.message
    return AgentResponse(
        request.input_hash,
        "provider_error",
        error=one_line(what, secret),
        is_retryable=is_retryable,
        retry_after_seconds=retry_after,
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
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())


def one_line(text: str, secret: str = "") -> str:
    """Error text fit for a table: one line, not long, without `secret` and without anything that looks like a key."""
    for form in {secret, repr(secret)[1:-1], repr(secret.encode())[2:-1]} if secret else ():
        text = text.replace(form, "[secret]")
    return _SECRET.sub("[secret]", " ".join(text.split()))[:_MAX_ERROR_CHARS]
