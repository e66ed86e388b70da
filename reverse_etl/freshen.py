"""Before a plan is decided, the CRM itself is asked where the warehouse does not know better.

* Values that seem to be changed by somebody else: a load finds changes through the CRM's search index, which lags;
  right after an apply the warehouse may still hold the values of before it, and every one of our own writes would look
  like somebody else's.
* What we have written since the warehouse was built: it knows neither the write nor what the CRM holds since.
* Everything about CRMs that no load reads, and about records that we create ourselves.
* Where a record has become one of another type (a converted Salesforce lead), its operations go there.

Only the fields in question are read, a full batch a request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nightdesk.errors import NightdeskError
from reverse_etl.canonical import lenient
from reverse_etl.crms.protocol import RoutesRecords
from reverse_etl.digest import OP_ID_COLUMNS, row_hash_sql
from reverse_etl.staging import CONFLICT_CLASS_SQL
from reverse_etl.store import first_event, insert, rows

if TYPE_CHECKING:
    import duckdb

    from nightdesk.policy.models import FieldMapping
    from reverse_etl.crms.protocol import CrmAdapter


def require_read(con: duckdb.DuckDBPyConnection) -> None:
    """Refuse to plan without the CRM where nothing else knows what it holds.

    Raises:
        NightdeskError: `staged` holds operations whose present values only the CRM knows.
    """
    if con.execute("select 1 from staged where is_unread limit 1").fetchone():
        raise NightdeskError(
            "The plan needs the CRM: no load reads what some of these fields hold",
            todo="Plan with the CRM reachable.",
        )


def route(con: duckdb.DuckDBPyConnection, adapter: CrmAdapter, mapping: FieldMapping) -> int:
    """Send operations on records that became others to where they live now; returns how many were left to an operation
    of their own that the new record has already."""
    if not isinstance(adapter, RoutesRecords):
        return 0
    moved: list[tuple[str, str, str, str]] = []
    for (object_type,) in con.execute("select distinct object_type from staged order by 1").fetchall():
        ids = [
            str(row[0])
            for row in con.execute(
                "select distinct record_id from staged where object_type = ? order by 1", [object_type]
            ).fetchall()
        ]
        for start in range(0, len(ids), adapter.batch_size):
            routes = adapter.route(object_type, ids[start : start + adapter.batch_size])
            moved += [(object_type, old, new_type, new_id) for old, (new_type, new_id) in routes.items()]
    if not moved:
        return 0
    con.execute(
        "create or replace temp table moved (old_type varchar, old_id varchar, new_type varchar, new_id varchar)"
    )
    insert(con, "moved", dict(zip(("old_type", "old_id", "new_type", "new_id"), zip(*moved, strict=True), strict=True)))
    con.execute("create or replace temp table mapped (mapped_type varchar, mapped_property varchar)")
    pairs = [(object_type, item.property) for object_type, fields in mapping.fields.items() for item in fields]
    insert(con, "mapped", {"mapped_type": [o for o, _ in pairs], "mapped_property": [p for _, p in pairs]})
    con.execute(
        f"""
        create or replace temp table staged as
        with routed as (
            select staged.* replace (
                coalesce(new_type, object_type) as object_type,
                coalesce(new_id, record_id) as record_id,
                case
                    when new_type is not null and not exists (
                        select 1 from mapped where mapped_type = new_type and mapped_property = property
                    ) then coalesce(builtin_rule, 'not_on_target')
                    else builtin_rule
                end as builtin_rule
            ),
            new_type is not null as is_moved
            from staged left join moved on object_type = old_type and record_id = old_id
        )
        select * replace ({row_hash_sql(OP_ID_COLUMNS)} as op_id) from routed
        """
    )
    dropped = con.execute(
        """
        delete from staged where is_moved and exists (
            select 1 from staged as own
            where own.object_type = staged.object_type and own.record_id = staged.record_id
                and own.property = staged.property and (not own.is_moved or own.op_id < staged.op_id)
        )
        returning op_id
        """
    ).fetchall()
    con.execute("alter table staged drop column is_moved")
    return len(dropped)


def know_own_writes(con: duckdb.DuckDBPyConnection, crm: str) -> None:
    """Take from the ledger what we wrote last where the warehouse does not know it yet, and have those fields read.

    Without it, a plan made right after an apply would propose all of it once more.
    """
    con.execute(
        f"""
        create or replace temp table own_writes as
        select plan_ops.object_type, plan_ops.record_id, plan_ops.property,
            arg_max(
                struct_pack(v := if(op_results.result = 'altered', op_results.crm_after, plan_ops.desired_value)),
                struct_pack(run := runs.began, at := op_results.recorded_at)
            )['v'] as written
        from op_results
        inner join (
            select apply_run_id, plan_id, {first_event("apply_runs.apply_run_id")} as began
            from apply_runs where not dry_run
        ) as runs using (apply_run_id)
        inner join plan_ops on plan_ops.plan_id = runs.plan_id and plan_ops.op_id = op_results.op_id
        where plan_ops.crm = '{crm}' and op_results.result in ('applied', 'already_there', 'altered')
        group by all
        """
    )
    con.execute(
        f"""
        create or replace temp table staged as
        with known as (
            select staged.* replace (
                own_writes.written as last_written_value,
                true as is_unread
            )
            from staged inner join own_writes using (object_type, record_id, property)
            where own_writes.written is distinct from staged.last_written_value
        )
        select * from staged where op_id not in (select op_id from known)
        union all by name
        select * replace ({CONFLICT_CLASS_SQL} as conflict_class) from known
        """
    )
    con.execute("drop table own_writes")


def freshen(con: duckdb.DuckDBPyConnection, adapter: CrmAdapter) -> int:
    """Correct the operations in `staged` that seem to be changed by somebody else, or that no load has read.

    Returns:
        How many were equal already, and were taken out.

    Records the CRM does not find stay as they are: `apply` says what became of them.
    """
    suspects = rows(
        con,
        "select op_id, object_type, record_id, property, value_type from staged "
        "where conflict_class = 'changed_by_other' or is_unread order by object_type, length(record_id), record_id",
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
        create or replace temp table refreshed as
        with corrected as (
            select staged.* replace (fresh_value as before_value), op_id as stale_op_id
            from staged inner join fresh_values on staged.op_id = fresh_values.fresh_op_id
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
    con.execute("delete from staged where op_id in (select stale_op_id from refreshed)")
    con.execute("insert into staged by name select * exclude (stale_op_id) from refreshed")
    con.execute("drop table refreshed")
    equal = con.execute(
        "delete from staged where value_error is null and desired_value = before_value returning op_id"
    ).fetchall()
    return len(equal)
