"""Scripted, seeded trouble: what may go wrong between a client and this CRM, on which request."""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

if TYPE_CHECKING:
    from sandbox.crm.store import Store
    from sandbox.crm.tokens import Tokens


@dataclass(slots=True)
class ApiRequest:
    """What a fault may look at. `sequence` counts API requests from 1; `fault` names what was done to this one.

    A fault may put another body into `work` for the CRM to work on; `has_work` is off when nothing is left in it, and
    the answer is then an empty success.
    """

    sequence: int
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    request_id: str = ""
    fault: list[str] = field(default_factory=list)
    work: bytes | None = None
    has_work: bool = True


class Fault(Protocol):
    """Called around every API request, also those refused for their token or rate.

    `before` may answer in the CRM's place, so nothing is written. `after` sees the answer once everything is committed
    and returns what the client gets instead (or the answer itself).
    """

    async def before(self, request: ApiRequest) -> Response | None: ...

    async def after(self, request: ApiRequest, response: Response) -> Response: ...


@runtime_checkable
class ChangesTheCrm(Protocol):
    """A fault that needs more than requests: `attach` is called once, when the sandbox starts."""

    def attach(self, store: Store, tokens: Tokens) -> None: ...


class DropConnection(Response):
    """No answer: the connection is closed in the client's face."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        transport = scope.get("state", {}).get("transport")
        if transport is None:
            raise RuntimeError("dropping a connection needs the sandbox's own server")
        transport.abort()


@dataclass(frozen=True, slots=True)
class When:
    """Which requests: method, a regular expression searched in the path, and which of the matching ones.

    Attributes:
        kth: The first matching request concerned, from 1.
        times: How many from there on; None means all.
        share: Chance of each of those, drawn from the script's seed.
    """

    path: str = ""
    method: str | None = None
    kth: int = 1
    times: int | None = 1
    share: float = 1.0

    def fits(self, request: ApiRequest) -> bool:
        return self.method in (None, request.method) and re.search(self.path, request.path) is not None


@dataclass(frozen=True, slots=True)
class Answer:
    """Answers `status` instead of the CRM; with `after_commit` the work is done all the same."""

    when: When
    status: int
    body: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    after_commit: bool = False


@dataclass(frozen=True, slots=True)
class Drop:
    """Closes the connection without an answer, by default after the work is committed."""

    when: When
    after_commit: bool = True


@dataclass(frozen=True, slots=True)
class Delay:
    """Waits before the work or, with `after_commit`, between the work and its answer."""

    when: When
    seconds: float
    after_commit: bool = False


Action = Answer | Drop | Delay


class Script:
    """A fault made of actions, tried in order; every matching action counts, the first one that answers wins."""

    def __init__(self, actions: Sequence[Action], *, seed: int = 7) -> None:
        self._actions = tuple(actions)
        self._seen = [0] * len(self._actions)
        self._random = random.Random(seed)
        self._due: dict[int, list[Action]] = {}

    async def before(self, request: ApiRequest) -> Response | None:
        due = [action for n, action in enumerate(self._actions) if self._is_due(n, action.when, request)]
        self._due[request.sequence] = [action for action in due if action.after_commit]
        for action in due:
            if not action.after_commit:
                response = await _perform(action, request)
                if response is not None:
                    self._due.pop(request.sequence, None)
                    return response
        return None

    async def after(self, request: ApiRequest, response: Response) -> Response:
        for action in self._due.pop(request.sequence, []):
            replaced = await _perform(action, request)
            if replaced is not None:
                return replaced
        return response

    def _is_due(self, n: int, when: When, request: ApiRequest) -> bool:
        if not when.fits(request):
            return False
        self._seen[n] += 1
        last = None if when.times is None else when.kth + when.times - 1
        in_turn = self._seen[n] >= when.kth and (last is None or self._seen[n] <= last)
        return in_turn and (when.share >= 1.0 or self._random.random() < when.share)


async def _perform(action: Action, request: ApiRequest) -> Response | None:
    moment = "after commit" if action.after_commit else "before"
    if isinstance(action, Delay):
        request.fault.append(f"delay {action.seconds:g}s {moment}")
        await asyncio.sleep(action.seconds)
        return None
    if isinstance(action, Drop):
        request.fault.append(f"drop {moment}")
        return DropConnection()
    request.fault.append(f"status {action.status} {moment}")
    body = action.body or {"status": "error", "message": f"scripted {action.status}", "category": "SCRIPTED_FAULT"}
    return Response(json.dumps(body), action.status, dict(action.headers), "application/json;charset=utf-8")
