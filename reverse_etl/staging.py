"""From dbt's `sync_*` rows to operations that can be decided: canonical values, three-way compare, what the policy
knows.

Class, risk, operation and type of a property are taken from the policy as it is now, not from the rows: dbt may have
been built with an older one.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Any

from nightdesk.errors import NightdeskError
from reverse_etl import autonomy, canonical_sets
from reverse_etl.arrow import pyarrow
from reverse_etl.canonical_sets import Target
from reverse_etl.digest import OP_ID_COLUMNS, row_hash_sql
from reverse_etl.store import find_table

if TYPE_CHECKING:
    import duckdb

    from nightdesk.policy import Policy
    from nightdesk.policy.models import FieldMapping

# What a sync model must give; everything else it holds is for readers of the warehouse.
SYNC_COLUMNS: dict[str, str] = {
    "record_id": "varchar",
    "record_label": "varchar",
    "property": "varchar",
    "crm_value": "varchar",
    "last_written_value": "varchar",
    "desired_value": "varchar",
    "answer_id": "varchar",
    "reason": "varchar",
    "confidence": "decimal(6, 4)",
    "evidence": "varchar",
    "evidence_count": "bigint",
    "is_stale": "boolean",
    "is_suppressed": "boolean",
}
# What it may give: the segment that write rules look at, the person or company a row is about (our own id), and for
# records that we create the operation that recommends them: one mapping serves the tasks of many.
OPTIONAL_COLUMNS: dict[str, str] = {"segment": "varchar", "subject_id": "varchar", "operation": "varchar"}
# CRMs whose values a load brings into the warehouse. Of any other CRM, and of records that we create ourselves, the
# warehouse knows nothing: the plan asks the CRM (`freshen`).
LOADED = frozenset({"hubspot"})

# The reason of an answer none of whose sentences is left: what it rests on is listed all the same.
UNSAID = "No sentence of the answer passed the evidence check; what it rests on is cited"

# The three-way compare at planning: what the CRM held at the last load against what we wrote last.
CONFLICT_CLASS_SQL = """
case
    when last_written_value is null and coalesce(before_value, '') = '' then 'new'
    when last_written_value is not null and coalesce(before_value, '') = coalesce(last_written_value, '') then 'ours'
    else 'changed_by_other'
