"""Before somebody is said to have changed a value, the CRM itself is asked.

A load finds changes through the CRM's search index, which lags: right after an apply the warehouse may still hold the
values of before it, and every one of our own writes would look like somebody else's. Only the fields in question are
read, a hundred records a request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reverse_etl.canonical import lenient
from reverse_etl.digest import OP_ID_COLUMNS, row_hash_sql
from reverse_etl.staging import CONFLICT_CLASS_SQL
from reverse_etl.store import insert, rows

if TYPE_CHECKING:
    import duckdb

    from reverse_etl.crms.protocol import CrmAdapter


def freshen(con: duckdb.DuckDBPyConnection, adapter: CrmAdapter) -> int:
    """Correct the operations in `staged` that seem to be changed by somebody else; returns how many were equal already.

    Records the CRM does not find stay as they are: `apply` says what became of them.
    """
    suspects = rows(
        con,
        "select op_id, object_type, record_id, property, value_type from staged "
        "where conflict_class = 'changed_by_other' order by object_type, length(record_id), record_id",
    )
    by_type: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for suspect in suspects:
        by_type.setdefault(suspect["object_type"], {}).setdefault(suspect["record_id"], []).append(suspect)
    seen: list[tuple[str, str | None]] = []
    for object_type, records in by_type.items():
        ids = list(records)
        for start in range(0, len(ids), adapter.batch_size):
            part = ids[start : start + adapter.batch_size]
            properties = sorted({suspect["property"] for record_id in part for suspect in records[record_id]})
            for record_id, record in adapter.read(object_type, part, properties).found.items():
                for suspect in records[record_id]:
                    value = lenient(suspect["value_type"], record.values.get(suspect["property"]))
                    seen.append((suspect["op_id"], value))
    if not seen:
        return 0
    con.execute("create or replace temp table fresh_values (fresh_op_id varchar, fresh_value varchar)")
    columns = {"fresh_op_id": [op_id for op_id, _ in seen], "fresh_value": [value for _, value in seen]}
    insert(con, "fresh_values", columns)
    con.execute(
        f"""
        create or replace temp table staged as
        with corrected as (
            select staged.* replace (
                case when fresh_op_id is null then before_value else fresh_value end as before_value
            )
            from staged left join fresh_values on staged.op_id = fresh_values.fresh_op_id
        ),
        classified as (
            select * replace (
                {CONFLICT_CLASS_SQL} as conflict_class,
                case
                    when builtin_rule <> 'fill_empty_only' then builtin_rule
                    when field_class = 'fill_empty' and coalesce(before_value, '') <> '' then 'fill_empty_only'
                end as builtin_rule
            )
            from corrected
        )
        select * replace ({row_hash_sql(OP_ID_COLUMNS)} as op_id) from classified
        """
    )
    equal = con.execute(
        "delete from staged where value_error is null and desired_value = before_value returning op_id"
    ).fetchall()
    return len(equal)
