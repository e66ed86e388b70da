"""The record pages: what a seller sees, and a form with which a person edits a property."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from jinja2 import Environment, FileSystemLoader
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from sandbox.crm import catalog, views
from sandbox.crm.api.call import externals, record_id
from sandbox.crm.errors import ApiError
from sandbox.crm.store import Record, Store
from sandbox.crm.values import check_properties
from sandbox.crm.writes import Origin

HERE = Path(__file__).parent
NAMESPACE = "nightdesk_"
PAGE_SIZE = 40
# Customer text is data: even if a tag slipped through the escaping, the browser would neither run nor fetch anything.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_TABS = ("contacts", "companies", "deals", "meetings", "emails", "calls", "notes", "tasks")


class Pages:
    """Handlers of the record pages over one open store."""

    def __init__(self, store: Store, namespace: str = NAMESPACE) -> None:
        self._store = store
        self._namespace = namespace
        self._templates = Environment(loader=FileSystemLoader(HERE / "templates"), autoescape=True, trim_blocks=True)

    async def index(self, request: Request) -> Response:
        """GET /: a table of records with search."""
        query = request.query_params
        object_type = catalog.ALIASES.get(query.get("type", "contacts"))
        if object_type is None:
            return self._missing()
        page = record_id(query.get("page", "0")) or 0
        sort = self._score_property(object_type)
        records, total = views.listing(
            self._store, object_type, text=query.get("q", ""), page=page, size=PAGE_SIZE, sort=sort
        )
        rows = [self._row(record) for record in records]
        return self._render(
            "index.html", tabs=[(t, self._count(t)) for t in _TABS], object_type=object_type, text=query.get("q", ""),
            rows=rows, has_reason=any(row["reason"] for row in rows), total=total, page=page, has_score=bool(sort),
            pages=-(-total // PAGE_SIZE),
        )  # fmt: skip

    async def record(self, request: Request) -> Response:
        """GET /records/{type}/{id}; `edit=property` turns it into a form, `all=1` shows the whole timeline."""
        record = self._find(request)
        if record is None:
            return self._missing()
        if str(record.id) != request.path_params["object_id"]:  # merged away: go to the survivor
            return RedirectResponse(f"/records/{record.object_type}/{record.id}", headers=HEADERS)
        return self._show(
            record,
            edit=request.query_params.get("edit", ""),
            whole="all" in request.query_params,
            all_links="linked" in request.query_params,
        )

    async def edit(self, request: Request) -> Response:
        """POST /records/{type}/{id}/edit: a person changes one property; history source CRM_UI."""
        if not _from_here(request):
            return HTMLResponse("This form can only be sent from the sandbox's own pages.", 403, HEADERS)
        record = self._find(request)
        if record is None or record.archived_at is not None:
            return self._missing()
        form = parse_qs((await request.body()).decode("utf-8", "replace"), keep_blank_values=True)
        name, value = form.get("property", [""])[0], form.get("value", [""])[0].replace("\r\n", "\n")
        definitions = self._store.definitions(record.object_type)
        clean, problems = check_properties(definitions, {name: value}, externals(self._store), record.properties)
        if problems:
            return self._show(record, edit=name, given=value, problem=problems[0].message, status=400)
        user = self._user_of(record)
        origin = Origin("CRM_UI", f"userId:{user}" if user else "", user, "POST", request.url.path, "record page")
        try:
            with self._store.writing(origin) as writer:
                writer.update(record, clean)
        except ApiError as error:
            return self._show(record, edit=name, given=value, problem=error.message, status=error.status)
        return RedirectResponse(f"/records/{record.object_type}/{record.id}", 303, HEADERS)

    # -- helpers ------------------------------------------------------------------------------------------------------

    def _show(
        self, record: Record, *, edit: str = "", given: str | None = None, problem: str = "", whole: bool = False,
        all_links: bool = False,
        status: int = 200,
    ) -> Response:  # fmt: skip
        store, namespace = self._store, self._namespace
        blocks, chips = views.insights(store, record, namespace)
        is_activity = record.object_type in catalog.ENGAGEMENTS
        activities, total = ([], 0) if is_activity else views.timeline(store, record, limit=None if whole else 40)
        about = [f for f in views.fields(store, record, namespace=namespace) if not (is_activity and f.long)]
        own = views.fields(store, record, prefix=namespace, namespace=namespace)
        return self._render(
            "record.html", status=status, record=record, name=views.name_of(record),
            subtitle=views.subtitle_of(record), singular=catalog.SINGULAR[record.object_type],
            blocks=blocks, chips=chips, about=about, own=own,
            editing=next((f for f in about + own if f.name == edit), None),
            given=given, problem=problem, activities=activities, total=total,
            activity=views.activity(record) if is_activity else None,
            linked=views.linked(store, record, limit=None if all_links else views.LINKED_SHOWN),
            changes=views.changes(store, record), updated=views.moment(record.updated_at),
            archived=views.moment(record.archived_at) if record.archived_at else "",
        )  # fmt: skip

    def _render(self, template: str, *, status: int = 200, **values: Any) -> Response:
        html = self._templates.get_template(template).render(now=views.moment(self._store.now_ms()), **values)
        return HTMLResponse(html, status, HEADERS)

    def _missing(self) -> Response:
        return self._render("missing.html", status=404)

    def _find(self, request: Request) -> Record | None:
        object_type = catalog.ALIASES.get(request.path_params["object_type"])
        number = record_id(request.path_params["object_id"])
        if object_type is None or number is None:
            return None
        survivors = self._store.survivor_ids(object_type, [number])
        return self._store.get(object_type, survivors.get(number, number))

    def _user_of(self, record: Record) -> str:
        owner = record.properties.get("hubspot_owner_id")
        return next((str(o["userId"]) for o in self._store.owners() if o["id"] == owner), "")

    def _count(self, object_type: str) -> int:
        return self._store.connection.execute(
            "select count(*) from objects where object_type = ? and archived_at is null", (object_type,)
        ).fetchone()[0]

    def _score_property(self, object_type: str) -> str:
        names = [n for n in self._store.definitions(object_type) if n.startswith(self._namespace)]
        return next((n for n in names if n.endswith("_score")), "")

    def _row(self, record: Record) -> dict[str, str]:
        get = record.properties.get
        score = self._score_property(record.object_type)
        return {
            "path": f"/records/{record.object_type}/{record.id}",
            "name": views.name_of(record),
            "subtitle": views.subtitle_of(record),
            "score": get(score, "") if score else "",
            "tier": get(score.replace("_score", "_tier"), "") if score else "",
            "reason": views.shorten(
                get(score.replace("_score", "_reason"), "") if score else get(f"{self._namespace}brief", "")
            ),
            "stage": views.stage_of(self._store, record),
            "updated": views.moment(record.updated_at),
        }


def _from_here(request: Request) -> bool:
    """Whether a form was sent from these pages: another site open in the same browser must not edit records."""
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        return False
    return request.headers.get("sec-fetch-site", "same-origin") in ("same-origin", "none")


def page_routes(store: Store) -> list[BaseRoute]:
    """Routes of the record pages. No token: the server listens on this machine only."""
    pages = Pages(store)
    return [
        Route("/", pages.index),
        Route("/records/{object_type}/{object_id}", pages.record),
        Route("/records/{object_type}/{object_id}/edit", pages.edit, methods=["POST"]),
        Mount("/static", StaticFiles(directory=HERE / "static")),
    ]
