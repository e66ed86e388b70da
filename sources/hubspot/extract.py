"""Reads the CRM into the spool: a thread per stream, whole lists the first time, only what moved afterwards."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from datetime import datetime, timedelta
from typing import Final

from nightdesk.erasure.tombstones import ENGAGEMENTS
from nightdesk.errors import NightdeskError
from sources.hubspot import rows
from sources.hubspot.api import ASSOCIATION_BATCH, SEARCH_PAGE, HubSpotApi, Link
from sources.hubspot.client import HubSpotClient, Json, Stopped
from sources.hubspot.contract import Definitions, check
from sources.hubspot.erased import Erased
from sources.hubspot.previous import Previous
from sources.hubspot.tables import OBJECTS, ObjectType
from sources.hubspot.watermarks import Outcome
from sources.kit.contract import named_in
from sources.kit.spool import Spool

Progress = Callable[[str, int], None]

# Associations of these types change all day and leave a record's modified stamp alone: read anew each time.
SWEPT: Final = ("contacts", "deals")
_MANY: Final = 1_000  # fewer changes than this are always read one by one


class _Scan:
    """What searching for modified records has found so far."""

    def __init__(self, watermark: datetime) -> None:
        self.watermark = self.newest = watermark
        self.fresh: list[str] = []  # to be read
        self.changed: set[str] = set()  # all that were to be read
        self.later: set[str] = set()  # stamped after the watermark
        self.tied: set[str] = set()  # stamped with the watermark itself

    def take(self, stamps: Sequence[tuple[str, datetime]], known: Mapping[str, datetime]) -> None:
        """Sorts a page in. A stamp equal to the one loaded is the same version, seen again through the overlap."""
        for one, stamp in stamps:
            self.newest = max(self.newest, stamp)
            if stamp > self.watermark:
                self.later.add(one)
            elif stamp == self.watermark:
                self.tied.add(one)
            if known.get(one) != stamp and one not in self.changed:
                self.changed.add(one)
                self.fresh.append(one)


class Extraction:
    """One pass over the CRM.

    Args:
        client: HTTP.
        previous: What is loaded already.
        spool: Where rows go.
        full: Read everything anew, whatever the watermarks say.
        on_progress: Called with a stream and the rows seen so far.
        erased: Who must not come back; None when nobody was ever erased.
    """

    def __init__(
        self,
        client: HubSpotClient,
        previous: Previous,
        spool: Spool,
        *,
        full: bool,
        on_progress: Progress | None,
        erased: Erased | None = None,
    ) -> None:
        self._client = client
        self._settings = client.settings
        self._api = HubSpotApi(client)
        self._previous = previous
        self._spool = spool
        self._full = full
        self._progress = on_progress
        self._erased = erased
        self._watermarks = {} if full else previous.watermarks()
        self._lock = threading.Lock()
        self._emails: set[str] = set()
        self.outcome = Outcome()

    def run(self) -> Outcome:
        """Runs all streams; the first failure (or an interrupt) stops the others and is raised.

        Raises:
            NightdeskError: wrong token, wrong URL, CRM down, changed property type, an answer of an unknown shape.
        """
        try:
            return self._run()
        except BaseException:
            self._client.stopped.set()
            raise

    def _run(self) -> Outcome:
        self._definitions = self._read_definitions()
        with ThreadPoolExecutor(max_workers=len(OBJECTS) + 2, thread_name_prefix="hubspot") as pool:
            if self._erased is not None:
                # Contacts first: a new record of an erased person is known by then, and so is what is linked to it.
                self._settle([pool.submit(self._object_stream, OBJECTS[0])])
            kinds = OBJECTS if self._erased is None else OBJECTS[1:]
            objects = {kind.name: pool.submit(self._object_stream, kind) for kind in kinds}
            futures = [
                *objects.values(),
                pool.submit(self._owners_stream),
                pool.submit(self._pipelines_stream),
            ]
            self._settle(futures)
            # Consent is asked for every address, every night: nothing else tells reliably that one changed.
            self._settle([pool.submit(self._unsubscribes, some) for some in self._address_batches()])
        self._spool.finish()
        return self.outcome

    def _settle(self, futures: Sequence[Future[None]]) -> None:
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
        except BaseException:  # an interrupt: without this the pool would first read the whole CRM to its end
            self._client.stopped.set()
            raise
        if not any(future.exception() for future in done):
            return
        self._client.stopped.set()
        wait(futures)
        errors = [error for future in futures if (error := future.exception()) and not isinstance(error, Stopped)]
        for error in errors:
            if isinstance(error, NightdeskError):
                raise error
        for error in errors:
            if isinstance(error, (KeyError, TypeError, ValueError, AttributeError)):
                raise NightdeskError(
                    f"The CRM sent a record the loader cannot read: {type(error).__name__} {error}",
                    where=self._settings.base_url,
                    todo="Check that base_url and base_path lead to HubSpot's API; if they do, report this.",
                ) from error
            raise error

    # -- what the CRM is like ------------------------------------------------------------------------------------------

    def _read_definitions(self) -> dict[str, Definitions]:
        before = self._previous.fields()
        uses = named_in(self._settings.policies)
        with ThreadPoolExecutor(max_workers=self._settings.in_flight) as pool:
            first = OBJECTS[0]  # alone: a wrong URL or token is then one request and one message
            answers = {first.name: self._api.properties(first.name)}
            answers |= dict(
                zip(
                    [kind.name for kind in OBJECTS[1:]],
                    pool.map(self._api.properties, [kind.name for kind in OBJECTS[1:]]),
                    strict=True,
                )
            )
        found: dict[str, Definitions] = {}
        for kind in OBJECTS:
            definitions = check(
                kind,
                answers[kind.name],
                before,
                namespace=self._settings.namespace,
                accepted=self._settings.accept_type_changes,
                accept_missing=self._settings.accept_missing,
                uses=uses,
            )
            self._spool.add("property_definitions", definitions.rows)
            self.outcome.changes.extend(definitions.changes)
            if definitions.refill:
                self._watermarks.pop(kind.name, None)
            found[kind.name] = definitions
        return found

    # -- records -------------------------------------------------------------------------------------------------------

    def _object_stream(self, kind: ObjectType) -> None:
        archived = self._archived(kind)
        watermark = self._watermarks.get(kind.name)
        if watermark is None or not self._changes(kind, watermark, archived):
            self._everything(kind)

    def _archived(self, kind: ObjectType) -> set[str]:
        ids: set[str] = set()
        for page in self._api.list_objects(kind.name, self._wanted(kind), archived=True):
            ids.update(str(record["id"]) for record in page)
            archived = [{**record, "archived": True} for record in self._allowed_archived(kind, page)]
            self._spool.add(kind.name, rows.object_rows(kind, archived))
            self._spool.add("deletions", rows.deletion_rows(kind, archived))
        return ids

    def _everything(self, kind: ObjectType) -> None:
        # The watermark is the newest stamp *before* listing: a record modified while we list is found again later.
        newest = self._api.newest_stamp(kind.name, kind.stamp)
        self._spool.add("_full", [(kind.name,)])
        self.outcome.watermarks[kind.name] = newest
        inline = kind.associated if all((kind.name, to) in rows.DEFAULT_LINKS for to in kind.associated) else ()
        pages = self._api.list_objects(kind.name, self._wanted(kind), history=self._history(kind), associations=inline)
        waiting: list[str] = []
        for everything in pages:
            page = self._allowed(kind, everything, inline=bool(inline))
            self._records(kind, page)
            self._spool.add("_listed", [(kind.name, str(record["id"])) for record in page])
            self._spool.add("_refreshed", [(kind.name, str(record["id"])) for record in page])
            waiting += self._inline(kind, page) if inline else [str(record["id"]) for record in page]
            if len(waiting) >= ASSOCIATION_BATCH:
                self._links(kind, waiting[:ASSOCIATION_BATCH])
                waiting = waiting[ASSOCIATION_BATCH:]
        self._links(kind, waiting)

    def _inline(self, kind: ObjectType, page: Sequence[Json]) -> list[str]:
        """Spools the associations inside the records; returns the ids that need the v4 endpoint to tell."""
        unclear: list[str] = []
        for record in page:
            links = rows.inline_links(kind, record)
            if links is None:
                unclear.append(str(record["id"]))
                continue
            for to_type in kind.associated:
                names = {rows.DEFAULT_LINKS[(kind.name, to_type)]}
                some = [link for link in links if link.type_id in names]
                self._add_links(kind.name, to_type, some)
        return unclear

    def _changes(self, kind: ObjectType, watermark: datetime, archived: set[str]) -> bool:
        """Reads what was modified since the watermark. False when so much was that listing everything is cheaper."""
        start = watermark - timedelta(seconds=self._settings.overlap_seconds)
        window = self._previous.known_between(kind.name, start, watermark)
        # The overlap finds records that search showed late. When it is wide (after our own writes, say), count first.
        wide = len(window) > SEARCH_PAGE
        scan = _Scan(watermark)
        if not self._scan(kind, watermark if wide else start, scan):
            return False
        if wide:
            expected = (window - scan.later - archived) | scan.tied
            if self._api.count_between(kind.name, kind.stamp, start, watermark) != len(expected) and not self._scan(
                kind, start, scan
            ):
                return False
        self._reread(kind, scan.fresh)
        self.outcome.watermarks[kind.name] = scan.newest
        if kind.name in SWEPT:
            changed = set(scan.changed)
            rest = [one for one in self._previous.ids(kind.name) if one not in changed]
            self._spool.add("_refreshed", [(kind.name, one) for one in rest])
            self._links(kind, rest)
        return True

    def _scan(self, kind: ObjectType, start: datetime, scan: _Scan) -> bool:
        """Searches from `start` on and rereads what is not loaded yet. False when listing everything is cheaper."""
        first = True
        for found in self._api.modified_since(kind.name, kind.stamp, start):
            if first and found.total > _MANY and found.total * 2 > self._previous.count(kind.name):
                return False
            first = False
            known = self._previous.stamps(kind.name, [one for one, _ in found.stamps])
            scan.take(found.stamps, known)
            if len(scan.fresh) >= ASSOCIATION_BATCH:
                self._reread(kind, scan.fresh)
                scan.fresh = []
        return True

    def _reread(self, kind: ObjectType, ids: Sequence[str]) -> None:
        """Reads records as they are now (search may be behind), with history and all associations."""
        if self._erased is not None:
            ids = self._erased.unknown(kind.name, ids)
        if not ids:
            return
        read: list[str] = []
        for everything in self._api.read_objects(kind.name, ids, self._wanted(kind), self._history(kind)):
            page = self._allowed(kind, everything, inline=False)
            self._records(kind, page)
            self._spool.add("_refreshed", [(kind.name, str(record["id"])) for record in page])
            read += [str(record["id"]) for record in page]
        self._links(kind, ids if self._erased is None else read)

    # -- who was erased ------------------------------------------------------------------------------------------------

    def _allowed(self, kind: ObjectType, page: Sequence[Json], *, inline: bool) -> Sequence[Json]:
        """The records of a page that belong to nobody who was erased. Asked before anything of the page is written."""
        if self._erased is None or not page:
            return page
        linked: dict[str, set[str]] = {}
        if kind.name in ENGAGEMENTS:
            unclear: list[str] = []
            for record in page:
                links = rows.inline_links(kind, record) if inline else None
                if links is None:
                    unclear.append(str(record["id"]))
                else:
                    contacts = rows.DEFAULT_LINKS[(kind.name, "contacts")]
                    linked[str(record["id"])] = {link.to_id for link in links if link.type_id == contacts}
            for link in self._api.associations(kind.name, "contacts", unclear):
                linked.setdefault(link.from_id, set()).add(link.to_id)
        return self._erased.kept(kind.name, page, linked)

    def _allowed_archived(self, kind: ObjectType, page: Sequence[Json]) -> Sequence[Json]:
        """Archived records show no links: of what people wrote or said, only records that are loaded already pass."""
        if self._erased is None or not page:
            return page
        kept = self._erased.kept(kind.name, page, {})
        if kind.name not in ENGAGEMENTS:
            return kept
        loaded = self._previous.loaded(kind.name, [str(record["id"]) for record in kept])
        return [record for record in kept if str(record["id"]) in loaded]

    def _add_links(self, from_type: str, to_type: str, links: Sequence[Link]) -> None:
        if self._erased is not None:
            links = self._erased.links(from_type, to_type, links)
        self._spool.add("associations", rows.link_rows(from_type, to_type, links))

    # -- what is written -----------------------------------------------------------------------------------------------

    def _records(self, kind: ObjectType, page: Sequence[Json]) -> None:
        definitions = self._definitions[kind.name]
        self._spool.add(kind.name, rows.object_rows(kind, page))
        self._spool.add("merges", rows.merge_rows(kind, page))
        self._spool.add("property_history", rows.history_rows(kind, page))
        if definitions.namespaced:
            blanks = self._previous.has_namespaced(kind.name)
            values = rows.namespaced_rows(kind, page, definitions.namespaced, blanks=blanks)
            self._spool.add("namespaced_values", values if self._erased is None else self._erased.values(values))
        if kind.name == "contacts":
            emails = {email.strip().lower() for record in page if (email := record["properties"].get("email"))}
            with self._lock:
                self._emails |= emails
        self._saw(kind.name, len(page))

    def _links(self, kind: ObjectType, ids: Sequence[str]) -> None:
        if not ids:
            return
        for to_type in kind.associated:
            links = list(self._api.associations(kind.name, to_type, ids))  # all requests before the spool's lock
            self._add_links(kind.name, to_type, links)

    def _wanted(self, kind: ObjectType) -> list[str]:
        definitions = self._definitions[kind.name]
        return [*definitions.present, *definitions.namespaced]

    def _history(self, kind: ObjectType) -> list[str]:
        definitions = self._definitions[kind.name]
        present = set(definitions.present)
        # Who found us useful, and when: only where a history is asked for anyway, so that no page gets smaller.
        feedback = [name for name in definitions.namespaced if kind.history and name.endswith("_feedback")]
        return [*(name for name in kind.history if name in present), *feedback]

    # -- the rest ------------------------------------------------------------------------------------------------------

    def _owners_stream(self) -> None:
        for archived in (False, True):
            for page in self._api.owners(archived=archived):
                self._saw("owners", self._spool.add("owners", rows.owner_rows(page, archived=archived)))

    def _pipelines_stream(self) -> None:
        pipelines = self._api.pipelines("deals")
        self._saw("pipelines", self._spool.add("pipelines", rows.pipeline_rows("deals", pipelines)))
        self._spool.add("pipeline_stages", rows.stage_rows("deals", pipelines))

    def _address_batches(self) -> list[list[str]]:
        addresses = sorted(self._emails | self._previous.emails())
        return [addresses[start : start + 1000] for start in range(0, len(addresses), 1000)]

    def _unsubscribes(self, addresses: Sequence[str]) -> None:
        for results in self._api.unsubscribed(addresses):
            self._spool.add("unsubscribes", rows.unsubscribe_rows(results))
        self._spool.add("_asked", [(address,) for address in addresses])
        self._saw("unsubscribes", len(addresses))

    def _saw(self, stream: str, count: int) -> None:
        with self._lock:
            total = self.outcome.rows_seen.get(stream, 0) + count
            self.outcome.rows_seen[stream] = total
            if self._progress is not None:
                self._progress(stream, total)
