"""The org's data in one SQLite file: records, custom fields, field history, and journals of what was written and
asked."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from nightdesk.errors import NightdeskError
from sandbox.crm.clock import Clock, ManualClock
from sandbox.salesforce import catalog, ids, setup
from sandbox.salesforce.catalog import Field
from sandbox.salesforce.custom import custom_field
from sandbox.salesforce.errors import SalesforceError
from sandbox.salesforce.values import stamp

_DDL = """
create table meta (key text primary key, value text not null);
create table records (
    object text not null, id text not null, body text not null, created_at text not null, created_by text not null,
    modified_at text not null, modified_by text not null, is_deleted integer not null default 0, master_id text,
    primary key (object, id)
) without rowid;
create table custom_fields (
    object text not null, name text not null, id text not null unique, metadata text not null,
    primary key (object, name)
);
create table field_access (
    user_id text not null, object text not null, field text not null, readable integer not null,
    editable integer not null, primary key (user_id, object, field)
);
create table tracked_fields (object text not null, field text not null, primary key (object, field));
create table history (
    seq integer primary key, object text not null, record_id text not null, field text not null, old text, new text,
    user_id text not null, at text not null
);
create index history_by_record on history (object, record_id);
create table journal (
    seq integer primary key, at text not null, action text not null, object text not null, record_id text not null,
    field text, before text, after text, user_id text not null, method text not null, path text not null
);
create table requests (
    seq integer primary key, at text not null, method text not null, path text not null, status integer not null,
    user_id text, records text not null default '', refused text not null default '', fault text not null default ''
);
"""
# Made when a file is opened as well, so that an org of an older version goes on.
_ADDED = """
create index if not exists records_by_stamp on records (object, modified_at, id);
create table if not exists picklists (
    object text not null, field text not null, definition text not null, primary key (object, field)
) without rowid;
create table if not exists bin (object text not null, id text not null, root text not null, primary key (object, id))
without rowid;
create table if not exists purged (
    object text not null, id text not null, deleted_at text not null, purged_at text not null, primary key (object, id)
) without rowid;
"""
_PEOPLE = (("integration", "Nightdesk Integration", "Standard"), ("dana", "Dana Whitfield", "Standard"),
           ("sam", "Sam Okafor", "Standard"), ("flows", "Automated Process", "AutomatedProcess"))  # fmt: skip


@dataclass(slots=True)
class Row:
    """One record. `values` holds JSON values by field name, without the system fields."""

    object: str
    id: str
    values: dict[str, Any]
    created_at: str
    created_by: str
    modified_at: str
    modified_by: str
    is_deleted: bool = False
    master_id: str | None = None

    def get(self, name: str) -> Any:
        """Any field's value, system fields included."""
        match name:
            case "Id":
                return self.id
            case "IsDeleted":
                return self.is_deleted
            case "MasterRecordId":
                return self.master_id
            case "CreatedDate":
                return self.created_at
            case "CreatedById":
                return self.created_by
            case "LastModifiedDate" | "SystemModstamp":
                return self.modified_at
            case "LastModifiedById":
                return self.modified_by
            case "Name" if "Name" not in self.values:
                return " ".join(str(self.values[n]) for n in ("FirstName", "LastName") if self.values.get(n)) or None
            case _:
                return self.values.get(name)


