"""What the CRM's properties looked like when a plan was made: taken, hashed, kept, and compared again before a
write."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from nightdesk.errors import NightdeskError
from reverse_etl.crms.protocol import CrmAdapter, ObjectSchema, PropertySchema
from reverse_etl.store import Clock, utc

if TYPE_CHECKING:
    import duckdb

    from nightdesk.policy import Policy

Schemas = dict[str, dict[str, PropertySchema]]


def take(adapter: CrmAdapter, policy: Policy) -> Schemas:
    """Describe the mapped properties in the CRM: object type -> property -> schema. Missing properties are left out."""
    schemas: Schemas = {}
    mapping = policy.mapping(adapter.crm)
    for object_type, fields in sorted(mapping.fields.items()):
        described: ObjectSchema = adapter.describe(object_type)
        questions = [item for item in mapping.asked.get(object_type, ()) if item.question]
        schemas[object_type] = {
            item.property: described.properties[item.property]
            for item in (*fields, *questions)
            if item.property in described.properties
        }
    return schemas


def _text(properties: dict[str, PropertySchema]) -> str:
    # Labels and group may change without harm; type, options and rights may not.
    kept = {
        name: {k: v for k, v in asdict(schema).items() if k not in ("label", "group")}
        for name, schema in properties.items()
    }
    return json.dumps(kept, sort_keys=True, separators=(",", ":"))


def schema_hash(schemas: Schemas) -> str:
    """Hash of everything about the properties that a write depends on."""
    return hashlib.sha256(json.dumps({k: _text(v) for k, v in schemas.items()}, sort_keys=True).encode()).hexdigest()


def save(con: duckdb.DuckDBPyConnection, crm: str, schemas: Schemas, clock: Clock) -> str:
    """Keep a snapshot (once per content); returns its hash."""
    digest = schema_hash(schemas)
    for object_type, properties in schemas.items():
        con.execute(
            "insert into schema_snapshots select ?, ?, ?, ?, ? where not exists "
            "(select 1 from schema_snapshots where snapshot_hash = ? and object_type = ?)",
            [digest, crm, object_type, _text(properties), utc(clock()), digest, object_type],
        )
    return digest


def latest_hash(con: duckdb.DuckDBPyConnection, crm: str) -> str | None:
    """Hash of the newest snapshot, for planning while the CRM cannot be reached."""
    row = con.execute(
        "select snapshot_hash from schema_snapshots where crm = ? order by taken_at desc limit 1", [crm]
    ).fetchone()
    return str(row[0]) if row else None


def problems(schemas: Schemas, policy: Policy, crm: str, used: set[tuple[str, str]]) -> list[str]:
    """What stands against writing the `(object_type, property)` pairs in use."""
    found: list[str] = []
    for object_type, fields in sorted(policy.mapping(crm).fields.items()):
        for item in fields:
            # `@record` and `@contacts` are no properties of the CRM: the record itself, and what it hangs on.
            if (object_type, item.property) not in used or item.property.startswith("@"):
                continue
            there = schemas.get(object_type, {}).get(item.property)
            name = f"{object_type}.{item.property}"
            if there is None or there.is_archived:
                found.append(f"{name} does not exist in the CRM")
            elif there.is_read_only:
                found.append(f"{name} is read-only in the CRM")
            elif there.value_type != item.type:
                found.append(f"{name} is {there.crm_type} in the CRM, the mapping says {item.type}")
            elif set(item.options) - set(there.options):
                found.append(f"{name} lacks the options {', '.join(sorted(set(item.options) - set(there.options)))}")
    return found


def require_ready(schemas: Schemas, policy: Policy, crm: str, used: set[tuple[str, str]]) -> None:
    """Refuse to plan writes the CRM could not take.

    Raises:
        NightdeskError: Names the first properties that are missing, read-only or of another type.
    """
    found = problems(schemas, policy, crm, used)
    if found:
        more = f" (and {len(found) - 3} more)" if len(found) > 3 else ""
        raise NightdeskError(
            "; ".join(found[:3]) + more,
            where="CRM properties",
            todo="Run `nightdesk crm setup`, then `crm setup --apply`.",
        )
