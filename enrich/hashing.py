"""The names things are paid for under: hashes of exactly what an agent is shown, and of what shapes its answer.

Every hash is over UTF-8 bytes and given as lower-case hex, so DuckDB's `sha256()` and Python agree byte for byte.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

ID_LENGTH = 24
"""Hex characters of an answer's or attempt's id: 96 bits, no collision to fear in any ledger."""


def sha256_hex(text: str) -> str:
    """sha256 of UTF-8 text, 64 lower-case hex characters."""
    return hashlib.sha256(text.encode()).hexdigest()


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values give equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)


def operation_hash(
    *,
    operation: str,
    system_prefix: str,
    output_schema: Mapping[str, Any],
    policy_parts: Mapping[str, Any],
    agent: str,
    agent_version: str,
    model: str | None,
) -> str:
    """All that shapes an answer besides the record itself: change any of it and every record is asked again."""
    return sha256_hex(
        canonical_json(
            {
                "operation": operation,
                "system_prefix": system_prefix,
                "output_schema": output_schema,
                "policy_parts": policy_parts,
                "agent": agent,
                "agent_version": agent_version,
                "model": model,
            }
        )
    )


def input_hash(operation_hash: str, context_hash: str) -> str:
    """The key an answer is paid for once under; `INPUT_HASH_SQL` is the same in DuckDB."""
    return sha256_hex(f"{operation_hash}:{context_hash}")


INPUT_HASH_SQL = "sha256($operation_hash || ':' || context_hash)"


def answer_id(operation: str, record_id: str, input_hash: str) -> str:
    """Id of the one answer a record can have for an input; `ANSWER_ID_SQL` is the same in DuckDB."""
    return "n_" + sha256_hex(f"{operation}|{record_id}|{input_hash}")[:ID_LENGTH]


ANSWER_ID_SQL = (
    f"'n_' || substr(sha256({{operation}} || '|' || {{record_id}} || '|' || {{input_hash}}), 1, {ID_LENGTH})"
)


def attempt_id(run_id: str, operation: str, input_hash: str, attempt_number: int) -> str:
    """Id of one call: the same call made again after a crash, before it was spooled, gets the same id."""
    return "a_" + sha256_hex(f"{run_id}|{operation}|{input_hash}|{attempt_number}")[:ID_LENGTH]
