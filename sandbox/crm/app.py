"""The sandbox CRM as an ASGI app: token, limits, faults and request log around the handlers, and the record pages."""

from __future__ import annotations

import json
import logging
import re
import sqlite3
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from sandbox.crm.answers import CutResponse
from sandbox.crm.api.call import Call
from sandbox.crm.api.routes import canonical, resolve
from sandbox.crm.errors import ApiError, invalid
from sandbox.crm.faults import ApiRequest, ChangesTheCrm, DropConnection, Fault
from sandbox.crm.limits import DAY_MS, Limits, RateLimiter
from sandbox.crm.store import Store
from sandbox.crm.tokens import Token, Tokens

log = logging.getLogger("sandbox.crm")
DEMO_TOKEN = "sandbox-token"
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def _uuid() -> str:
    return str(uuid.uuid4())


@dataclass(frozen=True, slots=True)
class Options:
    """How a sandbox behaves.

    Attributes:
        token: The private app's access token; it lasts and may do everything.
        tokens: More tokens, with an end or with fewer rights; where there are any, `token` is not valid unless it is
            among them.
        limits: Rate limits and search lag.
        faults: Scripted trouble, None for none.
        app_id: Source id of API writes in the property history.
        merge_new_id: Whether a merge makes a new record instead of keeping the primary one's id.
        new_id: Makes correlation ids.
    """

    token: str = DEMO_TOKEN
    tokens: tuple[Token, ...] = ()
    limits: Limits = field(default_factory=Limits)
    faults: Fault | None = None
    app_id: str = "nightdesk"
    merge_new_id: bool = False
    new_id: Callable[[], str] = _uuid


class Api:
    """The ASGI app under /crm and /communication-preferences. Handlers run one at a time, each in one transaction."""

    def __init__(self, store: Store, options: Options) -> None:
        self._store = store
        self._options = options
        self._sequence = 0
        store.search_lag_ms = int(options.limits.search_lag_s * 1000)
        midnight = store.now_ms() // DAY_MS * DAY_MS
        used = store.connection.execute(
            "select count(*) from requests where received_at >= ? and status <> 429", (midnight,)
        ).fetchone()[0]
        self._limiter = RateLimiter(options.limits, used_today=used)
        self._tokens = Tokens(options.tokens or (Token(options.token),))
        if isinstance(options.faults, ChangesTheCrm):
            options.faults.attach(store, self._tokens)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        body = await request.body()
        self._sequence += 1
        arrived, request_id = self._store.now_ms(), self._options.new_id()
        seen = ApiRequest(self._sequence, request.method, request.url.path, request.headers, body, request_id)
        faults = self._options.faults
        response = None if faults is None else await faults.before(seen)
        if response is None:
            response = self._answer(request, seen, request_id)
            if faults is not None:
                response = await faults.after(seen, response)
        status = 0 if isinstance(response, DropConnection | CutResponse) else response.status_code
        self._record(seen, status, request_id, arrived)
        response.headers["X-HubSpot-Correlation-Id"] = request_id
        await response(scope, receive, send)

    def _answer(self, request: Request, seen: ApiRequest, request_id: str) -> Response:
        headers: dict[str, str] = {}
        path = request.url.path
        try:
            now, short = self._store.now_ms(), canonical(path)
            self._tokens.check(request.headers.get("authorization", ""), request.method, short, self._store.true_ms())
            headers = self._limiter.check(self._store.true_ms(), search=short.endswith("/search"))
            if not seen.has_work:
                return _json(200, {"status": "COMPLETE", "results": []}, headers)
            handler, params = resolve(request.method, path)
            body = _parse(seen.body if seen.work is None else seen.work)
            call = Call(
                self._store, request.method, path, params, parse_qs(scope_query(request), keep_blank_values=True),
                body, now, request_id, self._options.app_id, self._options.merge_new_id,
            )  # fmt: skip
            reply = handler(call)
            return _json(reply.status, reply.payload, headers)
        except ApiError as error:
            return _json(error.status, error.body(request_id), headers | error.headers)
        except Exception as error:  # the client gets HubSpot's 500, the operator the traceback
            log.exception("%s %s failed", request.method, path)
            if isinstance(error, sqlite3.Error) and self._store.connection.in_transaction:
                self._store.connection.execute("rollback")
            internal = ApiError(500, "INTERNAL_ERROR", "internal error")
            return _json(500, internal.body(request_id), headers)

    def _record(self, request: ApiRequest, status: int, request_id: str, arrived: int) -> None:
        inputs, traces = _batch(request.body)
        try:
            self._store.connection.execute(
                "insert into requests (received_at, method, path, status, request_id, fault, inputs, trace_ids)"
                " values (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    arrived, request.method, request.path, status, request_id, "; ".join(request.fault),
                    inputs, json.dumps(traces) if traces else "",
                ),
            )  # fmt: skip
        except sqlite3.Error:
            log.exception("a request could not be recorded")


def scope_query(request: Request) -> str:
    """The raw query string."""
    return request.scope["query_string"].decode("latin-1")


def _parse(body: bytes) -> Any:
    if not body:
        return None
    try:
        text = body.decode("utf-8")
        parsed = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise invalid(f"Invalid input JSON: {error}") from error
    if "\\u" in text and _LONE_SURROGATE.search(json.dumps(parsed, ensure_ascii=False)):
        raise invalid("Invalid input JSON: half of a surrogate pair is not a character")
    return parsed


def _batch(body: bytes) -> tuple[int, list[Any]]:
    """How many inputs a batch request has, and the trace ids it names them with."""
    if b'"inputs"' not in body:
        return 0, []
    try:
        inputs = json.loads(body)["inputs"]
        return len(inputs), [item["objectWriteTraceId"] for item in inputs if "objectWriteTraceId" in item]
    except (ValueError, KeyError, TypeError, RecursionError):
        return 0, []


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _json(status: int, payload: Any, headers: dict[str, str]) -> Response:
    if payload is None:
        return Response(status_code=status, headers=headers)
    text = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
    return Response(text.encode(), status, headers, "application/json;charset=utf-8")


def build_app(store: Store, options: Options) -> Starlette:
    """The whole sandbox: API and record pages over one open store."""
    from sandbox.crm.pages import page_routes

    api = Api(store, options)
    return Starlette(
        routes=[
            Route("/crm/{rest:path}", api),
            Route("/communication-preferences/{rest:path}", api),
            *page_routes(store),
        ]
    )
