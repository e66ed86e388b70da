"""The provider's rate limits, obeyed before they are met: a call that would be one too many waits for the reset.

Every response says what is left of each limit and when it is full again. What is in flight is taken off that, so that
askers side by side do not all use the last place. Times are measured from the response's own date, because the
provider's clock and ours may differ.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from enrich.agents.claude_errors import http_date

if TYPE_CHECKING:
    from nightdesk.clock import Clock

LIMITS = ("requests", "tokens", "input-tokens", "output-tokens")
LONGEST_WAIT_SECONDS = 120.0
_WINDOW_SECONDS = 60  # the limits are per minute

Sleep = Callable[[float], Awaitable[None]]


@dataclass(slots=True)
class _Limit:
    """One limit as the latest response told it: `left` until `full_at` (our clock), then `most` again."""

    left: int
    most: int | None
    full_at: datetime


@dataclass(slots=True)
class RateLimits:
    """What is left of the limits of one model; for one event loop.

    Args:
        clock: UTC wall clock.
        sleep: Waits so many seconds.
        longest_wait_seconds: A reset that is further off is not waited for: the provider may say 429.
    """

    clock: Clock
    sleep: Sleep
    longest_wait_seconds: float = LONGEST_WAIT_SECONDS
    waits: int = 0
    waited_seconds: float = 0.0
    _limits: dict[str, _Limit] = field(default_factory=dict[str, _Limit])
    _in_flight: dict[str, int] = field(default_factory=dict[str, int])
    _largest: dict[str, int] = field(default_factory=dict[str, int])
    _closed_until: datetime | None = None

    @asynccontextmanager
    async def place(self, input_tokens: int, output_tokens: int) -> AsyncGenerator[None]:
        """Hold a place for one call; waits while there is none.

        Args:
            input_tokens: An estimate for the first calls; later the largest call seen counts.
            output_tokens: As `input_tokens`.
        """
        need = self._need(input_tokens, output_tokens)
        while (seconds := self._seconds_to_wait(need)) > 0:
            # Nothing is left and nobody knows better until then: whatever the clock says after it, go on.
            wake_at = self.clock() + timedelta(seconds=seconds)
            self.waits += 1
            self.waited_seconds += seconds
            await self.sleep(seconds)
            self._refill(max(self.clock(), wake_at))
        for name, count in need.items():
            self._in_flight[name] = self._in_flight.get(name, 0) + count
        try:
            yield
        finally:
            for name, count in need.items():
                self._in_flight[name] -= count

    def heard(self, headers: Mapping[str, str], *, input_tokens: int = 0, output_tokens: int = 0) -> None:
        """Take over what a response says of the limits, and what its call used."""
        used = {"input-tokens": input_tokens, "output-tokens": output_tokens, "tokens": input_tokens + output_tokens}
        for name, count in used.items():
            self._largest[name] = max(self._largest.get(name, 0), count)
        now = self.clock()
        there = http_date(headers.get("date", "")) or now
        for name in LIMITS:
            left = _number(headers.get(f"anthropic-ratelimit-{name}-remaining"))
            full_at = _moment(headers.get(f"anthropic-ratelimit-{name}-reset"))
            if left is None or full_at is None:
                continue
            most = _number(headers.get(f"anthropic-ratelimit-{name}-limit"))
            full_at = now + max(full_at - there, timedelta(0))
            known = self._limits.get(name)
            if known is not None and known.full_at == full_at:
                left = min(left, known.left)  # responses of one moment may arrive in any order
            self._limits[name] = _Limit(left, most, full_at)

    def close_for(self, seconds: float) -> None:
        """The provider asked to be left alone (`retry-after`): all callers wait."""
        until = self.clock() + timedelta(seconds=min(seconds, self.longest_wait_seconds))
        self._closed_until = max(until, self._closed_until or until)

    def _need(self, input_tokens: int, output_tokens: int) -> dict[str, int]:
        read = self._largest.get("input-tokens") or input_tokens
        written = self._largest.get("output-tokens") or output_tokens
        return {"requests": 1, "input-tokens": read, "output-tokens": written, "tokens": read + written}

    def _seconds_to_wait(self, need: Mapping[str, int]) -> float:
        now = self.clock()
        wait = (self._closed_until - now).total_seconds() if self._closed_until is not None else 0.0
        for name, limit in self._limits.items():
            seconds = (limit.full_at - now).total_seconds()
            in_flight = self._in_flight.get(name, 0)
            is_whole = not in_flight and limit.left == limit.most  # a call larger than the limit is the API's to judge
            has_room = limit.left >= in_flight + need[name] or is_whole
            if not has_room and 0 < seconds <= self.longest_wait_seconds:
                wait = max(wait, seconds)
        return wait

    def _refill(self, now: datetime) -> None:
        """Time has passed: limits whose reset is over are full again, until a response knows better."""
        if self._closed_until is not None and self._closed_until <= now:
            self._closed_until = None
        for name, limit in list(self._limits.items()):
            if limit.full_at > now:
                continue
            del self._limits[name]
            if limit.most is not None:
                self._limits[name] = _Limit(limit.most, limit.most, now + timedelta(seconds=_WINDOW_SECONDS))


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() else None


def _moment(text: str | None) -> datetime | None:
    """An RFC 3339 time; None when it is none."""
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
