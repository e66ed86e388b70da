"""The names things are paid for under. What shapes an answer besides the record is hashed by `enrich.registry`.

Every hash is over UTF-8 bytes and given as lower-case hex, so DuckDB's `sha256()` and Python agree byte for byte.
"""

from __future__ import annotations

import hashlib

ID_LENGTH = 24
"""Hex characters of an answer's or attempt's id: 96 bits, no collision to fear in any ledger."""


def sha256_hex(text: str) -> str:
    """sha256 of UTF-8 text, 64 lower-case hex characters."""
    return hashlib.sha256(text.encode()).hexdigest()


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
