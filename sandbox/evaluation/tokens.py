"""Tokens and dollars of calls that were never made: one count for all texts, published prices, intervals over accounts.

The provider's tokenizer is not public and counting through its API needs a key, so every text is counted with one
divisor. It was measured with the last tokenizer the provider published and with one of another provider, on all texts
of a sample company of 400 contacts:

| characters a token      | provider's last | another's |
|-------------------------|-----------------|-----------|
| records as JSON         | 2.92            | 3.21      |
| documents as spans      | 3.08            | 3.53      |
| contexts of records     | 3.24            | 3.58      |
| answers                 | 3.70            | 3.74      |
| prompts and schemas     | 3.72            | 3.83      |

One divisor for all of them counts prompts 20 % too high and JSON 6 % too low: its error is on the side of whoever
reads raw records.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING

from sandbox.evaluation.metrics import CONFIDENCE, Interval

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CHARS_PER_TOKEN = 3.1
TOKENIZER = "characters / 3.1 for every text; measured -6 % (JSON) to +20 % (prompts) against a published tokenizer"

_RATE_SAMPLE = 10_000  # tokens; small, so that no price for long inputs applies

# Shortest prompt that the provider's cache takes, as last published per family of models; longer is cached whole.
_SHORTEST_CACHED = {"haiku": 4096, "sonnet": 1024, "opus": 4096}


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one or many calls, as a provider bills them.

    Attributes:
        calls: How many calls.
        fresh: Input tokens at full price.
        cache_write: Input tokens written to the prompt cache.
        cache_read: Input tokens read from it.
        output: Tokens of answers and tool calls; thinking is not counted.
        shared: How many of the input tokens were prompt, schema and tools: the same for every record.
    """

    calls: int = 0
    fresh: float = 0
    cache_write: float = 0
    cache_read: float = 0
    output: float = 0
    shared: float = 0

    @property
    def tokens(self) -> float:
        """All tokens, read and written, whatever their price."""
        return self.fresh + self.cache_write + self.cache_read + self.output

    @property
    def own(self) -> float:
        """Tokens read of the record itself."""
        return self.fresh + self.cache_write + self.cache_read - self.shared

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.calls + other.calls,
            self.fresh + other.fresh,
            self.cache_write + other.cache_write,
            self.cache_read + other.cache_read,
            self.output + other.output,
            self.shared + other.shared,
        )


@dataclass(frozen=True, slots=True)
class Cost:
    """Usage and dollars of the same calls, with and without the prompt cache; tokens are the same in both."""

    usage: Usage = Usage()
    usd: float = 0.0
    usd_cached: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.usage + other.usage, self.usd + other.usd, self.usd_cached + other.usd_cached)


def count(text: str) -> int:
    """Tokens of a text, rounded up."""
    return math.ceil(len(text) / CHARS_PER_TOKEN)


@cache
def rates(model: str) -> tuple[float, float, float, float]:
    """USD of one token: fresh, cache write, cache read, output.

    Raises:
        NightdeskError: No price is known for the model.
    """
    from enrich.agents.claude_price import cost_usd

    def of(fresh: int = 0, write: int = 0, read: int = 0, output: int = 0) -> float:
        price = cost_usd(
            model, input_tokens=fresh, cache_read_tokens=read, cache_write_tokens=write, output_tokens=output
        )
        return float(price / Decimal(_RATE_SAMPLE))

    return (
        of(fresh=_RATE_SAMPLE),
        of(write=_RATE_SAMPLE),
        of(read=_RATE_SAMPLE),
        of(output=_RATE_SAMPLE),
    )


def usd(usage: Usage, model: str) -> float:
    """Dollars of a usage at the model's list price."""
    fresh, write, read, output = rates(model)
    return usage.fresh * fresh + usage.cache_write * write + usage.cache_read * read + usage.output * output


def shortest_cached(model: str) -> int:
    """Tokens a prompt needs before the provider caches it; the longest known when the family is unknown."""
    return next((least for family, least in _SHORTEST_CACHED.items() if family in model), 4096)


def single(model: str, *, shared: int, own: int, output: int) -> Cost:
    """A call whose first `shared` tokens are the same for every record and already in the cache, if it takes them.

    Args:
        model: Who is asked.
        shared: Prompt and schema.
        own: What only this record has.
        output: The answer.
    """
    plain = Usage(1, shared + own, 0, 0, output, shared)
    cached = Usage(1, own, 0, shared, output, shared) if shared >= shortest_cached(model) else plain
    return Cost(plain, usd(plain, model), usd(cached, model))


def loop(model: str, *, shared: int, own: int, turns: Sequence[tuple[int, int]], answer: int) -> Cost:
    """A tool loop: each turn sends everything before it again.

    With the cache, a turn reads what the turn before sent and writes what is new; without it, all is fresh.

    Args:
        model: Who is asked.
        shared: Prompt, schema and tools: in the cache from an earlier loop, if it takes them.
        own: The question about this record.
        turns: (tokens the agent wrote to call tools, tokens the tools gave back), in order.
        answer: Tokens of the answer of the last turn.
    """
    least = shortest_cached(model)
    plain, cached = Usage(), Usage()
    sent, kept = shared + own, shared if shared >= least else 0
    for said, given in (*turns, (answer, 0)):
        plain += Usage(1, sent, 0, 0, said, shared)
        new_kept = sent if sent >= least else 0
        cached += Usage(1, sent - new_kept, new_kept - kept if new_kept else 0, kept, said, shared)
        kept = new_kept
        sent += said + given
    return Cost(plain, usd(plain, model), usd(cached, model))


def ratio_interval(
    above: Sequence[float], below: Sequence[float], *, resamples: int = 2000, seed: int = 20261117
) -> tuple[float | None, Interval | None]:
    """sum(above) / sum(below) and its 95 % interval, drawing accounts with replacement.

    Contacts of one account share its documents, so accounts are drawn, not contacts.

    Args:
        above: One number per account.
        below: One number per account, in the same order.
        resamples: Draws.
        seed: Of the draws, so that a report repeats.

    Returns:
        None for both when the sum below is 0.
    """
    import numpy as np

    top, bottom = np.asarray(above, dtype=float), np.asarray(below, dtype=float)
    if not bottom.sum():
        return None, None
    generator = np.random.default_rng(seed)
    drawn = generator.integers(0, len(top), size=(resamples, len(top)))
    sums: NDArray[np.float64] = bottom[drawn].sum(axis=1)
    found = top[drawn].sum(axis=1)[sums > 0] / sums[sums > 0]
    tail = (1 - CONFIDENCE) / 2
    interval = Interval(float(np.quantile(found, tail)), float(np.quantile(found, 1 - tail)))
    return float(top.sum() / bottom.sum()), interval
