"""The org as an ASGI app: session, quota, faults and request log around the handlers."""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, cast
from urllib.parse import parse_qsl, unquote, unquote_plus

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from sandbox.crm.faults import DropConnection
from sandbox.salesforce import bulk, bulk_query, collections, queries, replication, rows, tooling
from sandbox.salesforce.call import Call, Reply, State
from sandbox.salesforce.errors import SalesforceError, malformed, not_found
from sandbox.salesforce.saving import Org
from sandbox.salesforce.store import Store

log = logging.getLogger("sandbox.salesforce")
Handler = Callable[[Call], Reply]
MAX_SUBREQUESTS = 25
MAX_QUERY_STRING = 16_384


def composite(call: Call) -> Reply:
    """Up to 25 requests in one, each with headers and an answer of its own; without `allOrNone` alone."""
    body = call.object()
    asked = body.get("compositeRequest")
    if not isinstance(asked, list) or body.get("allOrNone"):
        raise malformed("compositeRequest must be a list; this sandbox takes it without allOrNone only")
    parts = cast("list[dict[str, Any]]", asked)
    if len(parts) > MAX_SUBREQUESTS:
        raise SalesforceError("LIMIT_EXCEEDED", f"Cannot have more than {MAX_SUBREQUESTS} subrequests")
    if len({one.get("referenceId") for one in parts}) != len(parts):
        raise SalesforceError("INVALID_INPUT", "each subrequest needs a referenceId of its own")
    answers: list[dict[str, Any]] = []
    for one in parts:
        headers = {str(n).lower(): str(v) for n, v in cast("dict[str, Any]", one.get("httpHeaders") or {}).items()}
        if headers.keys() & {"accept", "authorization", "content-type"}:
            raise SalesforceError("INVALID_INPUT", "this header cannot be set for a subrequest")
        try:
            url, method = str(one.get("url")), str(one.get("method"))
            part = replace(call, method=method, path=url, headers=headers, body=one.get("body"), raw=b"", query={})
            reply = dispatch(part, url.removeprefix(call.url("")))
        except SalesforceError as error:
            reply = Reply(error.status, error.body())
        answers.append(
            {"body": reply.payload, "httpHeaders": reply.headers, "httpStatusCode": reply.status,
             "referenceId": one.get("referenceId")}
        )  # fmt: skip
    return Reply(200, {"compositeResponse": answers})


def dispatch(call: Call, rest: str) -> Reply:
    """Find the handler of an address below `/services/data/vNN.N/`, and let it answer."""
    allowed: list[str] = []
    for method, pattern, handler in ROUTES:
        found = pattern.fullmatch(rest)
        if found is not None and method == call.method:
            params = {name: unquote(text) for name, text in found.groupdict().items() if text is not None}
            return handler(replace(call, params=params))
        if found is not None:
            allowed.append(method)
    if allowed:
        raise SalesforceError(
            "METHOD_NOT_ALLOWED",
            f"HTTP Method '{call.method}' not allowed. Allowed are {','.join(allowed)}",
            status=405,
        )
    raise not_found()


TOKEN = "00Dsandbox!session"
_S = r"(?P<object>[A-Za-z]\w*)"
_ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "limits", rows.limits),
    ("GET", "sobjects", rows.objects),
    ("GET", f"sobjects/{_S}/describe", rows.describe),
    ("GET", f"sobjects/{_S}/deleted", replication.deleted),
    ("GET", f"sobjects/{_S}/updated", replication.updated),
    ("POST", f"sobjects/{_S}", rows.create_row),
    ("GET", f"sobjects/{_S}/(?P<id>[^/]+)", rows.get_row),
    ("PATCH", f"sobjects/{_S}/(?P<id>[^/]+)", rows.patch_row),
    ("DELETE", f"sobjects/{_S}/(?P<id>[^/]+)", rows.delete_row),
    ("GET", f"sobjects/{_S}/(?P<field>[^/]+)/(?P<value>[^/]+)", rows.get_external),
    ("PATCH", f"sobjects/{_S}/(?P<field>[^/]+)/(?P<value>[^/]+)", rows.upsert_external),
    (
        "GET",
        f"ui-api/object-info/{_S}/picklist-values/(?P<type>[^/]+)/(?P<field>[^/]+)",
        rows.picklist_values,
    ),
    ("GET", "query(All)?", queries.query),
    ("GET", "query(All)?/(?P<cursor>[^/]+)", queries.query_more),
    ("POST", "composite", composite),
    ("PATCH", "composite/sobjects", collections.update),
    ("POST", "composite/sobjects", collections.create),
    ("DELETE", "composite/sobjects", collections.delete),
    ("GET", f"composite/sobjects/{_S}", collections.retrieve),
    ("POST", f"composite/sobjects/{_S}", collections.retrieve),
    ("PATCH", f"composite/sobjects/{_S}/(?P<field>[^/]+)", collections.upsert),
    ("POST", "jobs/ingest", bulk.create),
    ("GET", "jobs/ingest", bulk.listing),
    ("GET", "jobs/ingest/(?P<job>[^/]+)", bulk.state),
    ("PATCH", "jobs/ingest/(?P<job>[^/]+)", bulk.change),
    ("DELETE", "jobs/ingest/(?P<job>[^/]+)", bulk.remove),
    ("PUT", "jobs/ingest/(?P<job>[^/]+)/batches", bulk.upload),
    ("GET", "jobs/ingest/(?P<job>[^/]+)/(?P<kind>[^/]+)", bulk.results),
    ("POST", "jobs/query", bulk_query.create),
    ("GET", "jobs/query", bulk_query.listing),
    ("GET", "jobs/query/(?P<job>[^/]+)", bulk_query.state),
    ("PATCH", "jobs/query/(?P<job>[^/]+)", bulk_query.change),
    ("DELETE", "jobs/query/(?P<job>[^/]+)", bulk_query.remove),
    ("GET", "jobs/query/(?P<job>[^/]+)/results", bulk_query.results),
    ("POST", "tooling/sobjects/CustomField", tooling.create),
    ("GET", "tooling/sobjects/CustomField/(?P<id>[^/]+)", tooling.get),
    ("PATCH", "tooling/sobjects/CustomField/(?P<id>[^/]+)", tooling.patch),
    ("GET", "tooling/query", tooling.query),
)
ROUTES = tuple((method, re.compile(pattern), handler) for method, pattern, handler in _ROUTES)


