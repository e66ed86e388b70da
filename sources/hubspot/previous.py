"""What the raw database already holds: watermarks of finished loads, stamps of known records, property types."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from sources.hubspot.tables import DATASET
from sources.kit.contract import Field, options_of
from sources.kit.schema import unreadable
from sources.kit.settle import literal


class Previous:
    """Read-only questions to raw.duckdb. Thread-safe. Close before dlt writes: DuckDB refuses both at a time."""

    def __init__(self, raw_path: Path) -> None:
        try:
            self._connection = duckdb.connect(str(raw_path), read_only=True)
        except duckdb.Error as error:
            raise unreadable(raw_path, error) from error
        self._connection.execute("set timezone = 'UTC'")
        self._lock = threading.Lock()

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()

    def __enter__(self) -> Previous:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _all(self, sql: str) -> list[tuple[object, ...]]:
        # Literals, not bound parameters: binding one makes DuckDB import pandas, a second of a load that takes three.
        with self._lock:
            return self._connection.execute(sql).fetchall()

    def watermarks(self) -> dict[str, datetime]:
        """Stream -> watermark, of loads that dlt marked complete.

        A load that died after its watermark but before its rows is not in `_dlt_loads`; its streams are listed in full.
        """
        sql = f"select 1 from duckdb_tables() where schema_name = '{DATASET}' and table_name = '_dlt_loads'"
        if not self._all(sql):
            return {}
        rows = self._all(
            f"""
            select stream, watermark
            from {DATASET}.load_watermarks
            where watermark is not null
                and _dlt_load_id in (select load_id from {DATASET}._dlt_loads where status = 0)
            """
        )
        return {str(stream): _utc(watermark) for stream, watermark in rows}

    def stamps(self, object_type: str, ids: Sequence[str]) -> dict[str, datetime]:
        """Id -> latest modification loaded, our own writes included, of those among `ids` that are known and alive."""
        if not ids:
            return {}
        chosen = ", ".join(literal(one) for one in ids)
        rows = self._all(
            f"select id, stamp from ({_stamped(object_type)}) where id in ({chosen}) and stamp is not null"
        )
        return {str(one): _utc(stamp) for one, stamp in rows}

    def count(self, object_type: str) -> int:
        """Rows of a table that are not archived."""
        return int(str(self._all(f'select count(*) from {DATASET}."{object_type}" where not archived')[0][0]))

    def ids(self, object_type: str) -> list[str]:
        """Ids of the records that are not archived."""
        return [
            str(row[0]) for row in self._all(f'select id from {DATASET}."{object_type}" where not archived order by 1')
        ]

    def loaded(self, object_type: str, ids: Sequence[str]) -> set[str]:
        """Those of these ids that are loaded, archived ones included."""
        if not ids:
            return set()
        chosen = ", ".join(literal(one) for one in ids)
        return {str(row[0]) for row in self._all(f'select id from {DATASET}."{object_type}" where id in ({chosen})')}

    def emails(self) -> set[str]:
        """Addresses of the contacts that are not archived."""
        rows = self._all(
            f"select distinct lower(trim(email)) from {DATASET}.contacts where not archived and email <> ''"
        )
        return {str(row[0]) for row in rows}

    def has_namespaced(self, object_type: str) -> bool:
        """Whether any record of the type carries a namespaced value."""
        sql = f"select 1 from {DATASET}.namespaced_values where object_type = {literal(object_type)} limit 1"
        return bool(self._all(sql))

    def fields(self) -> list[Field]:
        """The CRM's properties as they were remembered at the last load."""
        rows = self._all(
            f"select object_type, name, label, type, options, is_loaded, state = 'gone' "
            f"from {DATASET}.property_definitions order by object_type, name"
        )
        return [
            Field(
                str(a),
                str(b),
                str(c or ""),
                str(d or ""),
                options_of(None if e is None else str(e)),
                bool(f),
                is_gone=bool(g),
            )
            for a, b, c, d, e, f, g in rows
        ]

    def known_between(self, object_type: str, since: datetime, until: datetime) -> set[str]:
        """Known, living records whose latest known modification lies in [since, until]."""
        span = f"{literal(since.isoformat())}::timestamptz and {literal(until.isoformat())}::timestamptz"
        return {
            str(row[0]) for row in self._all(f"select id from ({_stamped(object_type)}) where stamp between {span}")
        }


def _stamped(object_type: str) -> str:
    """Living records and the latest modification of each that is loaded: its own stamp, or that of a value we wrote."""
    return f"""
        select objects.id, greatest(objects.updated_at, written.updated_at) as stamp
        from {DATASET}."{object_type}" as objects
        left join (
            select object_id, max(updated_at) as updated_at
            from {DATASET}.namespaced_values
            where object_type = {literal(object_type)}
            group by object_id
        ) as written on written.object_id = objects.id
        where not coalesce(objects.archived, false)
    """


def _utc(value: object) -> datetime:
    if not isinstance(value, datetime):
        raise TypeError(value)
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
