"""Rate limits: waits for the reset when nothing is left, shared by all askers, and never for nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import anyio
import httpx2
import pytest

from enrich.agents.claude import ClaudeAgent
from enrich.agents.claude_limits import RateLimits
from enrich.agents.protocol import AgentResponse
from tests.unit.test_claude_agent import failure, limits, message, question

NOW = datetime(2026, 11, 17, 2, 0, tzinfo=UTC)


@dataclass
class Time:
    """A clock that only sleeping moves. Sleepers wake in turn, so that several may wait at once."""

    now: datetime = NOW
    slept: list[float] = field(default_factory=list[float])

    def clock(self) -> datetime:
        return self.now

    async def sleep(self, seconds: float) -> None:
        until = self.now + timedelta(seconds=seconds)
        self.slept.append(seconds)
        await anyio.sleep(0.005)
        self.now = max(self.now, until)


def headers(left: int, reset: datetime, *, of: str = "requests", most: int | None = 50, **more: str) -> dict[str, str]:
    named = {
        f"anthropic-ratelimit-{of}-remaining": str(left),
        f"anthropic-ratelimit-{of}-reset": reset.isoformat().replace("+00:00", "Z"),
    }
    if most is not None:
        named[f"anthropic-ratelimit-{of}-limit"] = str(most)
    return named | more


def waited(rates: RateLimits, time: Time, input_tokens: int = 10, output_tokens: int = 10) -> float:
    async def run() -> None:
        async with rates.place(input_tokens, output_tokens):
            pass

    before = len(time.slept)
    anyio.run(run)
    return sum(time.slept[before:])


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def rates(time: Time) -> RateLimits:
    return RateLimits(time.clock, time.sleep)


def test_nothing_known_is_nothing_to_wait_for(rates: RateLimits, time: Time) -> None:
    assert waited(rates, time) == 0
    rates.heard({"anthropic-ratelimit-requests-remaining": "soon", "anthropic-ratelimit-requests-reset": "later"})
    rates.heard(headers(3, NOW + timedelta(seconds=30)))
    assert waited(rates, time) == 0


def test_the_last_place_is_used_and_then_the_reset_is_waited_for(rates: RateLimits, time: Time) -> None:
    rates.heard(headers(0, NOW + timedelta(seconds=30)))
    assert waited(rates, time) == 30
    assert waited(rates, time) == 0, "after the reset there is room again"


@pytest.mark.parametrize(("of", "left"), [("input-tokens", 99), ("output-tokens", 19), ("tokens", 119)])
def test_tokens_count_by_the_largest_call_so_far(rates: RateLimits, time: Time, of: str, left: int) -> None:
    rates.heard({}, input_tokens=100, output_tokens=20)
    rates.heard(headers(left + 1, NOW + timedelta(seconds=9), of=of, most=10_000))
    assert waited(rates, time) == 0
    rates.heard(headers(left, NOW + timedelta(seconds=9), of=of, most=10_000))
    assert waited(rates, time) == 9


def test_what_is_in_flight_has_its_place(rates: RateLimits, time: Time) -> None:
    rates.heard(headers(2, NOW + timedelta(seconds=30)))
    order: list[str] = []

    async def call(name: str) -> None:
        async with rates.place(10, 10):
            order.append(name)
            await anyio.sleep(0.02)

    async def run() -> None:
        async with anyio.create_task_group() as group:
            for name in "abc":
                group.start_soon(call, name)
                await anyio.sleep(0.001)

    anyio.run(run)
    assert order == ["a", "b", "c"]
    assert time.slept == [30], "two had a place, the third waited for the reset"


def test_after_a_reset_no_more_calls_go_than_the_limit_has(rates: RateLimits, time: Time) -> None:
    rates.heard(headers(0, NOW + timedelta(seconds=5), most=2))
    at_once = most = 0

    async def call() -> None:
        nonlocal at_once, most
        async with rates.place(10, 10):
            at_once += 1
            most = max(most, at_once)
            await anyio.sleep(0.02)
            at_once -= 1

    async def run() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(call)

    anyio.run(run)
    assert most == 2


def test_a_call_larger_than_the_whole_limit_is_the_apis_to_judge(rates: RateLimits, time: Time) -> None:
    rates.heard({}, input_tokens=5_000)
    rates.heard(headers(100, NOW + timedelta(seconds=5), of="input-tokens", most=1_000))
    assert waited(rates, time) == 5


def test_the_providers_clock_may_be_another(rates: RateLimits, time: Time) -> None:
    there = NOW + timedelta(hours=3)
    date = there.strftime("%a, %d %b %Y %H:%M:%S GMT")
    rates.heard(headers(0, there + timedelta(seconds=7), date=date))
    assert waited(rates, time) == 7


def test_a_reset_far_away_is_not_waited_for(rates: RateLimits, time: Time) -> None:
    rates.heard(headers(0, NOW + timedelta(hours=5)))
    assert waited(rates, time) == 0


def test_responses_of_one_moment_may_come_in_any_order(rates: RateLimits, time: Time) -> None:
    reset = NOW + timedelta(seconds=12)
    rates.heard(headers(0, reset))
    rates.heard(headers(3, reset))
    assert waited(rates, time) == 12


def ask_all(claude: ClaudeAgent, count: int) -> Sequence[AgentResponse]:
    async def run() -> Sequence[AgentResponse]:
        await claude.prepare("icp_fit")
        try:
            return await claude.ask([question(number) for number in range(count)])
        finally:
            await claude.aclose()

    return anyio.run(run)


def test_side_by_side_askers_never_meet_a_429_that_the_headers_foretold(time: Time) -> None:
    """A server with four places a minute: without waiting, the fifth call of a minute would be refused."""
    window, used, refused = NOW, 0, 0

    def handler(_: httpx2.Request) -> httpx2.Response:
        nonlocal window, used, refused
        if time.now >= window + timedelta(seconds=60):
            window, used = time.now, 0
        reset = window + timedelta(seconds=60)
        if used >= 4:
            refused += 1
            return failure(429, retry_after=str((reset - time.now).total_seconds()))
        used += 1
        reply = message()
        reply.headers.update(headers(4 - used, reset, most=4))
        return reply

    claude = ClaudeAgent(
        limits(concurrency=4),
        api_key="test-key",
        clock=time.clock,
        transport=httpx2.MockTransport(handler),
        sleep=time.sleep,
    )
    responses = ask_all(claude, 12)
    assert refused == 0
    assert {response.status for response in responses} == {"ok"}
    assert any("waited for the provider's rate limits" in remark for remark in claude.take_remarks())
    assert claude.take_remarks() == []


def test_a_429_makes_every_asker_wait(time: Time) -> None:
    calls: list[datetime] = []

    def handler(_: httpx2.Request) -> httpx2.Response:
        calls.append(time.now)
        return failure(429, retry_after="20") if len(calls) == 1 else message()

    claude = ClaudeAgent(
        limits(), api_key="test-key", clock=time.clock, transport=httpx2.MockTransport(handler), sleep=time.sleep
    )
    responses = ask_all(claude, 3)
    assert sorted(response.status for response in responses) == ["ok", "ok", "provider_error"]
    assert calls[1] - calls[0] >= timedelta(seconds=20)
