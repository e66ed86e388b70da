"""Keeps a client under a CRM's rate limit: never more than `limit` starts in any window of `seconds`."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable


class WindowLimiter:
    """A sliding window over request starts. Thread-safe; callers wait in `acquire`.

    A sliding window (not a token bucket) because the server may count in fixed windows: a bucket of 190 that refills at
    19/s lets 380 requests into the first ten seconds.

    Args:
        limit: Starts allowed per window.
        seconds: Length of the window.
        clock: Monotonic seconds.
        sleep: Called with seconds to wait.
    """

    def __init__(
        self,
        limit: int,
        seconds: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._limit = limit
        self._seconds = seconds
        self._clock = clock
        self._sleep = sleep
        self._starts: deque[float] = deque()
        self._paused_until = float("-inf")
        self._lock = threading.Lock()

    @property
    def limit(self) -> int:
        """Starts allowed per window now."""
        return self._limit

    def acquire(self) -> None:
        """Returns when one more request may start, and counts it."""
        while (wait := self._take()) > 0:
            self._sleep(wait)

    def pause(self, seconds: float) -> None:
        """Nobody starts for `seconds`: the server said so."""
        with self._lock:
            self._paused_until = max(self._paused_until, self._clock() + seconds)

    def lower(self, limit: int) -> None:
        """The server announced a lower limit than configured; a higher one is not taken up."""
        with self._lock:
            self._limit = max(1, min(self._limit, limit))

    def _take(self) -> float:
        with self._lock:
            now = self._clock()
            if now < self._paused_until:
                return self._paused_until - now
            while self._starts and self._starts[0] <= now - self._seconds:
                self._starts.popleft()
            if len(self._starts) < self._limit:
                self._starts.append(now)
                return 0
            return self._starts[len(self._starts) - self._limit] + self._seconds - now