end
"""


def conflict_class(before: str | None, last_written: str | None) -> str:
    """The same in Python: `new` (never ours, empty), `ours` (as we left it) or `changed_by_other`."""
    if last_written is None and not before:
        return "new"
    if last_written is not None and (before or "") == (last_written or ""):
        return "ours"
    return "changed_by_other"


def sync_model(crm: str, object_type: str) -> str:
    """Name of the dbt model that proposes changes of an object type: `sync_tryton__party_party`."""
    return f"sync_{crm}__{object_type.lower().replace('.', '_')}"


def _relation(con: duckdb.DuckDBPyConnection, warehouse: str, mapping: FieldMapping) -> str:
    """The sync models of a CRM as one relation, every column of the type the plan needs."""
    parts: list[str] = []
    for object_type in sorted(mapping.fields):
        model = sync_model(mapping.crm, object_type)
        table = find_table(con, warehouse, model)
        if table is None:
            raise NightdeskError(f"The model `{model}` is not in the warehouse", todo="Run `nightdesk build` first.")
        have = {str(row[0]) for row in con.execute(f"describe {table}").fetchall()}
        lacking = sorted(set(SYNC_COLUMNS) - have)
        if lacking:
            raise NightdeskError(f"`{model}` has no column `{lacking[0]}`", where=table)
        columns = ", ".join(
            [f"{name}::{kind} as {name}" for name, kind in SYNC_COLUMNS.items()]
            + [f"{name if name in have else 'null'}::{kind} as {name}" for name, kind in OPTIONAL_COLUMNS.items()]
        )
        parts.append(f"select '{object_type}' as object_type, {columns} from {table}")
    return f"""(
        select proposed.*, coalesce(fields.value_type, 'text') as value_type
        from ({" union all ".join(parts)}) as proposed
        left join _sync_fields as fields
            on proposed.object_type = fields.object_type and proposed.property = fields.property
    )"""


def stage_sync(con: duckdb.DuckDBPyConnection, warehouse: str, policy: Policy, crm: str, as_of: date) -> dict[str, int]:
    """Fill the temporary table `staged` from the sync models of a CRM.

    Everything happens in sets inside DuckDB; only values that are not canonical already come to Python.

    Returns:
        How many rows were left out, by reason (equal already, nothing wanted).

    Raises:
        NightdeskError: A model is missing, lacks a column, proposes one field twice, or holds evidence that is not
        JSON.
    """
    mapping = policy.mapping(crm)
    known = {
        (str(object_type), item.property): Target(item.type, item.options or ())
        for object_type, fields in mapping.fields.items()
        for item in fields
    }
    levels = autonomy.levels(con, policy)
    con.register("_sync_fields", _policy_rows(policy, crm, as_of, levels))
    con.register("_sync_levels", _level_rows(levels))
    try:
        relation = _relation(con, warehouse, mapping)
        _check(con, crm, relation)
        canonical_sets.look_up(con, relation, known, mapping.max_text_chars)
        source, canonical = canonical_sets.joined_sql(relation, "rows")
        valued = (
            f"select rows.* replace ({canonical['desired_value']} as desired_value, "
            f"{canonical['last_written_value']} as last_written_value), {canonical['before_value']} as before_value, "
            f"{canonical['value_error']} as value_error from {source}"
        )
        left_out = con.execute(
            "select count(*) filter (coalesce(desired_value, '') = ''), "
            "count(*) filter (coalesce(desired_value, '') <> '' and value_error is null and desired_value = "
            f"before_value) from ({valued})"
        ).fetchone() or (0, 0)
        con.execute(_stage_sql(crm, mapping.keyed_types, f"({valued})"))
    finally:
        con.unregister("_sync_fields")
        con.unregister("_sync_levels")
        canonical_sets.drop(con)
    return {"nothing wanted": int(left_out[0]), "equal already": int(left_out[1])}


def _policy_rows(policy: Policy, crm: str, as_of: date, levels: Mapping[tuple[str, str | None], int]) -> Any:
    pa = pyarrow()
    mapping = policy.mapping(crm)
    exceptions = {(e.object_type, e.property) for e in mapping.exceptions if e.expires_on >= as_of}
    fields = [(str(o), item) for o, items in mapping.fields.items() for item in items]
    namespace, keyed = mapping.namespace, mapping.keyed_types
    return pa.table(
        {
            "object_type": [o for o, _ in fields],
            "property": [item.property for _, item in fields],
            "value_type": [str(item.type) for _, item in fields],
            "operation": [str(item.operation) for _, item in fields],
            "field_class": [str(item.field_class) for _, item in fields],
            "risk": [str(item.risk) for _, item in fields],
            "autonomy_level": pa.array(
                [levels.get((str(item.operation), item.property)) for _, item in fields], pa.int32()
            ),
            "is_namespaced": [
                o in keyed or item.property.startswith(namespace) or (o, item.property) in exceptions
                for o, item in fields
            ],
        }
    )


def _level_rows(levels: Mapping[tuple[str, str | None], int]) -> Any:
    """The level of each operation as a whole."""
    pa = pyarrow()
    whole = {operation: level for (operation, name), level in levels.items() if name is None}
    return pa.table(
        {"level_of": pa.array(list(whole), pa.string()), "its_level": pa.array(list(whole.values()), pa.int32())}
    )


def _check(con: duckdb.DuckDBPyConnection, crm: str, relation: str) -> None:
    twice = con.execute(
        f"select object_type, record_id, property, count(*) from {relation} group by all having count(*) > 1 "
        "order by all limit 1"
    ).fetchone()
    if twice:
        raise NightdeskError(
            f"`{twice[2]}` of {twice[0]} {twice[1]} is proposed {twice[3]} times",
            where=sync_model(crm, twice[0]),
            todo="One row per record and property: find the duplicate key in the model.",
        )
    broken = con.execute(
        f"select object_type, record_id, property from {relation} where record_id is null or property is null "
        "or not coalesce(json_valid(evidence), true) limit 1"
    ).fetchone()
    if broken:
        raise NightdeskError(
            f"`{broken[2]}` of {broken[0]} {broken[1]} has no key or evidence that is not JSON",
            where=sync_model(crm, broken[0]),
        )


def _stage_sql(crm: str, keyed: frozenset[str], valued: str) -> str:
    """The statement that makes `staged`.

    `fill_empty` fields are for empty fields only. What the mapping does not know, what is quarantined and what the CRM
    could not hold is denied here, before any rule is asked; it stays in the plan so that a person sees it.
    """
    types = [f"rows.object_type = '{name}'" for name in sorted(keyed)]
    is_keyed = f"({' or '.join(types) or 'false'})"
    unread = "true" if crm not in LOADED else is_keyed
    recommended = f"({is_keyed} and rows.operation is not null)"
    return f"""
