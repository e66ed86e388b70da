"""Between the runner's words and the Messages API: requests and responses, translated without I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, cast

from enrich.agents.claude_errors import one_line
from enrich.agents.claude_price import cost_usd, has_searched, most_searches
from enrich.agents.protocol import AgentRequest, AgentResponse, Step, ToolCall, WebPage
from nightdesk.errors import NightdeskError

if TYPE_CHECKING:
    from anthropic.types import Message, MessageParam, ToolUnionParam
    from anthropic.types.message_create_params import MessageCreateParamsNonStreaming

Effort = Literal["low", "medium", "high"]
CacheTime = Literal["5m", "1h"]

# Limits of the API's grammar for structured output; output schema and strict tools share them.
MAX_OPTIONAL_FIELDS = 24
MAX_UNION_FIELDS = 16

# The plain search: later versions filter what they find by running code, which nobody asked for and fewer data
# agreements cover.
_SEARCH_TYPE = "web_search_20250305"
_SEARCH_NAME = "web_search"


def transformed_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The output schema as the API's grammar takes it.

    Raises:
        NightdeskError: It has more optional or union fields than the API allows.
    """
    from anthropic import transform_schema

    transformed = transform_schema(dict(schema))
    _hold_to_grammar([transformed], "The output model", "output.py of the operation")
    return transformed


def tool_params(request: AgentRequest) -> list[ToolUnionParam]:
    """The tools of a call as the API takes them: ours are strict, so arguments follow their schema.

    A turn that was given tools must name them again when it is given back, also in the last call, which may not use
    any: there, what is known of them are their names.

    Raises:
        NightdeskError: Their schemas have more optional or union fields than the API allows.
    """
    from anthropic import transform_schema

    tools: list[ToolUnionParam] = []
    for tool in request.tools:
        schema = transform_schema(dict(tool.input_schema))
        tools.append({"name": tool.name, "description": tool.description, "input_schema": schema, "strict": True})
    if tools:
        schemas = [cast("dict[str, Any]", tool["input_schema"]) for tool in cast("list[dict[str, Any]]", tools)]
        _hold_to_grammar(schemas, "The tools", f"tools of {request.operation}")
    else:
        nothing: dict[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}
        for name in sorted({call.name for step in request.steps for call in step.calls}):
            tools.append({"name": name, "description": "Used before; of no more use now.", "input_schema": nothing})
    if request.most_searches or has_searched(request):
        tools.append({"type": _SEARCH_TYPE, "name": _SEARCH_NAME, "max_uses": most_searches(request)})
    return tools


def build_request(
    request: AgentRequest,
    *,
    model: str,
    effort: Effort,
    schema: dict[str, Any],
    cache_time: CacheTime | None = "5m",
    keeps_conversation: bool = True,
) -> MessageCreateParamsNonStreaming:
    """The body of one call.

    The shared prefix comes first and ends in a cache breakpoint: the same bytes for every record of the operation, and
    nothing of a record before it. A judgement has no tools. In a loop the conversation so far ends in a second
    breakpoint, because the next step reads all of it again; the answer's format is asked for in every call, since any
    of them may be the last.

    Args:
        request: The call.
        model: The model's API name.
        effort: How hard it is to think.
        schema: The output schema, transformed.
        cache_time: How long the prefix is worth keeping; None where it is not read again.
        keeps_conversation: Whether a loop's next step follows soon enough to find the conversation in the cache.
    """
    body: MessageCreateParamsNonStreaming = {
        "model": model,
        "max_tokens": request.max_output_tokens,
        "system": [{"type": "text", "text": request.system_prefix}],
        "messages": _messages(request, is_kept=keeps_conversation and bool(request.tools)),
        "output_config": {"effort": effort, "format": {"type": "json_schema", "schema": schema}},
    }
    if cache_time is not None:
        kept = {"type": "ephemeral"} if cache_time == "5m" else {"type": "ephemeral", "ttl": cache_time}
        cast("list[dict[str, Any]]", body["system"])[0]["cache_control"] = kept
    if tools := tool_params(request):
        body["tools"] = tools
        if not request.tools and not request.most_searches:
            body["tool_choice"] = {"type": "none"}
    return body


