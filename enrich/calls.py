"""How one question is put: in one call, part by part of a long document, or step by step with things to look up.

A dialogue is a pure function of the record and of what was said so far. That is what makes a question of several calls
as safe to kill as one of a single call: every response is kept under the hash of its own call, so after a crash the
same dialogue takes up what was paid for and asks only for the rest.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Protocol

from enrich.agents.protocol import AgentRequest, AgentResponse, Step, Tool, WebPage
from enrich.hashing import sha256_hex

if TYPE_CHECKING:
    from enrich.answer import CheckedAnswer
    from enrich.evidence import Shown

MOST_CALLS_AT_ONCE = 8
"""Look-ups of one turn that are answered; what an agent wants beyond gets an error text as its result."""


class Dialogue(Protocol):
    """One question on its way to one answer. `pending()` gives every call once; `hear()` takes each response once."""

    @property
    def most_rounds(self) -> int:
        """The most rounds of calls that can follow one another; their cost adds up."""
        ...

    @property
    def is_over(self) -> bool:
        """Whether all has been said: `conclude()` may be called."""
        ...

    def pending(self) -> list[AgentRequest]:
        """The calls to make next. May look things up in the warehouse."""
        ...

    def hear(self, response: AgentResponse) -> None:
        """Take a usable response (`ok`, `refused`, `truncated`), found by the hash of its call."""
        ...

    def conclude(self) -> CheckedAnswer:
        """The checked answer to the whole question."""
        ...


class OneCall:
    """The ordinary case: one request, one answer.

    Args:
        request: The question; its hash is the question's own.
        check: Raw text to checked answer.
        unusable: What becomes of a refusal or a truncated answer.
    """

    most_rounds = 1

    def __init__(
        self,
        request: AgentRequest,
        check: Callable[[str], CheckedAnswer],
        unusable: Callable[[CheckedAnswer], CheckedAnswer],
    ) -> None:
        self._request: AgentRequest | None = request
        self._check = check
        self._unusable = unusable
        self._response: AgentResponse | None = None

    @property
    def is_over(self) -> bool:
        """Answered, refused or cut off."""
        return self._response is not None

    def pending(self) -> list[AgentRequest]:
        """The one call, once."""
        request, self._request = self._request, None
        return [request] if request is not None else []

    def hear(self, response: AgentResponse) -> None:
        """Keep it until the end."""
        self._response = response

    def conclude(self) -> CheckedAnswer:
        """Check it."""
        assert self._response is not None
        failed = not_usable(self._response)
        return self._unusable(failed) if failed is not None else self._check(self._response.text)


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a long document, as an agent is shown it.

    Attributes:
        message: The text.
        span_ids: What may be cited from it.
    """

    message: str
    span_ids: frozenset[str]


@dataclass(frozen=True, slots=True)
class ReadPart:
    """What an agent said of a part: its raw text, or why there is none."""

    span_ids: frozenset[str]
    text: str = ""
    problem: str | None = None


class InParts:
    """A long document, all of it, cut between spans; the parts are asked side by side and put together in order.

    Args:
        request: The question, without a message.
        parts: In reading order, at least two.
        check: What was said of the parts to one checked answer.
    """

    most_rounds = 1

    def __init__(
        self, request: AgentRequest, parts: Sequence[Part], check: Callable[[Sequence[ReadPart]], CheckedAnswer]
    ) -> None:
        self._parts = parts
        self._check = check
        self._keys = [sha256_hex(f"{request.input_hash}:part:{sha256_hex(part.message)}") for part in parts]
        self._requests = [
            replace(request, input_hash=key, user_message=part.message)
            for key, part in zip(self._keys, parts, strict=True)
        ]
        self._said: dict[str, AgentResponse] = {}

    @property
    def is_over(self) -> bool:
        """Every part has been read."""
        return all(key in self._said for key in self._keys)

    def pending(self) -> list[AgentRequest]:
        """All parts not heard of yet, the first time."""
        requests, self._requests = self._requests, []
        return [request for request in requests if request.input_hash not in self._said]

    def hear(self, response: AgentResponse) -> None:
        """Keep what was said of a part."""
        self._said[response.input_hash] = response

    def conclude(self) -> CheckedAnswer:
        """All parts as one answer; a part that was refused or cut off is named in the reason."""
        read: list[ReadPart] = []
        for key, part in zip(self._keys, self._parts, strict=True):
            response = self._said[key]
            failed = not_usable(response)
            read.append(ReadPart(part.span_ids, response.text, failed.reason if failed else None))
        return self._check(read)


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a look-up gave: the text an agent is shown, and what it may cite from now on."""

    text: str
    shown: tuple[Shown, ...] = ()


class Toolbox(Protocol):
    """What may be looked up about one record, and how often."""

    @property
    def tools(self) -> tuple[Tool, ...]: ...

    @property
    def most_steps(self) -> int:
        """Turns with look-ups; the call after the last one has no tools and must answer."""
        ...

    @property
    def most_searches(self) -> int:
        """Web searches per call; 0 where policy has none."""
        ...

    def call(self, name: str, arguments_json: str) -> ToolResult:
        """Look something up. Deterministic; never raises for anything an agent can say."""
        ...

    def found(self, pages: Sequence[WebPage]) -> ToolResult:
        """What may be cited of pages that the provider's own search showed the agent."""
        ...