create or replace temp table staged as
with valued as (
    select
        '{crm}' as crm,
        rows.object_type,
        rows.record_id,
        rows.record_label,
        rows.property,
        coalesce(fields.value_type, 'text') as value_type,
        rows.before_value,
        rows.last_written_value,
        rows.desired_value,
        rows.desired_value as wire_value,
        {CONFLICT_CLASS_SQL} as conflict_class,
        case when rows.value_error is null then coalesce(nullif(trim(rows.reason), ''), '{UNSAID}')
            else 'Cannot be written: ' || rows.value_error end as reason,
        rows.confidence,
        coalesce(rows.evidence, '[]') as evidence,
        least(rows.evidence_count, json_array_length(coalesce(rows.evidence, '[]')))::bigint as counted,
        rows.answer_id,
        case when {recommended} then rows.operation else coalesce(fields.operation, 'none') end as operation,
        coalesce(fields.field_class, 'protected') as field_class,
        coalesce(fields.risk, 'high') as risk,
        coalesce(case when {recommended} then its_level else fields.autonomy_level end, 1) as autonomy_level,
        rows.is_stale,
        rows.is_suppressed,
        coalesce(fields.is_namespaced, false) as is_namespaced,
        rows.value_error,
        case
            when rows.value_error is not null then 'invalid_value'
            when fields.property is null then 'unmapped_property'
            when fields.field_class = 'fill_empty' and coalesce(rows.before_value, '') <> '' then 'fill_empty_only'
            when exists (
                select 1 from quarantine
                where quarantine.crm = '{crm}' and quarantine.object_type = rows.object_type
                    and quarantine.record_id = rows.record_id and quarantine.property = rows.property
                    and quarantine.released_at is null
            ) then 'quarantined'
        end as builtin_rule,
        rows.segment,
        rows.subject_id,
        {unread} as is_unread
    from {valued} as rows
    left join _sync_fields as fields on rows.object_type = fields.object_type and rows.property = fields.property
    left join _sync_levels on rows.operation = level_of
    where coalesce(rows.desired_value, '') <> ''
        and (rows.value_error is not null or {unread} or rows.desired_value is distinct from rows.before_value)
)
select
    {row_hash_sql(OP_ID_COLUMNS)} as op_id,
    * exclude (counted, is_stale, is_suppressed),
    coalesce(counted, 0) as evidence_count,
    -- a missing answer to "stale?" or "opted out?" counts as yes: the ledger keeps no nulls here
    coalesce(is_stale, true) as is_stale,
    coalesce(is_suppressed, true) as is_suppressed
from valued
"""


def builtin_rules() -> Mapping[str, str]:
    """The denials that no policy can lift, with their reasons."""
    return {
        "default_deny": "No rule permits it",
        "invalid_value": "The CRM could not hold the value",
        "unmapped_property": "The field mapping does not know the property",
        "fill_empty_only": "Only empty fields may be filled",
        "quarantined": "Failed before and is quarantined",
        "not_on_target": "The record became one of another type, which does not have the property",
    }
