"""Takes an erased person out of the raw tables; the last step, because the raw tables say who is meant."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from nightdesk.erasure import places
from nightdesk.erasure.needles import Needles
from nightdesk.erasure.tombstones import Tombstones, addresses_in

if TYPE_CHECKING:
    import duckdb


Name = tuple[str, str, str]  # source, kind, bare id


def _find(con: duckdb.DuckDBPyConnection, stones: Tombstones) -> Needles:
    """Fill the temp table `gone_rows` by tombstones; returns the addresses that are theirs."""
    candidates: set[Name] = {name for one in places.known(con) if (name := places.split(one)) is not None}
    for pointer in places.POINTERS:
        kind = pointer.kind or "''"
        rows = con.execute(
            f'select distinct {kind}, "{pointer.id}" from {pointer.dataset}."{pointer.table}" '
            f'where "{pointer.id}" is not null'
        ).fetchall()
        candidates.update((pointer.dataset, str(kind), str(one)) for kind, one in rows)
    _fill(con, (name for name in candidates if places.is_gone(stones, *name)))
    values = con.execute("select distinct value from places_values where value is not null").fetchall()
    fill_masks(con, stones, [str(row[0]) for row in values])
    texts = con.execute("select email from places_people where email <> ''").fetchall()
    texts += con.execute(
        "select text from places_documents where (source, id) in (select (source, id) from gone_rows) "
        "and contains(text, '@')"
    ).fetchall()
    for dataset, table, names in places.QUOTES:
        shown = ", ".join(f'"{name}"' for name in names)
        texts += con.execute(
            f"select concat_ws(chr(10), {shown}) as text from {dataset}.\"{table}\" where contains(text, '@')"
        ).fetchall()
    found = {one for (text,) in texts for one in addresses_in(str(text))}
    return Needles(frozenset(one for one in found if stones.has("email", one)), frozenset())


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
        Rows deleted per table, as `dataset.table`.
    """
    from sources.registry import datasets

    for dataset, tables in datasets().items():
        con.execute(f"create schema if not exists {dataset}")
        for table in tables.values():
            con.execute(table.ddl())  # a raw file of an older release has no tables of newer sources
    (catalog,) = con.execute("select current_database()").fetchone() or ("",)
    places.connect(con, f'"{catalog}"')
    needles = _find(con, stones)
    deleted: dict[str, int] = {}
    con.begin()
    try:
        for (dataset, table), where in _wheres(needles).items():
            row = con.execute(f'delete from {dataset}."{table}" where {where}').fetchone()
            deleted[f"{dataset}.{table}"] = int(row[0]) if row else 0
        for dataset, table, column in places.REFERENCES:
            con.execute(f'update {dataset}."{table}" set "{column}" = null where {_is_gone(dataset, column)}')
        for dataset in places.WRITTEN:
            con.execute(
                f"update {dataset}.namespaced_values as found set value = value_masks.mask "
                "from value_masks where found.value = value_masks.value"
            )
        # What a killed load left between its two steps; the next load reads it again.
        for schema, table in con.execute(
            "select schema_name, table_name from duckdb_tables() where database_name = current_database() "
            "and ends_with(schema_name, '_staging') and not starts_with(table_name, '_dlt')"
        ).fetchall():
            con.execute(f'delete from "{schema}"."{table}"')
        con.commit()
    except BaseException:
        con.rollback()
        raise
    return deleted


def count(con: duckdb.DuckDBPyConnection, ids: Iterable[str]) -> int:
    """Records of theirs, and rows that are tied to these; needs `places.connect` with `raw` attached.

    Args:
        con: The ledger, with the raw database attached.
        ids: Canonical ids of the person's records and documents.
    """
    names = {name for one in ids if (name := places.split(one)) is not None}
    _fill(con, names)
    total = len({(source, kind if source == places.CRM else "", one) for source, kind, one in names})
    for (dataset, table), where in _tied().items():
        if table not in ("merges", "deletions"):
            row = con.execute(f'select count(*) from raw.{dataset}."{table}" where {where}').fetchone()
            total += int(row[0]) if row else 0
    return total


def _fill(con: duckdb.DuckDBPyConnection, names: Iterable[Name]) -> None:
    con.execute("create or replace temp table gone_rows (source varchar, kind varchar, id varchar)")
    if rows := sorted(set(names)):
        con.executemany("insert into gone_rows values (?, ?, ?)", [list(one) for one in rows])


def _is_gone(dataset: str, column: str, kind: str = "") -> str:
    """SQL: the record that a column names goes. Ids of one CRM need their type beside them, all others say enough."""
    if kind:
        return f"({kind}, \"{column}\") in (select (kind, id) from gone_rows where source = '{dataset}')"
    return f"coalesce(\"{column}\" in (select id from gone_rows where source = '{dataset}'), false)"


def _tied() -> dict[tuple[str, str], str]:
    """Table to the condition under which its rows go with the record they point at."""
    found: dict[tuple[str, str], list[str]] = {}
    for one in places.POINTERS:
        found.setdefault((one.dataset, one.table), []).append(_is_gone(one.dataset, one.id, one.kind))
    return {name: " or ".join(conditions) for name, conditions in found.items()}


def _wheres(needles: Needles) -> dict[tuple[str, str], str]:
    """Table to the condition under which its rows go."""
    wheres = _tied()
    for dataset, table, _ in (*places.PEOPLE, *places.DOCUMENTS):
        (key,) = places.tables(dataset)[table].key
        wheres[dataset, table] = _is_gone(dataset, key, f"'{table}'" if dataset == places.CRM else "")
    for dataset, table, names in places.QUOTES:
        shown = ", ".join(f'"{name}"' for name in names)
        quotes = needles.address_sql(f"concat_ws(chr(10), {shown})")
        wheres[dataset, table] = " or ".join(part for part in (wheres.get((dataset, table)), quotes) if part)
    return wheres
