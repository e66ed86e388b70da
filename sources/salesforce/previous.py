"""What the raw database already holds: how far it was read, what is known of records, fields, merges and deletions."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import duckdb

from sources.kit.contract import Field, options_of
from sources.kit.schema import unreadable
from sources.kit.settle import literal
from sources.kit.tables import Column, Table, cast_sql
from sources.salesforce.tables import DATASET, ObjectType

# A record that only a write of ours has touched differs in these, and in the values under our own namespace.
_TOUCHED: Final = ("last_modified_date", "last_modified_by_id", "system_modstamp")
_CHUNK: Final = 50_000


class Previous:
    """Read-only questions to raw.duckdb. Thread-safe. Close before the load is finished.

    Args:
        raw_path: The raw database with every table of the dataset.
    """

    def __init__(self, raw_path: Path) -> None:
        try:
            self._connection = duckdb.connect(str(raw_path), read_only=True)
        except duckdb.Error as error:
            raise unreadable(raw_path, error) from error
        self._connection.execute("set timezone = 'UTC'")
        self._lock = threading.Lock()
        self._filled: dict[str, bool] = {}

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()

    def __enter__(self) -> Previous:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def all(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        # Literals, not bound parameters: binding one makes DuckDB import pandas, a second of a load that takes three.
        with self._lock:
            return self._connection.execute(sql).fetchall()

    def has(self, table: str) -> bool:
        """Whether a table holds any row."""
        if table not in self._filled:
            self._filled[table] = bool(self.all(f"select 1 from {DATASET}.{table} limit 1"))
        return self._filled[table]

    def watermarks(self) -> dict[str, datetime]:
        """Stream -> watermark, of loads that dlt marked complete; the streams of one that died are read in full."""
        sql = f"select 1 from duckdb_tables() where schema_name = '{DATASET}' and table_name = '_dlt_loads'"
        if not self.all(sql):
            return {}
        rows = self.all(
            f"""
            select stream, watermark
            from {DATASET}.load_watermarks
            where watermark is not null
                and _dlt_load_id in (select load_id from {DATASET}._dlt_loads where status = 0)
            """
        )
        return {str(stream): _utc(watermark) for stream, watermark in rows}

    def fields(self) -> list[Field]:
        """What was remembered of the org's fields."""
        rows = self.all(
            f"""
            select object_type, name, label, type, options, is_loaded, state
            from {DATASET}.property_definitions
            order by object_type, name
            """
        )
        return [
            Field(
                str(object_type),
                str(name),
                str(label or ""),
                str(kind or ""),
                options=options_of(options),
                is_loaded=bool(is_loaded),
                is_gone=state == "gone",
            )
            for object_type, name, label, kind, options, is_loaded, state in rows
        ]

    def definition_rows(self, object_type: str) -> list[tuple[str | None, ...]]:
        """The rows of `property_definitions` of an object, as text: to be kept while the org does not show it."""
        rows = self.all(
            f"""
            select object_type, name, label, type, reference_to, is_custom::varchar, is_loaded::varchar, options, state
            from {DATASET}.property_definitions
            where object_type = {literal(object_type)}
            """
        )
        return [tuple(row) for row in rows]

    def picklist_rows(self, object_type: str) -> list[tuple[str | None, ...]]:
        """The rows of `picklist_values` of an object, as text."""
        rows = self.all(
            f"""
            select object_type, field, value, label, is_active::varchar, is_default::varchar, position::varchar
            from {DATASET}.picklist_values
            where object_type = {literal(object_type)}
            """
        )
        return [tuple(row) for row in rows]

    def merges(self) -> list[tuple[str, str, str, str, str]]:
        """Rows of `merges`."""
        rows = self.all(
            f"select object_type, merged_id, surviving_type, surviving_id, reason from {DATASET}.merges order by 1, 2"
        )
        return [(str(a), str(b), str(c), str(d), str(e)) for a, b, c, d, e in rows]

    def among(self, table: str, column: str, ids: Any, where: str = "true") -> set[str]:
        """Those of these ids (a list, or an Arrow array of text) that stand in a column of a table."""
        if not len(ids) or not self.has(table):
            return set()
        pa: Any = import_module("pyarrow")  # ships no types
        page = pa.table({"one": pa.array(ids, pa.string()) if isinstance(ids, list) else ids})
        with self._lock:
            self._connection.register("asked", page)
            try:
                rows = self._connection.execute(
                    f'select distinct "{column}" from {DATASET}.{table} '
                    f'where "{column}" in (select one from asked) and {where}'
                ).fetchall()
            finally:
                self._connection.unregister("asked")
        return {str(row[0]) for row in rows}

    def ids(self, table: str) -> Iterator[list[str]]:
        """All ids of a table in order, some at a time."""
        last = ""
        while True:
            rows = self.all(f"select id from {DATASET}.{table} where id > '{last}' order by id limit {_CHUNK}")
            if not rows:
                return
            yield [str(row[0]) for row in rows]
            last = str(rows[-1][0])

    def ours_gone(self, object_type: str, names: Collection[str]) -> list[tuple[str, str, str, str, str]]:
        """Rows that empty our own values whose field is not among these any more."""
        there = ", ".join(literal(one) for one in names) or "''"
        rows = self.all(
            f"""
            select object_type, object_id, property, '', strftime(updated_at, '%Y-%m-%dT%H:%M:%S.%fZ')
            from {DATASET}.namespaced_values
            where object_type = {literal(object_type)} and value <> '' and property not in ({there})
            """
        )
        return [(str(a), str(b), str(c), str(d), str(e)) for a, b, c, d, e in rows]

    def changed_values(self, object_type: str, values: Any) -> Any:
        """Those of our own values (object_id, property, value, updated_at) that are not loaded as they are now.

        Args:
            object_type: API name.
            values: Arrow table of text; an empty field has value ''.
        """
        if not self.has("namespaced_values"):
            pc: Any = import_module("pyarrow.compute")
            return values.filter(pc.not_equal(values.column("value"), ""))
        with self._lock:
            self._connection.register("said", values)
            try:
                found: Any = self._connection.execute(
                    f"""
                    select said.object_id, said.property, said.value, said.updated_at
                    from said
                    left join {DATASET}.namespaced_values as old
                        on old.object_type = {literal(object_type)}
                        and old.object_id = said.object_id
                        and old.property = said.property
                    where coalesce(old.value, '') <> said.value
                    """
                )
                return found.to_arrow_table()
            finally:
                self._connection.unregister("said")

    def settled(self, kind: ObjectType, page: Any, kept: Collection[str], written: Any) -> Any:
        """A page as it is to be loaded: what only we have touched keeps its stamps, vanished fields keep their values.

        Args:
            kind: The object.
            page: Arrow table of text with the table's columns.
            kept: Columns whose field is gone.
            written: Arrow table (object_id) of the page's records in which a value of ours changed.
        """
        table = kind.table
        with self._lock:
            self._connection.register("page", page)
            self._connection.register("written", written)
            try:
                found: Any = self._connection.execute(_settled_sql(kind, table, page.column_names, kept))
                return found.to_arrow_table()
            finally:
                self._connection.unregister("page")
                self._connection.unregister("written")


