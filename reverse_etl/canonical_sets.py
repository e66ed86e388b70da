"""Canonical values of whole columns: what SQL proves canonical stays as it is, the rest goes through `canonical`.

There is one definition of a canonical value, `reverse_etl.canonical`. The patterns here only recognise texts that it
would leave untouched, so that Python has to look at the few others, each distinct one once. They may miss such a text
(it is then looked at); they must never accept another (a property test holds that for every type).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reverse_etl.arrow import pyarrow
from reverse_etl.canonical import InvalidValue, lenient, strict

if TYPE_CHECKING:
    import duckdb

# Trimmed (a visible ASCII character at both ends), no carriage return, no NUL.
_TRIMMED = r"[!-~]|[!-~][^\r\x00]*[!-~]"
# No leading or trailing zeros, no `-0`, far from the largest exponent.
_PLAIN_NUMBER = r"0|-?[1-9][0-9]{0,17}|-?(0|[1-9][0-9]{0,17})\.[0-9]{0,11}[1-9]"
STRICT_VALUES, LENIENT_VALUES = "_strict_values", "_lenient_values"


@dataclass(frozen=True, slots=True)
class Target:
    """What a property takes: its type and, for an enumeration, its options."""

    value_type: str
    options: Sequence[str] = ()


def unchanged_sql(kind: str, value: str) -> str:
    """SQL: certainly `lenient(kind, value) == value`, for two expressions; never null."""
    return (
        f"coalesce({value} is null or {value} = '' or case {kind} "
        f"when 'text' then regexp_full_match({value}, '{_TRIMMED}') "
        f"when 'enumeration' then regexp_full_match({value}, '{_TRIMMED}') "
        f"when 'number' then regexp_full_match({value}, '{_PLAIN_NUMBER}') "
        "else false end, false)"
    )


def writable_sql(kind: str, value: str, max_chars: int | None) -> str:
    """SQL: certainly `strict(kind, value, max_chars=max_chars) == value`; never null.

    An enumeration's options are never proven here: those few values are looked at.
    """
    # A text has at most as many characters as bytes.
    short = "true" if max_chars is None else f"strlen({value}) <= {int(max_chars)}"
    return f"({value} <> '' and {kind} <> 'enumeration' and {short} and {unchanged_sql(kind, value)}) is true"


def look_up(
    con: duckdb.DuckDBPyConnection,
    relation: str,
    known: Mapping[tuple[str, str], Target],
    max_chars: int | None,
) -> None:
    """Fill two temporary tables with the canonical form of every value of a relation that is not canonical already.

    `_strict_values` (object_type, property, raw, value, error): wanted values, by the property they are for; `error`
    says why a value cannot be written, which then stays as it is.
    `_lenient_values` (value_type, raw, value): values a CRM sent or we wrote.

    Args:
        con: The ledger.
        relation: A relation with object_type, property, value_type, desired_value, crm_value, last_written_value.
        known: What each mapped property takes; any other takes text.
        max_chars: Longest text a property may hold.
    """
    text = Target("text")
    wanted: list[tuple[str, str, str, str, str | None]] = []
    for object_type, name, raw in con.execute(
        f"select distinct object_type, property, desired_value from {relation} where desired_value <> '' "
        f"and not {writable_sql('value_type', 'desired_value', max_chars)}"
    ).fetchall():
        target = known.get((object_type, name), text)
        value, error = raw, None
        try:
            value = strict(target.value_type, raw, options=target.options or None, max_chars=max_chars)
        except InvalidValue as problem:
            error = str(problem)
        if error is not None or value != raw:
            wanted.append((object_type, name, raw, value, error))
    held: list[tuple[str, str, str | None]] = []
    for kind, raw in con.execute(
        " union ".join(
            f"select value_type, {column} from {relation} where not {unchanged_sql('value_type', column)}"
            for column in ("crm_value", "last_written_value")
        )
    ).fetchall():
        value = lenient(kind, raw)
        if value != raw:
            held.append((kind, raw, value))
    _keep(con, STRICT_VALUES, ("object_type", "property", "raw", "value", "error"), wanted)
    _keep(con, LENIENT_VALUES, ("value_type", "raw", "value"), held)


def joined_sql(relation: str, alias: str) -> tuple[str, Mapping[str, str]]:
    """SQL after `look_up`: a from-clause for the relation, and the expressions of its canonical values.

    Args:
        relation: The relation that was looked up.
        alias: What it is called in the query.

    Returns:
        The clause, and expressions for desired_value, value_error, before_value and last_written_value.
    """
    clause = f"""{relation} as {alias}
        left join {STRICT_VALUES} as wanted
            on {alias}.object_type = wanted.object_type and {alias}.property = wanted.property
            and {alias}.desired_value = wanted.raw
        left join {LENIENT_VALUES} as held
            on {alias}.value_type = held.value_type and {alias}.crm_value = held.raw
        left join {LENIENT_VALUES} as written
            on {alias}.value_type = written.value_type and {alias}.last_written_value = written.raw"""
    return clause, {
        "desired_value": f"coalesce(wanted.value, {alias}.desired_value)",
        "value_error": "wanted.error",
        "before_value": f"coalesce(held.value, {alias}.crm_value)",
        "last_written_value": f"coalesce(written.value, {alias}.last_written_value)",
    }


def drop(con: duckdb.DuckDBPyConnection) -> None:
    """Drop what `look_up` made."""
    con.execute(f"drop table if exists {STRICT_VALUES}")
    con.execute(f"drop table if exists {LENIENT_VALUES}")


def _keep(
    con: duckdb.DuckDBPyConnection, table: str, names: Sequence[str], entries: Sequence[tuple[str | None, ...]]
) -> None:
    pa = pyarrow()
    columns = {name: pa.array([entry[place] for entry in entries], pa.string()) for place, name in enumerate(names)}
    con.register("_entries", pa.table(columns))
    try:
        con.execute(f"create or replace temp table {table} as select * from _entries")
    finally:
        con.unregister("_entries")
