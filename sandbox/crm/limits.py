"""Rate limits as HubSpot sets them: a burst window, a day's quota, and a slower one for search."""

from __future__ import annotations

from dataclasses import dataclass, field

from sandbox.crm.errors import ApiError

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client may do. `None` switches a limit off.

    Attributes:
        burst: Requests per `window_s` seconds (private app on Professional: 190 in 10 s).
        daily: Requests per day, reset at midnight UTC of the sandbox's clock.
        search_per_second: Search requests per second, counted apart from the rest.
        search_lag_s: Seconds until a write shows in search.
        retry_after: Whether a 429 carries `Retry-After`; HubSpot does not promise it.
    """

    burst: int | None = 190
    window_s: float = 10.0
    daily: int | None = 650_000
    search_per_second: int | None = 5
    search_lag_s: float = 0.0
    retry_after: bool = False


UNLIMITED = Limits(burst=None, daily=None, search_per_second=None)
LIVE = Limits(search_lag_s=3.0)  # what `nightdesk sandbox serve` uses: search lags, as it does in the real thing


@dataclass(slots=True)
class _Bucket:
    capacity: int
    window_ms: float
    tokens: float = field(init=False)
    filled_at: int = -1

    def __post_init__(self) -> None:
        self.tokens = float(self.capacity)

    def take(self, now: int) -> float:
        """0 when a token was taken, else the milliseconds until there is one."""
        if self.filled_at >= 0:
            self.tokens = min(
                self.capacity, self.tokens + max(0, now - self.filled_at) * self.capacity / self.window_ms
            )
        self.filled_at = max(now, self.filled_at)
        if self.tokens >= 1:
            self.tokens -= 1
            return 0
        return (1 - self.tokens) * self.window_ms / self.capacity


class RateLimiter:
    """Token buckets over the sandbox's clock.

    Args:
        limits: The limits.
        used_today: Requests already answered since midnight (from the store's `requests` table).
    """

    def __init__(self, limits: Limits, *, used_today: int = 0) -> None:
        self._limits = limits
        self._burst = None if limits.burst is None else _Bucket(limits.burst, limits.window_s * 1000)
        self._search = None if limits.search_per_second is None else _Bucket(limits.search_per_second, 1000)
        self._day = -1
        self._used_today = used_today

    def check(self, now: int, *, search: bool) -> dict[str, str]:
        """Counts one request and returns the headers its answer carries.

        Raises:
            ApiError: 429 with HubSpot's body; a refused request does not count against the day.
        """
        if now // DAY_MS != self._day:
            if self._day >= 0:
                self._used_today = 0
            self._day = now // DAY_MS
        limits = self._limits
        if limits.daily is not None and self._used_today >= limits.daily:
            raise self._refuse("You have reached your daily limit.", "DAILY", DAY_MS - now % DAY_MS)
        if search and self._search is not None:
            wait = self._search.take(now)
            if wait:
                raise self._refuse("You have reached your secondly limit.", "SECONDLY", wait)
        elif not search and self._burst is not None:
            wait = self._burst.take(now)
            if wait:
                raise self._refuse("You have reached your ten_secondly_rolling limit.", "TEN_SECONDLY_ROLLING", wait)
        self._used_today += 1
        return {} if search else self._headers()  # HubSpot's search answers carry no rate limit headers

    def _headers(self) -> dict[str, str]:
        found: dict[str, str] = {}
        limits = self._limits
        if limits.daily is not None:
            found["X-HubSpot-RateLimit-Daily"] = str(limits.daily)
            found["X-HubSpot-RateLimit-Daily-Remaining"] = str(limits.daily - self._used_today)
        if self._burst is not None:
            found["X-HubSpot-RateLimit-Interval-Milliseconds"] = str(int(limits.window_s * 1000))
            found["X-HubSpot-RateLimit-Max"] = str(limits.burst)
            found["X-HubSpot-RateLimit-Remaining"] = str(int(self._burst.tokens))
        return found

    def _refuse(self, message: str, policy: str, wait_ms: float) -> ApiError:
        error = rate_limited(message, policy, wait_ms if self._limits.retry_after else None)
        error.headers |= self._headers()
        return error


def rate_limited(message: str, policy: str, wait_ms: float | None) -> ApiError:
    """429 in HubSpot's words; with `wait_ms` it says when to come back (`Retry-After`, whole seconds)."""
    return ApiError(
        429, "", message, headers={} if wait_ms is None else {"Retry-After": str(max(1, -int(-wait_ms // 1000)))},
        extra={"errorType": "RATE_LIMIT", "policyName": policy, "groupName": "publicapi:private-apps"},
    )  # fmt: skip