class InSteps:
    """A bounded loop: the agent looks things up, turn by turn, then answers.

    Args:
        request: The question, with its message; tools and steps are filled in here.
        toolbox: The read-only tools, bound to this record.
        check: (raw text, everything the tools showed) to checked answer.
    """

    def __init__(
        self,
        request: AgentRequest,
        toolbox: Toolbox,
        check: Callable[[str, Mapping[str, Shown]], CheckedAnswer],
    ) -> None:
        self._request = request
        self._toolbox = toolbox
        self._check = check
        self._key = sha256_hex(f"{request.input_hash}:step:1")
        self._steps: tuple[Step, ...] = ()
        self._shown: dict[str, Shown] = {}
        self._is_asked = False
        self._heard: AgentResponse | None = None
        self._end: AgentResponse | None = None

    @property
    def most_rounds(self) -> int:
        """Every step and the answer."""
        return self._toolbox.most_steps + 1

    @property
    def is_over(self) -> bool:
        """The agent has answered, or was not able to."""
        return self._end is not None

    def pending(self) -> list[AgentRequest]:
        """The next turn, after looking up what the last one wanted."""
        if self._end is not None:
            return []
        if self._heard is not None:
            self._take_step(self._heard)
            self._heard = None
            self._is_asked = False
        if self._is_asked:
            return []
        self._is_asked = True
        is_last = len(self._steps) >= self._toolbox.most_steps
        return [
            replace(
                self._request,
                input_hash=self._key,
                tools=() if is_last else self._toolbox.tools,
                steps=self._steps,
                most_searches=0 if is_last else self._toolbox.most_searches,
            )
        ]

    def hear(self, response: AgentResponse) -> None:
        """A turn: look-ups to make, or the answer. One that was not asked for now is not part of this dialogue."""
        if response.input_hash != self._key:
            return
        if response.pages:
            self._show(self._toolbox.found(response.pages))
        wants_more = response.status == "ok" and response.tool_calls and len(self._steps) < self._toolbox.most_steps
        if wants_more:
            self._heard = response
        else:
            self._end = response

    def conclude(self) -> CheckedAnswer:
        """Check the last turn's text against all that was shown."""
        assert self._end is not None
        if self._end.tool_calls:
            return _rejected(f"The agent went on looking things up after {self._toolbox.most_steps} turns")
        return not_usable(self._end) or self._check(self._end.text, self._shown)

    def _take_step(self, response: AgentResponse) -> None:
        results: list[str] = []
        for number, call in enumerate(response.tool_calls):
            if number >= MOST_CALLS_AT_ONCE:
                results.append(f"Not looked up: at most {MOST_CALLS_AT_ONCE} look-ups in one turn.")
                continue
            results.append(self._show(self._toolbox.call(call.name, call.arguments_json)))
        step = Step(response.said, response.tool_calls, tuple(results))
        self._steps = (*self._steps, step)
        shape = json.dumps(asdict(step), sort_keys=True)
        self._key = sha256_hex(f"{self._key}:step:{len(self._steps) + 1}:{sha256_hex(shape)}")

    def _show(self, result: ToolResult) -> str:
        self._shown |= {item.id: item for item in result.shown}
        return result.text


def not_usable(response: AgentResponse) -> CheckedAnswer | None:
    """A refusal and a truncated answer are answers too (`rejected`): asked again, the question would end the same."""
    if response.status not in ("refused", "truncated"):
        return None
    why = response.error or response.stop_reason or "no reason given"
    return _rejected(f"The agent {'refused to answer' if response.status == 'refused' else 'was cut off'}: {why}")


def _rejected(reason: str) -> CheckedAnswer:
    from enrich.answer import CheckedAnswer

    return CheckedAnswer(False, "rejected", reason, None)
