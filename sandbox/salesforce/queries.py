"""Queries at work: which records a query finds, its pages, and the cursors that lead from one page to the next."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sandbox.salesforce import catalog, soql
from sandbox.salesforce.call import Call, Reply
from sandbox.salesforce.catalog import Field
from sandbox.salesforce.errors import SalesforceError
from sandbox.salesforce.store import Row, Store

PAGE = 2000
SMALLEST_PAGE = 200
LIFE_OF_A_CURSOR = timedelta(days=2)
_COLUMNS = {
    "Id": "id",
    "SystemModstamp": "modified_at",
    "LastModifiedDate": "modified_at",
    "CreatedDate": "created_at",
    "IsDeleted": "is_deleted",
}
_KINDS = {"datetime": ("instant", "days", "null"), "date": ("date", "days", "null"), "boolean": ("truth",)}
_DECIMALS = frozenset({"double", "currency", "percent"})
_NUMBERS = frozenset({"double", "int", "currency", "percent", "long"})
Getter = Callable[[Row], Any]
_OF_THE_ROW: dict[str, Getter] = {
    "Id": lambda row: row.id,
    "IsDeleted": lambda row: row.is_deleted,
    "MasterRecordId": lambda row: row.master_id,
    "CreatedDate": lambda row: row.created_at,
    "CreatedById": lambda row: row.created_by,
    "LastModifiedDate": lambda row: row.modified_at,
    "SystemModstamp": lambda row: row.modified_at,
    "LastModifiedById": lambda row: row.modified_by,
}


def _decimal(value: Any) -> Any:
    return float(value) if type(value) is int else value


class Found:
    """What a query has found: the ids in their order, and the records themselves once they are wanted."""

    def __init__(self, reader: Reader, asked: soql.Query, record_ids: Sequence[str], rows: dict[str, Row]) -> None:
        self.asked, self.ids = asked, record_ids
        self._reader, self._rows = reader, rows

    def __len__(self) -> int:
        return len(self.ids)

    def records(self, start: int, end: int) -> Iterator[View]:
        """The records from one place to another, as they are now; one removed for good meanwhile is left out."""
        wanted = self.ids[start:end]
        rows = self._rows
        if not rows:
            rows = self._reader.store.many(self.asked.object_type, wanted)
        for one in wanted:
            row = rows.get(one)
            if row is not None:
                yield self._reader.view(row)


class Reader:
    """Reads records with the eyes of one user.

    Args:
        store: The org's data.
        user: Fields this user may not see are not there.
        deleted: Whether records in the recycle bin and archived activities are seen too (`queryAll`).
    """

    def __init__(self, store: Store, user: str, *, deleted: bool = False) -> None:
        self.store, self.user, self.deleted = store, user, deleted
        self._fields: dict[str, dict[str, Field]] = {}
        self._parents: dict[str, Row | None] = {}
        self._getters: dict[tuple[str, str], Getter] = {}
        self._listed: dict[tuple[str, tuple[str, ...]], list[tuple[str, Getter]]] = {}

    def fields(self, object_type: str) -> dict[str, Field]:
        """Fields of an object this user may see."""
        if object_type not in self._fields:
            access = self.store.access(self.user, object_type)
            fields = self.store.fields(object_type)
            self._fields[object_type] = {name: one for name, one in fields.items() if access[name][0]}
        return self._fields[object_type]

    def view(self, row: Row) -> View:
        """A record as this user sees it."""
        return View(row, self)

    def resolve(self, object_type: str, name: str) -> Field | None:
        """The field that a name means, over relationships too; None where there is none the user may see."""
        head, _, rest = name.partition(".")
        if not rest:
            return self.fields(object_type).get(name)
        link = self._link(object_type, head)
        if link is None:
            return None
        if len(link.reference_to) > 1:  # of a reference to several objects only what all of them have is seen
            return _POLYMORPHIC.get(rest)
        target = next(iter(link.reference_to), "")
        return self.resolve(target, rest) if self.store.has(target) else None

    def _link(self, object_type: str, relationship: str) -> Field | None:
        known = self.fields(object_type).values()
        return next((one for one in known if one.relationship == relationship), None)

    def parent(self, row: Row, relationship: str) -> Row | None:
        """The record a relationship leads to."""
        link = self._link(row.object, relationship)
        target = None if link is None else row.get(link.name)
        if not target:
            return None
        if target not in self._parents:
            kind = catalog.OBJECT_OF_PREFIX.get(str(target)[:3])
            self._parents[target] = None if kind is None else self.store.get(kind, target)
        return self._parents[target]

    def getters(self, object_type: str, names: Sequence[str]) -> list[tuple[str, Getter]]:
        """How each of these fields is read."""
        key = (object_type, tuple(names))
        if key not in self._listed:
            self._listed[key] = [(name, self.getter(object_type, name)) for name in names]
        return self._listed[key]

    def getter(self, object_type: str, name: str) -> Getter:
        """How a field is read."""
        key = (object_type, name)
        if key not in self._getters:
            self._getters[key] = self._reads(object_type, name)
        return self._getters[key]

    def _reads(self, object_type: str, name: str) -> Getter:
        head, _, rest = name.partition(".")
        if rest:
            link = self._link(object_type, head)
            shared = link is not None and len(link.reference_to) > 1

            def behind(row: Row) -> Any:
                parent = self.parent(row, head)
                if parent is None:
                    return None
                return parent.object if shared and rest == "Type" else self.getter(parent.object, rest)(parent)

            return behind
        if name in _OF_THE_ROW:
            return _OF_THE_ROW[name]
        one = self.fields(object_type).get(name)
        if one is None:
            return lambda _: None
        if name == "Name":
            return lambda row: row.get("Name")
        if one.type == "boolean":
            return lambda row: row.values.get(name, False)
        if name == "CurrencyIsoCode":
            return lambda row: row.values.get(name, one.default)
        if one.type in _DECIMALS:
            return lambda row: _decimal(row.values.get(name))
        return lambda row: row.values.get(name)

    def find(self, asked: soql.Query) -> Found:
        """Run a query.

        Raises:
            SalesforceError: INVALID_TYPE, INVALID_FIELD.
        """
        self._check(asked)
        test = asked.tester(self.store.clock.now().date())
        if asked.object_type in catalog.HISTORY_OBJECTS:
            rows = [row for row in self.store.history(asked.object_type) if self.deleted or not row.is_deleted]
            return self._arranged(asked, [row for row in rows if test(self.view(row))])
        condition, arguments, exact = _in_sql(asked.where)
        hidden = ["is_deleted = 0"]
        if asked.object_type in ("Task", "Event"):
            hidden.append("json_extract(body, '$.IsArchived') is not 1")
        where = " and ".join(["object = ?", f"({condition})", *([] if self.deleted else hidden)])
        arguments = [asked.object_type, *arguments]
        if exact and all(name in _COLUMNS for name, _ in asked.order):
            order = ", ".join(f"{_COLUMNS[name]}{' desc' if down else ''}" for name, down in asked.order) or "id"
            limit = -1 if asked.limit is None else asked.limit
            text = f"select id from records where {where} order by {order} limit {limit} offset {asked.offset}"
            return Found(self, asked, [str(i) for (i,) in self.store.connection.execute(text, arguments)], {})
        rows = self.store.where(where, arguments)
        return self._arranged(asked, rows if exact else [row for row in rows if test(self.view(row))])

    def _arranged(self, asked: soql.Query, rows: list[Row]) -> Found:
        for name, descending in reversed(asked.order):
            keyed = {row.id: self.view(row).get(name) for row in rows}
            rows.sort(key=lambda row: (keyed[row.id] is not None, keyed[row.id]), reverse=descending)
        end = None if asked.limit is None else asked.offset + asked.limit
        rows = rows[asked.offset : end]
        return Found(self, asked, [row.id for row in rows], {row.id: row for row in rows})

    def _check(self, asked: soql.Query) -> None:
        name = asked.object_type
        if not self.store.has(name):
            raise SalesforceError(
                "INVALID_TYPE",
                f"sObject type '{name}' is not supported. If you are attempting to use a custom object, be sure to "
                "append the '__c' after the entity name.",
            )
        resolved: dict[str, Field] = {}
        for used in asked.used:
            found = self.resolve(name, used)
            if found is None:
                raise SalesforceError("INVALID_FIELD", self._missing(name, used))
            resolved[used] = found
        for used, literal in asked.conditions():
            kind = resolved[used].type
            fits = _KINDS.get(kind) or (("number", "null") if kind in _NUMBERS else ("text", "null"))
            if kind != "anyType" and literal.kind not in fits:
                raise SalesforceError("INVALID_FIELD", _wrong_kind(used, kind, literal.kind))
            if resolved[used].type == "textarea" and resolved[used].length > 255:
                raise SalesforceError("INVALID_FIELD", f"field '{used}' can not be filtered in a query call")

    def _missing(self, object_type: str, name: str) -> str:
        head, _, rest = name.partition(".")
        if rest and self._link(object_type, head) is None:
            return f"Didn't understand relationship '{head}' in field path."
        return (
            f"No such column '{name}' on entity '{object_type}'. If you are attempting to use a custom field, be sure "
            "to append the '__c' after the custom field name."
        )


_POLYMORPHIC = {
    "Id": Field("Id", "Id", "id", 18),
    "Type": Field("Type", "Type", "picklist", 40),
    "Name": Field("Name", "Name", "string", 255),
}


@dataclass(slots=True)
class View:
    """One record, by the names a query uses."""

    row: Row
    reader: Reader

    def get(self, name: str, /) -> Any:
        """A field's value; a checkbox is never null, nor is a currency's code."""
        return self.reader.getter(self.row.object, name)(self.row)

    def json(self, names: Sequence[str], version: str) -> dict[str, Any]:
        """The record as a query answers it; a record behind a relationship is one inside."""
        url = f"/services/data/v{version}/sobjects/{self.row.object}/{self.row.id}"
        found: dict[str, Any] = {"attributes": {"type": self.row.object, "url": url}}
        inside: dict[str, list[str]] = {}
        for name, get in self.reader.getters(self.row.object, names):
            if "." in name:
                head, _, rest = name.partition(".")
                inside.setdefault(head, []).append(rest)
                found.setdefault(head, None)
            else:
                found[name] = get(self.row)
        for head, below in inside.items():
            parent = self.reader.parent(self.row, head)
            if parent is not None:
                found[head] = View(parent, self.reader).json([one for one in below if "." in one], version)
                found[head] |= {rest: self.get(f"{head}.{rest}") for rest in below if "." not in rest}
        return found


def _in_sql(node: soql.Node | None) -> tuple[str, list[Any], bool]:
    """As much of a condition as the store's own columns decide: SQL, its values, and whether that is all of it."""
    match node:
        case None:
            return "1", [], True
        case soql.Compare() if node.name in _COLUMNS and _plain(node.literal):
            column, operator = _COLUMNS[node.name], "<>" if node.operator == "!=" else node.operator
            return f"{column} {operator} ?", [_sql_value(node.name, node.literal.value)], True
        case soql.Among() if node.name in _COLUMNS and all(map(_plain, node.literals)):
            marks = ", ".join("?" * len(node.literals))
            values = [_sql_value(node.name, one.value) for one in node.literals]
            return f"{_COLUMNS[node.name]} {'not in' if node.negated else 'in'} ({marks})", values, True
        case soql.Every():
            parts = [_in_sql(part) for part in node.parts]
            return (
                " and ".join(f"({text})" for text, _, _ in parts),
                [value for _, values, _ in parts for value in values],
                all(exact for _, _, exact in parts),
            )
        case soql.Some():
            parts = [_in_sql(part) for part in node.parts]
            if all(exact for _, _, exact in parts):
                text = " or ".join(f"({text})" for text, _, _ in parts)
                return text, [value for _, values, _ in parts for value in values], True
            return "1", [], False
        case _:
            return "1", [], False


