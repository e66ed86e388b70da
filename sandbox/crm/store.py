"""The sandbox CRM's store: one SQLite file, opened by any number of readers and one writer at a time."""

from __future__ import annotations

import json
import re
import sqlite3
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from nightdesk.errors import NightdeskError
from sandbox.crm import catalog
from sandbox.crm.clock import Clock, SandboxClock, iso, to_ms
from sandbox.crm.schema import ADDED, DDL, SCHEMA_VERSION

if TYPE_CHECKING:
    from sandbox.crm.writes import Origin, Writer
    from sandbox.records import SeedCompany


T = TypeVar("T")


@dataclass(slots=True)
class Record:
    """One CRM record as stored. Times are epoch ms; `archived_at` is None while it is live."""

    object_type: str
    id: int
    properties: dict[str, str]
    created_at: int
    updated_at: int
    archived_at: int | None = None
    merged_into: int | None = None


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """One value a property had, newest first where rows come as a list."""

    property: str
    value: str
    changed_at: int
    source_type: str
    source_id: str
    user_id: str


class Store:
    """Tables, clock and reads. Writes go through `writing()`, which is one transaction with journal and history."""

    def __init__(self, connection: sqlite3.Connection, path: Path, clock: Clock | None) -> None:
        self.connection = connection
        self.path = path
        self.search_lag_ms = 0
        self.skew_ms = 0  # how far the CRM's own clock is off, see `now_ms`
        self._given_clock = clock
        self._own_clock: SandboxClock | None = None
        self._cache: dict[str, Any] = {}
        self._data_version = -1

    # -- life cycle ------------------------------------------------------------------------------------------------

    @classmethod
    def create(cls, path: str | Path, *, clock: Clock | None = None) -> Store:
        """Makes a new, empty store with HubSpot's own properties and association types. Fails if the file exists."""
        path = Path(path)
        if path.exists():
            raise NightdeskError(
                "A sandbox CRM already exists there.", where=str(path), todo="Delete the file or choose another path."
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        store = cls(_connect(path), path, clock)
        store.connection.execute("pragma journal_mode = wal")
        with store.transaction():
            for statement in DDL.split(";\n"):
                store.connection.execute(statement)
            store.set_meta("schema_version", str(SCHEMA_VERSION))
            store._insert_defaults()
        return store

    @classmethod
    def open(cls, path: str | Path, *, clock: Clock | None = None) -> Store:
        """Opens an existing store.

        Raises:
            NightdeskError: There is no such file, or it is not a sandbox CRM of this version.
        """
        path = Path(path)
        if not path.is_file():
            raise NightdeskError(
                "There is no sandbox CRM there.", where=str(path), todo="Run `nightdesk sandbox generate` first."
            )
        store: Store | None = None
        try:
            store = cls(_connect(path), path, clock)
            version = store.meta("schema_version")
        except sqlite3.DatabaseError as error:
            if store is not None:
                store.connection.close()
            raise NightdeskError(
                "This file is not a sandbox CRM, or another program holds it.",
                where=str(path),
                todo="Generate it again.",
            ) from error
        if version != str(SCHEMA_VERSION):
            store.connection.close()
            raise NightdeskError(
                f"The sandbox CRM has schema version {version}, this program needs {SCHEMA_VERSION}.",
                where=str(path), todo="Generate it again.",
            )  # fmt: skip
        for table, column, definition in ADDED:
            if column not in {row[1] for row in store.connection.execute(f"pragma table_info({table})")}:
                store.connection.execute(f"alter table {table} add column {column} {definition}")
        return store

    def close(self) -> None:
        """Persists the clock and closes the file."""
        self.save_clock()
        self.connection.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def seed(self, company: SeedCompany, on_progress: Callable[[int], None] | None = None) -> None:
        """Fills an empty store with a sample company in one transaction.

        The stamps (`createdate`, `lastmodifieddate`, `hs_object_id`, ...) are written from the record's own fields.

        Args:
            company: The rows. Objects and associations may be generators.
            on_progress: Called every 1,000 objects with the number of objects written so far.

        Raises:
            NightdeskError: A property HubSpot does not have, two contacts with one email, an association to nowhere.
        """
        from sandbox.crm.seeding import seed

        seed(self, company, on_progress)

    # -- clock -----------------------------------------------------------------------------------------------------

    @property
    def as_of(self) -> datetime:
        """Midnight UTC of the sample company's today; 2026-11-17 for a store that was never seeded."""
        return datetime.fromisoformat(self.meta("as_of") or "2026-11-17T00:00:00+00:00")

    @property
    def clock(self) -> Clock:
        """The given clock, or the sandbox's own one. The own one starts running at its first use."""
        if self._given_clock is not None:
            return self._given_clock
        if self._own_clock is None:
            started = self.meta("clock_started_ms")
            if started is None:
                started = str(int(time.time() * 1000))
                self.set_meta("clock_started_ms", started)
            self._own_clock = SandboxClock(
                self.as_of,
                started_ms=int(started),
                offset_ms=lambda: self.cached("clock offset", self._clock_offset),
                high_water_ms=max(int(self.meta("clock_high_water_ms") or 0), self._last_request_ms()),
            )
        return self._own_clock

    def now_ms(self) -> int:
        """The time the CRM writes down, epoch ms: the sandbox's now, and how far the CRM's clock is off."""
        return to_ms(self.clock.now()) + self.skew_ms

    def true_ms(self) -> int:
        """The sandbox's now, epoch ms: what rates and tokens run on."""
        return to_ms(self.clock.now())

    def advance_clock(self, to: datetime) -> None:
        """Moves the sandbox's own clock on to `to` (for "the next day"); a time already past changes nothing."""
        clock = self.clock
        if not isinstance(clock, SandboxClock):
            raise NightdeskError("This store runs on a given clock: move that one.", where=str(self.path))
        step = max(0, to_ms(to) - to_ms(clock.now()))
        self.set_meta("clock_offset_ms", str(self._clock_offset() + step))
        self.forget_cache()
        clock.now()
        self.save_clock()

    def _clock_offset(self) -> int:
        return int(self.meta("clock_offset_ms") or 0)

    def _last_request_ms(self) -> int:
        # A killed server could not save its high-water mark; the request log holds it.
        row = self.connection.execute("select received_at from requests order by seq desc limit 1").fetchone()
        return 0 if row is None else row[0]

    def save_clock(self) -> None:
        """Persists the highest time given, so that the next process starts above it."""
        if self._own_clock is not None and self._own_clock.high_water_ms > int(self.meta("clock_high_water_ms") or 0):
            self.set_meta("clock_high_water_ms", str(self._own_clock.high_water_ms))

    # -- small things ----------------------------------------------------------------------------------------------

    def meta(self, key: str) -> str | None:
        row = self.connection.execute("select value from meta where key = ?", (key,)).fetchone()
        return None if row is None else row[0]

    def set_meta(self, key: str, value: str) -> None:
        self.connection.execute(
            "insert into meta values (?, ?) on conflict (key) do update set value = excluded.value", (key, value)
        )

    @contextmanager
    def transaction(self) -> Generator[sqlite3.Connection]:
        """One write transaction; rolled back when the block raises."""
        self.connection.execute("begin immediate")
        try:
            yield self.connection
        except BaseException:
            self.connection.execute("rollback")
            self.forget_cache()  # it may hold definitions that were just undone
            raise
        self.connection.execute("commit")

    @contextmanager
    def writing(self, origin: Origin, *, at: datetime | None = None) -> Generator[Writer]:
        """One transaction of record changes, journalled and tracked in the history.

        Args:
            origin: Who writes, and through which request.
            at: Time of the change, default the clock's now.
        """
        from sandbox.crm.writes import Writer

        with self.transaction():
            writer = Writer(self, origin, self.now_ms() if at is None else to_ms(at))
            yield writer
            writer.flush()

    # -- definitions -----------------------------------------------------------------------------------------------

    def cached(self, key: str, build: Callable[[], T]) -> T:
        """What `build()` answered last time, until any connection commits a change of definitions or settings."""
        version = self.connection.execute("pragma data_version").fetchone()[0]
        if version != self._data_version:
            self._cache.clear()
            self._data_version = version
        if key not in self._cache:
            self._cache[key] = build()
        return self._cache[key]

    def forget_cache(self) -> None:
        """Drops the cache after this connection changed a definition; other connections notice by themselves."""
        self._cache.clear()

    def definitions(self, object_type: str) -> dict[str, dict[str, Any]]:
        """Live property definitions by name, in HubSpot's shape."""

        def build() -> dict[str, dict[str, Any]]:
            rows = self.connection.execute(
                "select name, definition from properties where object_type = ? and archived = 0 order by name",
                (object_type,),
            )
            return {name: json.loads(text) for name, text in rows}

        return self.cached(f"definitions {object_type}", build)

    def pipelines(self, object_type: str) -> list[dict[str, Any]]:
        rows = self.connection.execute("select definition from pipelines where object_type = ?", (object_type,))
        return sorted((json.loads(text) for (text,) in rows), key=lambda p: (p["displayOrder"], p["id"]))

    def owners(self, *, archived: bool = False) -> list[dict[str, Any]]:
        rows = self.connection.execute("select definition from owners where archived = ? order by id", (int(archived),))
        return [json.loads(text) for (text,) in rows]

    # -- records ---------------------------------------------------------------------------------------------------

    def get(self, object_type: str, record_id: int) -> Record | None:
        """The record under exactly this id, live or archived, merged or not."""
        return self.get_many(object_type, [record_id]).get(record_id)

    def get_many(self, object_type: str, ids: Iterable[int]) -> dict[int, Record]:
        """Records by id; ids nobody has are left out."""
        rows = self.connection.execute(
            f"select {COLUMNS} from objects where object_type = ? and id in (select value from json_each(?))",
            (object_type, json.dumps(list(ids))),
        )
        return {row[0]: to_record(object_type, row) for row in rows}

    def page(self, object_type: str, *, after: int, limit: int, archived: bool = False) -> list[Record]:
        """Up to `limit` records with id >= `after`, by id. Records merged away are in neither list, as in HubSpot."""
        state = "is not null and merged_into is null" if archived else "is null"
        rows = self.connection.execute(
            f"select {COLUMNS} from objects where object_type = ? and id >= ? and archived_at {state}"
            " order by id limit ?",
            (object_type, after, limit),
        )
        return [to_record(object_type, row) for row in rows]

    def survivor_ids(self, object_type: str, ids: Iterable[int]) -> dict[int, int]:
        """For each id that was merged away, the id it answers under now (chains of merges followed)."""
        rows = self.connection.execute(
            """
            with recursive chain (origin, id, merged_into) as (
                select id, id, merged_into from objects
                where object_type = ?1 and merged_into is not null and id in (select value from json_each(?2))
                union
                select chain.origin, objects.id, objects.merged_into
                from chain inner join objects on objects.object_type = ?1 and objects.id = chain.merged_into
            )
            select origin, id from chain where merged_into is null
            """,
            (object_type, json.dumps(list(ids))),
        )
        return dict(rows.fetchall())

    def find_unique(self, object_type: str, name: str, values: Iterable[str]) -> dict[str, int]:
        """Live record ids by the value of a unique property (contacts' email, a custom unique property)."""
        rows = self.connection.execute(
            "select value, id from unique_values where object_type = ? and property = ?"
            " and value in (select value from json_each(?))",
            (object_type, name, json.dumps(list(values))),
        )
        return dict(rows.fetchall())

    def find_archived(self, object_type: str, name: str, values: Iterable[str]) -> dict[str, int]:
        """Archived record ids by a value that was unique while they lived; the one archived last."""
        rows = self.connection.execute(
            "select lower(json_extract(properties, '$.' || ?)) as value, id from objects where object_type = ?"
            " and archived_at is not null and merged_into is null"
            " and lower(json_extract(properties, '$.' || ?)) in (select value from json_each(?))"
            " order by archived_at, id",
            (name, object_type, name, json.dumps(list(values))),
        )
        return dict(rows.fetchall())

    def history(
        self, object_type: str, ids: Iterable[int], names: Iterable[str]
    ) -> dict[int, dict[str, list[HistoryRow]]]:
        """Tracked values by record id and property, newest first. Untracked properties are missing from the answer."""
        found: dict[int, dict[str, list[HistoryRow]]] = {}
        rows = self.connection.execute(
            """
            select object_id, property, value, changed_at, source_type, source_id, user_id from history
            where object_type = ? and object_id in (select value from json_each(?))
                and property in (select value from json_each(?))
            order by changed_at desc, seq desc
            """,
            (object_type, json.dumps(list(ids)), json.dumps(list(names))),
        )
        for object_id, *rest in rows:
            found.setdefault(object_id, {}).setdefault(rest[0], []).append(HistoryRow(*rest))
        return found

    def _insert_defaults(self) -> None:
        created = iso(to_ms(datetime(2024, 1, 1, tzinfo=UTC)))
        for object_type in catalog.OBJECT_TYPES:
            self.connection.execute(
                "insert into property_groups values (?, ?, ?, 0, 0)",
                (
                    object_type,
                    catalog.default_group(object_type),
                    f"{catalog.SINGULAR[object_type].title()} information",
                ),
            )
            self.connection.executemany(
                "insert into properties values (?, ?, ?, 0)",
                [(object_type, d["name"], json.dumps(d)) for d in catalog.default_definitions(object_type, created)],
            )
            self.connection.execute("insert into counters values (?, 1)", (object_type,))
        self.connection.executemany(
            "insert into association_types values (?, ?, 'HUBSPOT_DEFINED', ?, ?, null, ?)",
            catalog.default_association_types(),
        )


COLUMNS = "id, properties, created_at, updated_at, archived_at, merged_into"


def to_record(object_type: str, row: tuple[Any, ...]) -> Record:
    """A Record of a row selected with `COLUMNS`."""
    return Record(object_type, row[0], json.loads(row[1]), row[2], row[3], row[4], row[5])


def dump(properties: dict[str, str]) -> str:
    """The stored JSON text of a record's properties."""
    return json.dumps(properties, ensure_ascii=False, separators=(",", ":"))


def unique_names(definitions: dict[str, dict[str, Any]], object_type: str) -> set[str]:
    """Properties whose value may occur on one live record only."""
    names = {name for name, d in definitions.items() if d.get("hasUniqueValue") and name != "hs_object_id"}
    return names | {"email"} if object_type == "contacts" else names


def _connect(path: Path) -> sqlite3.Connection:
    # check_same_thread is off because the server's own thread uses a connection opened before it started.
    connection = sqlite3.connect(path, isolation_level=None, timeout=30, check_same_thread=False, cached_statements=256)
    connection.execute(
        "pragma synchronous = normal"
    )  # with WAL: a killed process loses nothing, a power cut the last writes
    connection.execute("pragma cache_size = -65536")
    connection.execute("pragma mmap_size = 268435456")
    connection.create_function("fold", 1, _fold, deterministic=True)
    connection.create_function("has_token", 2, _has_token, deterministic=True)
    return connection


def _fold(value: str | None) -> str | None:
    """Case-insensitive form of a text, for search."""
    return None if value is None else value.casefold()


def _has_token(value: str | None, pattern: str) -> bool | None:
    """Whether a text contains a word, or a run of words; `*` in the pattern stands for any part of a word."""
    if value is None:
        return None
    words = re.escape(pattern.casefold()).replace(r"\*", r"\w*")
    return re.search(rf"(?<!\w){words}(?!\w)", value.casefold()) is not None
