"""The Claude agent against a mock transport: valid requests, cached prefix first, priced, classified, no secrets."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import anyio
import httpx2
import pytest
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from enrich.agents.claude import ClaudeAgent
from enrich.agents.claude_errors import one_line, retry_after_seconds
from enrich.agents.claude_price import cost_usd
from enrich.agents.claude_wire import transformed_schema
from enrich.agents.protocol import Agent, AgentRequest, AgentResponse, HasRemarks
from nightdesk.errors import NightdeskError
from nightdesk.policy.models import ClaudeBudget

KEY = "sk-ant-api03-very-secret-key"
NOW = datetime(2026, 11, 17, 2, 0, tzinfo=UTC)
OPERATIONS = ("extract_facts", "reply_class", "icp_fit", "lead_quality", "churn_revisit", "meeting_brief")

Handler = Callable[[httpx2.Request], httpx2.Response]


class Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")
    level: str = Field(pattern="a|b")
    score: int = Field(ge=0, le=3)


def clock() -> datetime:
    return NOW


def limits(**changes: Any) -> ClaudeBudget:
    values: dict[str, Any] = {
        "models": dict.fromkeys(OPERATIONS, "claude-haiku-5-5"),
        "max_output_tokens": dict.fromkeys(OPERATIONS, 400),
        "effort": "low",
        "concurrency": 4,
        "reads_at_once_tokens": 6000,
    }
    return ClaudeBudget.model_validate({**values, **changes})


def agent(handler: Handler, *, api_key: str | None = KEY, **changes: Any) -> ClaudeAgent:
    return ClaudeAgent(limits(**changes), api_key=api_key, clock=clock, transport=httpx2.MockTransport(handler))


def question(number: int = 1, operation: str = "icp_fit") -> AgentRequest:
    return AgentRequest(
        operation=operation,
        record_type="account",
        record_id=f"hubspot:company:{number}",
        input_hash=f"hash-{number}",
        system_prefix="You judge accounts. " * 50,
        user_message=f"[account.name] Firm {number}",
        context=f"[account.name] Firm {number}",
        output_schema=Answer.model_json_schema(),
        max_output_tokens=400,
    )


def message(
    text: str = '{"level": "a", "score": 1}',
    *,
    stop_reason: str = "end_turn",
    usage: dict[str, int] | None = None,
    **more: Any,
) -> httpx2.Response:
    body = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-haiku-5-5",
        "content": [{"type": "text", "text": text}] if text else [],
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": usage or {"input_tokens": 20, "output_tokens": 10, "cache_read_input_tokens": 300},
        **more,
    }
    return httpx2.Response(200, json=body)


def failure(status: int, text: str = "no", kind: str = "some_error", **headers: str) -> httpx2.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    body = {"type": "error", "error": {"type": kind, "message": text}}
    return httpx2.Response(status, json=body, headers=named)


def ask(claude: ClaudeAgent, *questions: AgentRequest) -> Sequence[AgentResponse]:
    async def run() -> Sequence[AgentResponse]:
        await claude.prepare(questions[0].operation)
        try:
            return await claude.ask(questions)
        finally:
            await claude.aclose()

    return anyio.run(run)


def test_a_request_is_valid_by_the_sdks_own_types_and_says_nothing_more() -> None:
    seen: list[httpx2.Request] = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return message()

    ask(agent(handler), question())
    body = json.loads(seen[0].content)
    TypeAdapter(MessageCreateParamsNonStreaming).validate_python(body)
    assert set(body) == {"model", "max_tokens", "system", "messages", "output_config"}
    assert body["model"] == "claude-haiku-5-5"
    assert body["max_tokens"] == 400
    assert body["system"] == [
        {"type": "text", "text": question().system_prefix, "cache_control": {"type": "ephemeral"}}
    ]
    assert body["messages"] == [{"role": "user", "content": "[account.name] Firm 1"}]
    assert body["output_config"]["effort"] == "low"
    assert body["output_config"]["format"]["type"] == "json_schema"
    schema = body["output_config"]["format"]["schema"]
    assert schema["additionalProperties"] is False
    assert "minimum" not in schema["properties"]["score"], "the API's grammar knows no ranges"
    assert seen[0].url.path == "/v1/messages"


def test_the_prefix_is_the_same_bytes_for_every_record_up_to_the_first_word_of_the_record() -> None:
    bodies: list[str] = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        bodies.append(
            json.dumps(json.loads(request.content)["system"]) + json.dumps(json.loads(request.content)["output_config"])
        )
        return message()

    ask(agent(handler), *(question(number) for number in range(5)))
    assert len(bodies) == 5
    assert len(set(bodies)) == 1


def test_the_first_call_goes_alone_and_the_rest_together() -> None:
    in_flight = most = 0
    order: list[int] = []

    async def handler(request: httpx2.Request) -> httpx2.Response:
        nonlocal in_flight, most
        in_flight += 1
        order.append(in_flight)
        most = max(most, in_flight)
        await anyio.sleep(0.02)
        in_flight -= 1
        first = len(order) == 1
        cached = {"cache_creation_input_tokens": 300} if first else {"cache_read_input_tokens": 300}
        return message(usage={"input_tokens": 20, "output_tokens": 10, **cached})

    claude = agent(handler)  # pyright: ignore[reportArgumentType]
    responses = ask(claude, *(question(number) for number in range(6)))
    assert order[0] == 1
    assert order[1] == 1, "the second call began before the first had written the cache"
    assert most == 5
    assert sorted(response.cache_write_tokens for response in responses) == [0, 0, 0, 0, 0, 300]
    assert sorted(response.cache_read_tokens for response in responses) == [0, 300, 300, 300, 300, 300]
    assert claude.take_remarks() == []


def test_a_failed_first_call_lets_the_next_one_go_alone() -> None:
    replies = iter([failure(529, "overloaded"), *(message() for _ in range(3))])
    responses = ask(agent(lambda _: next(replies)), *(question(number) for number in range(4)))
    assert sorted(response.status for response in responses) == ["ok", "ok", "ok", "provider_error"]


def test_a_cache_that_is_not_hit_is_told() -> None:
    usages = iter(
        [{"cache_creation_input_tokens": 300}, {"cache_read_input_tokens": 300}, {"cache_creation_input_tokens": 300}]
    )
    claude = agent(lambda _: message(usage={"input_tokens": 1, "output_tokens": 1, **next(usages)}))
    ask(claude, *(question(number) for number in range(3)))
    assert claude.take_remarks() == ["1 of 2 later calls of icp_fit missed the cache"]
    assert claude.take_remarks() == [], "told once"
    plain = agent(lambda _: message(usage={"input_tokens": 320, "output_tokens": 1}))
    ask(plain, *(question(number) for number in range(3)))
    assert "not cached" in plain.take_remarks()[0]


def test_a_call_is_priced_with_its_cache_parts() -> None:
    usage = {
        "input_tokens": 1_000,
        "cache_read_input_tokens": 10_000,
        "cache_creation_input_tokens": 2_000,
        "output_tokens": 500,
    }
    (response,) = ask(agent(lambda _: message(usage=usage)), question())
    # claude-haiku-5-5: 0.10 in, 0.50 out, 0.01 cache read, 0.125 cache write, USD per million tokens.
    expected = Decimal("0.0001") + Decimal("0.0001") + Decimal("0.00025") + Decimal("0.00025")
    assert response.cost_usd == expected
    assert (response.input_tokens, response.output_tokens) == (1_000, 500)
    assert (response.cache_read_tokens, response.cache_write_tokens) == (10_000, 2_000)


def test_the_worst_case_is_never_below_the_real_cost() -> None:
    asked = question()
    claude = agent(lambda _: message())
    shown_bytes = len(asked.system_prefix.encode()) + len(asked.user_message.encode())
    all_bytes_are_tokens = cost_usd(
        "claude-haiku-5-5", input_tokens=0, cache_read_tokens=0, cache_write_tokens=shown_bytes, output_tokens=400
    )
    assert claude.worst_case_usd(asked) > all_bytes_are_tokens


@pytest.mark.parametrize(
    ("reply", "status", "error"),
    [
        (message(), "ok", None),
        (message("not json at all"), "ok", None),  # whether it is an answer is for the check to say
        (message('{"level": "a', stop_reason="max_tokens"), "truncated", "stopped by max_tokens"),
        (
            message("", stop_reason="model_context_window_exceeded"),
            "truncated",
            "stopped by model_context_window_exceeded",
        ),
        (message("", stop_reason="pause_turn"), "truncated", "stopped by pause_turn"),
        (message("I can't.", stop_reason="refusal"), "refused", "no reason given"),
        (
            message(
                "", stop_reason="refusal", stop_details={"type": "refusal", "category": "bio", "explanation": "No."}
            ),
            "refused",
            "bio: No.",
        ),
    ],
)
def test_how_an_answer_ended_is_kept_with_its_text_and_cost(
    reply: httpx2.Response, status: str, error: str | None
) -> None:
    (response,) = ask(agent(lambda _: reply), question())
    assert (response.status, response.error) == (status, error)
    assert response.cost_usd > 0
    assert response.stop_reason == json.loads(reply.content)["stop_reason"]
    assert response.text == "".join(block["text"] for block in json.loads(reply.content)["content"])


@pytest.mark.parametrize(
    ("reply", "is_retryable", "retry_after"),
    [
        (failure(429, retry_after="7"), True, 7.0),
        (failure(429, retry_after_ms="250", retry_after="7"), True, 0.25),
        (failure(529), True, None),
        (failure(500), True, None),
        (failure(503, retry_after="Tue, 17 Nov 2026 02:00:30 GMT"), True, 30.0),
        (failure(400), False, None),
        (failure(413), False, None),
        (failure(500, x_should_retry="false"), False, None),
        (httpx2.Response(200, text="<html>a proxy's page</html>"), True, None),
        (httpx2.Response(200, text="{torn", headers={"content-type": "application/json"}), True, None),
        (httpx2.Response(200, json={"unexpected": True}), True, None),
    ],
)
def test_errors_of_one_call_are_that_calls_alone(
    reply: httpx2.Response, is_retryable: bool, retry_after: float | None
) -> None:
    calls = 0

    def handler(_: httpx2.Request) -> httpx2.Response:
        nonlocal calls
        calls += 1
        return reply

    (response,) = ask(agent(handler), question())
    assert response.status == "provider_error"
    assert (response.is_retryable, response.retry_after_seconds) == (is_retryable, retry_after)
    assert response.error
    assert response.cost_usd == 0
    assert calls == 1, "retrying is the runner's, where each call is counted"


@pytest.mark.parametrize(
    "error", [httpx2.ConnectError("refused"), httpx2.ReadTimeout("slow"), httpx2.ReadError("reset")]
)
def test_a_connection_that_breaks_is_worth_another_try(error: Exception) -> None:
    def handler(_: httpx2.Request) -> httpx2.Response:
        raise error

    (response,) = ask(agent(handler), question())
    assert (response.status, response.is_retryable) == ("provider_error", True)


@pytest.mark.parametrize("status", [401, 402, 403, 404])
def test_what_every_call_would_meet_stops_at_once(status: int) -> None:
    with pytest.raises(NightdeskError, match=str(status)) as caught:
        ask(agent(lambda _: failure(status, f"bad key {KEY}")), question())
    assert caught.value.todo
    assert KEY not in str(caught.value) + caught.value.todo + caught.value.where


def test_no_key_is_one_clear_error_before_any_call() -> None:
    def handler(_: httpx2.Request) -> httpx2.Response:
        raise AssertionError("called")

    for key in (None, "", "  "):
        with pytest.raises(NightdeskError, match="no key for Claude") as caught:
            ask(agent(handler, api_key=key), question())
        assert "ANTHROPIC_API_KEY" in caught.value.todo


def test_a_model_without_a_price_is_refused_before_any_call() -> None:
    def handler(_: httpx2.Request) -> httpx2.Response:
        raise AssertionError("called")

    models = {**dict.fromkeys(OPERATIONS, "claude-haiku-5-5"), "icp_fit": "claude-nobody-9"}
    with pytest.raises(NightdeskError, match="No price is known for the model `claude-nobody-9`"):
        ask(agent(handler, models=models), question())
    ask(agent(lambda _: message(), models=models), question(operation="reply_class"))


def test_an_answer_that_names_a_dated_model_is_still_priced() -> None:
    (response,) = ask(agent(lambda _: message(model="claude-haiku-5-5-unreleased-build")), question())
    assert response.status == "ok"
    assert response.cost_usd > 0
    assert response.model == "claude-haiku-5-5-unreleased-build"


def test_the_same_agent_works_again_in_another_event_loop() -> None:
    claude = agent(lambda _: message())
    assert ask(claude, question())[0].status == "ok"
    assert ask(claude, question())[0].status == "ok"


def test_effort_and_request_shape_are_part_of_the_version() -> None:
    low, high = agent(lambda _: message()), agent(lambda _: message(), effort="high")
    assert low.version != high.version
    assert isinstance(low, Agent)
    assert isinstance(low, HasRemarks)
    assert (low.name, low.chunk_size, low.concurrency) == ("claude", 1, 4)


def test_a_schema_beyond_the_grammar_is_refused() -> None:
    properties = {f"field_{number}": {"type": "string"} for number in range(25)}
    with pytest.raises(NightdeskError, match="25 optional and 0 union"):
        transformed_schema({"type": "object", "properties": properties})
    unions = {f"u{number}": {"anyOf": [{"type": "string"}, {"type": "null"}]} for number in range(17)}
    with pytest.raises(NightdeskError, match="0 optional and 17 union"):
        transformed_schema({"type": "object", "properties": unions, "required": list(unions)})


def test_secrets_never_reach_an_error_text() -> None:
    text = one_line(f"header x-api-key: {KEY}\n Authorization: Bearer {KEY} and {KEY}" + "x" * 1000)
    assert KEY not in text
    assert "secret" in text
    assert "\n" not in text
    assert len(text) <= 300


@pytest.mark.parametrize("key", ["gateway-token\nwith a line end", "gateway token ü"])
def test_a_key_that_no_header_can_hold_is_an_error_that_does_not_show_it(key: str) -> None:
    with pytest.raises(NightdeskError, match="no key has") as caught:
        ask(agent(lambda _: message(), api_key=key), question())
    assert "gateway" not in f"{caught.value} {caught.value.todo} {caught.value.where}"


def test_a_key_in_an_errors_text_is_taken_out_whatever_it_looks_like() -> None:
    def handler(_: httpx2.Request) -> httpx2.Response:
        raise httpx2.LocalProtocolError("Illegal header value b'gateway-token-7'")

    (response,) = ask(agent(handler, api_key="gateway-token-7"), question())
    assert response.status == "provider_error"
    assert response.error is not None
    assert "[secret]" in response.error
    assert "gateway" not in response.error


def test_retry_after_that_makes_no_sense_is_no_wish() -> None:
    assert retry_after_seconds({"retry-after": "soon"}, now=NOW) is None
    assert retry_after_seconds({}, now=NOW) is None
    past = (NOW - timedelta(seconds=5)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    assert retry_after_seconds({"retry-after": past}, now=NOW) == 0.0
