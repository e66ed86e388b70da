"""How many rows a second a load takes in, against an org that answers at once: what is measured is the loader.

Salesforce lets 100,000 requests a day through for a large org; with 2,000 rows in each that is about 2,300 rows a
second around the clock. A loader should never be what is slow, so it has to keep up with eight times as much.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import SecretStr

from sources.salesforce.run import load
from sources.salesforce.settings import SalesforceSourceSettings
from sources.salesforce.tables import EMAIL_MESSAGE, ObjectType

if TYPE_CHECKING:
    import httpx2

RATE_LIMIT: Final = 100_000 * 2_000 / 86_400
_PAGE: Final = 2_000
_BULK_PAGE: Final = 25_000
_STAMP: Final = "2026-11-17T06:00:00.000+0000"
_TYPES: Final = {"bool": "boolean", "timestamp": "datetime", "date": "date", "bigint": "int", "money": "currency"}


@dataclass(frozen=True, slots=True)
class Measured:
    """One measurement.

    Attributes:
        way: `query` or `bulk`.
        rows: Rows loaded.
        seconds: From the first request to the last row in the raw database.
        cpu_seconds: What of it the processor worked for us; on a busy machine the fairer number.
    """

    way: str
    rows: int
    seconds: float
    cpu_seconds: float

    @property
    def rows_per_second(self) -> float:
        """Rows a second, the whole load taken together."""
        return self.rows / self.seconds

    @property
    def times_the_limit(self) -> float:
        """How many times as much as the org's rate limit lets through."""
        return self.rows_per_second / RATE_LIMIT


def measure(folder: Path, rows: int = 40_000, body: int = 1_000) -> tuple[Measured, Measured]:
    """Loads emails into a fresh raw database, by queries and by a bulk job.

    Args:
        folder: Where to work; what is made there is left there.
        rows: How many emails; their pages are made before the clock starts, and held in memory.
        body: Characters of text in each.

    Returns:
        By queries, and by a bulk job.
    """
    org = _Org(rows, body)
    found: list[Measured] = []
    for way, threshold in (("query", rows + 1), ("bulk", 1)):
        settings = SalesforceSourceSettings(
            base_url="http://org.test", token=SecretStr("t"), bulk_threshold=threshold, bulk_page_rows=_BULK_PAGE,
            in_flight=2,
        )  # fmt: skip
        place = folder / way
        started, worked = time.perf_counter(), time.process_time()
        report = load(
            settings, place / "raw.duckdb", place / "pipelines", transport=org.transport(), sleep=lambda _: None
        )
        seconds, cpu = time.perf_counter() - started, time.process_time() - worked
        if report.rows_total[EMAIL_MESSAGE.table.name] != rows:
            raise AssertionError(f"{report.rows_total[EMAIL_MESSAGE.table.name]} of {rows} rows arrived")
        found.append(Measured(way, rows, seconds, cpu))
    return found[0], found[1]


class _Org:
    """An org with emails and nothing else: its answers are made beforehand."""

    def __init__(self, rows: int, body: int) -> None:
        self._rows = rows
        words = "the quarterly figures, as we said on the phone, are in the file, and the rest will follow soon. "
        self._text = (words * (body // len(words) + 1))[:body]
        self._kinds = {name: kind for name, kind in _fields(EMAIL_MESSAGE)}
        names = list(self._kinds)
        self._pages = [self._page(start, names) for start in range(0, rows, _PAGE)]
        self._files = [self._file(start, names) for start in range(0, rows, _BULK_PAGE)]

    def transport(self) -> httpx2.BaseTransport:
        import httpx2

        return httpx2.MockTransport(self._answer)

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        import httpx2

        path = request.url.path.removeprefix("/services/data/v62.0/")
        if path == "sobjects/":
            names = ("Contact", "Account", EMAIL_MESSAGE.name)
            return httpx2.Response(200, json={"sobjects": [{"name": name} for name in names]})
        if path.endswith("/describe/"):
            kind = path.split("/")[1]
            return httpx2.Response(200, json=self._describe(kind))
        if path.startswith("query/"):
            return self._json(self._pages[int(path.partition("-")[2]) // _PAGE])
        if path == "queryAll/":
            return self._query(str(request.url.params["q"]))
        if path == "jobs/query":
            return httpx2.Response(200, json={"id": "750000000000001AAA"})
        if path.endswith("/results"):
            return self._results(int(request.url.params.get("locator") or 0))
        return httpx2.Response(200, json={"state": "JobComplete"})

    def _query(self, soql: str) -> httpx2.Response:
        import httpx2

        if f"FROM {EMAIL_MESSAGE.name}" not in soql:
            return httpx2.Response(200, json={"totalSize": 0, "done": True, "records": []})
        if "COUNT()" in soql:
            return httpx2.Response(200, json={"totalSize": self._rows, "done": True, "records": []})
        if "LIMIT 1" in soql:
            records = [{"SystemModstamp": _STAMP}]
            return httpx2.Response(200, json={"totalSize": 1, "done": True, "records": records})
        return self._json(self._pages[0])

    def _results(self, number: int) -> httpx2.Response:
        import httpx2

        following = str(number + 1) if number + 1 < len(self._files) else "null"
        rows = min(_BULK_PAGE, self._rows - number * _BULK_PAGE)
        headers = {"Sforce-Locator": following, "Sforce-NumberOfRecords": str(rows), "Content-Type": "text/csv"}
        return httpx2.Response(200, content=self._files[number], headers=headers)

    @staticmethod
    def _json(content: bytes) -> httpx2.Response:
        import httpx2

        return httpx2.Response(200, content=content, headers={"Content-Type": "application/json"})

    def _describe(self, name: str) -> dict[str, Any]:
        from sources.salesforce.tables import OBJECTS

        kind = next(one for one in OBJECTS if one.name == name)
        fields = [{"name": field, "label": field, "type": _TYPES.get(of, "string")} for field, of in _fields(kind)]
        return {"name": name, "fields": fields, "replicateable": False}

    def _values(self, number: int, names: list[str]) -> Iterator[Any]:
        for name in names:
            match self._kinds[name]:
                case _ if name == "Id":
                    yield f"02s{number:012d}AAA"
                case "bool":
                    yield name == "Incoming"
                case "timestamp":
                    yield _STAMP
                case _ if name == "TextBody":
                    yield self._text
                case _:
                    yield f"{name} {number % 1000}" if name in ("Subject", "FromAddress", "ToAddress") else None

    def _page(self, start: int, names: list[str]) -> bytes:
        import orjson

        end = min(start + _PAGE, self._rows)
        records = [dict(zip(names, self._values(one, names), strict=True)) for one in range(start, end)]
        body: dict[str, Any] = {"totalSize": self._rows, "done": end >= self._rows, "records": records}
        if end < self._rows:
            body["nextRecordsUrl"] = f"/services/data/v62.0/query/01g000000000001-{end}"
        return orjson.dumps(body)

    def _file(self, start: int, names: list[str]) -> bytes:
        lines = [",".join(f'"{name}"' for name in names)]
        for number in range(start, min(start + _BULK_PAGE, self._rows)):
            cells = ("" if value is None else str(value) for value in self._values(number, names))
            lines.append(",".join(f'"{cell.lower() if cell in ("True", "False") else cell}"' for cell in cells))
        return ("\n".join(lines) + "\n").encode()


def _fields(kind: ObjectType) -> Iterator[tuple[str, str]]:
    kinds = {column.name: column.kind for column in kind.table.columns}
    for column, name in kind.fields.items():
        yield name, kinds[column]
