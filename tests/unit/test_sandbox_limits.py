"""Rate limits and the sandbox's clock, on clocks that tests move."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from sandbox.crm.clock import SandboxClock, to_ms
from sandbox.crm.errors import ApiError
from sandbox.crm.limits import DAY_MS, Limits, RateLimiter

START = to_ms(datetime(2026, 11, 17, 5, tzinfo=UTC))


def policy_of(limiter: RateLimiter, now: int, *, search: bool = False) -> str:
    try:
        limiter.check(now, search=search)
    except ApiError as error:
        assert (error.status, error.extra["errorType"]) == (429, "RATE_LIMIT")
        return error.extra["policyName"]
    return "ok"


def test_a_burst_is_allowed_then_tokens_come_back_at_19_a_second() -> None:
    limiter = RateLimiter(Limits())
    assert [policy_of(limiter, START) for _ in range(191)] == ["ok"] * 190 + ["TEN_SECONDLY_ROLLING"]
    assert [policy_of(limiter, START + 1000) for _ in range(20)] == ["ok"] * 19 + ["TEN_SECONDLY_ROLLING"]
    assert [policy_of(limiter, START + 20_000) for _ in range(191)].count("ok") == 190


def test_search_has_its_own_slower_limit() -> None:
    limiter = RateLimiter(Limits())
    assert [policy_of(limiter, START, search=True) for _ in range(6)] == ["ok"] * 5 + ["SECONDLY"]
    assert policy_of(limiter, START) == "ok"
    assert policy_of(limiter, START + 200, search=True) == "ok"


def test_the_daily_quota_ends_at_midnight_and_refusals_do_not_use_it_up() -> None:
    limiter = RateLimiter(Limits(burst=None, daily=3), used_today=1)
    assert [policy_of(limiter, START + n) for n in range(4)] == ["ok", "ok", "DAILY", "DAILY"]
    midnight = (START // DAY_MS + 1) * DAY_MS
    assert policy_of(limiter, midnight - 1) == "DAILY"
    assert [policy_of(limiter, midnight + n) for n in range(4)] == ["ok", "ok", "ok", "DAILY"]


def test_answers_say_what_is_left_and_a_refusal_when_to_come_back() -> None:
    limiter = RateLimiter(Limits(burst=2, daily=10, retry_after=True))
    headers = limiter.check(START, search=False)
    assert headers["X-HubSpot-RateLimit-Max"] == "2"
    assert headers["X-HubSpot-RateLimit-Remaining"] == "1"
    assert headers["X-HubSpot-RateLimit-Daily-Remaining"] == "9"
    limiter.check(START, search=False)
    with pytest.raises(ApiError) as refused:
        limiter.check(START, search=False)
    assert refused.value.headers["Retry-After"] == "5"


def test_the_sandbox_clock_starts_at_five_and_never_goes_back() -> None:
    real = [1000.0]
    clock = SandboxClock(datetime(2026, 11, 17, tzinfo=UTC), started_ms=1_000_000, real=lambda: real[0])
    start = datetime(2026, 11, 17, 5, tzinfo=UTC)
    assert clock.now() == start
    real[0] = 1090.5
    assert clock.now() == start + timedelta(seconds=90.5)
    real[0] = 900.0
    assert clock.now() == start + timedelta(seconds=90.5)
    later = SandboxClock(
        datetime(2026, 11, 17, tzinfo=UTC), started_ms=1_000_000, high_water_ms=clock.high_water_ms, real=lambda: 1010.0
    )
    assert later.now() == start + timedelta(seconds=90.5)
