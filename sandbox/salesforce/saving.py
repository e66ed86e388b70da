"""Saving a record: every check Salesforce makes before it keeps a value, in its order, and what happens after.

Rights, types, locks, the org's own code (before), validation rules, duplicate rules, the write with its stamps, history
and journal, then the org's own code again (after).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from sandbox.salesforce import catalog, derived, ids, life
from sandbox.salesforce.catalog import Field
from sandbox.salesforce.errors import SalesforceError
from sandbox.salesforce.store import Row, Store
from sandbox.salesforce.values import keep


@dataclass(frozen=True, slots=True)
class ValidationRule:
    """A value of `field` that matches `pattern` is not saved; people see `message`."""

    object_type: str
    field: str
    pattern: str
    message: str


@dataclass(frozen=True, slots=True)
class Trigger:
    """The org's own code: when `on` is written, `sets` becomes `to`; `before` the record is saved, or `after` as a
    second update. With `fails`, it raises instead, and nothing is saved."""

    object_type: str
    on: str
    sets: str = ""
    to: Any = None
    moment: Literal["before", "after"] = "after"
    fails: str = ""


@dataclass(slots=True)
class Org:
    """What an administrator and other people do to this org; tests and faults change it while it runs.

    Attributes:
        rules, triggers: Validation rules and code.
        duplicate_fields: Object -> field that the org's duplicate rule compares.
        locked: Records somebody else holds: id -> how many more attempts find it locked.
        spelling: Object and field -> how the org spells a value it is given.
        refused: Records that cannot be saved just now, with what is said then.
    """

    rules: list[ValidationRule] = field(default_factory=list["ValidationRule"])
    triggers: list[Trigger] = field(default_factory=list["Trigger"])
    duplicate_fields: dict[str, str] = field(default_factory=dict[str, str])
    locked: dict[str, int] = field(default_factory=dict[str, int])
    spelling: dict[tuple[str, str], Callable[[str], str]] = field(
        default_factory=dict[tuple[str, str], Callable[[str], str]]
    )
    refused: dict[str, SalesforceError] = field(default_factory=dict[str, "SalesforceError"])


@dataclass(frozen=True, slots=True)
class Origin:
    """Who writes, and through which request."""

    user: str
    method: str = "UI"
    path: str = "record page"


class Saver:
    """Writes of one request. Use it inside `store.transaction()`, and each record inside `alone()`.

    Args:
        store: The org's data.
        org: Its rules and its code.
        origin: Who writes.
        now: The stamp of all writes, where it is not the org's time: stamps are given when a transaction saves, and it
            may take its time until it ends and others see it.
    """

    def __init__(self, store: Store, org: Org, origin: Origin, *, now: str = "") -> None:
        self.store, self._org, self._origin = store, org, origin
        self._now = now or store.now()
        self._tracked: dict[str, set[str]] = {}

    @contextmanager
    def alone(self) -> Generator[None]:
        """One record: what was done for it is undone when it fails, and the others stay."""
        self.store.connection.execute("savepoint one_record")
        try:
            yield
        except SalesforceError:
            self.store.connection.execute("rollback to one_record")
            raise
        finally:
            self.store.connection.execute("release one_record")

    def known(self, object_type: str, names: Iterable[str]) -> dict[str, Field]:
        """The fields with these names, as this user sees them.

        Raises:
            SalesforceError: One that is not there, or that the user may not see: a mistake in the request as a whole.
        """
        fields, access = self.store.fields(object_type), self.store.access(self._origin.user, object_type)
        for name in names:
            if name not in fields or not access[name][0]:
                raise SalesforceError(
                    "INVALID_FIELD", f"No such column '{name}' on sobject of type {object_type}", whole=True
                )
        return {name: fields[name] for name in names}

    def update(self, object_type: str, record_id: str, values: Mapping[str, Any], row: Row | None = None) -> None:
        """Change a record. `values` are JSON values already read by `values.parse`.

        Raises:
            SalesforceError: Nothing of this record was saved.
        """
        if row is None:
            row = self._find(object_type, record_id)
        elif row.is_deleted:
            raise _deleted()
        self._unlocked(row)
        if row.id in self._org.refused and self._origin.path != "record page":
            raise self._org.refused[row.id]
        if object_type == "Lead" and row.values.get("IsConverted"):
            raise SalesforceError("CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead")
        fields = self._may_write(object_type, values, "updateable")
        self._save(row, {name: self._spelled(object_type, fields[name], value) for name, value in values.items()})

    def create(self, object_type: str, values: Mapping[str, Any]) -> str:
        """Make a record; returns its id."""
        fields = self._may_write(object_type, values, "createable")
        kept = {name: self._spelled(object_type, fields[name], value) for name, value in values.items()}
        for name, one in self.store.fields(object_type).items():
            if one.default is not None:
                kept.setdefault(name, one.default)
        record_id = self.store.insert(object_type, {}, user=self._origin.user, at=self._now)
        row = self.store.get(object_type, record_id)
        assert row is not None
        required = [
            name
            for name, one in self.store.fields(object_type).items()
            if one.createable and not one.nillable and one.type not in ("boolean", "reference") and not kept.get(name)
        ]
        if required:
            raise SalesforceError("REQUIRED_FIELD_MISSING", f"Required fields are missing: {required}", required)
        if "OwnerId" in self.store.fields(object_type):
            kept.setdefault("OwnerId", self._origin.user)
        self.journal("create", row)
        self._save(row, kept)
        self.note(row, "created")
        return record_id

    def delete(self, object_type: str, record_id: str) -> None:
        """Put a record into the recycle bin, with what hangs on it."""
        life.delete(self, self._find(object_type, record_id))

    def undelete(self, object_type: str, record_id: str) -> None:
        """Take a record back out of the recycle bin, with what went in with it.

        Raises:
            SalesforceError: It is not in the bin, or was merged away.
        """
        life.undelete(self, object_type, record_id)

    def merge(self, object_type: str, survivor: str, loser: str) -> None:
        """Merge one record into another, as a person does: the loser is deleted and knows its master, and what hung on
        it hangs on the master."""
        life.merge(self, self._find(object_type, survivor), self._find(object_type, loser))

    def convert(self, lead_id: str, *, deal: str = "") -> tuple[str, str]:
        """Convert a lead, as a person does: its account's and its contact's id.

        Args:
            lead_id: A lead that is not converted yet.
            deal: The name of an opportunity to make with it.
        """
        return life.convert(self, self._find("Lead", lead_id), deal)

    def touch(self, row: Row, values: Mapping[str, Any], action: str = "set") -> None:
        """Write values with stamps, history and journal, and no check: what the org does by itself."""
        self._write(row, values, action)

    def note(self, row: Row, name: str, old: Any = None, new: Any = None) -> None:
        """A row in the field history that is about no field (`created`, `leadConverted`), where one is tracked."""
        if row.object not in self._tracked:
            self._tracked[row.object] = self.store.tracked(row.object)
        if self._tracked[row.object]:
            self._history(row, name, old, new)

    @property
    def now(self) -> str:
        """The second all of this happens in."""
        return self._now

    @property
    def user(self) -> str:
        """Who does it."""
        return self._origin.user

    # The checks -------------------------------------------------------------------------------------------------------

    def _find(self, object_type: str, record_id: str) -> Row:
        prefix = catalog.KEY_PREFIXES.get(object_type, "")
        if not ids.is_id(record_id) or not record_id.startswith(prefix):
            raise SalesforceError("MALFORMED_ID", f"{object_type} ID: id value of incorrect type: {record_id}", ["Id"])
        row = self.store.get(object_type, record_id)
        if row is None:
            raise SalesforceError("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
        if row.is_deleted:
            raise _deleted()
        return row

    def _unlocked(self, row: Row) -> None:
        # A contact's account is locked with it, as in the real thing.
        for one in (row.id, str(row.values.get("AccountId") or "")):
            left = self._org.locked.get(one, 0)
            if left > 0 and one:
                self._org.locked[one] = left - 1
                raise SalesforceError(
                    "UNABLE_TO_LOCK_ROW", f"unable to obtain exclusive access to this record or 1 records: {one}"
                )

    def _may_write(self, object_type: str, values: Mapping[str, Any], right: str) -> dict[str, Field]:
        fields = self.known(object_type, values)
        access = self.store.access(self._origin.user, object_type)
        closed = [name for name, one in fields.items() if not getattr(one, right) or not access[name][1]]
        if closed:
            raise SalesforceError(
                "INVALID_FIELD_FOR_INSERT_UPDATE",
                f"Unable to create/update fields: {', '.join(closed)}. Please check the security settings of this "
                "field and verify that it is read/write for your profile or permission set.",
                closed,
            )
        return fields

    def _spelled(self, object_type: str, one: Field, value: Any) -> Any:
        kept = keep(one, value)
        if kept is None and not one.nillable and one.type != "boolean":
            raise SalesforceError("REQUIRED_FIELD_MISSING", f"Required fields are missing: [{one.name}]", [one.name])
        spell = self._org.spelling.get((object_type, one.name))
        return spell(kept) if spell and isinstance(kept, str) else kept

    def _save(self, row: Row, values: dict[str, Any]) -> None:
        values |= derived.of(self.store, row, values, self._now)
        self._code(row, values, "before")
        self._rules(row.object, values)
        self._duplicates(row, values)
        before = dict(row.values)
        self._write(row, values)
        derived.follow(self.store, row, before, self.user, self._now)
        later: dict[str, Any] = {}
        for one in self._org.triggers:
            if one.object_type == row.object and one.on in values and one.moment == "after":
                if one.fails:
                    raise SalesforceError("CANNOT_EXECUTE_FLOW_TRIGGER", one.fails)
                later[one.sets] = one.to
        if later:
            self._write(row, later)

    def _code(self, row: Row, values: dict[str, Any], moment: str) -> None:
        for one in self._org.triggers:
            if one.object_type == row.object and one.on in values and one.moment == moment:
                if one.fails:
                    raise SalesforceError("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", one.fails)
                values[one.sets] = one.to

    def _rules(self, object_type: str, values: Mapping[str, Any]) -> None:
        for rule in self._org.rules:
            value = values.get(rule.field)
            if rule.object_type == object_type and value is not None and re.search(rule.pattern, str(value)):
                raise SalesforceError("FIELD_CUSTOM_VALIDATION_EXCEPTION", rule.message, [rule.field])

    def _duplicates(self, row: Row, values: Mapping[str, Any]) -> None:
        together = catalog.UNIQUE_TOGETHER.get(row.object, ())
        if together and all(name in values for name in together):
            for one in self.store.all(row.object):
                if one.id != row.id and all(one.values.get(name) == values[name] for name in together):
                    raise SalesforceError("DUPLICATE_VALUE", f"duplicate value found on record with id: {one.id}")
        compared = self._org.duplicate_fields.get(row.object)
        unique = [name for name, one in self.store.fields(row.object).items() if one.unique and values.get(name)]
        for name in [*unique, *([compared] if compared and values.get(compared) else [])]:
            twin = next((o for o in self.store.all(row.object)
                         if o.id != row.id and o.values.get(name) == values[name]), None)  # fmt: skip
            if twin is not None and name in unique:
                raise SalesforceError(
                    "DUPLICATE_VALUE",
                    f"duplicate value found: {name} duplicates value on record with id: {twin.id}",
                    [name],
                )
            if twin is not None:
                raise SalesforceError("DUPLICATES_DETECTED", "Use one of these records?")

    # The write --------------------------------------------------------------------------------------------------------

    def _write(self, row: Row, values: Mapping[str, Any], action: str = "set") -> None:
        if row.object not in self._tracked:
            self._tracked[row.object] = self.store.tracked(row.object)
        for name, value in values.items():
            old = row.values.get(name)
            if value is None:
                row.values.pop(name, None)
            else:
                row.values[name] = value
            self.journal(action, row, name, old, value)
            if name in self._tracked[row.object] and old != value:
                self._history(row, name, old, value)
        row.modified_at, row.modified_by = self._now, self._origin.user
        self.store.put(row)
        if row.object in ("PermissionSetAssignment", "FieldPermissions"):
            self.store.forget()

    def _history(self, row: Row, name: str, old: Any, new: Any) -> None:
        field = self.store.fields(row.object).get(name)
        long_text = field is not None and field.type == "textarea"  # only that it changed is kept of those
        texts = [None if long_text or v is None else json.dumps(v, ensure_ascii=False) for v in (old, new)]
        self.store.connection.execute(
            "insert into history (object, record_id, field, old, new, user_id, at) values (?, ?, ?, ?, ?, ?, ?)",
            (row.object, row.id, name, *texts, self._origin.user, self._now),
        )

    def journal(self, action: str, row: Row, name: str | None = None, old: Any = None, new: Any = None) -> None:
        """Remember what was done."""
        texts = [None if v is None else v if isinstance(v, str) else json.dumps(v) for v in (old, new)]
        self.store.connection.execute(
            "insert into journal (at, action, object, record_id, field, before, after, user_id, method, path)"
            " values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (self._now, action, row.object, row.id, name, *texts, self._origin.user, self._origin.method,
             self._origin.path),
        )  # fmt: skip


def _deleted() -> SalesforceError:
    return SalesforceError("ENTITY_IS_DELETED", "entity is deleted", status=404)
