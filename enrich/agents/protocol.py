"""What the runner expects of an agent: one question per record in, one raw answer per record out.

An agent never parses, checks, stores or retries. It sends what it is given and says what came back; spooling, retries,
budget, evidence check and the ledger belong to the runner, so every agent is treated alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, Protocol, runtime_checkable

ResponseStatus = Literal["ok", "refused", "truncated", "provider_error"]

ZERO_USD = Decimal(0)


@dataclass(frozen=True, slots=True)
class Tool:
    """Something an agent may look up about the one record it is asked about; read-only.

    Attributes:
        name: `snake_case`.
        description: What it gives back, for a language model.
        input_schema: JSON schema of its arguments, an object with `additionalProperties: false`.
    """

    name: str
    description: str
    input_schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """What an agent wants to look up. `arguments_json` is its own text: nobody has checked it yet."""

    call_id: str
    name: str
    arguments_json: str


@dataclass(frozen=True, slots=True)
class WebPage:
    """A page that the provider's own web search found: what its title says is all that can be checked of it."""

    url: str
    title: str
    page_age: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One earlier turn of a question that takes several: what the agent asked for and what it was given.

    Attributes:
        said: The turn in the provider's own form (JSON text of its content blocks), given back byte for byte; empty
            for agents that need none.
        calls: What it wanted to look up.
        results: One text per call, in the same order.
    """

    said: str
    calls: tuple[ToolCall, ...]
    results: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AgentRequest:
    """One call about one record. Most questions take one call; a long document or a research loop takes several.

    Attributes:
        operation: Name of the operation, e.g. `icp_fit`.
        record_type: `account`, `contact`, `document` or `meeting`.
        record_id: Canonical record id, e.g. `hubspot:company:45`.
        input_hash: sha256 hex that names this call, the key it is paid for once under: over
            `operation_hash:context_hash`, and for one call of several also over its part or its earlier steps.
        system_prefix: Prompt and policy, the same bytes for every record of the operation (cacheable).
        user_message: What a language model is shown of this record; empty for agents that do not count tokens.
        context: The queue's context, byte for byte; what the rules agent and the evidence check read.
        output_schema: JSON schema of the operation's output model.
        max_output_tokens: Most tokens a model may answer with; 0 for agents that do not count tokens.
        tools: What the agent may look up instead of answering; empty for judgements, and in a loop's last call.
        steps: Earlier turns of the same loop, oldest first.
        most_searches: How often the provider's own web search may be used in this call; 0 switches it off.
    """

    operation: str
    record_type: str
    record_id: str
    input_hash: str
    system_prefix: str
    user_message: str
    context: str
    output_schema: Mapping[str, Any] = field(default_factory=dict[str, Any])
    max_output_tokens: int = 0
    tools: tuple[Tool, ...] = ()
    steps: tuple[Step, ...] = ()
    most_searches: int = 0


@dataclass(frozen=True, slots=True)
class AgentResponse:
    """What came back for one request: one model call, kept whether it is usable or not.

    Attributes:
        input_hash: The request's, so that responses may come in any order.
        status: `ok` (text is to be checked, or `tool_calls` to be made), `refused`, `truncated` (text is kept and
            never published), or `provider_error` (no answer; nothing may be concluded about the record).
        text: The raw answer, JSON text when `status` is `ok`; empty when there is none.
        stop_reason: The provider's own word for why it stopped.
        model: The model that answered; None for agents without one.
        input_tokens: Uncached input tokens.
        cache_read_tokens: Input tokens served from the prompt cache.
        cache_write_tokens: Input tokens written to the prompt cache.
        output_tokens: Tokens of the answer.
        cost_usd: What this call cost; 0 for agents that cost nothing.
        error: What went wrong, one line, without secrets; None unless something did.
        is_retryable: Whether asking again may help (only read when `status` is `provider_error`).
        retry_after_seconds: How long the provider asks to wait before the next try, when it says so.
        requested_at: UTC; None lets the runner put the time around the whole chunk.
        responded_at: UTC; see `requested_at`.
        tool_calls: What the agent wants to look up before it answers; `text` is then not an answer.
        said: The turn in the provider's own form, to be given back in the next `Step`; empty without tool calls.
        pages: What the provider's web search showed the agent in this call.
    """

    input_hash: str
    status: ResponseStatus
    text: str = ""
    stop_reason: str | None = None
    model: str | None = None
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    cost_usd: Decimal = ZERO_USD
    error: str | None = None
    is_retryable: bool = False
    retry_after_seconds: float | None = None
    requested_at: datetime | None = None
    responded_at: datetime | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    said: str = ""
    pages: tuple[WebPage, ...] = ()


@runtime_checkable
class Agent(Protocol):
    """Answers questions. `name`, `version` and `model_for()` are in every input hash: change one and all is asked anew.

    Attributes:
        name: `rules`, `claude` or `recorded`; stored with every answer.
        version: Changes whenever the same input could be answered differently (lexicons, grammar, request shape).
        chunk_size: Requests handed over per `ask()`; the runner keeps, per chunk, one spool append and fsync.
        concurrency: `ask()` calls the runner may have in flight at once.
    """

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str: ...

    @property
    def chunk_size(self) -> int: ...

    @property
    def concurrency(self) -> int: ...

    def model_for(self, operation: str) -> str | None:
        """The model that answers `operation`; None when the agent has none."""
        ...

    def max_output_tokens_for(self, operation: str) -> int:
        """The most tokens one answer may have; 0 when the agent does not count tokens."""
        ...

    def reads_at_once(self, operation: str) -> int:
        """Most estimated tokens of a document that one call is shown; longer ones are read in parts. 0: no limit."""
        ...

    def worst_case_usd(self, request: AgentRequest) -> Decimal:
        """The most `ask()` could be charged for this request, reserved from the budget before it is sent."""
        ...

    async def prepare(self, operation: str) -> None:
        """Get ready for a series of `ask()` in this event loop; called once per drain, and only if something is due.

        Raises:
            NightdeskError: `operation` cannot be asked at all (no key, unknown model).
        """
        ...

    async def ask(self, requests: Sequence[AgentRequest]) -> Sequence[AgentResponse]:
        """Exactly one response per request, in any order.

        What goes wrong for one request is that request's `provider_error`. Raise `NightdeskError` only for what every
        further call would meet too (a key that is refused): the runner then stops, keeps what it has and can resume.
        """
        ...

    async def aclose(self) -> None:
        """Give back what the agent holds (connections, worker processes) at the end of a drain.

        Safe to call twice; `prepare()` may follow again, in another event loop.
        """
        ...


@runtime_checkable
class HasRemarks(Protocol):
    """An agent that has something to tell a person after a drain."""

    def take_remarks(self) -> list[str]:
        """One line each; told once."""
        ...


@runtime_checkable
class OutlivesDrains(Protocol):
    """An agent whose helpers are dear to start and bound to no event loop (worker processes).

    The runner does not close it after a drain; it ends with the process, or when its owner closes it.
    """

    @property
    def outlives_drains(self) -> bool:
        """True to be left open."""
        ...


@runtime_checkable
class HasOpenCalls(Protocol):
    """An agent whose calls may outlive the process that made them (message batches)."""

    def open_calls(self, operation: str) -> int:
        """Calls of an operation that are with the provider, or whose results are not kept yet."""
        ...

    async def collect(self, operation: str) -> None:
        """Look once after such calls when nothing of the operation is due; what is there goes into the spool."""
        ...


@runtime_checkable
class SpeaksByRules(Protocol):
    """An agent that may say what the project's own rules say: the rules agent, or a recording of it."""

    @property
    def speaks_by_rules(self) -> bool:
        """True when a second reading by the same rules would find nothing."""
        ...
