"""The endpoints a load uses, as iterators of Arrow pages. Shapes: Salesforce's REST and Bulk API 2.0 guides."""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, cast

from nightdesk.errors import NightdeskError
from sources.salesforce import pages
from sources.salesforce.client import Again, Json, Refused, SalesforceClient, down

_LOST_PLACE: Final = ("INVALID_QUERY_LOCATOR", "INVALID_LOCATOR", "INVALIDLOCATOR")
_TOO_SLOW: Final = ("QUERY_TIMEOUT", "OPERATION_TOO_LARGE")
_NO_BULK: Final = ("INVALIDENTITY", "FEATURENOTENABLED", "API_ERROR", "INVALID_TYPE_FOR_OPERATION")
_FIRST_POLL: Final = 0.5
IDS_PER_QUERY: Final = 300  # keeps the address below 16,000 characters


class TooSlow(Exception):
    """The org gives up on a query; the Bulk API splits the work."""


class NotInBulk(Exception):
    """The Bulk API does not know this object; a query does."""


@dataclass(frozen=True, slots=True)
class Select:
    """What to read of one object.

    Attributes:
        object_type: API name.
        fields: API names; the first is Id.
        stamp: The field that orders the rows; empty to order by Id.
        since: The earliest stamp wanted; None for all.
        where: One more condition, or empty.
    """

    object_type: str
    fields: tuple[str, ...]
    stamp: str = ""
    since: datetime | None = None
    where: str = ""

    def soql(self, *, ordered: bool = True, since: str = "") -> str:
        """The query; `since` replaces the earliest stamp when a query goes on where another broke off."""
        start = since or (moment(self.since) if self.since is not None else "")
        conditions = [one for one in (self.where, f"{self.stamp} >= {start}" if self.stamp and start else "") if one]
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        order = f" ORDER BY {self.stamp}, Id" if self.stamp else " ORDER BY Id"
        return f"SELECT {', '.join(self.fields)} FROM {self.object_type}{where}{order if ordered else ''}"


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows, and how many the query has in all."""

    rows: Any
    total: int


@dataclass(frozen=True, slots=True)
class Deleted:
    """What the org says was deleted in a span of time: ids with times, and whether it can say so for all of it."""

    times: dict[str, str]
    covered: datetime | None
    complete: bool


class SalesforceApi:
    """Paths and paging of one org.

    Args:
        client: HTTP.
        folder: Where pages of bulk results lie while they are read.
    """

    def __init__(self, client: SalesforceClient, folder: Path) -> None:
        self.client = client
        self._settings = client.settings
        self._folder = folder

    # -- what the org is like ------------------------------------------------------------------------------------------

    def objects(self) -> dict[str, Json]:
        """The objects the integration's user can see, by API name."""
        found = cast("list[Json]", _object(self.client.get("sobjects/").body).get("sobjects") or [])
        return {str(one["name"]): one for one in found}

    def describe(self, object_type: str) -> Json:
        """The fields of an object that the integration's user can see, and what can be done with it."""
        return _object(self.client.get(f"sobjects/{object_type}/describe/").body)

    # -- queries -------------------------------------------------------------------------------------------------------

    def count(self, select: Select) -> int:
        """How many rows a query would give, deleted and archived ones included; very many where counting takes long."""
        found = Select(select.object_type, ("COUNT()",), select.stamp, select.since, select.where)
        try:
            return int(_object(self._query(found.soql(ordered=False)))["totalSize"])
        except Refused as error:
            if error.code in _TOO_SLOW:
                return sys.maxsize
            raise

    def newest(self, object_type: str, stamp: str) -> datetime | None:
        """The latest stamp the org knows of for an object: the org's own clock, whatever ours says."""
        soql = f"SELECT {stamp} FROM {object_type} ORDER BY {stamp} DESC NULLS LAST LIMIT 1"
        for record in _records(_object(self._query(soql))):
            return parse_time(record[stamp])
        return None

    def query(self, select: Select) -> Iterator[Page]:
        """The rows of a query in the order of their stamps, deleted and archived ones included. A row may come twice.

        A query whose place the org has lost, or that gave fewer rows than it announced, is asked again from the last
        stamp seen.

        Raises:
            Refused: the org refuses the query.
            TooSlow: it takes the org too long.
        """
        since, why = "", ""
        for attempt in range(self._settings.max_attempts):
            if attempt:
                self.client.wait(self._settings.backoff_seconds)
            try:
                for page in self._once(select, since):
                    if select.stamp and page.rows.num_rows:
                        since = moment(parse_time(page.rows.column(select.stamp)[-1].as_py()))
                    yield page
                return
            except Again as error:
                why = error.why
        raise down(why, self._settings.max_attempts, f"query of {select.object_type}")

    def by_id(self, object_type: str, fields: Sequence[str], ids: Sequence[str], key: str = "Id") -> Iterator[Any]:
        """Rows whose `key` is among these ids, deleted ones included."""
        for start in range(0, len(ids), IDS_PER_QUERY):
            chosen = ", ".join(f"'{one}'" for one in ids[start : start + IDS_PER_QUERY])
            for page in self.query(Select(object_type, tuple(fields), where=f"{key} IN ({chosen})")):
                yield page.rows

    def _query(self, soql: str) -> Any:
        return self.client.get("queryAll/", {"q": soql}, page_size=self._settings.page_size).body

    def _once(self, select: Select, since: str) -> Iterator[Page]:
        """One query from its first page to its last."""
        try:
            body = _object(self._query(select.soql(since=since)))
        except Refused as error:
            if error.code in _TOO_SLOW:
                raise TooSlow from error
            raise
        total, seen = int(body["totalSize"]), 0
        while True:
            records = _records(body)
            seen += len(records)
            yield Page(pages.of_records(records, select.fields), total)
            following = body.get("nextRecordsUrl")
            if body.get("done", True) or not following:
                break
            try:
                body = _object(self.client.get(str(following), page_size=self._settings.page_size).body)
            except Refused as error:
                if error.code in _LOST_PLACE or error.status == 404:
                    raise Again("the org has lost our place in a long query") from error
                raise
        if seen != total:
            raise Again(f"a query of {select.object_type} announced {total:,} rows and gave {seen:,}")

    # -- Bulk API 2.0 --------------------------------------------------------------------------------------------------

    def bulk(self, select: Select) -> Iterator[Any]:
        """The rows of a query in no order, by a bulk job, a block of a file at a time. A row may come twice.

        Raises:
            NotInBulk: the Bulk API does not know the object.
            Refused: the org refuses the query.
            NightdeskError: the job fails, or takes too long.
        """
        why = ""
        for attempt in range(self._settings.max_attempts):
            if attempt:
                self.client.wait(self._settings.backoff_seconds)
            try:
                with self._job(select) as (job, processed):
                    seen = yield from self._results(job, select)
                if processed is not None and seen != processed:
                    raise Again(f"a bulk job found {processed:,} rows and gave {seen:,}")
                return
            except Again as error:
                why = error.why
        raise down(why, self._settings.max_attempts, f"bulk query of {select.object_type}")

    @contextmanager
    def _job(self, select: Select) -> Generator[tuple[str, int | None]]:
        """A finished job and how many rows it found. Deleted afterwards: its results would lie there for a week."""
        order = {"operation": "queryAll", "query": select.soql(ordered=False), "contentType": "CSV", "lineEnding": "LF"}
        try:
            job = str(_object(self.client.post("jobs/query", order).body)["id"])
        except Refused as error:
            if error.code in _NO_BULK and "INVALID_FIELD" not in error.message:
                raise NotInBulk from error
            raise
        try:
            yield job, self._await(job, select)
        finally:
            if not self.client.stopped.is_set():
                self._forget(job)

    def _forget(self, job: str) -> None:
        with suppress(Refused, NightdeskError):  # the org drops it by itself after a week; what was read is whole
            self.client.delete(f"jobs/query/{job}")

    def _await(self, job: str, select: Select) -> int | None:
        waited, pause = 0.0, _FIRST_POLL
        while True:
            state = _object(self.client.get(f"jobs/query/{job}").body)
            name = str(state.get("state", ""))
            if name == "JobComplete":
                processed = state.get("numberRecordsProcessed")
                return None if processed is None else int(processed)
            where = f"bulk job {job} ({select.object_type})"
            if name in ("Failed", "Aborted"):
                said = str(state.get("errorMessage") or "no reason given")
                if "INVALID_FIELD" in said or "No such column" in said:
                    raise Refused(400, "INVALID_FIELD", said, where)
                raise NightdeskError(
                    f"Salesforce ended a bulk job as {name}: {said}"[:500],
                    where=where,
                    todo="Look at Setup, Bulk Data Load Jobs, then load again; nothing was changed.",
                )
            if waited >= self._settings.bulk_wait_seconds:
                raise NightdeskError(
                    f"A bulk job is still {name} after {waited / 60:.0f} minutes",
                    where=where,
                    todo="Load again when the org is less busy, or raise bulk_wait_seconds; nothing was changed.",
                )
            self.client.wait(pause)
            waited += pause
            pause = min(pause * 2, self._settings.poll_seconds)

    def _results(self, job: str, select: Select) -> Generator[Any, None, int]:
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{select.object_type}-{job}.csv"
        locator, total = "", 0
        try:
            while True:
                locator, seen = yield from self._result(job, locator, path)
                total += seen
                if not locator:
                    return total
        finally:
            path.unlink(missing_ok=True)

    def _result(self, job: str, locator: str, path: Path) -> Generator[Any, None, tuple[str, int]]:
        """One page of results, read again when it is only half there; returns the next one's locator and its rows."""
        params = {"maxRecords": str(self._settings.bulk_page_rows)} | ({"locator": locator} if locator else {})
        why = ""
        for attempt in range(self._settings.max_attempts):
            if attempt:
                self.client.wait(self._settings.backoff_seconds)
            try:
                headers = self.client.download(f"jobs/query/{job}/results", params, path)
            except Refused as error:
                if error.code in _LOST_PLACE or error.status == 404:
                    raise Again("the org no longer has the results of a bulk job") from error
                raise
            announced = headers.get("sforce-numberofrecords", "")
            seen = 0
            if not pages.is_ended(path):
                why = "a page of a bulk job's results ends within a line"
                continue
            try:
                for table in pages.of_csv(path):
                    seen += table.num_rows
                    yield table
            except ValueError as error:
                why = f"a page of a bulk job's results is broken: {error}"
                continue
            if announced.isdigit() and seen != int(announced):
                why = f"a page of a bulk job's results announced {int(announced):,} rows and gave {seen:,}"
                continue
            following = headers.get("sforce-locator", "")
            return "" if following == "null" else following, seen
        raise Again(why)

    # -- what was deleted ----------------------------------------------------------------------------------------------

    def deleted(self, object_type: str, start: datetime, end: datetime) -> Deleted:
        """Ids deleted in a span, those already gone for good included. The org looks back 30 days at most."""
        try:
            body = _object(
                self.client.get(f"sobjects/{object_type}/deleted/", {"start": _iso(start), "end": _iso(end)}).body
            )
        except Refused as error:
            if error.status == 403:
                raise
            # Too long ago, too many, or an object that says it can be replicated and cannot: the ids tell.
            return Deleted({}, None, complete=False)
        found = cast("list[Json]", body.get("deletedRecords") or [])
        earliest, covered = body.get("earliestDateAvailable"), body.get("latestDateCovered")
        return Deleted(
            {str(one["id"]): str(one["deletedDate"]) for one in found},
            parse_time(covered) if covered else None,
            complete=not earliest or parse_time(earliest) <= start,
        )


def parse_time(value: Any) -> datetime:
    """A Salesforce time (`2026-11-17T10:00:00.000+0000`, or with Z) as aware UTC."""
    found = datetime.fromisoformat(str(value))
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def moment(when: datetime) -> str:
    """A time as SOQL writes it: UTC, milliseconds, no quotes."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{when.microsecond // 1000:03d}Z"


def _iso(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S+00:00")


def _object(body: Any) -> Json:
    return cast("Json", body) if isinstance(body, dict) else {}


def _records(body: Json) -> list[Json]:
    return cast("list[Json]", body.get("records") or [])
