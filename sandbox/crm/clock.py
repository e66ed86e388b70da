"""What time it is in the sandbox CRM: the sample company's fixed today, then real time from there."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
OPENING_HOUR = timedelta(hours=5)  # first serve happens at 05:00Z of the sample's today, before anybody is at work


class Clock(Protocol):
    """Anything that tells the CRM's time. `now()` returns an aware UTC datetime and never goes back."""

    def now(self) -> datetime: ...


class ManualClock:
    """A clock that moves only when told, for tests."""

    def __init__(self, start: datetime) -> None:
        self._now = start

    def now(self) -> datetime:
        return self._now

    def advance(self, seconds: float) -> None:
        """Moves the clock forward by `seconds`."""
        if seconds < 0:
            raise ValueError("a sandbox clock never goes back")
        self._now += timedelta(seconds=seconds)


class SandboxClock:
    """`as_of` 05:00Z when first used, then the real time elapsed since, never below the highest time already given.

    Args:
        as_of: Midnight UTC of the sample company's today.
        started_ms: Real time (epoch ms) of the first use; persisted by the store.
        offset_ms: How far the sandbox was moved on by hand (`Store.advance_clock`); asked each time, because another
            process may move it.
        high_water_ms: Highest sandbox time given by earlier processes.
        real: Real epoch seconds; a parameter for tests.
    """

    def __init__(
        self,
        as_of: datetime,
        *,
        started_ms: int,
        offset_ms: Callable[[], int] = lambda: 0,
        high_water_ms: int = 0,
        real: Callable[[], float] = time.time,
    ) -> None:
        self._base_ms = to_ms(as_of + OPENING_HOUR)
        self._started_ms = started_ms
        self._real = real
        self._offset_ms = offset_ms
        self.high_water_ms = high_water_ms

    def now(self) -> datetime:
        elapsed = max(0, int(self._real() * 1000) - self._started_ms)
        self.high_water_ms = max(self.high_water_ms, self._base_ms + elapsed + self._offset_ms())
        return from_ms(self.high_water_ms)


def to_ms(moment: datetime) -> int:
    """Epoch milliseconds of an aware datetime; a naive one is taken as UTC."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - EPOCH) // timedelta(milliseconds=1)


def from_ms(milliseconds: int) -> datetime:
    """Aware UTC datetime of epoch milliseconds."""
    return EPOCH + timedelta(milliseconds=milliseconds)


def iso(milliseconds: int) -> str:
    """HubSpot's spelling of an instant: `2026-11-17T05:00:00.000Z`."""
    return (EPOCH + timedelta(milliseconds=milliseconds)).isoformat(timespec="milliseconds")[:-6] + "Z"
