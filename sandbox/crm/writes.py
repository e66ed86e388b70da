"""Record changes inside one transaction: rows, history with source, journal, unique values, the search index's lag."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sandbox.crm import catalog
from sandbox.crm.associations import AssociationRow
from sandbox.crm.clock import iso
from sandbox.crm.errors import ApiError
from sandbox.crm.store import Record, Store, dump, unique_names


@dataclass(frozen=True, slots=True)
class Origin:
    """Who changes a record and through which request.

    `source_type` is HubSpot's: INTEGRATION for the API with the app's id, CRM_UI for a person on the record page.
    """

    source_type: str = "CRM_UI"
    source_id: str = ""
    user_id: str = ""
    method: str = ""
    path: str = ""
    request_id: str = ""


class Writer:
    """Collects changes and writes them at `flush()`. Values must already be validated (see `values`).

    Records read within the transaction and handed in are kept current, so one record may be changed several times.
    """

    def __init__(self, store: Store, origin: Origin, now: int) -> None:
        self.store = store
        self.origin = origin
        self.now = now
        self._dirty: dict[tuple[str, int], Record] = {}
        self._history: list[tuple[str, int, str, str]] = []
        self._first_values: list[tuple[str, int, str, str, int]] = []
        self._journal: list[tuple[str, str, str, str, str | None, str | None]] = []

    # -- records ---------------------------------------------------------------------------------------------------

    def create(self, object_type: str, properties: Mapping[str, str]) -> Record:
        """A new record with the next id.

        Raises:
            ApiError: 409, a unique value is taken.
        """
        record_id = self.store.connection.execute(
            "update counters set next_id = next_id + 1 where object_type = ? returning next_id - 1", (object_type,)
        ).fetchone()[0]
        record = Record(object_type, record_id, {}, self.now, self.now)
        values = {name: value for name, value in properties.items() if value != ""}
        self._claim_unique(record, values)
        self._remember_for_search(record, existed=False)
        record.properties |= values | {
            "hs_object_id": str(record_id),
            catalog.CREATED[object_type]: iso(self.now),
            catalog.MODIFIED[object_type]: iso(self.now),
        }
        self._derive(record, values)
        self.store.connection.execute(
            "insert into objects values (?, ?, ?, ?, null, null, ?)",
            (object_type, record_id, self.now, self.now, dump(record.properties)),
        )
        self.log("create", object_type, record_id, "", None, str(record_id))
        for name, value in values.items():
            self._track(record, name, None, value)
        return record

    def update(self, record: Record, properties: Mapping[str, str]) -> list[str]:
        """Sets values on a live record and returns the names that changed; unchanged values leave no trace.

        Raises:
            ApiError: 409, a unique value is taken by another record.
        """
        current = record.properties
        changed = {name: value for name, value in properties.items() if current.get(name, "") != value}
        if not changed:
            return []
        self._claim_unique(record, changed)
        self._remember_for_search(record)
        for name, value in changed.items():
            before = current.get(name, "")
            if before:
                self._first_values.append((record.object_type, record.id, name, before, record.created_at))
            self._track(record, name, before or None, value)
            if value:
                current[name] = value
            else:
                current.pop(name, None)
        self._derive(record, changed)
        self._touch(record)
        return list(changed)

    def archive(self, record: Record) -> None:
        """Soft-deletes a live record and frees its unique values."""
        self._remember_for_search(record)
        record.archived_at = self.now
        self._free_unique(record)
        self._touch(record)
        self.log("archive", record.object_type, record.id, "", None, iso(self.now))

    def erase(self, record: Record) -> None:
        """Deletes a record for good, with history, associations and the values kept in the journal."""
        key = (record.object_type, record.id)
        self._free_unique(record)
        self._dirty.pop(key, None)
        execute = self.store.connection.execute
        execute("delete from objects where object_type = ? and id = ?", key)
        execute("delete from history where object_type = ? and object_id = ?", key)
        execute(
            "delete from associations where (from_type = ?1 and from_id = ?2) or (to_type = ?1 and to_id = ?2)", key
        )
        execute("delete from search_stale where object_type = ? and id = ?", key)
        execute(
            "update journal set before = null, after = null where object_type = ? and object_id = ?",
            (record.object_type, str(record.id)),
        )
        self.log("erase", record.object_type, record.id, "", None, None)

    def merge(self, primary: Record, other: Record, *, new_id: bool = False) -> Record:
        """Merges `other` into `primary` and returns the survivor; with `new_id` both go into a new record."""
        gone = [other]
        filled = {n: v for n, v in other.properties.items() if n not in primary.properties}
        survivor = primary
        self._free_unique(other)
        if new_id:
            gone.append(primary)
            self._free_unique(primary)
            survivor = self.create(
                primary.object_type, _writable(primary) | {n: v for n, v in _writable(other).items() if n in filled}
            )
            filled = {}
        merged = [r.properties.get("hs_merged_object_ids", "") for r in (primary, other)] + [str(r.id) for r in gone]
        values = filled | {"hs_merged_object_ids": ";".join(part for part in merged if part)}
        second_email = other.properties.get("email")
        if second_email and primary.properties.get("email") not in (None, second_email):
            known = primary.properties.get("hs_additional_emails", "")
            values["hs_additional_emails"] = ";".join(part for part in (known, second_email) if part)
        self.update(survivor, values)
        for name in (
            unique_names(self.store.definitions(other.object_type), other.object_type) & other.properties.keys()
        ):
            # Both addresses lead to the survivor from now on.
            self.store.connection.execute(
                "insert or ignore into unique_values values (?, ?, ?, ?)",
                (other.object_type, name, other.properties[name].lower(), survivor.id),
            )
        for record in gone:
            self._remember_for_search(record)
            record.archived_at, record.merged_into = self.now, survivor.id
            self._touch(record)
            self._move_associations(record, survivor)
            self.log("merge", record.object_type, record.id, "", str(record.id), str(survivor.id))
        self._remember_for_search(survivor)
        self._touch(survivor)
        return survivor

    # -- associations ----------------------------------------------------------------------------------------------

    def associate(self, rows: Iterable[AssociationRow]) -> None:
        """Stores association rows (give both directions); those already there leave no trace."""
        for row in rows:
            done = self.store.connection.execute("insert or ignore into associations values (?, ?, ?, ?, ?, ?)", row)
            if done.rowcount:
                self.log("associate", row[0], row[1], f"{row[4]}:{row[5]}", None, f"{row[2]}:{row[3]}")

    def dissociate(self, rows: Iterable[AssociationRow]) -> None:
        """Removes exactly these association rows."""
        for row in rows:
            done = self.store.connection.execute(
                "delete from associations where from_type = ? and from_id = ? and to_type = ? and to_id = ?"
                " and category = ? and type_id = ?",
                row,
            )
            if done.rowcount:
                self.log("dissociate", row[0], row[1], f"{row[4]}:{row[5]}", f"{row[2]}:{row[3]}", None)

    def log(
        self, action: str, object_type: str, object_id: int | str, name: str, before: str | None, after: str | None
    ) -> None:
        """One journal row about the record (`name` empty) or one of its properties."""
        self._journal.append((action, object_type, str(object_id), name, before, after))

    # -- the end of the transaction --------------------------------------------------------------------------------

    def flush(self) -> None:
        """Writes everything collected; called by `Store.writing` before the commit."""
        execute_many = self.store.connection.executemany
        execute_many(
            "update objects set properties = ?, updated_at = ?, archived_at = ?, merged_into = ?"
            " where object_type = ? and id = ?",
            [
                (dump(r.properties), r.updated_at, r.archived_at, r.merged_into, r.object_type, r.id)
                for r in self._dirty.values()
            ],
        )
        self._write_first_values()
        origin = self.origin
        execute_many(
            "insert into history (object_type, object_id, property, value, changed_at, source_type, source_id, user_id)"
            " values (?, ?, ?, ?, ?, ?, ?, ?)",
            [(*row, self.now, origin.source_type, origin.source_id, origin.user_id) for row in self._history],
        )
        execute_many(
            "insert into journal (received_at, method, path, action, object_type, object_id, property, before, after,"
            " source, request_id) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (self.now, origin.method, origin.path, *row, origin.source_type, origin.request_id)
                for row in self._journal
            ],
        )
        if self.store.search_lag_ms:
            self.store.connection.execute(
                "delete from search_stale where written_at <= ?", (self.now - self.store.search_lag_ms,)
            )
        self._dirty.clear()
        self._history.clear()
        self._journal.clear()

    def _write_first_values(self) -> None:
        """Seeded values that were never tracked become the oldest history entry before they are overwritten."""
        by_type: dict[str, set[int]] = {}
        for object_type, object_id, *_ in self._first_values:
            by_type.setdefault(object_type, set()).add(object_id)
        for object_type, ids in by_type.items():
            tracked = set(
                self.store.connection.execute(
                    "select distinct object_id, property from history"
                    " where object_type = ? and object_id in (select value from json_each(?))",
                    (object_type, json.dumps(sorted(ids))),
                )
            )
            untracked = {
                (object_id, name): (object_type, object_id, name, value, created_at)
                for kind, object_id, name, value, created_at in reversed(self._first_values)
                if kind == object_type and (object_id, name) not in tracked
            }
            self.store.connection.executemany(
                "insert into history (object_type, object_id, property, value, changed_at, source_type, source_id,"
                " user_id) values (?, ?, ?, ?, ?, 'IMPORT', '', '')",
                list(untracked.values()),
            )
        self._first_values.clear()

    # -- helpers ---------------------------------------------------------------------------------------------------

    def _touch(self, record: Record) -> None:
        record.updated_at = self.now
        record.properties[catalog.MODIFIED[record.object_type]] = iso(self.now)
        self._dirty[(record.object_type, record.id)] = record

    def _track(self, record: Record, name: str, before: str | None, after: str) -> None:
        self._history.append((record.object_type, record.id, name, after))
        self._journal.append(("set", record.object_type, str(record.id), name, before, after))

    def _derive(self, record: Record, changed: Mapping[str, str]) -> None:
        if record.object_type != "deals" or "dealstage" not in changed:
            return
        stages = {s["id"]: s["metadata"] for p in self.store.pipelines("deals") for s in p["stages"]}
        meta = stages.get(changed["dealstage"], {"isClosed": "false", "probability": "0"})
        closed = meta["isClosed"] == "true"
        for name, value in (
            ("hs_is_closed", closed),
            ("hs_is_closed_won", closed and float(meta["probability"]) == 1.0),
        ):
            text = "true" if value else "false"
            if record.properties.get(name) != text:
                record.properties[name] = text
                self._history.append((record.object_type, record.id, name, text))

    def _remember_for_search(self, record: Record, *, existed: bool = True) -> None:
        if self.store.search_lag_ms:
            self.store.connection.execute(
                "insert into search_stale"
                " (object_type, id, written_at, properties, created_at, updated_at, archived_at)"
                " values (?, ?, ?, ?, ?, ?, ?)",
                (
                    record.object_type, record.id, self.now, dump(record.properties) if existed else None,
                    record.created_at, record.updated_at, record.archived_at,
                ),
            )  # fmt: skip

    def _claim_unique(self, record: Record, changed: Mapping[str, str]) -> None:
        names = unique_names(self.store.definitions(record.object_type), record.object_type) & changed.keys()
        if not names:
            return
        execute = self.store.connection.execute
        execute("savepoint claim")
        for name in sorted(names):
            before, value = record.properties.get(name, ""), changed[name].strip().lower()
            if before:
                execute(
                    "delete from unique_values where object_type = ? and property = ? and value = ? and id = ?",
                    (record.object_type, name, before.strip().lower(), record.id),
                )
            if not value:
                continue
            try:
                execute("insert into unique_values values (?, ?, ?, ?)", (record.object_type, name, value, record.id))
            except sqlite3.IntegrityError as error:
                holder = self.store.find_unique(record.object_type, name, [value])[value]
                execute("rollback to claim")
                execute("release claim")
                raise conflict(record.object_type, name, value, holder) from error
        execute("release claim")

    def _free_unique(self, record: Record) -> None:
        self.store.connection.execute(
            "delete from unique_values where object_type = ? and id = ?", (record.object_type, record.id)
        )

    def _move_associations(self, source: Record, target: Record) -> None:
        rows = self.store.connection.execute(
            "select to_type, to_id, category, type_id, (select inverse_id from association_types as t where"
            " t.from_type = a.from_type and t.to_type = a.to_type and t.category = a.category"
            " and t.type_id = a.type_id) from associations as a where from_type = ? and from_id = ?",
            (source.object_type, source.id),
        ).fetchall()
        for to_type, to_id, category, type_id, inverse_id in rows:
            old = [
                (source.object_type, source.id, to_type, to_id, category, type_id),
                (to_type, to_id, source.object_type, source.id, category, inverse_id),
            ]
            self.dissociate(old)
            if (to_type, to_id) != (target.object_type, target.id):
                self.associate(
                    [
                        (target.object_type, target.id, to_type, to_id, category, type_id),
                        (to_type, to_id, target.object_type, target.id, category, inverse_id),
                    ]
                )


def conflict(object_type: str, name: str, value: str, holder: int) -> ApiError:
    """409 in HubSpot's words: a unique value is taken."""
    if (object_type, name) == ("contacts", "email"):
        return ApiError(409, "CONFLICT", f"Contact already exists. Existing ID: {holder}")
    singular = catalog.SINGULAR[object_type]
    return ApiError(
        409,
        "CONFLICT",
        f'A {singular} with the value "{value}" for the unique property "{name}" already exists. Existing ID: {holder}',
    )


def _writable(record: Record) -> dict[str, str]:
    stamps = {"hs_object_id", catalog.CREATED[record.object_type], catalog.MODIFIED[record.object_type]}
    return {name: value for name, value in record.properties.items() if name not in stamps}
