"""What a Claude call costs, by `genai-prices` (offline data); there is no price table of our own."""

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

# What the API adds around a request (roles, the instruction to follow the schema), generously.
_OVERHEAD_TOKENS = 1_000


def cost_usd(
    model: str,
    *,
    input_tokens: int,
    cache_read_tokens: int,
    cache_write_tokens: int,
    output_tokens: int,
    asked_at: datetime | None = None,
) -> Decimal:
    """USD of one call, to eight decimals.

    Args:
        model: The model's API name.
        input_tokens: Input tokens that were neither read from nor written to the cache.
        cache_read_tokens: Read from the cache.
        cache_write_tokens: Written to the five-minute cache.
        output_tokens: Thinking included, as the API counts.
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
        output_tokens=output_tokens,
    )
    try:
        price = calc_price(usage, model, provider_id=_PROVIDER, genai_request_timestamp=asked_at)
    except LookupError as error:
        raise _unknown(model) from error
    return price.total_price.quantize(_LEDGER_STEP, ROUND_HALF_UP)


def worst_case_usd(request: AgentRequest, model: str, schema_bytes: int) -> Decimal:
    """The most one call can cost: every byte a token, nothing read from the cache, the longest answer.

    A token is at least one byte of UTF-8, so this is a bound and not an estimate.
    """
    shown = len(request.system_prefix.encode()) + len(request.user_message.encode()) + schema_bytes
    return cost_usd(
        model,
        input_tokens=0,
        cache_read_tokens=0,
        cache_write_tokens=shown + _OVERHEAD_TOKENS,
        output_tokens=request.max_output_tokens,
    )


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
