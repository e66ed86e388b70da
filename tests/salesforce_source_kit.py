"""What the tests of the Salesforce source share: a load from an org in this process, and what it left behind."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import httpx2

from sandbox.salesforce import catalog
from sandbox.salesforce.rounds import EDITED, contents
from sandbox.virtual import InProcess
from sources.kit.report import LoadReport
from sources.salesforce import SalesforceSourceSettings, load
from sources.salesforce.tables import OBJECTS
from tests.salesforce_kit import Org

KINDS = {kind.name: kind for kind in OBJECTS}


class Watching(httpx2.BaseTransport):
    """Passes requests on and remembers them."""

    def __init__(self, inner: httpx2.BaseTransport) -> None:
        self.inner = inner
        self.seen: list[httpx2.Request] = []

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        self.seen.append(request)
        return self.inner.handle_request(request)


class Chaos(httpx2.BaseTransport):
    """Every few requests something goes wrong, and always in another way."""

    def __init__(self, inner: httpx2.BaseTransport, seed: int, share: float = 0.3) -> None:
        self.inner, self.draw, self.share = inner, random.Random(seed), share
        self.troubles: dict[str, int] = {}
        self.expired: set[str] = set()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        if self.draw.random() >= self.share or request.url.path.endswith("/token"):
            return self.inner.handle_request(request)
        trouble = self.draw.choice(("429", "503", "timeout", "cut", "half", "expired", "lost"))
        if trouble == "lost" and not request.url.path.rpartition("/")[0].endswith(".0/query"):
            trouble = "503"
        if trouble == "expired" and str(request.url) in self.expired:
            trouble = "429"  # a session that ends twice within one request is no session
        self.troubles[trouble] = self.troubles.get(trouble, 0) + 1
        match trouble:
            case "timeout":
                raise httpx2.ReadTimeout("slow", request=request)
            case "cut":
                raise httpx2.RemoteProtocolError("peer closed connection", request=request)
            case "half":
                answer = self.inner.handle_request(request)
                content = answer.read()
                kept = content[: self.draw.randrange(max(1, len(content)))]
                headers = {name: value for name, value in answer.headers.items() if name != "content-length"}
                return httpx2.Response(answer.status_code, content=kept, headers=headers)
            case "expired":
                self.expired.add(str(request.url))
                return httpx2.Response(401, json=[{"errorCode": "INVALID_SESSION_ID", "message": "expired"}])
            case "lost":
                return httpx2.Response(400, json=[{"errorCode": "INVALID_QUERY_LOCATOR", "message": "invalid"}])
            case _:
                return httpx2.Response(int(trouble), json=[{"errorCode": "BUSY", "message": "busy"}])


@dataclass
class Loads:
    """Loads of one org into one raw database."""

    org: Org
    folder: Path
    settings: dict[str, Any] = field(default_factory=dict[str, Any])
    seen: list[httpx2.Request] = field(default_factory=list[httpx2.Request])

    @property
    def raw(self) -> Path:
        return self.folder / "raw.duckdb"

    def transport(self) -> httpx2.BaseTransport:
        return InProcess(self.org.api, self.org.clock)

    def __call__(self, *, transport: httpx2.BaseTransport | None = None, **options: Any) -> LoadReport:
        settings = SalesforceSourceSettings(
            **{"base_url": "https://org.test", "token": self.org.api.options.token, "in_flight": 1, "page_size": 200}
            | self.settings
        )
        watching = Watching(transport or self.transport())
        self.seen = watching.seen
        return load(
            settings, self.raw, self.folder / "pipelines", transport=watching, sleep=self.org.clock.sleep,
            clock=self.org.clock.now, **options,
        )  # fmt: skip

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.raw), read_only=True) as connection:
            connection.execute("set timezone = 'UTC'")
            return connection.execute(sql).fetchall()

    def table(self, name: str, *columns: str, where: str = "true") -> list[tuple[Any, ...]]:
        return self.rows(f"select {', '.join(columns)} from salesforce.{name} where {where} order by all")


def moved(report: LoadReport) -> dict[str, int]:
    """What a load moved, watermarks apart."""
    return {name: count for name, count in report.rows_moved.items() if count and name != "load_watermarks"}


def differences(loads: Loads) -> list[str]:
    """Every way in which what is loaded is not what the org holds; empty when the two agree row by row."""
    found: list[str] = []
    for name in EDITED:
        found += _object(loads, name)
    found += _fates(loads)
    found += _history(loads)
    return found


def _object(loads: Loads, name: str) -> list[str]:
    kind = KINDS[name]
    org = contents(loads.org.store, name)
    there = {one: row for one, row in org.items() if not (row.get("IsDeleted") and row.get("MasterRecordId"))}
    fields = {
        column: one for column, one in (kind.fields | kind.customs).items() if one in loads.org.store.fields(name)
    }
    names = list(fields)
    rows = {str(row[names.index("id")]): row for row in loads.table(kind.table.name, *names)}
    found = [f"{name} {one}: not loaded" for one in sorted(set(there) - set(rows))]
    found += [f"{name} {one}: loaded, not in the org" for one in sorted(set(rows) - set(there))]
    kinds = {column.name: column.kind for column in kind.table.columns}
    for one in sorted(set(rows) & set(there)):
        for column, value in zip(names, rows[one], strict=True):
            wanted = _typed(kinds[column], there[one].get(fields[column]))
            if value != wanted:
                found.append(f"{name} {one}.{column}: {value!r}, the org has {wanted!r}")
    return found


def _typed(kind: str, value: Any) -> Any:
    if value is None:
        return None
    match kind:
        case "timestamp":
            return datetime.fromisoformat(str(value)).astimezone(UTC)
        case "date":
            return date.fromisoformat(str(value)[:10])
        case "money":
            return Decimal(str(value)).quantize(Decimal("0.01"))
        case "probability":
            return Decimal(str(value)).quantize(Decimal("0.0001"))
        case "bigint":
            return int(value)
        case "bool":
            return bool(value)
        case _:
            return str(value)


def _fates(loads: Loads) -> list[str]:
    store = loads.org.store
    masters: dict[tuple[str, str], tuple[str, str, str]] = {}
    deleted: set[tuple[str, str]] = set()
    for name in EDITED:
        for one, row in contents(store, name).items():
            if row.get("IsDeleted") and row.get("MasterRecordId"):
                masters[name, one] = (name, str(row["MasterRecordId"]), "merged")
            elif row.get("IsDeleted"):
                deleted.add((name, one))
            if row.get("IsConverted") and row.get("ConvertedContactId") and (name, one) not in masters:
                masters[name, one] = ("Contact", str(row["ConvertedContactId"]), "converted")
    wanted = set()
    for (name, one), (kind, master, reason) in masters.items():
        while (kind, master) in masters:
            kind, master, _ = masters[kind, master]
        wanted.add((name, one, kind, master, reason))
    columns = ("object_type", "merged_id", "surviving_type", "surviving_id", "reason")
    got = set(loads.table("merges", *columns))
    # What is gone from the org for good was merged once; who became of it may be the only thing known of it.
    found = [f"merge {row} is missing" for row in sorted(wanted - got)]
    extra = {row for row in got - wanted if store.get(row[0], row[1]) is not None}
    found += [f"merge {row} is not the org's" for row in sorted(extra)]
    noted = set(loads.table("deletions", "object_type", "object_id"))
    found += [f"deletion {row} is missing" for row in sorted(deleted - noted)]
    back = {row for row in noted - deleted if store.get(*row) is not None}
    return found + [f"deletion {row}, but it is there" for row in sorted(back)]


def _history(loads: Loads) -> list[str]:
    found: list[str] = []
    merged = {str(one) for (one,) in loads.table("merges", "merged_id", where="reason = 'merged'")}
    for name, (_, parent) in catalog.HISTORY_OBJECTS.items():
        got = {str(one) for (one,) in loads.table("field_history", "history_id", where=f"source_object = '{name}'")}
        rows = loads.org.store.history(name)
        wanted = {row.id for row in rows if row.get(parent) not in merged}
        found += [f"{name} {one}: not loaded" for one in sorted(wanted - got)]
        found += [f"{name} {one}: loaded, not in the org" for one in sorted(got - wanted)]
    return found
