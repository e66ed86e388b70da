"""Calls as a batch takes them: bodies, and parts that fit the API's limits."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from enrich.agents import claude_wire

if TYPE_CHECKING:
    from anthropic.types.messages.batch_create_params import Request

    from enrich.agents.claude_wire import Effort
    from enrich.agents.protocol import AgentRequest

MOST_REQUESTS = 100_000
MOST_BYTES = 256 * 1024 * 1024

# Fewer calls than this do not pay for writing their prefix to the cache at twice its price.
_CACHED_FROM = 4
_FRAME_BYTES = 64  # `{"requests":[` and what holds one request


def split(
    requests: Sequence[AgentRequest],
    *,
    model: str,
    effort: Effort,
    schema: dict[str, Any],
    most_requests: int,
    most_bytes: int,
) -> Iterator[tuple[list[AgentRequest], list[Request]]]:
    """Parts that each fit into one batch: the calls, and the same calls as the API takes them.

    A call that alone is too large gets a batch of its own: the API says what it thinks of it.

    Args:
        requests: Calls of one operation.
        model: The model's API name.
        effort: How hard it is to think.
        schema: The output schema, transformed.
        most_requests: Calls per batch.
        most_bytes: Bytes per batch as JSON. The shared prefix counts in every call.
    """
    cache_time = "1h" if len(requests) >= _CACHED_FROM else None
    calls: list[AgentRequest] = []
    bodies: list[Request] = []
    size = _FRAME_BYTES
    shared: dict[tuple[str, bool], int] = {}
    for request in requests:
        params = claude_wire.build_request(
            request, model=model, effort=effort, schema=schema, cache_time=cache_time, keeps_conversation=False
        )
        # What all calls share is measured once.
        has_tools = "tools" in params
        key = (request.system_prefix, has_tools)
        if key not in shared or has_tools:
            shared[key] = len(json.dumps({**params, "messages": []}))
        own = shared[key] + len(json.dumps(params["messages"])) + len(request.input_hash) + _FRAME_BYTES
        if calls and (len(calls) >= most_requests or size + own > most_bytes):
            yield calls, bodies
            calls, bodies, size = [], [], _FRAME_BYTES
        calls.append(request)
        bodies.append({"custom_id": request.input_hash, "params": params})
        size += own
    if calls:
        yield calls, bodies
