"""What every way of asking Claude shares: who it is in the ledger, which model, what it may cost, and a client.

Live calls and batches are one agent to the ledger: same model, same request, same answer to be expected. What one of
them was answered, the other never asks again.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from enrich.agents import claude_price, claude_wire
from nightdesk.errors import NightdeskError

if TYPE_CHECKING:
    import httpx2
    from anthropic import AsyncAnthropic

    from enrich.agents.protocol import AgentRequest
    from nightdesk.clock import Clock
    from nightdesk.policy.models import ClaudeBudget

KEY_VARIABLE = "ANTHROPIC_API_KEY"

# Raise when the same request would be put to the model in another way: every record is then asked again.
_REQUEST_SHAPE = "1"


class ClaudeBase:
    """Names, limits and the client of a Claude agent.

    Args:
        limits: `agents.claude` of `policies/budget.yml`.
        api_key: The key; None or empty is refused in `prepare()`, before any call.
        clock: UTC wall clock, for the ledger's times and for retry dates.
        transport: An httpx2 transport; tests give a mock, None is the network.
        base_url: Another endpoint that speaks the Messages API; None for the SDK's default.
        timeout_seconds: Longest wait for one answer of the API.
    """

    _is_batch = False

    def __init__(
        self,
        limits: ClaudeBudget,
        *,
        api_key: str | None,
        clock: Clock,
        transport: httpx2.AsyncBaseTransport | None,
        base_url: str | None,
        timeout_seconds: float,
    ) -> None:
        self._limits = limits
        self._api_key = (api_key or "").strip()
        self._clock = clock
        self._transport = transport
        self._base_url = base_url
        self._timeout_seconds = timeout_seconds
        self._client: AsyncAnthropic | None = None
        self._schemas: dict[str, tuple[dict[str, Any], int]] = {}

    @property
    def name(self) -> str:
        """`claude`, live or in batches."""
        return "claude"

    @property
    def version(self) -> str:
        """Shape of the request and effort."""
        return f"{_REQUEST_SHAPE}-{self._limits.effort}"

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
        _, extra_bytes = self._schema(request)
        if request.tools or request.steps or request.most_searches:
            extra_bytes += len(json.dumps(claude_wire.tool_params(request)).encode())
        return claude_price.worst_case_usd(
            request, self._model(request.operation), extra_bytes, is_batch=self._is_batch
        )

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

        self._client = AsyncAnthropic(
            api_key=self._api_key,
            base_url=self._base_url,
            max_retries=0,  # every call is one row of the ledger and goes through the budget: retrying is the runner's
            timeout=self._timeout_seconds,
            http_client=DefaultAsyncHttpxClient(transport=self._transport) if self._transport is not None else None,
        )

    async def aclose(self) -> None:
        """Close the client. Safe to call twice."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    def _opened(self) -> AsyncAnthropic:
        if self._client is None:
            raise RuntimeError("ask() before prepare()")
        return self._client

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