def _settled_sql(kind: ObjectType, table: Table, names: Sequence[str], kept: Collection[str]) -> str:
    by_name = {column.name: column for column in table.columns}
    same = " and ".join(
        f'old."{name}" is not distinct from page_typed."{name}"'
        for name in names
        if name not in _TOUCHED and name not in kept and name != "id"
    )
    typed = ", ".join(f'{cast_sql(by_name[name])} as "{name}"' for name in names)
    again = "page_typed.system_modstamp = written_last.written_at and old.system_modstamp < page_typed.system_modstamp"
    if "system_modstamp" not in names:
        again = "false"
    chosen: list[str] = []
    for name in names:
        old = _text_sql(by_name[name])
        if name in _TOUCHED:
            chosen.append(f'case when ours then {old} else page."{name}" end as "{name}"')
        else:
            chosen.append(f'page."{name}"')
    chosen += [f'{_text_sql(by_name[name])} as "{name}"' for name in kept if name not in names]
    return f"""
        with page_typed as (select {typed} from page),
        written_last as (
            select object_id, max(updated_at) as written_at
            from {DATASET}.namespaced_values
            where object_type = {literal(kind.name)} and object_id in (select id from page)
            group by object_id
        ),
        judged as (
            select
                page_typed.id,
                old.id is not null
                    and {same or "true"}
                    and (
                        page_typed.id in (select object_id from written)
                        or ({again})
                    ) as ours
            from page_typed
            left join {DATASET}."{table.name}" as old on old.id = page_typed.id
            left join written_last on written_last.object_id = page_typed.id
        )
        select {", ".join(chosen)}
        from page
        inner join judged on judged.id = page.id
        left join {DATASET}."{table.name}" as old on old.id = page.id
    """


def _text_sql(column: Column) -> str:
    """A loaded value as text that is read back as the same value."""
    if column.kind == "timestamp":
        return f"strftime(old.\"{column.name}\", '%Y-%m-%dT%H:%M:%S.%fZ')"
    return f'old."{column.name}"::varchar'


def _utc(value: object) -> datetime:
    if not isinstance(value, datetime):
        raise TypeError(value)
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