class Fault(Protocol):
    """Trouble: `before` may answer in the org's place, `after` may change what the client gets."""

    async def before(self, request: Seen, api: Api) -> Response | None: ...

    async def after(self, request: Seen, response: Response, api: Api) -> Response: ...


@dataclass(slots=True)
class Seen:
    """A request as faults and the request log look at it; `query` is the decoded part behind the `?`."""

    method: str
    path: str
    body: bytes
    query: str = ""
    fault: list[str] = field(default_factory=list[str])


@dataclass(slots=True)
class Sessions:
    """Which access tokens are good, and whose they are; tests and faults change it."""

    users: dict[str, str]

    def user(self, token: str) -> str | None:
        """The user a token belongs to."""
        return self.users.get(token)


@dataclass(slots=True)
class Options:
    """How the org behaves.

    Attributes:
        daily_limit: API requests in 24 hours; every answer carries how many are used.
        used: Those used already by other tools.
        bulk_polls: How often a bulk job is asked for its state before it is done.
        page_size: How many records a page of a query holds at most; a real org gives fewer where records are long.
        client: Key and secret of the connected app whose tokens are the integration user's.
    """

    token: str = TOKEN
    daily_limit: int = 15_000
    used: int = 0
    faults: Fault | None = None
    bulk_polls: int = 1
    page_size: int = 2_000
    client: tuple[str, str] = ("sandbox-app", "sandbox-secret")
    org: Org = field(default_factory=Org)