def continued(body: MessageCreateParamsNonStreaming, blocks: list[Any]) -> MessageCreateParamsNonStreaming:
    """The body that lets a paused turn go on: what was said so far, given back as it came."""
    messages = [*cast("list[MessageParam]", body["messages"]), cast("MessageParam", _said(blocks))]
    return {**body, "messages": messages}


def content_blocks(message: Message) -> list[Any]:
    """The blocks of a message as plain data, every field as the API sent it.

    Raises:
        ValueError: It is no message (a proxy's page, another API): the SDK hands on whatever came.
    """
    if not is_message(message):
        raise ValueError("not a response of the Messages API")
    return [block.to_dict(mode="json") for block in message.content]


def read_message(
    request: AgentRequest, message: Message, *, model: str, asked_at: datetime, answered_at: datetime
) -> AgentResponse:
    """One message as the runner's response; see `read_messages()`."""
    return read_messages(request, [message], model=model, asked_at=asked_at, answered_at=answered_at)


def read_messages(
    request: AgentRequest,
    messages: Sequence[Message],
    *,
    model: str,
    asked_at: datetime,
    answered_at: datetime,
    is_batch: bool = False,
) -> AgentResponse:
    """A turn as the runner's response: whether it ended by itself, was refused or was cut off, and what it cost.

    Priced as the model that was asked for: its price is known, while the answer may name a dated version of it.

    Args:
        request: The call.
        messages: One, or several when the turn was paused and continued; they are one turn and one bill.
        model: The model that was asked for.
        asked_at: UTC.
        answered_at: UTC.
        is_batch: Whether it came in a message batch, at its price.

    Raises:
        ValueError: One is no message (a proxy's page, another API): the SDK hands on whatever came.
    """
    blocks = [block for message in messages for block in content_blocks(message)]
    last = messages[-1]
    response = AgentResponse(
        request.input_hash,
        "ok",
        _text(blocks),
        stop_reason=last.stop_reason,
        model=last.model,
        requested_at=asked_at,
        responded_at=answered_at,
        pages=_pages(blocks),
    )
    response = with_bill(response, messages, model=model, asked_at=asked_at, is_batch=is_batch)
    if last.stop_reason in ("end_turn", "stop_sequence"):
        return response
    if last.stop_reason == "tool_use" and request.tools and (calls := _tool_calls(blocks)):
        return replace(response, tool_calls=calls, said=json.dumps(blocks, ensure_ascii=False, separators=(",", ":")))
    if last.stop_reason == "refusal":
        details = last.stop_details
        why = ": ".join(word for word in (details.category, details.explanation) if word) if details else ""
        return replace(response, status="refused", error=one_line(why) or "no reason given")
    return replace(response, status="truncated", error=f"stopped by {last.stop_reason or 'nothing it named'}")


def with_bill(
    response: AgentResponse, messages: Sequence[Message], *, model: str, asked_at: datetime, is_batch: bool = False
) -> AgentResponse:
    """`response` with what these messages used and cost."""
    for usage in (message.usage for message in messages):
        read, written = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
        for_an_hour = usage.cache_creation.ephemeral_1h_input_tokens if usage.cache_creation else 0
        cost = cost_usd(
            model,
            input_tokens=usage.input_tokens,
            cache_read_tokens=read,
            cache_write_tokens=written,
            cache_write_1h_tokens=min(for_an_hour, written),
            output_tokens=usage.output_tokens,
            web_searches=usage.server_tool_use.web_search_requests if usage.server_tool_use else 0,
            is_batch=is_batch,
            asked_at=asked_at,
        )
        response = replace(
            response,
            input_tokens=response.input_tokens + usage.input_tokens,
            cache_read_tokens=response.cache_read_tokens + read,
            cache_write_tokens=response.cache_write_tokens + written,
            output_tokens=response.output_tokens + usage.output_tokens,
            cost_usd=response.cost_usd + cost,
        )
    return response


