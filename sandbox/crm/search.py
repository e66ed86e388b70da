"""CRM search: HubSpot's filter groups turned into one SQL query over what the index shows by now."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from sandbox.crm import catalog
from sandbox.crm.clock import iso, to_ms
from sandbox.crm.errors import ApiError, invalid
from sandbox.crm.store import COLUMNS, Record, Store, to_record
from sandbox.crm.values import parse_instant
from sandbox.crm.wire import as_list, as_object, as_objects

MAX_GROUPS, MAX_FILTERS, MAX_FILTERS_PER_GROUP, MAX_LIMIT, MAX_RESULTS = 6, 25, 10, 200, 10_000
_COMPARE = {"EQ": "=", "NEQ": "<>", "LT": "<", "LTE": "<=", "GT": ">", "GTE": ">="}


@dataclass(frozen=True, slots=True)
class Found:
    """One page of results. `next_after` is None on the last page."""

    total: int
    records: list[Record]
    next_after: str | None


@dataclass(slots=True)
class _Query:
    """A condition under construction with its bound values."""

    object_type: str
    definitions: dict[str, dict[str, Any]]
    values: list[Any] = field(default_factory=list)

    def bind(self, value: Any) -> str:
        self.values.append(value)
        return "?"

    def column(self, name: str) -> tuple[str, str]:
        """SQL expression and kind (ms, id, number, instant, day, text) of a property."""
        if name == catalog.MODIFIED[self.object_type]:
            return "updated_at", "ms"
        if name == catalog.CREATED[self.object_type]:
            return "created_at", "ms"
        if name == "hs_object_id":
            return "id", "id"
        definition = self.definitions.get(name)
        if definition is None:
            raise invalid(
                f"There was a problem with the request: property {name} does not exist",
                errors=[{"message": f'Property "{name}" does not exist', "code": "PROPERTY_DOESNT_EXIST"}],
            )
        path = self.bind(f'$."{name}"')
        kind = {"number": "number", "datetime": "instant", "date": "day"}.get(definition["type"], "text")
        expression = f"json_extract(properties, {path})"
        return (f"cast({expression} as real)" if kind == "number" else expression), kind

    def filter(self, item: dict[str, Any]) -> str:
        """One filter as a SQL condition."""
        name, operator = item.get("propertyName"), item.get("operator")
        if not isinstance(name, str) or not isinstance(operator, str):
            raise invalid("Invalid input JSON: every filter needs a propertyName and an operator")
        if name.startswith("associations."):
            return self._association(name, operator, item)
        if operator in ("HAS_PROPERTY", "NOT_HAS_PROPERTY"):
            expression, _ = self.column(name)
            return f"{expression} is {'not ' if operator == 'HAS_PROPERTY' else ''}null"
        if operator in _COMPARE:
            expression, kind = self.column(name)
            if kind == "text":
                expression = f"fold({expression})"
            return f"{expression} {_COMPARE[operator]} {self.bind(_value(kind, item.get('value'), name))}"
        if operator == "BETWEEN":
            expression, kind = self.column(name)
            low = self.bind(_value(kind, item.get("value"), name))
            return f"{expression} between {low} and {self.bind(_value(kind, item.get('highValue'), name))}"
        if operator in ("IN", "NOT_IN"):
            values = as_list(item.get("values"))
            if not values:
                raise invalid(f"operator {operator} on {name} requires values")
            expression, kind = self.column(name)
            if kind == "text":
                expression = f"fold({expression})"
            chosen = json.dumps([_value(kind, value, name) for value in values])
            word = "in" if operator == "IN" else "not in"
            return f"{expression} {word} (select value from json_each({self.bind(chosen)}))"
        if operator in ("CONTAINS_TOKEN", "NOT_CONTAINS_TOKEN"):
            expression, _ = self.column(name)
            test = f"has_token({expression}, {self.bind(str(item.get('value', '')))})"
            return test if operator == "CONTAINS_TOKEN" else f"not {test}"
        raise invalid(f"Invalid input JSON: {operator} is not a filter operator")

    def _association(self, name: str, operator: str, item: dict[str, Any]) -> str:
        to_type = catalog.ALIASES.get(name.partition(".")[2])
        values = [item.get("value")] if operator == "EQ" else as_list(item.get("values"))
        if to_type is None or operator not in ("EQ", "IN") or values is None:
            raise invalid(f"{name} can be searched with EQ and IN and record ids only")
        ids = json.dumps([_value("id", value, name) for value in values])
        here = self.bind(self.object_type)
        return (
            "exists (select 1 from associations as a where a.from_type = "
            f"{here} and a.from_id = source.id and a.to_type = {self.bind(to_type)}"
            f" and a.to_id in (select value from json_each({self.bind(ids)})))"
        )


def search(store: Store, object_type: str, body: dict[str, Any], now: int) -> Found:
    """Runs a search request.

    Ties of the sort are broken by record id, so paging is stable while nothing changes.

    Args:
        store: The store; its `search_lag_ms` decides what the index shows.
        object_type: Plural object type.
        body: The request: filterGroups, sorts, query, limit (10, at most 200), after (an offset).
        now: Sandbox time, epoch ms.

    Raises:
        ApiError: 400 for anything HubSpot refuses, among it pages beyond 10,000 results.
    """
    limit, offset = _paging(body)
    query = _Query(object_type, store.definitions(object_type))
    source = _source(store, object_type, now, query)
    conditions = ["archived_at is null"]
    groups = _groups(body)
    if groups:
        conditions.append(
            "(" + " or ".join("(" + " and ".join(query.filter(item) for item in group) + ")" for group in groups) + ")"
        )
    text = str(body.get("query") or "").strip()
    for word in text.split():
        fields = " or ".join(
            f"instr(fold(json_extract(properties, '$.{name}')), {query.bind(word.casefold())}) > 0"
            for name in catalog.SEARCHABLE[object_type]
            if name in query.definitions
        )
        conditions.append(f"({fields})")
    where = " and ".join(conditions)
    count_values = list(query.values)
    order = _order(body, query)
    total = store.connection.execute(f"select count(*) from {source} where {where}", count_values).fetchone()[0]
    rows = store.connection.execute(
        f"select {COLUMNS} from {source} where {where} order by {order} limit {limit} offset {offset}", query.values
    ).fetchall()
    more = offset + len(rows) < total
    return Found(total, [to_record(object_type, row) for row in rows], str(offset + limit) if more else None)


def _paging(body: dict[str, Any]) -> tuple[int, int]:
    try:
        limit, offset = int(body.get("limit") or 10), int(body.get("after") or 0)
    except (TypeError, ValueError) as error:
        raise invalid("Invalid input JSON: limit and after must be whole numbers") from error
    if not 1 <= limit <= MAX_LIMIT or offset < 0:
        raise invalid(f"limit must be between 1 and {MAX_LIMIT} and after not negative")
    if offset + limit > MAX_RESULTS:
        raise invalid(f"There was a problem with the request: paging goes beyond {MAX_RESULTS} results")
    return limit, offset


def _groups(body: dict[str, Any]) -> list[list[dict[str, Any]]]:
    raw = as_objects(body.get("filterGroups") or [])
    found = [] if raw is None else [as_objects(group.get("filters")) for group in raw]
    groups = [group for group in found if group]
    if raw is None or None in found:
        raise invalid("Invalid input JSON: filterGroups must be a list of objects with filters")
    if len(raw) > MAX_GROUPS:
        raise invalid(f"filterGroups: at most {MAX_GROUPS} groups, got {len(raw)}")
    if max((len(group) for group in groups), default=0) > MAX_FILTERS_PER_GROUP:
        raise invalid(f"filters: at most {MAX_FILTERS_PER_GROUP} in one group")
    if sum(len(group) for group in groups) > MAX_FILTERS:
        raise invalid(f"filters: at most {MAX_FILTERS} in one search")
    return groups


def _order(body: dict[str, Any], query: _Query) -> str:
    sorts = as_list(body.get("sorts") or [])
    if sorts is None or len(sorts) > 1:
        raise invalid("sorts: only one sorting rule can be applied to a search; ties are broken by record id")
    if not sorts:
        return "created_at, id"
    rule = as_object(sorts[0])
    if rule is None:
        name, descending = str(sorts[0]).removeprefix("-"), str(sorts[0]).startswith("-")
    else:
        name, descending = str(rule.get("propertyName", "")), rule.get("direction") == "DESCENDING"
    expression, _ = query.column(name)
    return f"{expression} {'desc' if descending else 'asc'}, id asc"


def _source(store: Store, object_type: str, now: int, query: _Query) -> str:
    """The table searched: the objects, or what they were before writes younger than the index lag."""
    cutoff = now - store.search_lag_ms
    if (
        not store.search_lag_ms
        or not store.connection.execute(
            "select 1 from search_stale where object_type = ? and written_at > ? limit 1", (object_type, cutoff)
        ).fetchone()
    ):
        query.values.append(object_type)
        return f"(select {COLUMNS} from objects where object_type = ?) as source"
    query.values += [object_type, object_type, cutoff, object_type, cutoff]
    return f"""(
        select {COLUMNS} from objects where object_type = ? and id not in (
            select id from search_stale where object_type = ? and written_at > ?)
        union all
        select id, properties, created_at, updated_at, archived_at, null from search_stale
        where properties is not null and seq in (
            select min(seq) from search_stale where object_type = ? and written_at > ? group by id)
    ) as source"""


def _value(kind: str, raw: Any, name: str) -> Any:
    if raw is None:
        raise invalid(f"a filter on {name} needs a value")
    text = str(raw).strip() if not isinstance(raw, bool) else str(raw).lower()
    try:
        if kind == "ms":
            return to_ms(parse_instant(text))
        if kind == "id":
            return int(text)
        if kind == "number":
            return float(text)
        if kind == "instant":
            return iso(to_ms(parse_instant(text)))
        if kind == "day":
            return parse_instant(text).date().isoformat()
    except ValueError as error:
        raise ApiError(400, "VALIDATION_ERROR", f"{text} is not a valid value for {name}") from error
    return text.casefold()
