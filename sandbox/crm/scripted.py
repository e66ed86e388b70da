"""A fault file at work in the HubSpot-shaped sandbox: which requests are struck, and what HubSpot would then answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, cast

from starlette.responses import Response

from nightdesk.errors import NightdeskError
from sandbox import faults
from sandbox.crm.answers import CutResponse, Refusals, json_answer, reshaped
from sandbox.crm.api.routes import canonical
from sandbox.crm.clock import to_ms
from sandbox.crm.errors import ApiError
from sandbox.crm.faults import ApiRequest, DropConnection
from sandbox.crm.happenings import WORKFLOW, edit, happen
from sandbox.crm.limits import DAY_MS, rate_limited
from sandbox.crm.store import Store
from sandbox.crm.tokens import Tokens, missing_scope, needed_scope, unknown
from sandbox.crm.values import normalise_phone

SUPPORTED = faults.NAMES - {"ambiguous_key", "bulk_job_ends", "bulk_job_waits", "cursor_expires", "field_hidden"}
_HOW: dict[str, Callable[[str], str]] = {
    "trim": str.strip,
    "squeeze": lambda text: " ".join(text.split()),
    "lower": str.lower,
    "email": lambda text: text.strip().lower(),
    "phone": normalise_phone,
}


@dataclass(slots=True)
class _Struck:
    """What is left to do once the work of one request is done."""

    due: list[faults.AnyFault]
    inputs: list[dict[str, Any]]
    refusals: Refusals = field(default_factory=Refusals)


class FaultRunner:
    """Does what a fault file says, behind the `sandbox.crm.faults.Fault` protocol.

    Args:
        file: The faults.
        pause: Waiting; the sandbox's own server waits really, `sandbox.virtual.pause` moves virtual time.
        forgiving: A fault about a record or a field that is not there is noted at the request it would have struck,
            instead of being an error: a person serves the file, and may make that field only later.

    Raises:
        NightdeskError: A fault that this CRM does not know.
    """

    def __init__(
        self,
        file: faults.FaultFile,
        *,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        forgiving: bool = False,
    ) -> None:
        self._pause, self._forgiving = pause, forgiving
        self._struck: dict[int, _Struck] = {}
        self.replace(file)

    def replace(self, file: faults.FaultFile) -> None:
        """Go on with other faults from the next request; counting starts anew."""
        for one in file.faults:
            if one.fault not in SUPPORTED or (isinstance(one, faults.RefuseRecords) and not Refusals.knows(one.reason)):
                raise NightdeskError(f"HubSpot has no such trouble: {one.says()}", where="fault file")
        self._turns = faults.Turns(file.faults, file.seed)

    def attach(self, store: Store, tokens: Tokens) -> None:
        """Called by the sandbox: the store and the tokens that the faults change."""
        self._store, self._tokens = store, tokens

    async def before(self, request: ApiRequest) -> Response | None:
        """Changes the CRM, waits, and perhaps answers in its place."""
        body = _json(request.body)
        inputs = _inputs(body)
        due = self._turns.due(look(request, inputs, body))
        struck = self._struck[request.sequence] = _Struck(due, inputs)
        for one in due:
            if isinstance(one, faults.PersonEdits) and one.moment == "after":
                continue
            if self._let(request, one, lambda one=one: happen(self._store, one) or self._move_on(one)):
                request.fault.append(one.fault)
        for one in due:
            answer = await self._in_place_of_the_crm(one, request, struck)
            if answer is not None:
                request.fault.append(one.fault)
                self._struck.pop(request.sequence)
                return answer
        self._rewrite(request, struck, body)
        return None

    async def after(self, request: ApiRequest, response: Response) -> Response:
        """Changes the CRM once more, and what the client gets to see."""
        struck = self._struck.pop(request.sequence, None)
        if struck is None:
            return response
        if struck.refusals:
            response = struck.refusals.into(response)
        for one in struck.due:
            done = False
            if isinstance(one, faults.Automation) and response.status_code < 300:
                done = self._automate(one, response)
            elif isinstance(one, faults.PersonEdits) and one.moment == "after":
                done = self._let(request, one, lambda one=one: happen(self._store, one))
            if done:
                request.fault.append(one.fault)
        for one in struck.due:
            changed = reshaped(one, response, self._turns.draw)
            if changed is not None:
                request.fault.append(one.fault)
                response = changed
        for one in struck.due:
            lost = await self._lost(one, response, request)
            if lost is not None:
                request.fault.append(f"{one.fault} after commit")
                return lost
        return response

    def _let(self, request: ApiRequest, one: faults.AnyFault, act: Callable[[], bool]) -> bool:
        try:
            return act()
        except NightdeskError as error:
            if not self._forgiving:
                raise
            request.fault.append(f"{one.fault} could not happen: {error.what}")
            return False

    # before the work --------------------------------------------------------------------------------------------------

    def _move_on(self, one: faults.AnyFault) -> bool:
        now = to_ms(self._store.clock.now())
        match one:
            case faults.SearchLag():
                self._store.search_lag_ms = int(one.seconds * 1000)
            case faults.ClockSkew():
                self._store.skew_ms = int(one.seconds * 1000)
            case faults.TokenExpires():
                self._tokens.expire(now, one.renewed)
            case _:
                return False
        return True

    async def _in_place_of_the_crm(self, one: faults.AnyFault, request: ApiRequest, struck: _Struck) -> Response | None:
        error: ApiError | None = None
        match one:
            case faults.Delay(committed=False):
                request.fault.append(f"{one.fault} {one.seconds:g}s before commit")
                await self._pause(one.seconds)
            case faults.Drop(committed=False):
                return DropConnection()
            case faults.ServerError(committed=False):
                error = ApiError(one.status, "INTERNAL_ERROR", f"scripted {one.status}")
            case faults.EmptyAnswer(committed=False):
                return json_answer(200, {"status": "COMPLETE", "results": []})
            case faults.RateLimit():
                error = self._rate_limit(one)
            case faults.Unauthorised():
                error = unknown()
            case faults.MissingScope():
                needed = needed_scope(request.method, canonical(request.path))
                if not one.scope or one.scope == needed:
                    error = missing_scope(needed)
            case faults.RejectBatch():
                chosen = one.chosen([str(item.get("id")) for item in struck.inputs], self._turns.draw)
                if chosen or not (struck.inputs or one.records):
                    error = Refusals.whole(one.reason, struck.inputs, chosen)
            case _:
                pass
        return None if error is None else json_answer(error.status, error.body(request.request_id), error.headers)

    def _rate_limit(self, one: faults.RateLimit) -> ApiError:
        if one.daily:
            wait = DAY_MS - self._store.now_ms() % DAY_MS
            error = rate_limited("You have reached your daily limit.", "DAILY", wait if one.retry_after else None)
        else:
            wait = None if one.retry_after is None else one.retry_after * 1000
            error = rate_limited("You have reached your ten_secondly_rolling limit.", "TEN_SECONDLY_ROLLING", wait)
        return error

    def _rewrite(self, request: ApiRequest, struck: _Struck, body: dict[str, Any] | None) -> None:
        """What the CRM works on: without the inputs it is to refuse, with the values it would rather keep."""
        inputs: list[dict[str, Any]] = struck.inputs
        for one in struck.due:
            if isinstance(one, faults.RefuseRecords) and inputs:
                gone = set(one.chosen([str(item.get("id")) for item in inputs], self._turns.draw))
                struck.refusals.add(one, [item for item in inputs if str(item.get("id")) in gone])
                inputs = [item for item in inputs if str(item.get("id")) not in gone]
            elif isinstance(one, faults.Normalise):
                if not any(one.property in _properties(item) for item in inputs):
                    continue
                inputs = [_normalised(item, one) for item in inputs]
            else:
                continue
            request.fault.append(one.fault)
        if inputs != struck.inputs and body is not None:
            request.work = json.dumps(body | {"inputs": inputs}, ensure_ascii=False).encode()
            request.has_work = bool(inputs)

    # after the work ---------------------------------------------------------------------------------------------------

    def _automate(self, one: faults.Automation, response: Response) -> bool:
        found = _json(bytes(response.body)) or {}
        results = cast("list[dict[str, Any]]", found.get("results") or [found])
        ids = [str(item["id"]) for item in results if one.field in _properties(item)]
        for record in ids:
            edit(self._store, one.object_type, record, one.sets, one.to, WORKFLOW)
        return bool(ids)

    async def _lost(self, one: faults.AnyFault, response: Response, request: ApiRequest) -> Response | None:
        match one:
            case faults.Delay(committed=True):
                request.fault.append(f"{one.fault} {one.seconds:g}s after commit")
                await self._pause(one.seconds)
            case faults.Drop(committed=True):
                return DropConnection()
            case faults.ServerError(committed=True):
                error = ApiError(one.status, "INTERNAL_ERROR", f"scripted {one.status}")
                return json_answer(one.status, error.body(request.request_id))
            case faults.Cut():
                return CutResponse(response, one.keep)
            case _:
                pass
        return None


def look(request: ApiRequest, inputs: list[dict[str, Any]], body: dict[str, Any] | None) -> faults.Seen:
    """A request in the words of a fault file."""
    short = canonical(request.path)
    area, _, rest = short.lstrip("/").partition("/")
    kind: faults.Kind = "other"
    if area == "properties":
        kind = "schema"
    elif area == "objects":
        reads = request.method == "GET" or short.endswith("/batch/read")
        kind = "search" if short.endswith("/search") else "read" if reads else "write"
    records = {str(item["id"]) for item in inputs if item.get("id") is not None}
    one = rest.partition("/")[2].partition("/")[0] if area == "objects" else ""
    if one.isdigit():
        records.add(one)
    if body is not None:
        records |= {str(body[name]) for name in ("primaryObjectId", "objectIdToMerge", "objectId") if name in body}
    return faults.Seen(request.method, request.path, kind, frozenset(records))


def _json(text: bytes) -> dict[str, Any] | None:
    try:
        found: Any = json.loads(text) if text else None
    except ValueError:
        return None
    return cast("dict[str, Any]", found) if isinstance(found, dict) else None


def _inputs(body: dict[str, Any] | None) -> list[dict[str, Any]]:
    found = (body or {}).get("inputs")
    return [item for item in cast("list[Any]", found) if isinstance(item, dict)] if isinstance(found, list) else []


def _properties(item: dict[str, Any]) -> dict[str, Any]:
    found = item.get("properties")
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _normalised(item: dict[str, Any], one: faults.Normalise) -> dict[str, Any]:
    values = _properties(item)
    if not isinstance(values.get(one.property), str):
        return item
    return item | {"properties": values | {one.property: _HOW[one.how](str(values[one.property]))}}