def _messages(request: AgentRequest, *, is_kept: bool) -> list[MessageParam]:
    if not request.tools and not request.steps and not request.most_searches:
        return [{"role": "user", "content": request.user_message}]
    turns: list[dict[str, Any]] = [_heard([{"type": "text", "text": request.user_message}])]
    for step in request.steps:
        turns.append(_said(_blocks_of(step)))
        turns.append(
            _heard(
                [
                    {"type": "tool_result", "tool_use_id": call.call_id, "content": result}
                    for call, result in zip(step.calls, step.results, strict=True)
                ]
            )
        )
    if is_kept:
        turns[-1]["content"][-1]["cache_control"] = {"type": "ephemeral"}
    return cast("list[MessageParam]", turns)


def _said(blocks: list[Any]) -> dict[str, Any]:
    return {"role": "assistant", "content": blocks}


def _heard(blocks: list[Any]) -> dict[str, Any]:
    return {"role": "user", "content": blocks}


def _blocks_of(step: Step) -> list[Any]:
    """What was said in a turn, as it came; of another agent's turn, what it wanted to look up."""
    if step.said:
        return cast("list[Any]", json.loads(step.said))
    return [
        {"type": "tool_use", "id": call.call_id, "name": call.name, "input": json.loads(call.arguments_json)}
        for call in step.calls
    ]


def _text(blocks: Sequence[Mapping[str, Any]]) -> str:
    """What was said last: between searches a model may think aloud, and that is no part of its answer."""
    texts: list[str] = []
    for block in blocks:
        if block["type"] == "text":
            texts.append(block["text"])
        elif block["type"] in ("server_tool_use", "web_search_tool_result"):
            texts.clear()
    return "".join(texts)


def _tool_calls(blocks: Sequence[Mapping[str, Any]]) -> tuple[ToolCall, ...]:
    return tuple(
        ToolCall(block["id"], block["name"], json.dumps(block["input"], ensure_ascii=False))
        for block in blocks
        if block["type"] == "tool_use"
    )


def _pages(blocks: Sequence[Mapping[str, Any]]) -> tuple[WebPage, ...]:
    """Every page the search found, once; a search that failed has an error there instead of a list."""
    pages: dict[str, WebPage] = {}
    for block in blocks:
        found = block.get("content") if block["type"] == "web_search_tool_result" else None
        for page in cast("list[dict[str, Any]]", found if isinstance(found, list) else []):
            pages.setdefault(page["url"], WebPage(page["url"], page["title"], page.get("page_age")))
    return tuple(pages.values())


def is_message(value: object) -> bool:
    """Whether this is what the API promises; the SDK hands on whatever came."""
    from anthropic.types import Message, Usage

    if not isinstance(value, Message):
        return False
    content: object = getattr(value, "content", None)  # the SDK promises types that it does not check
    usage: object = getattr(value, "usage", None)
    return isinstance(content, list) and isinstance(usage, Usage)


def _hold_to_grammar(schemas: Sequence[Mapping[str, Any]], what: str, where: str) -> None:
    counts = [_count(schema) for schema in schemas]
    optional, unions = sum(count[0] for count in counts), sum(count[1] for count in counts)
    if optional > MAX_OPTIONAL_FIELDS or unions > MAX_UNION_FIELDS:
        raise NightdeskError(
            f"{what}: {optional} optional and {unions} union fields; the API takes at most "
            f"{MAX_OPTIONAL_FIELDS} and {MAX_UNION_FIELDS}",
            where=where,
            todo="Make fields required, with an empty value for `none`.",
        )


def _count(schema: object) -> tuple[int, int]:
    """How many optional and how many union fields there are, at any depth."""
    optional = unions = 0
    children: list[object] = []
    if isinstance(schema, dict):
        node = cast("dict[str, Any]", schema)
        optional = len(set(node.get("properties", {})) - set(node.get("required", ())))
        unions = int("anyOf" in node or isinstance(node.get("type"), list))
        children = list(node.values())
    elif isinstance(schema, list):
        children = cast("list[object]", schema)
    for child in children:
        more_optional, more_unions = _count(child)
        optional, unions = optional + more_optional, unions + more_unions
    return optional, unions