def _plain(literal: soql.Literal) -> bool:
    return literal.kind in ("text", "instant", "truth")


def _sql_value(name: str, value: Any) -> Any:
    from sandbox.salesforce import ids

    if name == "Id":
        return ids.long(str(value)) if ids.is_id(value) else str(value)
    return int(value) if isinstance(value, bool) else value


def _wrong_kind(name: str, kind: str, got: str) -> str:
    wanted = {"datetime": "dateTime", "string": "string"}.get(kind, kind)
    quoted = " and should not be enclosed in quotes" if got == "text" else ""
    needs = " and should be enclosed in quotes" if kind not in _KINDS and kind not in _NUMBERS else quoted
    return f"value of filter criterion for field '{name}' must be of type {wanted}{needs}"


# The resource ---------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Cursor:
    """A query whose pages are still to be fetched; they can be fetched again as long as it lives."""

    id: str
    found: Found
    size: int
    expires: datetime
    version: str = field(default="62.0")

    def page(self, start: int) -> dict[str, Any]:
        """The page that starts there."""
        end = start + self.size
        names = self.found.asked.fields
        records = [one.json(names, self.version) for one in self.found.records(start, end)]
        payload: dict[str, Any] = {"totalSize": len(self.found), "done": end >= len(self.found)}
        if not payload["done"]:
            payload["nextRecordsUrl"] = f"/services/data/v{self.version}/query/{self.id}-{end}"
        return payload | {"records": records}


