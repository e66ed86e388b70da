"""One load of calendars: what changed in their files, and what came into the horizon since the last night."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nightdesk.errors import NightdeskError
from sources.calendar.expand import Horizon, current, identity, instances, prepared, row
from sources.calendar.library import first, first_of_period, listed, reason
from sources.calendar.normalise import Unreadable
from sources.calendar.scan import SKIPPED_METHODS, Place, Reader, ScannedFile, scan, series_digest
from sources.calendar.settings import CalendarSettings
from sources.calendar.tables import DATASET, TABLES
from sources.calendar.zones import known_zone
from sources.kit.report import LoadReport
from sources.kit.run import Run, loading, now

if TYPE_CHECKING:
    import httpx2

    from nightdesk.erasure.tombstones import Tombstones
    from sources.calendar.event import Event

# Raise it when the same bytes are read differently: then everything is read again, once.
READING: Final = "1"

_SUFFIXES: Final = (".ics", ".ics.gz", ".ical", ".icalendar")


@dataclass(frozen=True, slots=True)
class _Known:
    """What is loaded of one event."""

    files: tuple[str, ...]
    digest: str
    is_open: bool


def load(
    settings: Sequence[CalendarSettings],
    raw_path: Path,
    pipelines_dir: Path,
    on_progress: Callable[[str, int], None] | None = None,
    *,
    as_of: date,
    default_time_zone: str = "UTC",
    tombstones: Tombstones | None = None,
    on_learned: Callable[[], object] = lambda: None,
    transport: httpx2.BaseTransport | None = None,
    clock: Callable[[], datetime] = now,
) -> LoadReport:
    """Brings dataset `calendar` of raw.duckdb up to what the calendars say. May be killed at any moment.

    Args:
        settings: The calendars.
        raw_path: The raw database; created when missing.
        pipelines_dir: Working directory of the load; may be deleted between loads.
        on_progress: Called with a calendar's name and the events read so far.
        as_of: The night's day, from which each calendar's horizon is counted.
        default_time_zone: IANA name for floating times of a calendar that names no zone and has none in its settings.
        tombstones: People who were erased; None when nobody was.
        on_learned: Called before anything is written.
        transport: HTTP transport for tests.
        clock: Now.

    Returns:
        What moved, and in `problems` what could not be read: file, line and what is wrong. The rest is loaded.

    Raises:
        NightdeskError: none of the calendars can be reached, two have one name, another load is running, or the raw
            database cannot be written.
    """
    names = [one.name for one in settings]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise NightdeskError(
            f"Two calendars are called `{twice[0]}`", where="calendar settings", todo="Give each a name of its own."
        )
    with loading(
        DATASET, TABLES, raw_path, pipelines_dir, tombstones=tombstones, on_learned=on_learned, clock=clock
    ) as run:
        there = 0
        for one in settings:
            path = one.path
            if one.url is not None:
                from sources.calendar.feed import fetched

                path = fetched(one, pipelines_dir / DATASET / "feeds", run, transport)
            there += path is not None and path.exists()
            if path is not None:
                scratch = pipelines_dir / DATASET / "scratch"
                CalendarLoad(run, one, path, as_of, known_zone(default_time_zone) or "UTC", scratch, on_progress).load()
        if settings and not there:
            raise NightdeskError(
                f"None of the {len(settings)} calendars can be reached"
                if len(settings) > 1
                else "The calendar is away",
                where=", ".join(one.place for one in settings[:5]),
                todo="Check `path` or `url` of the calendars; what was loaded of them stays.",
            )
        return run.finish()


class CalendarLoad:
    """The load of one calendar.

    Args:
        run: Takes rows and problems, and knows what is loaded.
        settings: The calendar.
        path: Its file or folder.
        as_of: The night's day.
        default_zone: IANA name for floating times of which nothing else says where they are meant.
        scratch: Folder for plain copies of packed files.
        on_progress: Called with the calendar's name and the events read so far.
    """

    def __init__(
        self,
        run: Run,
        settings: CalendarSettings,
        path: Path,
        as_of: date,
        default_zone: str,
        scratch: Path,
        on_progress: Callable[[str, int], None] | None,
    ) -> None:
        self._run = run
        self._settings = settings
        self._path = path
        self._as_of = as_of
        self._default_zone = default_zone
        self._scratch = scratch
        self._progress = on_progress
        self._quoted = "'" + settings.name.replace("'", "''") + "'"
        self.horizon = Horizon(as_of - timedelta(days=settings.past_days), as_of + timedelta(days=settings.future_days))
        self._owner = settings.owner_email
        self._title = ""
        self._zone: str | None = None
        self._files: dict[str, ScannedFile] = {}

    def load(self) -> None:
        """Reads what has to be read, adds what is new or different, and names what is gone."""
        paths = self._paths()
        if paths is None:
            return
        kept = self._run.previous(
            "select title, owner_email, time_zone, reading, strftime(as_of, '%Y-%m-%d') "
            f"from {DATASET}.calendars where name = {self._quoted}"
        )
        changed = self._changed(paths)
        known = self._known()
        reading = self._reading()
        first_time = not kept or kept[0][3] != reading or str(kept[0][4]) > self._as_of.isoformat()
        moved_on = bool(kept) and str(kept[0][4]) != self._as_of.isoformat()
        wanted = {name for name in paths if first_time or name in changed}
        if moved_on:
            wanted |= {name for one in known.values() if one.is_open for name in one.files if name in paths}
        if kept:
            self._title, self._zone = kept[0][0] or "", kept[0][2]
            self._owner = self._owner or kept[0][1]
        if wanted:
            self._scratch.mkdir(parents=True, exist_ok=True)
            try:
                index = self._index(paths, wanted, changed if not first_time else set(paths), known)
                self._expand(index, known, again=first_time, moved_on=moved_on)
                self._forget(index, known, paths)
            finally:
                _emptied(self._scratch)
            for name in sorted(changed & set(self._files)):
                self._note(paths[name], name)
        self._run.add(
            "calendars",
            [
                (
                    self._settings.name,
                    self._title or None,
                    self._owner,
                    self._zone or self._settings.time_zone,
                    self._settings.place,
                    reading,
                    self._as_of.isoformat(),
                )
            ],
        )

    # -- which files -----------------------------------------------------------------------------------------------

    def _paths(self) -> dict[str, Path] | None:
        path = self._path
        if not path.exists():
            self._run.problem(str(path), None, "the calendar is not there", "Check `path`; what is loaded stays.")
            return None
        if path.is_dir():
            found = sorted(one for one in path.rglob("*") if one.is_file() and one.name.lower().endswith(_SUFFIXES))
            if not found:
                self._run.problem(str(path), None, "no .ics file is in this folder", "Check `path`.")
            return {str(one): one for one in found}
        return {self._settings.place if self._settings.url else str(path): path}

    def _changed(self, paths: dict[str, Path]) -> set[str]:
        """Files that say something else than when they were last read."""
        known = {
            str(file): (int(size), int(moment), str(digest))
            for file, size, moment, digest in self._run.previous(
                f"select file, size_bytes, epoch_us(modified_at), sha256 from {DATASET}.files "
                f"where source = {self._quoted}"
            )
        }
        changed: set[str] = set()
        for name, path in paths.items():
            before = known.get(name)
            stat = path.stat()
            if before is not None and before[:2] == (stat.st_size, stat.st_mtime_ns // 1000):
                continue
            if before is None or before[2] != _sha256(path):
                changed.add(name)
        return changed

    def _known(self) -> dict[str, _Known]:
        return {
            str(key): _Known(tuple(json.loads(files)), str(digest), bool(is_open))
            for key, files, digest, is_open in self._run.previous(
                f"select id, files, digest, is_open from {DATASET}.series where calendar = {self._quoted}"
            )
        }

    def _reading(self) -> str:
        """Everything but the files that decides how they are read."""
        one = self._settings
        parts = (READING, one.owner_email, one.time_zone, self._default_zone, one.past_days, one.future_days)
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]

    # -- reading -----------------------------------------------------------------------------------------------------

    def _index(
        self, paths: dict[str, Path], wanted: set[str], changed: set[str], known: dict[str, _Known]
    ) -> dict[str, tuple[str, list[Place]]]:
        """Series id to (UID, the places it stands), of the files wanted and of those that share an event with them."""
        index: dict[str, tuple[str, list[Place]]] = {}
        order = {name: position for position, name in enumerate(paths)}
        waiting = sorted(wanted, key=order.__getitem__)
        done: set[str] = set()
        while waiting:
            name = waiting.pop(0)
            if name in done:
                continue
            done.add(name)
            file = scan(
                paths[name],
                name,
                order[name],
                self._scratch / f"{order[name]}.ics",
                self._fallback,
                self._problem(name, said=name in changed),
            )
            self._files[name] = file
            self._title = self._title or file.title
            self._zone = self._zone or file.zone
            if self._owner is None and "@" in file.title and " " not in file.title.strip():
                self._owner = file.title.strip().lower()
            if file.method in SKIPPED_METHODS:
                continue
            for component in file.components:
                uid = component.uid
                if not uid:
                    # An event without a name is known by what it says; when that changes, it is another one.
                    uid = "without-uid-" + component.digest.hex()[:24]
                    file.problem(component.line, "the event has no UID; it is known by what it says", "")
                key = identity(self._settings.name, uid)
                index.setdefault(key, (uid, []))[1].append(Place(file, component))
                if (before := known.get(key)) is not None:
                    waiting += [one for one in before.files if one in paths and one not in done]
        return index

    def _expand(
        self, index: dict[str, tuple[str, list[Place]]], known: dict[str, _Known], *, again: bool, moved_on: bool
    ) -> None:
        """Adds the instances of every event that changed, or that reaches into days not written out before."""
        work: list[tuple[str, str, list[Place], str]] = []
        for key, (uid, places) in index.items():
            digest = series_digest(places, self._reading())
            before = known.get(key)
            same = before is not None and before.digest == digest and not again
            if same and before is not None and not (before.is_open and moved_on):
                continue
            work.append((key, uid, places, digest))
        loaded = self._loaded([key for key, *_ in work if key in known])
        reader = Reader()
        gone: list[str] = []
        try:
            for number, (key, uid, places, digest) in enumerate(work, start=1):
                if self._progress is not None and number % 1000 == 0:
                    self._progress(self._settings.name, number)
                ids, is_open = self._one(reader, key, uid, places)
                if ids is None:
                    continue  # could not be read: what is loaded of it stays, and it is tried again when it changes
                gone += [one for one in loaded.get(key, ()) if one not in ids]
                files = json.dumps(sorted({place.file.name for place in places}))
                span = (self.horizon.first.isoformat(), self.horizon.last.isoformat())
                opened = "true" if is_open else "false"
                self._run.add("series", [(key, self._settings.name, uid, files, digest, opened, *span)])
        finally:
            reader.close()
        self._gone("events", gone)

    def _one(self, reader: Reader, key: str, uid: str, places: list[Place]) -> tuple[set[str] | None, bool]:
        """Adds one event's instances. Returns their ids (None: unreadable) and whether more lie ahead."""
        if len(places) == 1 and places[0].component.first_day:
            only = places[0].component
            # Two days of slack for zones; an event that is far outside is not even parsed.
            if only.first_day > f"{self.horizon.last + timedelta(days=2):%Y%m%d}":
                return set(), True
            if only.last_day < f"{self.horizon.first - timedelta(days=2):%Y%m%d}":
                return set(), False
        events: list[Event] = []
        unread = 0
        for place in places:
            try:
                events.append(reader.parse(place, self.horizon))
            except Unreadable as error:
                unread += 1
                place.file.problem(error.line or place.component.line, error.what, "Mend the event where it was made.")
        if not events:
            return None, False
        files = {place.file.name: place.file for place in places}
        chosen, whole = current(events)

        def wrong(event: Event, what: str) -> None:
            files[event.file].problem(event.line, what, "")

        ids: set[str] = set()
        rows: list[list[str | None]] = []
        try:
            values = prepared(chosen, self._owner, wrong)
            for instance in instances(chosen, self.horizon):
                zone = files[instance.event.file].zones.fallback
                found, row_values = row(
                    instance, self._settings.name, uid, key, values[id(instance.event)], zone, whole
                )
                if found not in ids:
                    ids.add(found)
                    rows.append(row_values)
        except Unreadable as error:
            places[0].file.problem(error.line, error.what, "Mend the event where it was made.")
            return None, False
        except (ValueError, TypeError, OverflowError) as error:
            # Dates that pass one by one may still not go together; one such event must not stop its neighbours.
            what = f"the event's times cannot be reckoned with ({reason(error)})"
            places[0].file.problem(places[0].component.line, what, "Mend the event where it was made.")
            return None, False
        self._run.add("events", rows)
        if unread:
            # A part of it is missing: nothing of it is taken for gone.
            ids |= set(self._loaded([key]).get(key, ()))
        return ids, any(_reaches_beyond(one, self.horizon) for one in chosen)

    # -- what is gone ------------------------------------------------------------------------------------------------

    def _loaded(self, keys: list[str]) -> dict[str, list[str]]:
        """Loaded instances within the horizon, by series; those before it stay for good."""
        if not keys:
            return {}
        narrowed = ""
        if len(keys) <= 500:
            narrowed = " and series_id in (" + ", ".join(f"'{key}'" for key in keys) + ")"
        found: defaultdict[str, list[str]] = defaultdict(list)
        for series, key in self._run.previous(
            f"select series_id, id from {DATASET}.events where calendar = {self._quoted} "
            f"and started_at >= timestamptz '{self.horizon.begin.isoformat()}'{narrowed}"
        ):
            found[str(series)].append(str(key))
        return found

    def _forget(
        self, index: dict[str, tuple[str, list[Place]]], known: dict[str, _Known], paths: dict[str, Path]
    ) -> None:
        """Events that stand in none of their files any more are gone. A file that vanished says nothing."""
        whole = {name for name, file in self._files.items() if file.is_whole}
        gone = [
            key for key, before in known.items() if key not in index and before.files and set(before.files) <= whole
        ]
        loaded = self._loaded(gone)
        self._gone("events", [one for key in gone for one in loaded.get(key, ())])
        self._gone("series", gone)

    def _gone(self, table: str, ids: list[str]) -> None:
        if ids:
            self._run.replace(table, "id", ids)

    def _fallback(self, own: str | None) -> str:
        return own or self._settings.time_zone or self._zone or self._default_zone

    def _problem(self, name: str, *, said: bool) -> Callable[[int | None, str, str], None]:
        """A file that has not changed has said its problems before."""

        def problem(line: int | None, what: str, todo: str) -> None:
            if said:
                self._run.problem(name, line, what, todo)

        return problem

    def _note(self, path: Path, name: str) -> None:
        stat = path.stat()
        self._run.file(
            self._settings.name,
            name,
            size=stat.st_size,
            modified_at=datetime.fromtimestamp(stat.st_mtime_ns // 1000 / 1_000_000, UTC),
            sha256=_sha256(path),
            form="ics",
            records=len(self._files[name].components),
        )


def _reaches_beyond(event: Event, horizon: Horizon) -> bool:
    """Whether an event has, or may have, instances after the horizon."""
    last = horizon.last.isoformat()
    if str(event.start)[:10] > last:
        return True
    if not event.repeats:
        return False
    for rule in listed(event.component.get("RRULE")):
        end = first(rule.get("UNTIL"))
        if end is None or str(end)[:10] > last:
            return True
    dates = [first_of_period(one.dt) for group in listed(event.component.get("RDATE")) for one in group.dts]
    return any(str(one)[:10] > last for one in dates)


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _emptied(folder: Path) -> None:
    for one in _listed(folder):
        one.unlink(missing_ok=True)


def _listed(folder: Path) -> Iterable[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []
