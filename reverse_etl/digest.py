"""What a plan is sealed with: a sha256 over every frozen operation, whatever their order, and what decided them.

The row encoding is unambiguous (`~` for null, else `<bytes>:<text>` per column), so no two different rows share one
encoding. It exists twice, as SQL for plans of any size and as Python for tests and tools; a property test holds
them equal.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

# Every column of plan_ops but plan_id, in the order of the DDL. A column missing here could be changed unseen.
OP_COLUMNS: tuple[str, ...] = (
    "op_id",
    "crm",
    "object_type",
    "record_id",
    "record_label",
    "property",
    "value_type",
    "before_value",
    "last_written_value",
    "desired_value",
    "wire_value",
    "conflict_class",
    "reason",
    "confidence",
    "evidence",
    "evidence_count",
    "answer_id",
    "operation",
    "field_class",
    "risk",
    "autonomy_level",
    "is_stale",
    "is_suppressed",
    "is_namespaced",
    "decision",
    "deciding_rule",
    "segment",
    "subject_id",
)
# Plans sealed before segment and subject existed: the same columns without them.
FIRST_SEAL, SEAL = "nightdesk-plan-1", "nightdesk-plan-2"
SEALED_FIRST: tuple[str, ...] = OP_COLUMNS[:-2]
OP_ID_COLUMNS: tuple[str, ...] = ("crm", "object_type", "record_id", "property", "before_value", "desired_value")

Scalar = str | int | bool | Decimal | None


def encode(value: Scalar) -> str:
    """Encode one value: `~` for null, else its UTF-8 length, a colon and its text."""
    if value is None:
        return "~"
    text = ("true" if value else "false") if isinstance(value, bool) else str(value)
    return f"{len(text.encode())}:{text}"


def sha256(text: str) -> str:
    """Hex sha256 of UTF-8 text."""
    return hashlib.sha256(text.encode()).hexdigest()


def row_hash(row: Mapping[str, Scalar], columns: Sequence[str] = OP_COLUMNS) -> str:
    """Hash one operation."""
    return sha256("".join(encode(row[column]) for column in columns))


def row_hash_sql(columns: Sequence[str] = OP_COLUMNS, alias: str = "") -> str:
    """Return the SQL expression that hashes one operation exactly as `row_hash` does."""
    prefix = f"{alias}." if alias else ""
    # `concat` takes a null for nothing, so that each column is converted to text and copied only once.
    parts = [
        f"coalesce(strlen({prefix}{column}::varchar) || ':', '~'), {prefix}{column}::varchar" for column in columns
    ]
    return f"sha256(concat({', '.join(parts)}))"


def plan_digest(header: Sequence[Scalar], row_hashes: Iterable[str]) -> str:
    """Seal a plan: header values (kind, CRM, mapping, policy, schema, guards) and the sorted hashes of its
    operations."""
    return sha256("".join(encode(value) for value in header) + "".join(sorted(row_hashes)))
