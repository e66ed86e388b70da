"""Claude over the Messages API, one record per call.

Prices come from `genai-prices`, models and limits from `policies/budget.yml`, the key from the caller. The SDK's own
retries are off: every call is one row in the ledger and goes through the budget, so the runner does the retrying.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import anyio

from enrich.agents import claude_errors, claude_wire
from enrich.agents.claude_base import ClaudeBase
from enrich.agents.claude_limits import RateLimits, Sleep
from enrich.agents.protocol import AgentRequest, AgentResponse
from nightdesk.errors import NightdeskError

if TYPE_CHECKING:
    import httpx2
    from anthropic.types import Message
    from anthropic.types.message_create_params import MessageCreateParamsNonStreaming

    from nightdesk.clock import Clock
    from nightdesk.policy.models import ClaudeBudget

CALL_TIMEOUT_SECONDS = 180.0

# A guess for the first calls, until responses tell what a call of the operation takes.
_BYTES_PER_TOKEN = 4


@dataclass(slots=True)
class _Prefix:
    """What is known of one operation's shared prefix in the provider's cache."""

    lock: anyio.Lock
    is_warm: bool = False
    is_cached: bool = False
    later_calls: int = 0
    misses: int = 0


class ClaudeAgent(ClaudeBase):
    """Asks Claude, now.

    Args:
        limits: `agents.claude` of `policies/budget.yml`.
        api_key: The key; None or empty is refused in `prepare()`, before any call.
        clock: UTC wall clock, for the ledger's times and for retry dates.
        transport: An httpx2 transport; tests give a mock, None is the network.
        base_url: Another endpoint that speaks the Messages API; None for the SDK's default.
        timeout_seconds: Longest wait for one answer.
        sleep: Waits for a rate limit's reset.
        in_batches: How many calls of an operation are with the provider in batches: asked here, too, they would be
            paid twice.
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
        sleep: Sleep = anyio.sleep,
        in_batches: Callable[[str], int] = lambda _: 0,
    ) -> None:
        super().__init__(
            limits,
            api_key=api_key,
            clock=clock,
            transport=transport,
            base_url=base_url,
            timeout_seconds=timeout_seconds,
        )
        self._sleep = sleep
        self._in_batches = in_batches
        self._prefixes: dict[str, _Prefix] = {}
        self._rates = RateLimits(clock, sleep)

    @property
    def chunk_size(self) -> int:
        """One record per call, so that no record can speak to another."""
        return 1

    @property
    def concurrency(self) -> int:
        """Calls in flight, by policy."""
        return self._limits.concurrency

    async def prepare(self, operation: str) -> None:
        """Open a client for this event loop.

        Raises:
            NightdeskError: No key, no model or no limit for the operation, a model without a known price, or calls of
                the operation are still with the provider in a batch.
        """
        if waiting := self._in_batches(operation):
            raise NightdeskError(
                f"{waiting:,} calls of `{operation}` are with the provider in batches; asked again, they cost twice",
                where="data directory, batches/",
                todo="Collect them first with NIGHTDESK_AGENT=claude_batch, or give them up: move that folder away.",
            )
        await super().prepare(operation)
        self._prefixes = {}
        self._rates = RateLimits(self._clock, self._sleep, waits=self._rates.waits)

    async def ask(self, requests: Sequence[AgentRequest]) -> Sequence[AgentResponse]:
        """One call per request; two when the provider pauses a turn in which it searches the web.

        The first call of an operation goes alone: it writes the shared prefix to the cache, the others read it. Sent
        side by side, all would miss and pay for writing it. A call for which the provider's rate limits have no room
        left waits for their reset.

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

        if len(requests) == 1:
            await one(0, requests[0])
        else:
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

    def take_remarks(self) -> list[str]:
        """What a person should know of the calls since the last time: cache misses, waits for rate limits."""
        remarks: list[str] = []
        for operation, prefix in self._prefixes.items():
            if prefix.later_calls and not prefix.is_cached:
                remarks.append(f"The prompt of {operation} was not cached (too short?): full price paid for it")
            elif prefix.misses:
                remarks.append(f"{prefix.misses} of {prefix.later_calls} later calls of {operation} missed the cache")
            prefix.later_calls = prefix.misses = 0
        if self._rates.waits:
            remarks.append(f"{self._rates.waits} calls waited for the provider's rate limits")
            self._rates.waits = 0
        return remarks

    async def _ask_in_turn(self, request: AgentRequest) -> AgentResponse:
        # The tools stand before the prompt: with others, it is another prefix.
        offered = (*(tool.name for tool in request.tools), *(["web search"] if request.most_searches else []))
        name = f"{request.operation} with {', '.join(offered)}" if offered else request.operation
        prefix = self._prefixes.setdefault(name, _Prefix(anyio.Lock()))
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

        schema, schema_bytes = self._schema(request)
        model = self._model(request.operation)
        body = claude_wire.build_request(request, model=model, effort=self._limits.effort, schema=schema)
        asked_at = self._clock()
        heard: list[Message] = []
        try:
            message = await self._create(body, request, schema_bytes)
            heard.append(message)
            if getattr(message, "stop_reason", None) == "pause_turn":  # anything may have come: the reader checks
                blocks = claude_wire.content_blocks(message)
                heard.append(await self._create(claude_wire.continued(body, blocks), request, schema_bytes))
            return claude_wire.read_messages(request, heard, model=model, asked_at=asked_at, answered_at=self._clock())
        except APIError as error:
            response = claude_errors.read_error(
                request, error, asked_at=asked_at, answered_at=self._clock(), secret=self._api_key
            )
            if response.retry_after_seconds:
                self._rates.close_for(response.retry_after_seconds)
            response = replace(response, model=model)
        except ValueError as error:
            response = AgentResponse(
                request.input_hash,
                "provider_error",
                model=model,
                error=claude_errors.one_line(f"The response cannot be read: {error}", self._api_key),
                is_retryable=True,
                requested_at=asked_at,
                responded_at=self._clock(),
            )
        # The first half of a turn that was paused is paid for, whatever became of the second.
        paid = [message for message in heard if claude_wire.is_message(message)]
        return claude_wire.with_bill(response, paid, model=model, asked_at=asked_at)

    async def _create(self, body: MessageCreateParamsNonStreaming, request: AgentRequest, schema_bytes: int) -> Message:
        from anthropic import APIStatusError

        shown = len(request.system_prefix) + len(request.user_message) + schema_bytes
        async with self._rates.place(shown // _BYTES_PER_TOKEN, request.max_output_tokens):
            try:
                raw = await self._opened().messages.with_raw_response.create(**body)
            except APIStatusError as error:
                self._rates.heard(error.response.headers)
                raise
            message = await raw.parse()
            usage = getattr(message, "usage", None)  # whatever came instead of a message is for the reader to say
            self._rates.heard(
                raw.headers,
                input_tokens=(getattr(usage, "input_tokens", 0) or 0)
                + (getattr(usage, "cache_creation_input_tokens", 0) or 0),
                output_tokens=getattr(usage, "output_tokens", 0) or 0,
            )
            return message
