"""What a Claude call costs, by `genai-prices` (offline data); there is no price table of our own.

Cache writes of one hour, batches and web searches are in that package too. The half price of a batch is its price
variant `processing: batch`; for a model (or a day) that has none, the full price is booked: too much, never too little.
A web search costs the same in a batch as outside of one.
"""

from __future__ import annotations

from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from typing import TYPE_CHECKING

from nightdesk.errors import NightdeskError

if TYPE_CHECKING:
    from enrich.agents.protocol import AgentRequest

_PROVIDER = "anthropic"
_LEDGER_STEP = Decimal("0.00000001")  # attempts.cost_usd keeps eight decimals
_BATCH = {"processing": "batch"}

# What the API adds around a request (roles, the instruction to follow the schema, the tool preamble), generously.
_OVERHEAD_TOKENS = 1_000

# The provider names no bound for what one of its searches puts before the model. This is what we set aside, and the
# one number of a worst case that is an assumption.
_TOKENS_PER_SEARCH = 10_000


def cost_usd(
    model: str,
    *,
    input_tokens: int,
    cache_read_tokens: int,
    cache_write_tokens: int,
    output_tokens: int,
    cache_write_1h_tokens: int = 0,
    web_searches: int = 0,
    is_batch: bool = False,
    asked_at: datetime | None = None,
) -> Decimal:
    """USD of one call, to eight decimals.

    Args:
        model: The model's API name.
        input_tokens: Input tokens that were neither read from nor written to the cache.
        cache_read_tokens: Read from the cache.
        cache_write_tokens: Written to the cache, for five minutes or an hour.
        output_tokens: Thinking included, as the API counts.
        cache_write_1h_tokens: Those of `cache_write_tokens` that stay for an hour.
        web_searches: Searches by the provider's own tool.
        is_batch: Sent in a message batch.
        asked_at: Prices can change with time; None for now.

    Raises:
        NightdeskError: No price is known for the model.
    """
    from genai_prices import Usage, calc_price

    usage = Usage(
        # The library wants all input, cached or not, and takes the cached parts out at their own price.
        input_tokens=input_tokens + cache_read_tokens + cache_write_tokens,
        cache_read_tokens=cache_read_tokens,
        cache_write_tokens=cache_write_tokens,
        cache_write_1h_tokens=cache_write_1h_tokens or None,
        output_tokens=output_tokens,
        web_searches=web_searches or None,
    )
    context = _BATCH if is_batch else None
    try:
        price = calc_price(usage, model, provider_id=_PROVIDER, genai_request_timestamp=asked_at, price_context=context)
    except LookupError as error:
        raise _unknown(model) from error
    return price.total_price.quantize(_LEDGER_STEP, ROUND_HALF_UP)


def worst_case_usd(request: AgentRequest, model: str, extra_bytes: int, *, is_batch: bool = False) -> Decimal:
    """The most one call can cost: every byte a token, nothing read from the cache, the longest answer.

    A token is at least one byte of UTF-8, so this is a bound and not an estimate, but for what a web search finds
    (`_TOKENS_PER_SEARCH`). A turn with searches reads everything again after each of them, and may be paused and
    continued once.

    Args:
        request: The call.
        model: The model it goes to.
        extra_bytes: Of what is sent besides the prefix, the message and the steps: output schema and tools.
        is_batch: Sent in a message batch, where the prefix may be written to the cache for an hour.
    """
    shown = len(request.system_prefix.encode()) + len(request.user_message.encode()) + extra_bytes
    for step in request.steps:
        shown += len(step.said.encode()) + sum(len(result.encode()) for result in step.results)
        shown += sum(len(call.arguments_json.encode()) + len(call.name) + len(call.call_id) for call in step.calls)
    searches = most_searches(request)
    rounds = searches + 1
    read = (shown + _OVERHEAD_TOKENS + searches * _TOKENS_PER_SEARCH) * rounds
    turns = 2 if searches else 1
    return cost_usd(
        model,
        input_tokens=0,
        cache_read_tokens=0,
        cache_write_tokens=read * turns,
        cache_write_1h_tokens=read * turns if is_batch else 0,
        output_tokens=request.max_output_tokens * turns,
        web_searches=searches * turns,
        is_batch=is_batch,
    )


def most_searches(request: AgentRequest) -> int:
    """Web searches this call can lead to: what it may use, and one that an earlier turn began and nobody has run."""
    return max(request.most_searches, int(has_searched(request)))


def has_searched(request: AgentRequest) -> bool:
    """Whether an earlier turn used the provider's search: its tool must then be named again."""
    return any('"server_tool_use"' in step.said for step in request.steps)


@cache
def require_price(model: str) -> None:
    """Refuse a model whose calls could not be priced.

    Raises:
        NightdeskError: No price is known for the model.
    """
    cost_usd(model, input_tokens=1, cache_read_tokens=1, cache_write_tokens=1, output_tokens=1)


def _unknown(model: str) -> NightdeskError:
    return NightdeskError(
        f"No price is known for the model `{model}`, so its cost could not be held to the budget",
        where="policies/budget.yml, agents.claude.models",
        todo="Correct the name, or upgrade the package `genai-prices`.",
    )
