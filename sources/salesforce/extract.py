"""Reads the org: a task per object in a few threads, everything the first time, only what moved afterwards."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from importlib import import_module
from typing import Any, Final

from nightdesk.errors import NightdeskError
from sources.kit.contract import named_in
from sources.kit.run import Run
from sources.salesforce.api import NotInBulk, SalesforceApi, Select, TooSlow
from sources.salesforce.client import Json, Refused, SalesforceClient, Stopped
from sources.salesforce.contract import Definitions, check
from sources.salesforce.erased import Erased
from sources.salesforce.history import HISTORIES, STAMP, HistoryObject, history_rows
from sources.salesforce.intake import Intake, Progress, Taken
from sources.salesforce.merges import MergeBook
from sources.salesforce.pages import column
from sources.salesforce.previous import Previous
from sources.salesforce.tables import CONTACT, LEAD, OBJECTS, ObjectType

# When somebody was erased: people before links, links before what was written, said or arranged.
_PHASES: Final = (
    ("Contact", "Lead"),
    ("EventRelation", "TaskRelation", "EmailMessageRelation"),
    ("Task",),
)
_NEEDED: Final = ("Contact", "Account")


@dataclass
class Outcome:
    """How far the streams of one load have read.

    Attributes:
        watermarks: Stream -> newest stamp of the org that is loaded.
    """

    watermarks: dict[str, datetime | None] = field(default_factory=dict[str, "datetime | None"])


class Extraction:
    """One pass over the org.

    Args:
        client: HTTP.
        api: The endpoints, over the same client.
        previous: What is loaded already.
        run: Where rows go.
        full: Read everything anew, whatever the watermarks say.
        on_progress: Called with a stream and the rows seen so far.
        erased: Who must not come back; None when nobody was ever erased.
    """

    def __init__(
        self,
        client: SalesforceClient,
        api: SalesforceApi,
        previous: Previous,
        run: Run,
        *,
        full: bool,
        on_progress: Progress | None,
        erased: Erased | None,
    ) -> None:
        self._client = client
        self._settings = client.settings
        self._api = api
        self._previous = previous
        self._run = run
        self._full = full
        self._erased = erased
        self._merges = MergeBook()
        self._intake = Intake(run, previous, self._merges, erased, on_progress)
        self._watermarks = {} if full else previous.watermarks()
        self._lock = threading.Lock()
        self._definitions: dict[str, Definitions] = {}
        self._before = previous.fields()
        self._uses = named_in(client.settings.policies)
        self.outcome = Outcome()

    def run(self) -> Outcome:
        """Reads all there is to read; the first failure (or an interrupt) stops the rest and is raised.

        Raises:
            NightdeskError: no session, no rights, wrong address, org down, quota used, a changed type.
        """
        try:
            with ThreadPoolExecutor(max_workers=self._settings.in_flight, thread_name_prefix="salesforce") as pool:
                self._pool = pool
                try:
                    self._run_all()
                except BaseException:
                    self._client.stopped.set()
                    raise
        except Refused as error:
            raise error.explained() from error
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise NightdeskError(
                f"Salesforce sent something the loader cannot read: {type(error).__name__} {error}",
                where=self._settings.base_url,
                todo="Check that base_url leads to a Salesforce org; if it does, report this. Nothing was changed.",
            ) from error
        self._run.add("merges", self._merges.rows(self._previous.merges()) if self._merges else ())
        self._run.requests = self._client.requests
        return self.outcome

    def rows_seen(self) -> dict[str, int]:
        """Stream -> rows read."""
        return self._intake.rows_seen()

    def _run_all(self) -> None:
        visible = self._api.objects()
        self._describe_all(visible)
        first: set[str] = set()
        if self._erased is not None:
            self._follow_people()
            for names in _PHASES:
                first |= set(names)
                self._together([self._stream_of(name) for name in names if name in self._definitions])
        self._together([self._stream_of(name) for name in self._definitions if name not in first])
        # Afterwards: by then it is known whose history is not to be kept.
        self._together([self._history_of(kind) for kind in HISTORIES if kind.name in visible])

    def _together(self, tasks: Sequence[Callable[[], None]]) -> None:
        """Runs tasks side by side until all are done or one fails. One at a time needs no thread."""
        if self._settings.in_flight == 1:
            for task in tasks:
                task()
            return
        futures = [self._pool.submit(task) for task in tasks]
        done, waiting = wait(futures, return_when=FIRST_EXCEPTION)
        failed = [error for one in done if (error := one.exception()) is not None]
        if not failed:
            return
        self._client.stopped.set()
        for one in waiting:
            one.cancel()
        wait(waiting)
        errors = failed + [error for one in waiting if not one.cancelled() and (error := one.exception()) is not None]
        raise next((error for error in errors if not isinstance(error, Stopped)), errors[0])

    def _stream_of(self, name: str) -> Callable[[], None]:
        return lambda: self._object_stream(self._definitions[name])

    def _history_of(self, kind: HistoryObject) -> Callable[[], None]:
        return lambda: self._history_stream(kind)

    # -- what the org is like ------------------------------------------------------------------------------------------

    def _describe_all(self, visible: dict[str, Json]) -> None:
        for kind in OBJECTS:
            if kind.name not in visible and kind.name in _NEEDED:
                raise NightdeskError(
                    f"The integration's user cannot see the object {kind.name}",
                    where=self._settings.base_url,
                    todo="Give its profile or permission set the right to read it, then load again.",
                )
        kinds = [kind for kind in OBJECTS if kind.name in visible]
        described: dict[str, Json] = {}
        self._together([self._describing(kind, described) for kind in kinds])
        for kind in OBJECTS:
            if kind.name in described:
                self._define(kind, described[kind.name])
            else:
                self._absent(kind)
        self._run.whole("property_definitions")
        self._run.whole("picklist_values")

    def _describing(self, kind: ObjectType, into: dict[str, Json]) -> Callable[[], None]:
        def task() -> None:
            try:
                into[kind.name] = self._api.describe(kind.name)
            except Refused as error:
                if error.status not in (403, 404):
                    raise

        return task

    def _define(self, kind: ObjectType, described: Json) -> Definitions:
        definitions = check(kind, described, self._before, self._settings, uses=self._uses)
        again = self._definitions.get(kind.name)
        self._definitions[kind.name] = definitions
        self._run.add("property_definitions", definitions.rows)
        self._run.add("picklist_values", definitions.picklists)
        self._run.add("namespaced_values", self._previous.ours_gone(kind.name, definitions.namespaced))
        told = () if again is None else again.changes
        for sentence in definitions.changes:
            if sentence not in told:
                self._run.change(sentence)
        return definitions

    def _absent(self, kind: ObjectType) -> None:
        """An object the org does not show: what is loaded of it stays."""
        remembered = self._previous.definition_rows(kind.name)
        self._run.add("property_definitions", remembered)
        if remembered:
            self._run.change(f"{kind.name}: the org no longer shows this object; the rows loaded last stay")
            self._run.add("picklist_values", self._previous.picklist_rows(kind.name))
        elif not kind.optional:
            self._run.change(f"{kind.name}: the integration's user cannot see this object; its table stays empty")

    # -- records -------------------------------------------------------------------------------------------------------

    def _object_stream(self, definitions: Definitions) -> None:
        kind = definitions.kind
        watermark = None if definitions.refill else self._watermarks.get(kind.table.name)
        if not kind.stamp:
            self._everything(definitions)
            self._run.whole(kind.table.name)
            return
        if watermark is None:
            self._everything(definitions)
        else:
            self._changes(definitions, watermark)

    def _everything(self, definitions: Definitions) -> None:
        """Reads all records. Loaded ones that the org no longer has in any form leave every table."""
        kind = definitions.kind
        # The newest stamp *before* reading: a record modified while we read is found again later.
        newest = self._api.newest(kind.name, kind.stamp) if kind.stamp else None
        taken = Taken(listed=[])
        if newest is not None or not kind.stamp:
            count = self._api.count(self._select(definitions)) if kind.stamp else 0
            self._read(definitions, taken, None, bulk=count >= self._settings.bulk_threshold)
        if kind.stamp:
            self._forget_missing(kind, taken.listed or [])
            self._note(kind.table.name, newest)
            self._note(_deleted(kind), newest)

    def _changes(self, definitions: Definitions, watermark: datetime) -> None:
        """Reads what moved since the watermark, and what was deleted since then."""
        kind = definitions.kind
        since = watermark - timedelta(seconds=self._settings.overlap_seconds)
        deleted_since = self._watermarks.get(_deleted(kind))
        taken = Taken()
        newest = self._read(definitions, taken, since, bulk=False)
        if definitions.tells_deleted and (
            deleted_since is None or not self._deleted(definitions, deleted_since, taken)
        ):
            self._reconcile(definitions, taken)
        self._note(kind.table.name, max(watermark, newest) if newest else watermark)

    def _read(self, definitions: Definitions, taken: Taken, since: datetime | None, *, bulk: bool) -> datetime | None:
        """Reads rows by a query, or by a bulk job when there are many. Returns up to when all is read.

        A field that was there a moment ago and is not any more stops nothing: the object is described again.
        """
        for _ in range(self._settings.max_attempts):
            try:
                return self._read_once(definitions, taken, since, bulk=bulk)
            except Refused as error:
                if error.code != "INVALID_FIELD":
                    raise
                before = definitions.asked
                definitions = self._define(definitions.kind, self._api.describe(definitions.kind.name))
                if definitions.asked == before:
                    raise
        raise NightdeskError(
            f"The fields of {definitions.kind.name} change faster than they can be read",
            where=definitions.kind.name,
            todo="Load again when the deployment to the org is over; nothing was changed.",
        )

    def _read_once(
        self, definitions: Definitions, taken: Taken, since: datetime | None, *, bulk: bool
    ) -> datetime | None:
        select = self._select(definitions, since)
        if bulk:
            return self._bulk(definitions, taken, select)
        try:
            up_to: datetime | None = None
            for number, page in enumerate(self._api.query(select)):
                if not number and page.total > max(page.rows.num_rows, self._settings.bulk_threshold):
                    return self._bulk(definitions, taken, select)
                if number == 1 and select.stamp:
                    # More than one page: what is modified from now on may escape this query, so it ends here.
                    up_to = self._api.newest(definitions.kind.name, select.stamp)
                self._intake.page(definitions, page.rows, taken)
            return taken.newest if up_to is None or taken.newest is None else min(up_to, taken.newest)
        except TooSlow:
            return self._bulk(definitions, taken, select)

    def _bulk(self, definitions: Definitions, taken: Taken, select: Select) -> datetime | None:
        newest = self._api.newest(definitions.kind.name, select.stamp) if select.stamp else None
        try:
            for rows in self._api.bulk(select):
                self._intake.page(definitions, rows, taken)
        except NotInBulk:
            for page in self._api.query(select):
                self._intake.page(definitions, page.rows, taken)
        return newest

    def _select(self, definitions: Definitions, since: datetime | None = None) -> Select:
        return Select(definitions.kind.name, definitions.asked, definitions.kind.stamp, since)

    def _note(self, stream: str, watermark: datetime | None) -> None:
        with self._lock:
            self.outcome.watermarks[stream] = watermark

    # -- deleted -------------------------------------------------------------------------------------------------------

    def _deleted(self, definitions: Definitions, since: datetime, taken: Taken) -> bool:
        """Records deleted without a new stamp (with their parent, say), or deleted and already gone for good.

        False when the org cannot tell of all of the time.
        """
        kind = definitions.kind
        start = since - timedelta(seconds=max(self._settings.overlap_seconds, 60))
        found = self._api.deleted(kind.name, start, self._client.org_now())
        if not found.complete:
            return False
        self._note(_deleted(kind), max(since, found.covered) if found.covered else since)
        ids = set(found.times) - taken.deleted
        ids -= self._previous.among("deletions", "object_id", sorted(ids))
        ids -= self._previous.among("merges", "merged_id", sorted(ids))
        if not ids:
            return True
        shown = self._reread(definitions, ids)
        purged = self._previous.among(kind.table.name, "id", sorted(ids - shown))
        self._intake.deletions(kind, {one: found.times[one] for one in sorted(purged)})
        self._intake.forget(kind, purged)
        return True

    def _reconcile(self, definitions: Definitions, taken: Taken) -> None:
        """Compares all ids with those loaded: the org can no longer say what was deleted since the last load."""
        pc: Any = import_module("pyarrow.compute")
        kind = definitions.kind
        newest = self._api.newest(kind.name, kind.stamp)
        select = Select(kind.name, ("Id", "IsDeleted", kind.stamp), kind.stamp)
        listed: list[Any] = []
        doubtful: set[str] = set()
        for rows in self._pages(select, bulk=self._api.count(select) >= self._settings.bulk_threshold):
            listed.append(rows.column("Id").combine_chunks())
            is_gone = pc.fill_null(pc.equal(rows.column("IsDeleted"), "true"), False)
            gone, alive = rows.column("Id").filter(is_gone), rows.column("Id").filter(pc.invert(is_gone))
            known = self._previous.among("deletions", "object_id", gone)
            known |= self._previous.among("merges", "merged_id", gone)
            doubtful |= set(gone.to_pylist()) - known - taken.deleted
            doubtful |= self._previous.among("deletions", "object_id", alive)
        self._reread(definitions, doubtful)
        self._forget_missing(kind, listed)
        self._note(_deleted(kind), newest)

    def _reread(self, definitions: Definitions, ids: set[str]) -> set[str]:
        """Reads records by their ids; returns those the org still has in some form."""
        taken = Taken(listed=[])
        for rows in self._api.by_id(definitions.kind.name, definitions.asked, sorted(ids)):
            self._intake.page(definitions, rows, taken)
        return {str(one) for part in taken.listed or [] for one in part.to_pylist()}

    def _forget_missing(self, kind: ObjectType, listed: Sequence[Any]) -> None:
        """Loaded records that a list of everything did not show: erased for good, or emptied from the bin."""
        pa: Any = import_module("pyarrow")  # ships no types
        pc: Any = import_module("pyarrow.compute")
        if not self._previous.has(kind.table.name):
            return
        shown = pa.chunked_array(listed, pa.string())
        for some in self._previous.ids(kind.table.name):
            ids = pa.array(some, pa.string())
            missing = ids.filter(pc.invert(pc.is_in(ids, value_set=shown)))
            self._intake.forget(kind, missing.to_pylist())

    # -- who was erased ------------------------------------------------------------------------------------------------

    def _follow_people(self) -> None:
        """Into which records erased people went, by merges and conversions: those are theirs as well."""
        erased = self._erased
        if erased is None:
            return
        for kind, name, where in (
            (CONTACT, "MasterRecordId", "IsDeleted = true AND MasterRecordId != null"),
            (LEAD, "MasterRecordId", "IsDeleted = true AND MasterRecordId != null"),
            (LEAD, "ConvertedContactId", "IsConverted = true AND ConvertedContactId != null"),
        ):
            definitions = self._definitions.get(kind.name)
            if definitions is None or name not in definitions.fields.values():
                continue
            for page in self._api.query(Select(kind.name, ("Id", name), where=where)):
                for row in page.rows.to_pylist():
                    erased.follow(row["Id"], row[name])

    # -- history -------------------------------------------------------------------------------------------------------

    def _history_stream(self, kind: HistoryObject) -> None:
        watermark = self._watermarks.get(kind.name)
        since = None if watermark is None else watermark - timedelta(seconds=self._settings.overlap_seconds)
        select = Select(kind.name, kind.fields, STAMP, since)
        newest = self._api.newest(kind.name, STAMP)
        if newest is None:
            self._note(kind.name, watermark)
            return
        bulk = since is None and self._api.count(select) >= self._settings.bulk_threshold
        for rows in self._pages(select, bulk=bulk):
            self._intake.saw(kind.name, rows.num_rows)
            gone = self._intake.gone_among(rows.column(kind.parent))
            if self._erased is not None:
                gone |= {one for one in set(column(rows, kind.parent)) if one and self._erased.person(one) is not None}
            self._run.add("field_history", (row for row in history_rows(kind, rows) if row[3] not in gone))
        self._note(kind.name, newest if watermark is None else max(newest, watermark))

    def _pages(self, select: Select, *, bulk: bool) -> Iterator[Any]:
        """Rows by a query, or by a bulk job when there are many or the query is too slow."""
        try:
            if not bulk:
                for page in self._api.query(select):
                    yield page.rows
                return
        except TooSlow:
            pass
        try:
            yield from self._api.bulk(select)
        except NotInBulk:
            for page in self._api.query(select):
                yield page.rows


def _deleted(kind: ObjectType) -> str:
    """The stream of an object's deletions."""
    return f"deleted {kind.table.name}"
