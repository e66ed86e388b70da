"""What the tests of the sandbox org as something to load from share: raw requests, and walks over pages."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

from sandbox.crm.clock import ManualClock
from sandbox.salesforce.app import Api, Options
from sandbox.salesforce.store import Store
from sandbox.virtual import InProcess, VirtualTime
from tests.salesforce_kit import NOW

V = "/services/data/v62.0"


class Loader:
    """A client that knows nothing: it asks, and gives back what came."""

    def __init__(self, api: Api, clock: VirtualTime) -> None:
        self.api, self.clock, self.store = api, clock, api.store
        self.http = httpx2.Client(
            transport=InProcess(api, clock),
            base_url="https://org.test",
            headers={"Authorization": f"Bearer {api.options.token}"},
        )

    def get(self, path: str, *, headers: dict[str, str] | None = None, **params: Any) -> httpx2.Response:
        url = path if path.startswith("/services") else f"{V}/{path}"
        return self.http.get(url, params=params or None, headers=headers)

    def query(self, soql: str, *, deleted: bool = False, size: int = 0) -> httpx2.Response:
        headers = {"Sforce-Query-Options": f"batchSize={size}"} if size else None
        return self.get("queryAll" if deleted else "query", headers=headers, q=soql)

    def pages(self, soql: str, *, deleted: bool = False, size: int = 0) -> Iterator[list[dict[str, Any]]]:
        answer = self.query(soql, deleted=deleted, size=size)
        while True:
            assert answer.status_code == 200, answer.text
            found = answer.json()
            yield found["records"]
            if found["done"]:
                return
            answer = self.get(found["nextRecordsUrl"])

    def rows(self, soql: str, *, deleted: bool = False, size: int = 0) -> list[dict[str, Any]]:
        return [row for page in self.pages(soql, deleted=deleted, size=size) for row in page]

    def count(self, object_type: str, where: str = "", *, deleted: bool = False) -> int:
        condition = f" WHERE {where}" if where else ""
        return self.query(f"SELECT COUNT() FROM {object_type}{condition}", deleted=deleted).json()["totalSize"]

    def job(self, soql: str, operation: str = "query", **more: Any) -> httpx2.Response:
        return self.http.post(f"{V}/jobs/query", json={"operation": operation, "query": soql, **more})

    def results(self, job: str, size: int = 0) -> Iterator[list[dict[str, str]]]:
        params: dict[str, Any] = {"maxRecords": size} if size else {}
        while True:
            answer = self.get(f"jobs/query/{job}/results", **params)
            assert answer.status_code == 200, answer.text
            yield list(csv.DictReader(io.StringIO(answer.text, newline="")))
            if answer.headers["Sforce-Locator"] == "null":
                return
            params["locator"] = answer.headers["Sforce-Locator"]

    def refused(self, answer: httpx2.Response, status: int = 400) -> str:
        assert answer.status_code == status, (answer.status_code, answer.text[:300])
        return answer.json()[0]["errorCode"]


@contextmanager
def empty_org(path: Path, options: Options | None = None) -> Iterator[Loader]:
    """An org without records."""
    Store.create(path, clock=ManualClock(NOW)).close()
    with serving(path, options) as loader:
        yield loader


@contextmanager
def serving(path: Path, options: Options | None = None) -> Iterator[Loader]:
    """An org that is there already."""
    clock = VirtualTime(NOW)
    store = Store.open(path, clock=clock)
    try:
        yield Loader(Api(store, options or Options()), clock)
    finally:
        store.close()
