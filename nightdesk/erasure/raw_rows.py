"""Takes an erased person out of the raw tables; the last step, because the raw tables say who is meant."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from nightdesk.erasure.tombstones import ENGAGEMENTS, Tombstones

if TYPE_CHECKING:
    import duckdb

_DATASET = "hubspot"


def gone(con: duckdb.DuckDBPyConnection, stones: Tombstones) -> None:
    """Fill temp tables `gone(object_type, id)` and `gone_addresses(email)` from the raw tables, by tombstones."""
    from nightdesk.erasure.scope import is_theirs

    candidates: set[tuple[str, str]] = set()
    for kind in ("contacts", *ENGAGEMENTS):
        candidates.update((kind, str(row[0])) for row in con.execute(f"select id from {_DATASET}.{kind}").fetchall())
    for sql in (
        "select from_object_type, from_id from associations union select to_object_type, to_id from associations",
        "select object_type, object_id from property_history union select object_type, object_id from deletions",
        "select object_type, object_id from namespaced_values",
        "select object_type, merged_id from merges union select object_type, surviving_id from merges",
    ):
        candidates.update((str(kind), str(one)) for kind, one in con.execute(sql).fetchall())
    addresses = {
        str(row[0])
        for row in con.execute(
            "select email from unsubscribes union select lower(trim(email)) from contacts"
        ).fetchall()
        if row[0]
    }
    values = con.execute("select distinct value from namespaced_values where value is not null").fetchall()
    fill_masks(con, stones, [str(row[0]) for row in values])
    con.execute("create or replace temp table gone (object_type varchar, id varchar)")
    con.execute("create or replace temp table gone_addresses (email varchar)")
    theirs = sorted(pair for pair in candidates if is_theirs(stones, *pair))
    if theirs:
        con.executemany("insert into gone values (?, ?)", [list(pair) for pair in theirs])
    known = sorted(one for one in addresses if stones.has("email", one))
    if known:
        con.executemany("insert into gone_addresses values (?)", [[one] for one in known])


def fill_masks(con: duckdb.DuckDBPyConnection, stones: Tombstones, values: Iterable[str]) -> None:
    """Fill the temp table `value_masks(value, mask)` with those of these values that must not stay."""
    con.execute("create or replace temp table value_masks (value varchar, mask varchar)")
    masked = [[value, mask] for value in sorted(set(values)) if (mask := stones.masked(value)) != value]
    if masked:
        con.executemany("insert into value_masks values (?, ?)", masked)


def remove(con: duckdb.DuckDBPyConnection, stones: Tombstones) -> dict[str, int]:
    """Delete the person's rows from every raw table, in one transaction.

    Args:
        con: The raw database, open for writing.
        stones: The tombstones of what is being erased.

    Returns:
        Rows deleted per table.
    """
    con.execute(f"set schema = '{_DATASET}'")
    gone(con, stones)
    here = "(select (object_type, id) from gone)"
    wheres = {kind: f"('{kind}', id) in {here}" for kind in ("contacts", *ENGAGEMENTS)}
    wheres |= {
        "associations": f"(from_object_type, from_id) in {here} or (to_object_type, to_id) in {here}",
        "property_history": f"(object_type, object_id) in {here}",
        "namespaced_values": f"(object_type, object_id) in {here}",
        "deletions": f"(object_type, object_id) in {here}",
        "merges": f"(object_type, merged_id) in {here} or (object_type, surviving_id) in {here}",
        "unsubscribes": "email in (select email from gone_addresses)",
    }
    deleted: dict[str, int] = {}
    con.begin()
    try:
        for table, where in wheres.items():
            row = con.execute(f"delete from {_DATASET}.{table} where {where}").fetchone()
            deleted[table] = int(row[0]) if row else 0
        con.execute(
            f"update {_DATASET}.namespaced_values as found set value = value_masks.mask "
            "from value_masks where found.value = value_masks.value"
        )
        # What a killed load left between its two steps; the next load reads it again.
        for (table,) in con.execute(
            f"select table_name from duckdb_tables() where schema_name = '{_DATASET}_staging' "
            "and not starts_with(table_name, '_dlt')"
        ).fetchall():
            con.execute(f'delete from {_DATASET}_staging."{table}"')
        con.commit()
    except BaseException:
        con.rollback()
        raise
    return deleted


def count(con: duckdb.DuckDBPyConnection) -> int:
    """Rows of the raw tables that would go; needs `scope.build` on a connection with `raw` attached."""
    here = "(select (object_type, id) from gone)"
    row = con.execute(
        f"""
        select
            (select count(*) from gone)
            + (select count(*) from raw.{_DATASET}.associations
                where (from_object_type, from_id) in {here} or (to_object_type, to_id) in {here})
            + (select count(*) from raw.{_DATASET}.property_history where (object_type, object_id) in {here})
            + (select count(*) from raw.{_DATASET}.namespaced_values where (object_type, object_id) in {here})
        """
    ).fetchone()
    return int(row[0]) if row else 0
