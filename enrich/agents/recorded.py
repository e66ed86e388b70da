"""Recorded answers: keeps what an agent said, by a hash of all it was shown, and gives it again without a call.

A recording is one JSON line per request, in a file that belongs under version control. The hash is over prompt,
message and schema, so a recording also notices when any of them has changed by a byte: there is no answer then.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, cast

from enrich.agents.protocol import (
    Agent,
    AgentRequest,
    AgentResponse,
    HasOpenCalls,
    ResponseStatus,
    SpeaksByRules,
    ToolCall,
    WebPage,
)
from enrich.hashing import sha256_hex
from nightdesk.errors import NightdeskError

# A provider error says nothing about the question: it is not recorded.
_KEPT: tuple[ResponseStatus, ...] = ("ok", "refused", "truncated")


def request_key(request: AgentRequest) -> str:
    """sha256 over everything an agent is shown; not over who asks, so that it is the same for every agent and run."""
    schema = json.dumps(request.output_schema, sort_keys=True)
    shown: list[Any] = [request.operation, request.system_prefix, request.user_message, request.context, schema]
    if request.tools or request.steps or request.most_searches:
        shown.append([[asdict(tool) for tool in request.tools], [asdict(step) for step in request.steps]])
        shown.append(request.most_searches)
    return sha256_hex(json.dumps(shown))


@dataclass(frozen=True, slots=True)
class _Recording:
    agent: str
    agent_version: str
    models: Mapping[str, str | None]
    max_output_tokens: Mapping[str, int]
    reads_at_once: Mapping[str, int]
    responses: Mapping[str, AgentResponse]


class RecordingAgent:
    """Passes every question to another agent and writes down the answers.

    Args:
        inner: The agent that answers; name, version, model and limits stay its own, so answers are stored as its.
        path: The recording; appended to, created when missing.
    """

    def __init__(self, inner: Agent, path: Path) -> None:
        self._inner = inner
        self._path = path

    @property
    def name(self) -> str:
        """The inner agent's."""
        return self._inner.name

    @property
    def version(self) -> str:
        """The inner agent's."""
        return self._inner.version

    @property
    def chunk_size(self) -> int:
        """The inner agent's."""
        return self._inner.chunk_size

    @property
    def concurrency(self) -> int:
        """The inner agent's."""
        return self._inner.concurrency

    def model_for(self, operation: str) -> str | None:
        """The inner agent's."""
        return self._inner.model_for(operation)

    def max_output_tokens_for(self, operation: str) -> int:
        """The inner agent's."""
        return self._inner.max_output_tokens_for(operation)

    @property
    def speaks_by_rules(self) -> bool:
        """The inner agent's."""
        return isinstance(self._inner, SpeaksByRules) and self._inner.speaks_by_rules

    def reads_at_once(self, operation: str) -> int:
        """The inner agent's."""
        return self._inner.reads_at_once(operation)

    def worst_case_usd(self, request: AgentRequest) -> Decimal:
        """The inner agent's."""
        return self._inner.worst_case_usd(request)

    async def prepare(self, operation: str) -> None:
        """Prepare the inner agent and note under which identity it answers this operation."""
        await self._inner.prepare(operation)
        self._write(
            {
                "kind": "operation",
                "operation": operation,
                "agent": self.name,
                "agent_version": self.version,
                "model": self.model_for(operation),
                "max_output_tokens": self.max_output_tokens_for(operation),
                "reads_at_once": self.reads_at_once(operation),
            }
        )

    async def ask(self, requests: Sequence[AgentRequest]) -> Sequence[AgentResponse]:
        """Ask the inner agent; write down what it said before handing it on."""
        responses = await self._inner.ask(requests)
        by_hash = {request.input_hash: request for request in requests}
        for response in responses:
            request = by_hash.get(response.input_hash)
            if request is not None and response.status in _KEPT:
                self._write(_to_json(request, response))
        return responses

    def open_calls(self, operation: str) -> int:
        """The inner agent's, if its calls may outlive a process."""
        return self._inner.open_calls(operation) if isinstance(self._inner, HasOpenCalls) else 0

    async def collect(self, operation: str) -> None:
        """Let the inner agent look after calls that outlived their process."""
        if isinstance(self._inner, HasOpenCalls):
            await self._inner.collect(operation)

    async def aclose(self) -> None:
        """Close the inner agent."""
        await self._inner.aclose()

    def _write(self, entry: Mapping[str, Any]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")


class RecordedAgent:
    """Answers from a recording, for nothing. A question that was not recorded is a provider error, never a guess.

    Args:
        path: A recording made by `RecordingAgent`.

    Raises:
        NightdeskError: There is no recording, or it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._recording = _read(path)

    @property
    def name(self) -> str:
        """`recorded`: the ledger tells played-back answers from paid ones."""
        return "recorded"

    @property
    def version(self) -> str:
        """Of the agent that was recorded."""
        return f"{self._recording.agent}-{self._recording.agent_version}"

    @property
    def chunk_size(self) -> int:
        """Looking up is cheap."""
        return 100

    @property
    def concurrency(self) -> int:
        """One: there is nothing to wait for."""
        return 1

    def model_for(self, operation: str) -> str | None:
        """The model that was recorded."""
        return self._recording.models.get(operation)

    def max_output_tokens_for(self, operation: str) -> int:
        """As recorded; it decides whether the question has a `user_message`, which is part of the key."""
        return self._recording.max_output_tokens.get(operation, 0)

    @property
    def speaks_by_rules(self) -> bool:
        """Whether it was the rules agent that was recorded."""
        return self._recording.agent == "rules"

    def reads_at_once(self, operation: str) -> int:
        """As recorded: it decides where a long document is cut, and so what was asked."""
        return self._recording.reads_at_once.get(operation, 0)

    def worst_case_usd(self, request: AgentRequest) -> Decimal:
        """Nothing."""
        return Decimal(0)

    async def prepare(self, operation: str) -> None:
        """Refuse an operation of which nothing was recorded.

        Raises:
            NightdeskError: The recording does not know the operation.
        """
        if operation not in self._recording.max_output_tokens:
            raise NightdeskError(
                f"Nothing of `{operation}` was recorded",
                where=str(self._path),
                todo="Record it with a live agent first.",
            )

    async def ask(self, requests: Sequence[AgentRequest]) -> Sequence[AgentResponse]:
        """The recorded answers; tokens as they were, cost zero because nothing is paid."""
        return [self._answer(request) for request in requests]

    async def aclose(self) -> None:
        """Nothing to give back."""

    def _answer(self, request: AgentRequest) -> AgentResponse:
        found = self._recording.responses.get(request_key(request))
        if found is None:
            missing = "Not in the recording: the record, the prompt or the schema has changed since"
            return AgentResponse(request.input_hash, "provider_error", error=missing, is_retryable=False)
        return replace(found, input_hash=request.input_hash)


def _to_json(request: AgentRequest, response: AgentResponse) -> dict[str, Any]:
    left_out = {"input_hash", "is_retryable", "retry_after_seconds", "requested_at", "responded_at"}
    kept = {field.name: getattr(response, field.name) for field in fields(response) if field.name not in left_out}
    return {
        "kind": "answer",
        "key": request_key(request),
        "operation": request.operation,
        "record_id": request.record_id,
        "response": {
            **kept,
            "cost_usd": str(response.cost_usd),
            "tool_calls": [asdict(call) for call in response.tool_calls],
            "pages": [asdict(page) for page in response.pages],
        },
    }


def _read(path: Path) -> _Recording:
    if not path.exists():
        raise NightdeskError("There is no recording", where=str(path), todo="Record one with a live agent first.")
    agents: set[tuple[str, str]] = set()
    models: dict[str, str | None] = {}
    limits: dict[str, int] = {}
    reads_at_once: dict[str, int] = {}
    responses: dict[str, AgentResponse] = {}
    for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            entry = cast("dict[str, Any]", json.loads(text))
            kind: Literal["operation", "answer"] = entry["kind"]
            if kind == "operation":
                agents.add((entry["agent"], entry["agent_version"]))
                models[entry["operation"]] = entry["model"]
                limits[entry["operation"]] = int(entry["max_output_tokens"])
                reads_at_once[entry["operation"]] = int(entry.get("reads_at_once", 0))
            else:
                response: dict[str, Any] = {**entry["response"], "cost_usd": Decimal(0)}
                response["tool_calls"] = tuple(ToolCall(**call) for call in response.get("tool_calls", ()))
                response["pages"] = tuple(WebPage(**page) for page in response.get("pages", ()))
                responses[entry["key"]] = AgentResponse(input_hash="", **response)
        except (ValueError, KeyError, TypeError) as error:
            raise NightdeskError(
                f"Line {number} of the recording cannot be read: {error}",
                where=str(path),
                todo="Restore or record anew.",
            ) from error
    if len(agents) != 1:
        found = ", ".join(sorted(f"{name} {version}" for name, version in agents)) or "none"
        raise NightdeskError(
            f"A recording holds one agent in one version; this one has {found}", where=str(path), todo="Record anew."
        )
    name, version = agents.pop()
    return _Recording(name, version, models, limits, reads_at_once, responses)
