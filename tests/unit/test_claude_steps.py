"""Loops: strict tools, what was said given back as it came, web search with its pages and its price."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any, cast

import httpx2
import pytest
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
from pydantic import TypeAdapter

from enrich.agents.claude_price import cost_usd
from enrich.agents.claude_wire import build_request, transformed_schema
from enrich.agents.protocol import AgentRequest, AgentResponse, Step, Tool, ToolCall, WebPage
from nightdesk.errors import NightdeskError
from tests.unit.test_claude_agent import agent, ask, failure, message, question

LOOK = Tool(
    "read_document",
    "The text of one document.",
    {"type": "object", "properties": {"document_id": {"type": "string", "maxLength": 40}}, "required": ["document_id"]},
)
USED = {"id": "toolu_1", "type": "tool_use", "name": "read_document", "input": {"document_id": "d1"}}
THOUGHT = {"type": "thinking", "thinking": "Let me look – at d1.", "signature": "c2ln"}
SEARCH = {"id": "srv_1", "type": "server_tool_use", "name": "web_search", "input": {"query": "Firm 1"}}
FOUND = {
    "type": "web_search_tool_result",
    "tool_use_id": "srv_1",
    "content": [
        {
            "type": "web_search_result",
            "url": "https://firm.example/news",
            "title": "Firm 1 opens a plant",
            "page_age": "2 days ago",
            "encrypted_content": "abc",
        }
    ],
}
FAILED = {
    "type": "web_search_tool_result",
    "tool_use_id": "srv_2",
    "content": {"type": "web_search_tool_result_error", "error_code": "unavailable"},
}
ANSWER = '{"level": "a", "score": 1}'


def loop(*steps: Step, tools: tuple[Tool, ...] = (LOOK,), searches: int = 0) -> AgentRequest:
    return replace(question(), tools=tools, steps=steps, most_searches=searches)


def body_of(request: AgentRequest) -> dict[str, Any]:
    body = build_request(
        request, model="claude-haiku-5-5", effort="low", schema=transformed_schema(request.output_schema)
    )
    TypeAdapter(MessageCreateParamsNonStreaming).validate_python(body)
    return cast("dict[str, Any]", body)


def turn(*blocks: dict[str, Any], stop_reason: str = "tool_use", **usage: Any) -> httpx2.Response:
    used = {"input_tokens": 100, "output_tokens": 10, **usage}
    return message("", content=list(blocks), stop_reason=stop_reason, usage=cast("dict[str, int]", used))


def asked(request: AgentRequest, *replies: httpx2.Response) -> tuple[AgentResponse, list[dict[str, Any]]]:
    bodies: list[dict[str, Any]] = []
    left = iter(replies)

    def handler(sent: httpx2.Request) -> httpx2.Response:
        bodies.append(json.loads(sent.content))
        return next(left)

    (response,) = ask(agent(handler), request)
    for body in bodies:
        TypeAdapter(MessageCreateParamsNonStreaming).validate_python(body)
    return response, bodies


def test_tools_are_strict_and_the_answers_format_is_asked_for_all_the_same() -> None:
    body = body_of(loop())
    (tool,) = body["tools"]
    assert tool["strict"] is True
    assert tool["input_schema"]["additionalProperties"] is False
    assert "maxLength" not in tool["input_schema"]["properties"]["document_id"], "the grammar knows no lengths"
    assert body["output_config"]["format"]["type"] == "json_schema"
    assert "tool_choice" not in body
    assert "web_search" not in json.dumps(body)


def test_a_judgement_has_no_tools_and_its_bytes_did_not_change() -> None:
    assert set(body_of(question())) == {"model", "max_tokens", "system", "messages", "output_config"}
    assert body_of(question())["messages"] == [{"role": "user", "content": question().user_message}]


def test_look_ups_come_back_as_calls_with_the_turn_as_it_was() -> None:
    second = {**USED, "id": "toolu_2", "input": {"document_id": "d\u00e9"}}
    response, _ = asked(loop(), turn(THOUGHT, USED, second))
    assert response.status == "ok"
    assert [(call.call_id, call.name, json.loads(call.arguments_json)) for call in response.tool_calls] == [
        ("toolu_1", "read_document", {"document_id": "d1"}),
        ("toolu_2", "read_document", {"document_id": "d\u00e9"}),
    ]
    assert json.loads(response.said) == [THOUGHT, USED, second]


def test_a_step_is_given_back_byte_for_byte_with_its_results() -> None:
    response, _ = asked(loop(), turn(THOUGHT, USED))
    step = Step(response.said, response.tool_calls, ("The document says: yes.",))
    body = body_of(loop(step))
    assert [said["role"] for said in body["messages"]] == ["user", "assistant", "user"]
    assert body["messages"][1]["content"] == [THOUGHT, USED]
    (result,) = body["messages"][2]["content"]
    assert (result["type"], result["tool_use_id"], result["content"]) == (
        "tool_result",
        "toolu_1",
        "The document says: yes.",
    )
    assert result["cache_control"] == {"type": "ephemeral"}, "the next step reads all of it again"
    assert "cache_control" not in json.dumps(body["messages"][:2])


def test_the_last_call_may_use_no_tools_but_names_those_it_used() -> None:
    step = Step(json.dumps([USED]), (ToolCall("toolu_1", "read_document", '{"document_id": "d1"}'),), ("yes",))
    body = body_of(loop(step, tools=()))
    assert [tool["name"] for tool in body["tools"]] == ["read_document"]
    assert body["tool_choice"] == {"type": "none"}
    response, _ = asked(loop(step, tools=()), turn(USED))
    assert (response.status, response.tool_calls) == ("truncated", ())


def test_a_step_of_an_agent_that_gave_no_form_is_told_by_its_calls() -> None:
    step = Step("", (ToolCall("c1", "read_document", '{"document_id": "d1"}'),), ("yes",))
    assert body_of(loop(step))["messages"][1]["content"] == [{**USED, "id": "c1"}]


def test_web_search_is_offered_only_where_it_may_be_used() -> None:
    (_, search) = body_of(loop(searches=3))["tools"]
    assert search == {"type": "web_search_20250305", "name": "web_search", "max_uses": 3}
    step = Step(json.dumps([SEARCH, FOUND, USED]), (ToolCall("toolu_1", "read_document", "{}"),), ("yes",))
    last = body_of(loop(step, tools=()))
    assert [tool["name"] for tool in last["tools"]] == ["read_document", "web_search"]
    assert last["tool_choice"] == {"type": "none"}


def test_pages_are_told_and_what_was_thought_before_a_search_is_no_answer() -> None:
    aloud = {"type": "text", "text": "I will look it up."}
    response, _ = asked(
        loop(searches=2),
        turn(
            aloud,
            SEARCH,
            FOUND,
            FAILED,
            FOUND,
            {"type": "text", "text": ANSWER[:9]},
            {"type": "text", "text": ANSWER[9:]},
            stop_reason="end_turn",
            server_tool_use={"web_search_requests": 2, "web_fetch_requests": 0},
        ),
    )
    assert response.text == ANSWER
    assert response.pages == (WebPage("https://firm.example/news", "Firm 1 opens a plant", "2 days ago"),)
    assert response.cost_usd == Decimal("0.02") + cost_usd(
        "claude-haiku-5-5", input_tokens=100, cache_read_tokens=0, cache_write_tokens=0, output_tokens=10
    )


def test_a_paused_turn_goes_on_and_is_one_turn_and_one_bill() -> None:
    response, bodies = asked(
        loop(searches=2),
        turn(SEARCH, stop_reason="pause_turn", server_tool_use={"web_search_requests": 1, "web_fetch_requests": 0}),
        turn(FOUND, USED),
    )
    assert bodies[1]["messages"][-1] == {"role": "assistant", "content": [SEARCH]}
    assert bodies[1]["tools"] == bodies[0]["tools"]
    assert json.loads(response.said) == [SEARCH, FOUND, USED]
    assert [page.title for page in response.pages] == ["Firm 1 opens a plant"]
    assert (response.input_tokens, response.output_tokens) == (200, 20)
    assert response.cost_usd > Decimal("0.01")


def test_a_paused_turn_that_breaks_off_has_cost_its_first_half() -> None:
    response, _ = asked(loop(searches=1), turn(SEARCH, stop_reason="pause_turn"), failure(529, "overloaded"))
    assert (response.status, response.is_retryable) == ("provider_error", True)
    assert response.cost_usd > 0


def test_the_worst_case_grows_with_what_a_call_is_shown_and_may_search() -> None:
    claude = agent(lambda _: message())
    step = Step(json.dumps([USED]), (ToolCall("toolu_1", "read_document", "{}"),), ("words " * 500,))
    plain, tools, later = question(), loop(), loop(step)
    costs = [claude.worst_case_usd(request) for request in (plain, tools, later, loop(step, searches=3))]
    assert costs == sorted(costs)
    assert len(set(costs)) == 4
    seen = len(step.results[0].encode()) + len(plain.system_prefix.encode())
    assert costs[2] > cost_usd(
        "claude-haiku-5-5", input_tokens=0, cache_read_tokens=0, cache_write_tokens=seen, output_tokens=400
    )
    assert costs[3] > Decimal("0.03"), "three searches at a cent each"


def test_tools_beyond_the_grammar_are_refused() -> None:
    wide = {"type": "object", "properties": {f"f{number}": {"type": "string"} for number in range(25)}}
    with pytest.raises(NightdeskError, match="The tools: 25 optional"):
        body_of(loop(tools=(Tool("wide", "Too much.", wide),)))


def test_an_hours_cache_and_a_batch_have_their_own_price() -> None:
    used: dict[str, Any] = {"input_tokens": 0, "cache_read_tokens": 0, "output_tokens": 0}
    model = "claude-sonnet-5-5"
    short = cost_usd(model, cache_write_tokens=1_000_000, **used)
    long = cost_usd(model, cache_write_tokens=1_000_000, cache_write_1h_tokens=1_000_000, **used)
    assert (short, long) == (Decimal("2.5"), Decimal("4"))
    assert cost_usd(model, cache_write_tokens=1_000_000, is_batch=True, **used) == short / 2
    half: dict[str, Any] = {"input_tokens": 10, "cache_read_tokens": 0, "cache_write_tokens": 0, "output_tokens": 0}
    searched = cost_usd(model, web_searches=1, is_batch=True, **half) - cost_usd(model, is_batch=True, **half)
    assert searched == Decimal("0.01"), "a search costs the same in a batch"