class Store:
    """Tables and reads. Changes of records go through `sandbox.salesforce.saving.Saver`."""

    def __init__(self, connection: sqlite3.Connection, path: Path, clock: Clock) -> None:
        self.connection, self.path, self.clock = connection, path, clock
        self.skew_seconds = 0.0  # how far this org's clock is off
        self._fields: dict[str, dict[str, Field]] = {}
        self._access: dict[tuple[str, str], dict[str, tuple[bool, bool]]] = {}
        self._version = -1

    @classmethod
    def create(cls, path: str | Path, *, clock: Clock | None = None) -> Store:
        """A new org with four users and no records; fails if the file exists."""
        path = Path(path)
        if path.exists():
            raise NightdeskError("A sandbox org already exists there.", where=str(path), todo="Delete the file.")
        path.parent.mkdir(parents=True, exist_ok=True)
        store = cls(_connect(path), path, clock or ManualClock(datetime(2026, 11, 17, 5, tzinfo=UTC)))
        store.connection.execute("pragma journal_mode = wal")
        store.connection.executescript(_DDL + _ADDED)
        with store.transaction():
            for name, shown, kind in _PEOPLE:
                values = {"Username": f"{name}@org.example", "Name": shown, "LastName": shown.split()[-1],
                          "Email": f"{name}@org.example", "UserType": kind, "IsActive": True}  # fmt: skip
                record_id = store.insert("User", values, user="")
                store.connection.execute("insert into meta values (?, ?)", (f"user {name}", record_id))
            setup.standard(store)
        return store

    @classmethod
    def open(cls, path: str | Path, *, clock: Clock | None = None) -> Store:
        """An existing org."""
        path = Path(path)
        if not path.is_file():
            raise NightdeskError("There is no sandbox org there.", where=str(path))
        store = cls(_connect(path), path, clock or ManualClock(datetime(2026, 11, 17, 5, tzinfo=UTC)))
        store.connection.executescript(_ADDED)
        return store

    def close(self) -> None:
        """Close the file."""
        self.connection.close()

    @contextmanager
    def transaction(self) -> Generator[None]:
        """One write transaction; undone when the block raises."""
        self.connection.execute("begin immediate")
        try:
            yield
        except BaseException:
            self.connection.execute("rollback")
            self.forget()
            raise
        self.connection.execute("commit")

    def now(self) -> str:
        """Now, as Salesforce writes instants: whole seconds."""
        return stamp(self.clock.now() + timedelta(seconds=self.skew_seconds))

    def user(self, name: str) -> str:
        """Id of one of the org's users: `integration`, `dana`, `sam`, `flows`."""
        return str(self.meta(f"user {name}"))

    # Fields and rights ------------------------------------------------------------------------------------------------

    def forget(self) -> None:
        """Drop what is remembered of fields and rights, because one changed."""
        self._fields.clear()
        self._access.clear()

    def _look(self) -> None:
        # Another connection to the same file (a test that edits as a person) may have changed a definition.
        version = self.connection.execute("pragma data_version").fetchone()[0]
        if version != self._version:
            self._version = version
            self.forget()

    def fields(self, object_type: str) -> dict[str, Field]:
        """All fields of an object, whoever may see them.

        Raises:
            SalesforceError: There is no such object.
        """
        self._look()
        if object_type not in self._fields:
            if not self.has(object_type):
                raise SalesforceError("NOT_FOUND", "The requested resource does not exist", status=404)
            rows = self.connection.execute(
                "select name, metadata from custom_fields where object = ? order by name", (object_type,)
            )
            custom = {name: custom_field(name, json.loads(text)) for name, text in rows}
            found = {**catalog.standard_fields(object_type), **custom}
            money = self.meta("currency")
            if money is not None and object_type in catalog.WITH_CURRENCY:
                known = json.loads(money)
                found["CurrencyIsoCode"] = catalog.currency_field(tuple(known["codes"]), known["corporate"])
            for name, text in self.connection.execute(
                "select field, definition from picklists where object = ?", (object_type,)
            ):
                found[name] = setup.with_values(found[name], json.loads(text))
            self._fields[object_type] = found
        return self._fields[object_type]

    def has(self, object_type: str) -> bool:
        """Whether this org has such an object: those for currencies only where several are switched on."""
        if object_type in catalog.CURRENCY_OBJECTS:
            return self.meta("currency") is not None
        return object_type in catalog.OBJECTS or object_type in catalog.HISTORY_OBJECTS

    def meta(self, key: str) -> str | None:
        """A fact about the org as a whole."""
        row = self.connection.execute("select value from meta where key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def set_meta(self, key: str, value: str) -> None:
        """Keep a fact about the org as a whole."""
        self.connection.execute("insert or replace into meta values (?, ?)", (key, value))
        self.forget()

    def access(self, user: str, object_type: str) -> dict[str, tuple[bool, bool]]:
        """Which fields a user may read and edit. A custom field needs a permission set that says so; the rest is open
        unless `restrict` closed it."""
        self._look()
        key = (user, object_type)
        if key not in self._access:
            granted = self._granted(user, object_type)
            found = {
                name: granted.get(name, (False, False)) if field.custom else (True, True)
                for name, field in self.fields(object_type).items()
            }
            rows = self.connection.execute(
                "select field, readable, editable from field_access where user_id = ? and object = ?", key
            )
            found.update({name: (bool(r), bool(e)) for name, r, e in rows if name in found})
            self._access[key] = found
        return self._access[key]

    def _granted(self, user: str, object_type: str) -> dict[str, tuple[bool, bool]]:
        if user != self.user("integration"):  # people in this org are administrators: they see everything
            return {name: (True, True) for name in self.fields(object_type)}
        sets = {row.values["PermissionSetId"] for row in self.all("PermissionSetAssignment")
                if row.values["AssigneeId"] == user}  # fmt: skip
        found: dict[str, tuple[bool, bool]] = {}
        for row in self.all("FieldPermissions"):
            if row.values["ParentId"] in sets and row.values["SobjectType"] == object_type:
                name = str(row.values["Field"]).split(".", 1)[1]
                before = found.get(name, (False, False))
                found[name] = (
                    before[0] or bool(row.values.get("PermissionsRead")),
                    before[1] or bool(row.values.get("PermissionsEdit")),
                )
        return found

    def restrict(self, object_type: str, name: str, *, readable: bool, editable: bool) -> None:
        """Set the integration user's right to a field by hand, above any permission set."""
        self.connection.execute(
            "insert or replace into field_access values (?, ?, ?, ?, ?)",
            (self.user("integration"), object_type, name, int(readable), int(editable)),
        )
        self.forget()

    def track(self, object_type: str, *names: str) -> None:
        """Switch field history on for these fields, as an administrator would."""
        rows = [(object_type, name) for name in names]
        self.connection.executemany("insert or ignore into tracked_fields values (?, ?)", rows)

    def tracked(self, object_type: str) -> set[str]:
        """Fields of an object whose history is kept."""
        rows = self.connection.execute("select field from tracked_fields where object = ?", (object_type,))
        return {str(name) for (name,) in rows}

    def put_custom_field(self, object_type: str, name: str, metadata: Mapping[str, Any]) -> str:
        """Create or replace a custom field; returns its id."""
        row = self.connection.execute(
            "select id from custom_fields where object = ? and name = ?", (object_type, name)
        ).fetchone()
        field_id = str(row[0]) if row else ids.make("00N", self._next("custom field"))
        self.connection.execute(
            "insert or replace into custom_fields values (?, ?, ?, ?)",
            (object_type, name, field_id, json.dumps(dict(metadata))),
        )
        self.forget()
        return field_id

    def drop_custom_field(self, object_type: str, name: str) -> None:
        """Delete a custom field, as an administrator would."""
        self.connection.execute("delete from custom_fields where object = ? and name = ?", (object_type, name))
        self.forget()

    def custom_field(self, field_id: str) -> tuple[str, str, dict[str, Any]] | None:
        """Object, name and metadata of a custom field."""
        row = self.connection.execute(
            "select object, name, metadata from custom_fields where id = ?", (field_id,)
        ).fetchone()
        return None if row is None else (row[0], row[1], json.loads(row[2]))

    # Records ----------------------------------------------------------------------------------------------------------

    def _next(self, what: str, count: int = 1) -> int:
        """The first of as many numbers as are wanted, which nobody had before."""
        row = self.connection.execute(
            "insert into meta values (?, ?) on conflict (key) do update set value = value + ? returning value",
            (f"last {what}", str(count), count),
        ).fetchone()
        return int(row[0]) - count + 1

    def new_id(self, object_type: str) -> str:
        """An id no record had before."""
        return ids.make(catalog.KEY_PREFIXES[object_type], self._next(object_type))

    def new_ids(self, object_type: str, count: int) -> list[str]:
        """Several of them."""
        first = self._next(object_type, count)
        return [ids.make(catalog.KEY_PREFIXES[object_type], number) for number in range(first, first + count)]

    def insert(self, object_type: str, values: Mapping[str, Any], *, user: str, at: str = "") -> str:
        """Put a record in as it is, stamped with now or `at`; no rule is checked. Returns its id."""
        record_id, now = self.new_id(object_type), at or self.now()
        row = Row(object_type, record_id, {k: v for k, v in values.items() if v is not None}, now, user, now, user)
        self.put_all([row])
        if object_type in ("PermissionSetAssignment", "FieldPermissions"):
            self.forget()
        return record_id

    def seed(self, object_type: str, rows: Iterable[Mapping[str, Any]], *, by: str = "dana") -> list[str]:
        """Many records at once, in one transaction; returns their ids."""
        user = self.user(by)
        with self.transaction():
            return [self.insert(object_type, values, user=user) for values in rows]

    def put_all(self, rows: Sequence[Row]) -> None:
        """Put whole records in, over those with the same ids."""
        self.connection.executemany(
            "insert or replace into records values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (r.object, r.id, json.dumps(r.values, ensure_ascii=False), r.created_at, r.created_by, r.modified_at,
                 r.modified_by, int(r.is_deleted), r.master_id)
                for r in rows
            ],
        )  # fmt: skip

    def purge(self, object_type: str, record_ids: Iterable[str]) -> None:
        """Remove records for good, without a trace."""
        self.connection.executemany(
            "delete from records where object = ? and id = ?", [(object_type, i) for i in record_ids]
        )

    def put(self, row: Row) -> None:
        """Replace a record as a whole."""
        self.put_all([row])

    def get(self, object_type: str, record_id: str) -> Row | None:
        """The record under this id, deleted or not."""
        return self.many(object_type, [record_id]).get(ids.long(record_id)) if len(record_id) in (15, 18) else None

    def many(self, object_type: str, record_ids: Iterable[str]) -> dict[str, Row]:
        """Records by id, deleted ones too; ids nobody has are left out."""
        wanted = json.dumps([ids.long(i) for i in record_ids if ids.is_id(i)])
        rows = self.connection.execute(
            "select * from records where object = ? and id in (select value from json_each(?))", (object_type, wanted)
        )
        return {row.id: row for row in map(_row, rows)}

    def where(self, condition: str, arguments: Sequence[Any]) -> list[Row]:
        """Records by a condition on the table's columns, by id."""
        text = f"select * from records where {condition} order by id"
        return [_row(row) for row in self.connection.execute(text, arguments)]

    def all(self, object_type: str, *, deleted: bool = False) -> list[Row]:
        """Every record of an object, by id."""
        found = [_row(r) for r in self.connection.execute("select * from records where object = ?", (object_type,))]
        return [row for row in found if deleted or not row.is_deleted]

    def history(self, object_type: str, since: str = "") -> list[Row]:
        """The rows of a history object (`ContactHistory`, ...) from an instant on, oldest first. They never change."""
        parent, id_field = catalog.HISTORY_OBJECTS[object_type]
        rows = self.connection.execute(
            "select h.*, r.is_deleted from history h join records r on r.object = h.object and r.id = h.record_id "
            "where h.object = ? and h.at >= ? order by h.seq",
            (parent, since),
        )
        return [
            Row(object_type, ids.make("017", seq),
                {id_field: record_id, "Field": name, "OldValue": _json(old), "NewValue": _json(new)},
                at, user, at, user, bool(gone))
            for seq, _, record_id, name, old, new, user, at, gone in rows
        ]  # fmt: skip

    def journal(self, **where: str) -> list[dict[str, Any]]:
        """What was written, oldest first; narrowed by column (`field="X__c"`, `user_id=...`)."""
        return self._rows("journal", where)

    def requests(self, **where: str) -> list[dict[str, Any]]:
        """What was asked, oldest first."""
        return self._rows("requests", where)

    def _rows(self, table: str, where: Mapping[str, str]) -> list[dict[str, Any]]:
        condition = " and ".join(f"{name} = ?" for name in where) or "true"
        cursor = self.connection.execute(f"select * from {table} where {condition} order by seq", tuple(where.values()))
        names = [one[0] for one in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
    connection.execute("pragma synchronous = off")
    return connection


def _row(row: tuple[Any, ...]) -> Row:
    return Row(row[0], row[1], json.loads(row[2]), *row[3:7], is_deleted=bool(row[7]), master_id=row[8])


def _json(text: str | None) -> Any:
    return None if text is None else json.loads(text)
