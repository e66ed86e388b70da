"""Claude over the Messages API, one record per call.

Prices come from `genai-prices`, models and limits from `policies/budget.yml`, the key from the caller. The SDK's own
retries are off: every call is one row in the ledger and goes through the budget, so the runner does the retrying.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import anyio

from enrich.agents import claude_price, claude_wire
from enrich.agents.protocol import AgentRequest, AgentResponse
from nightdesk.errors import NightdeskError

if TYPE_CHECKING:
    import httpx2
    from anthropic import AsyncAnthropic

    from nightdesk.clock import Clock
    from nightdesk.policy.models import ClaudeBudget

KEY_VARIABLE = "ANTHROPIC_API_KEY"
CALL_TIMEOUT_SECONDS = 180.0

# Raise when the same request would be put to the model in another way: every record is then asked again.
_REQUEST_SHAPE = "1"


@dataclass(slots=True)
class _Prefix:
    """What is known of one operation's shared prefix in the provider's cache."""

    lock: anyio.Lock
    is_warm: bool = False
    is_cached: bool = False
    later_calls: int = 0
    misses: int = 0


class ClaudeAgent:
    """Asks Claude.

    Args:
        limits: `agents.claude` of `policies/budget.yml`.
        api_key: The key; None or empty is refused in `prepare()`, before any call.
        clock: UTC wall clock, for the ledger's times and for retry dates.
        transport: An httpx2 transport; tests give a mock, None is the network.
        base_url: Another endpoint that speaks the Messages API; None for the SDK's default.
        timeout_seconds: Longest wait for one answer.
    """

    def __init__(
        self,
        limits: ClaudeBudget,
        *,
        api_key: str | None,
        clock: Clock,
        transport: httpx2.AsyncBaseTransport | None = None,
        base_url: str | None = None,
        timeout_seconds: float = CALL_TIMEOUT_SECONDS,
    ) -> None:
        self._limits = limits
        self._api_key = (api_key or "").strip()
        self._clock = clock
        self._transport = transport
        self._base_url = base_url
        self._timeout_seconds = timeout_seconds
        self._client: AsyncAnthropic | None = None
        self._schemas: dict[str, tuple[dict[str, Any], int]] = {}
        self._prefixes: dict[str, _Prefix] = {}

    @property
    def name(self) -> str:
        """`claude`."""
        return "claude"

    @property
    def version(self) -> str:
        """Shape of the request and effort."""
        return f"{_REQUEST_SHAPE}-{self._limits.effort}"

    @property
    def chunk_size(self) -> int:
        """One record per call, so that no record can speak to another."""
        return 1

    @property
    def concurrency(self) -> int:
        """Calls in flight, by policy."""
        return self._limits.concurrency

    def model_for(self, operation: str) -> str | None:
        """The model that policy names for an operation."""
        return {str(name): model for name, model in self._limits.models.items()}.get(operation)

    def max_output_tokens_for(self, operation: str) -> int:
        """The longest answer that policy allows an operation."""
        return {str(name): tokens for name, tokens in self._limits.max_output_tokens.items()}.get(operation, 0)

    def reads_at_once(self, operation: str) -> int:
        """By policy: a long document is read in parts, so that no remark drowns in the middle of it."""
        return self._limits.reads_at_once_tokens

    def worst_case_usd(self, request: AgentRequest) -> Decimal:
        """See `claude_price.worst_case_usd`."""
        _, schema_bytes = self._schema(request)
        return claude_price.worst_case_usd(request, self._model(request.operation), schema_bytes)

    async def prepare(self, operation: str) -> None:
        """Open a client for this event loop.

        Raises:
            NightdeskError: No key, no model or no limit for the operation, or a model without a known price.
        """
        if not self._api_key:
            raise NightdeskError(
                "There is no key for Claude",
                where=KEY_VARIABLE,
                todo=f"Set {KEY_VARIABLE}, or run with the offline agent: NIGHTDESK_AGENT=rules.",
            )
        if not re.fullmatch(r"[\x21-\x7e]+", self._api_key):
            raise NightdeskError(
                "The key for Claude holds spaces, line ends or letters that no key has",
                where=KEY_VARIABLE,
                todo="Copy it again, without anything around it.",
            )
        claude_price.require_price(self._model(operation))
        if self.max_output_tokens_for(operation) <= 0:
            raise NightdeskError(
                f"No longest answer is set for `{operation}`",
                where="policies/budget.yml, agents.claude.max_output_tokens",
                todo="Add one.",
            )
        await self.aclose()
        from anthropic import AsyncAnthropic, DefaultAsyncHttpxClient

        self._prefixes = {}
        self._client = AsyncAnthropic(
            api_key=self._api_key,
            base_url=self._base_url,
            max_retries=0,
            timeout=self._timeout_seconds,
            http_client=DefaultAsyncHttpxClient(transport=self._transport) if self._transport is not None else None,
        )

    async def ask(self, requests: Sequence[AgentRequest]) -> Sequence[AgentResponse]:
        """One call per request.

        The first call of an operation goes alone: it writes the shared prefix to the cache, the others read it. Sent
        side by side, all would miss and pay for writing it.

        Raises:
            NightdeskError: A status that every further call would meet too (key, credit, permission, unknown model).
        """
        responses: dict[int, AgentResponse] = {}
        failures: list[NightdeskError] = []

        async def one(position: int, request: AgentRequest) -> None:
            try:
                responses[position] = await self._ask_in_turn(request)
            except NightdeskError as error:
                failures.append(error)

        async with anyio.create_task_group() as group:
            for position, request in enumerate(requests):
                group.start_soon(one, position, request)
        if failures and not responses:
            raise failures[0]
        # What was paid for is handed over; what was refused is met again, alone, by the next call.
        return [
            responses.get(position)
            or AgentResponse(request.input_hash, "provider_error", error=failures[0].what, is_retryable=True)
            for position, request in enumerate(requests)
        ]

    async def aclose(self) -> None:
        """Close the client. Safe to call twice."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    def take_remarks(self) -> list[str]:
        """What a person should know of the calls since the last time: a prefix that the cache did not serve."""
        remarks: list[str] = []
        for operation, prefix in self._prefixes.items():
            if prefix.later_calls and not prefix.is_cached:
                remarks.append(f"The prompt of {operation} was not cached (too short?): full price paid for it")
            elif prefix.misses:
                remarks.append(f"{prefix.misses} of {prefix.later_calls} later calls of {operation} missed the cache")
            prefix.later_calls = prefix.misses = 0
        return remarks

    async def _ask_in_turn(self, request: AgentRequest) -> AgentResponse:
        prefix = self._prefixes.setdefault(request.operation, _Prefix(anyio.Lock()))
        if not prefix.is_warm:
            async with prefix.lock:
                if not prefix.is_warm:
                    response = await self._call(request)
                    prefix.is_warm = response.status != "provider_error"
                    prefix.is_cached = response.cache_write_tokens + response.cache_read_tokens > 0
                    return response
        response = await self._call(request)
        if response.status != "provider_error":
            prefix.later_calls += 1
            prefix.misses += response.cache_read_tokens == 0
        return response

    async def _call(self, request: AgentRequest) -> AgentResponse:
        from anthropic import APIError

        if self._client is None:
            raise RuntimeError("ask() before prepare()")
        schema, _ = self._schema(request)
        model = self._model(request.operation)
        body = claude_wire.build_request(request, model=model, effort=self._limits.effort, schema=schema)
        asked_at = self._clock()
        try:
            message = await self._client.messages.create(**body)
            return claude_wire.read_message(request, message, model=model, asked_at=asked_at, answered_at=self._clock())
        except APIError as error:
            response = claude_wire.read_error(
                request, error, asked_at=asked_at, answered_at=self._clock(), secret=self._api_key
            )
            return replace(response, model=model)
        except ValueError as error:
            return AgentResponse(
                request.input_hash,
                "provider_error",
                model=model,
                error=claude_wire.one_line(f"The response cannot be read: {error}", self._api_key),
                is_retryable=True,
                requested_at=asked_at,
                responded_at=self._clock(),
            )

    def _model(self, operation: str) -> str:
        model = self.model_for(operation)
        if not model:
            raise NightdeskError(
                f"No model is set for `{operation}`", where="policies/budget.yml, agents.claude.models", todo="Add one."
            )
        return model

    def _schema(self, request: AgentRequest) -> tuple[dict[str, Any], int]:
        """The operation's schema for the API and its size in bytes; made once, it is the same for all records."""
        if request.operation not in self._schemas:
            schema = claude_wire.transformed_schema(request.output_schema)
            self._schemas[request.operation] = schema, len(json.dumps(schema).encode())
        return self._schemas[request.operation]
