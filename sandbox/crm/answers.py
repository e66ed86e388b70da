"""Answers of the sandbox that are not what they should be: some inputs refused, results left out, bodies cut short."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from sandbox import faults
from sandbox.crm.errors import ApiError, invalid
from sandbox.crm.values import Problem

_STRANGER = "999999999999"
_TRACE = "objectWriteTraceId"


def json_answer(status: int, payload: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer as the API sends it."""
    text = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
    return Response(text.encode(), status, dict(headers or {}), "application/json;charset=utf-8")


class CutResponse(Response):
    """The beginning of another answer's body, then a closed connection."""

    def __init__(self, whole: Response, keep: float) -> None:
        super().__init__(bytes(whole.body), whole.status_code)
        self.raw_headers = list(whole.raw_headers)
        self._keep = int(len(bytes(whole.body)) * keep)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        transport = scope.get("state", {}).get("transport")
        if transport is None:
            raise RuntimeError("cutting an answer short needs the sandbox's own server")
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": bytes(self.body)[: self._keep], "more_body": True})
        transport.abort()


@dataclass(slots=True)
class Refusals:
    """Inputs of a batch that are refused while the others are written."""

    errors: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    status: int = 207

    def __bool__(self) -> bool:
        return bool(self.errors)

    @staticmethod
    def knows(reason: str) -> bool:
        """Whether HubSpot refuses a record for that."""
        return reason in _REASONS

    def add(self, one: faults.RefuseRecords, inputs: Iterable[dict[str, Any]]) -> None:
        """Refuse these inputs; each is named by its trace id, or by its record where it has none."""
        self.status = one.status
        for item in inputs:
            trace, record = item.get("objectWriteTraceId"), str(item.get("id"))
            context = {"objectWriteTraceId": [trace]} if trace else {"ids": [record]}
            self.errors.append(_REASONS[one.reason](record).detail() | {"context": context})

    def into(self, response: Response) -> Response:
        """The answer with these errors in it."""
        if response.status_code >= 300:
            return response
        body = _body(response)
        errors = [*body.get("errors", []), *self.errors]
        return _changed(response, body | {"numErrors": len(errors), "errors": errors}, self.status)

    @staticmethod
    def whole(reason: str, inputs: Iterable[dict[str, Any]], chosen: Iterable[str]) -> ApiError:
        """The refusal of a whole batch because of the chosen records."""
        records = ", ".join(list(chosen)[:5])
        if reason == "duplicate":
            return ApiError(409, "CONFLICT", "A record with the same unique value already exists. Existing ID: 999")
        code = "PROPERTY_DOESNT_EXIST" if reason == "schema" else "INVALID_OPTION"
        names = sorted({name for item in inputs for name in cast("dict[str, Any]", item.get("properties") or {})})
        problem = Problem(names[0] if names else "", code, f"scripted refusal of the batch because of {records}")
        return invalid(f"Property values were not valid: {problem.message}", errors=[problem.detail()])


def _bad_value(record: str) -> ApiError:
    return invalid(
        "Property values were not valid: scripted value was not one of the allowed options",
        errors=[Problem("", "INVALID_OPTION", "scripted value was not one of the allowed options").detail()],
    )


_REASONS: dict[str, Callable[[str], ApiError]] = {
    "bad_value": _bad_value,
    "schema": lambda record: invalid('Property "scripted" does not exist'),
    "no_right": lambda record: ApiError(403, "FORBIDDEN", f"The user has no permission to edit record {record}"),
    "gone": lambda record: ApiError(404, "OBJECT_NOT_FOUND", f"Record {record} was deleted or does not exist"),
    "duplicate": lambda record: ApiError(409, "CONFLICT", "Contact already exists. Existing ID: 999"),
    "other": lambda record: ApiError(400, "INVALID_OPERATION", f"Record {record} was not accepted"),
}  # a reason HubSpot does not have is refused when the file is read


def reshaped(one: faults.AnyFault, response: Response, draw: random.Random) -> Response | None:
    """What this fault makes of a successful batch answer; None where it changes nothing."""
    if not isinstance(
        one, faults.EmptyAnswer | faults.OmitResults | faults.ExtraResults | faults.ShuffleResults | faults.TraceIds
    ):
        return None
    body = _body(response)
    results: list[dict[str, Any]] = body.get("results") or []
    if response.status_code >= 300 or "results" not in body:
        return None
    match one:
        case faults.EmptyAnswer():
            return _changed(response, {"status": "COMPLETE", "results": []}, 200)
        case faults.OmitResults():
            gone = set(one.chosen([str(item.get("id")) for item in results], draw))
            return _changed(response, body | {"results": [r for r in results if str(r.get("id")) not in gone]})
        case faults.ExtraResults():
            first = results[:1]
            extra = first if one.of == "same" else [_without_trace(item) | {"id": _STRANGER} for item in first]
            return _changed(response, body | {"results": [*results, *extra]})
        case faults.ShuffleResults():
            return _changed(
                response,
                body
                | {name: draw.sample(body[name], len(body[name])) for name in ("results", "errors") if name in body},
            )
        case faults.TraceIds():
            return _changed(response, _traced(body, one.mode))


def _traced(body: dict[str, Any], mode: str) -> dict[str, Any]:
    results: list[dict[str, Any]] = body.get("results") or []
    errors: list[dict[str, Any]] = body.get("errors") or []
    if mode == "missing":
        bare = [error | {"context": _without_trace(_context(error))} for error in errors]
        return body | {"results": [_without_trace(item) for item in results]} | ({"errors": bare} if errors else {})
    known = [item[_TRACE] for item in results if _TRACE in item]
    known += [trace for error in errors for trace in _context(error).get(_TRACE, [])]
    if not known:
        return body
    same = [item | {_TRACE: known[0]} for item in results]
    wrong = [error | {"context": _context(error) | {_TRACE: [known[0]]}} for error in errors]
    return body | {"results": same} | ({"errors": wrong} if errors else {})


def _context(error: dict[str, Any]) -> dict[str, Any]:
    return error.get("context") or {}


def _without_trace(item: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if name != _TRACE}


def _body(response: Response) -> dict[str, Any]:
    try:
        found: Any = json.loads(bytes(response.body) or b"{}")
    except ValueError:
        return {}
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _changed(response: Response, body: dict[str, Any], status: int | None = None) -> Response:
    headers = {k: v for k, v in response.headers.items() if k not in ("content-length", "content-type")}
    return json_answer(status or response.status_code, body, headers)