def query(call: Call) -> Reply:
    """Run a query; `queryAll` sees deleted, merged and archived records too."""
    text = call.query.get("q", "")
    if not text:
        raise SalesforceError("MALFORMED_QUERY", "SOQL statements can not be empty or null")
    reader = Reader(call.store, call.user, deleted="/queryAll" in call.path)
    found = reader.find(soql.parse(text))
    if found.asked.counts:
        return Reply(200, {"totalSize": len(found), "done": True, "records": []})
    call.state.cursor_count += 1
    from sandbox.salesforce import ids

    cursor = Cursor(
        ids.make("01g", call.state.cursor_count), found, _size(call), call.store.clock.now() + LIFE_OF_A_CURSOR,
        call.version,
    )  # fmt: skip
    payload = cursor.page(0)
    if not payload["done"]:
        call.state.cursors[cursor.id] = cursor
    return Reply(200, payload)


def _size(call: Call) -> int:
    for option in call.headers.get("sforce-query-options", "").split(","):
        name, _, value = option.strip().partition("=")
        if name == "batchSize" and value.isdigit():
            return min(call.state.page_size, max(SMALLEST_PAGE, int(value)))
    return call.state.page_size


def query_more(call: Call) -> Reply:
    """A later page of a query."""
    match = re.fullmatch(r"(\w{15,18})-(\d+)", call.params["cursor"])
    cursor = call.state.cursors.get(match[1]) if match else None
    if match is None or cursor is None or call.store.clock.now() >= cursor.expires:
        raise SalesforceError("INVALID_QUERY_LOCATOR", "invalid query locator")
    start = int(match[2])
    if start >= len(cursor.found):
        raise SalesforceError("INVALID_QUERY_LOCATOR", "invalid query locator")
    return Reply(200, cursor.page(start))