class Api:
    """The ASGI app. Handlers run one at a time, each in its own transaction."""

    def __init__(self, store: Store, options: Options) -> None:
        self.store, self.options = store, options
        self.state = State(
            options.org, bulk_polls=options.bulk_polls, page_size=options.page_size, daily_limit=options.daily_limit
        )
        self.sessions = Sessions({options.token: store.user("integration")})
        self.used = options.used
        self._one_at_a_time = threading.Lock()  # in-process clients may come from several threads
        self._given = 0
        self._sequence = int(store.connection.execute("select coalesce(max(seq), 0) from requests").fetchone()[0])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        body = await request.body()
        query = unquote_plus(request.scope["query_string"].decode("latin-1"))
        seen = Seen(request.method, request.url.path, body, query)
        self._sequence += 1
        sequence, received_at = self._sequence, self.store.now()  # the log is in the order of arrival
        faults = self.options.faults
        response = None if faults is None else await faults.before(seen, self)
        user = self.sessions.user(_token(request))  # a fault may just have ended it
        refused: list[str] = []
        if response is None:
            with self._one_at_a_time:
                response = answered = self.answer(request, body, user)
            if faults is not None:
                response = await faults.after(seen, response, self)
            if response is answered:
                refused = _refused(body, answered)
        self._record(sequence, received_at, seen, response, user, refused)
        await response(scope, receive, send)

    def answer(self, request: Request, body: bytes, user: str | None) -> Response:
        """Work on one request."""
        headers: dict[str, str] = {}
        if request.method == "POST" and request.url.path == "/services/oauth2/token":
            return self._token(body)
        try:
            if user is None and request.url.path.rstrip("/") != "/services/data":
                raise SalesforceError("INVALID_SESSION_ID", "Session expired or invalid", status=401)
            if self.used >= self.options.daily_limit:
                raise SalesforceError("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.", status=403)
            self.used += 1
            headers = self._usage()
            self.state.requests_left = self.options.daily_limit - self.used
            if len(request.scope["query_string"]) > MAX_QUERY_STRING:
                raise SalesforceError("URI_TOO_LONG", "the request's address is too long", status=414)
            reply = self._handle(request, body, user or "")
            return _response(reply, headers | reply.headers)
        except SalesforceError as error:
            return error_response(error, headers or self._usage())
        except Exception:  # the client gets a 500, the operator the traceback
            log.exception("%s %s failed", request.method, request.url.path)
            return error_response(SalesforceError("UNKNOWN_EXCEPTION", "internal error", status=500), headers)

    def _token(self, body: bytes) -> Response:
        """A new access token for the connected app (OAuth's client credentials); it is not counted as a request."""
        form = dict(parse_qsl(body.decode("utf-8", "replace")))
        if form.get("grant_type") != "client_credentials":
            said = {"error": "unsupported_grant_type", "error_description": "grant type not supported"}
            return _response(Reply(400, said), {})
        if (form.get("client_id"), form.get("client_secret")) != self.options.client:
            said = {"error": "invalid_client", "error_description": "invalid client credentials"}
            return _response(Reply(400, said), {})
        self._given += 1
        token = f"{self.options.token}.{self._given}"
        self.sessions.users[token] = self.store.user("integration")
        return _response(Reply(200, {"access_token": token, "token_type": "Bearer"}), {})

    def _usage(self) -> dict[str, str]:
        return {"Sforce-Limit-Info": f"api-usage={self.used}/{self.options.daily_limit}"}

    def _handle(self, request: Request, body: bytes, user: str) -> Reply:
        # an address may end in a slash: `.../deleted/?start=...`
        raw_path = str(request.scope.get("raw_path", b"").decode("latin-1")).partition("?")[0] or request.url.path
        path = request.url.path.rstrip("/")
        match = re.fullmatch(r"/services/data/v(?P<version>\d+\.\d)/(?P<rest>.+)", raw_path.rstrip("/"))
        version = match["version"] if match else "62.0"

        def call(params: dict[str, str]) -> Call:
            query = dict(parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True))
            return Call(self.store, self.state, user, request.method, path, version, params, query, request.headers,
                        _parse(request, body), body)  # fmt: skip

        if path == "/services/data":
            return rows.versions(call({}))
        if path == "/services/oauth2/userinfo":
            return rows.user_info(call({}))
        if match is None:
            raise not_found()
        return dispatch(call({}), match["rest"])

    def _record(
        self, sequence: int, at: str, seen: Seen, response: Response, user: str | None, refused: list[str]
    ) -> None:
        status = 0 if isinstance(response, DropConnection) else response.status_code
        self.store.connection.execute(
            "insert into requests values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (sequence, at, seen.method, seen.path, status, user, ";".join(records_of(seen.body)),
             ";".join(refused),
             "; ".join(seen.fault)),
        )  # fmt: skip


def records_of(body: bytes) -> list[str]:
    """Ids of the records in a request's body."""
    try:
        parsed: Any = json.loads(body) if body[:1] == b"{" else {}
    except ValueError:
        return []
    content = cast("dict[str, Any]", parsed)
    if isinstance(content.get("ids"), list):
        return [str(one) for one in cast("list[Any]", content["ids"])]
    if isinstance(content.get("compositeRequest"), list):
        parts = cast("list[dict[str, Any]]", content["compositeRequest"])
        return [str(one.get("url", "")).rpartition("/")[2] for one in parts]
    found = content.get("records")
    records = cast("list[Any]", found) if isinstance(found, list) else []
    inside = [cast("dict[str, Any]", one) for one in records if isinstance(one, dict)]
    return [str(one.get("id") or one.get("Id") or "") for one in inside]


def results_of(content: bytes) -> list[dict[str, Any]]:
    """Each record's result in the answer to a collection or to several requests in one."""
    if content[:2] == b"[{":
        found = cast("list[dict[str, Any] | None]", json.loads(content))
        return [one for one in found if one is not None and "success" in one]
    if content.startswith(b'{"compositeResponse"'):
        return cast("list[dict[str, Any]]", json.loads(content)["compositeResponse"])
    return []


def _refused(body: bytes, response: Response) -> list[str]:
    """Records that the client was told were not saved."""
    records, results = records_of(body), results_of(bytes(response.body))
    if response.status_code != 200 or len(results) != len(records):
        return []
    pairs = zip(records, results, strict=True)
    return [i for i, one in pairs if one.get("success") is False or 400 <= one.get("httpStatusCode", 0) < 500]


def _token(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() in ("bearer", "oauth") else ""


def _parse(request: Request, body: bytes) -> Any:
    if not body or "csv" in request.headers.get("content-type", ""):
        return None
    try:
        return json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise malformed(f"Unexpected character: {error}") from error


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def error_response(error: SalesforceError, headers: dict[str, str]) -> Response:
    """A refusal as Salesforce sends it."""
    return _response(Reply(error.status, error.body()), headers)


def _response(reply: Reply, headers: dict[str, str]) -> Response:
    if reply.text is not None:
        return Response(reply.text.encode(), reply.status, headers, "text/csv; charset=utf-8")
    if reply.payload is None:
        return Response(status_code=reply.status, headers=headers)
    text = json.dumps(reply.payload, ensure_ascii=False, separators=(",", ":"))
    return Response(text.encode(), reply.status, headers, "application/json;charset=UTF-8")
