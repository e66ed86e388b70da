"""Small frames computed by SQL: Great Expectations judges these and never sees a raw row.

It reads pandas frames only and is many times slower than SQL. Ids are shown of what is wrong, addresses never.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from nightdesk.errors import NightdeskError
from sources.borders.suites import Check, Suite

if TYPE_CHECKING:
    import duckdb

    from sources.kit.tables import Table

_SAMPLED = 20_000  # rows of a table whose texts are looked at
# UTF-8 that was read as Latin-1 or Windows-1252, and the mark for bytes that could not be read at all.
_MOJIBAKE = "Ã[\\x{80}-\\x{BF}‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]|â€|ï¿½|\\x{FFFD}"


@dataclass(frozen=True, slots=True)
class Framed:
    """A check with the frame computed for it."""

    suite: str
    check: Check
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


@dataclass(frozen=True, slots=True)
class Before:
    """What a load is compared with: rows per table and measures, of the load before."""

    counts: Mapping[str, int]
    measures: Mapping[str, float]


def framed(connection: duckdb.DuckDBPyConnection, suite: Suite, check: Check, sql: str, where: str) -> Framed | None:
    """Runs a check's query. None when there is nothing to look at.

    Raises:
        NightdeskError: The query does not run.
    """
    import duckdb

    try:
        cursor = connection.execute(sql)
        columns = tuple(str(one[0]) for one in cursor.description or ())
        rows = tuple(tuple(row) for row in cursor.fetchall())
    except duckdb.Error as error:
        raise NightdeskError(
            f"A check of suite {suite.suite} cannot be computed: {str(error).splitlines()[0]}",
            where=where,
            todo="Correct the suite in tests/expectations, or load again if the tables are of an older release.",
        ) from error
    lacking = sorted({rule.column for rule in check.expectations} - set(columns))
    if lacking:
        raise NightdeskError(
            f"The frame of a check has no column `{lacking[0]}`", where=where, todo="Correct tests/expectations."
        )
    return Framed(suite.suite, check, columns, rows) if rows else None


def with_table(check: Check) -> str:
    """The query of a check that brings its own SQL, in one order; its table in front unless the query says that."""
    shown = f"'{check.table}' as \"table\", *" if check.table else "*"
    return f"select {shown} from ({check.sql}) order by all"


def raw_sql(
    connection: duckdb.DuckDBPyConnection,
    check: Check,
    dataset: str,
    tables: Mapping[str, Table],
    before: Before,
    as_of: date,
) -> str:
    """The query behind a check at the raw border; empty when the dataset has nothing it could look at."""
    tables = {
        name: one
        for name, one in tables.items()
        if name not in check.leave_out and (not check.only or name in check.only)
    }
    match check.frame:
        case None:
            return with_table(check)
        case "keys":
            parts = [_keys(one) for one in tables.values()]
        case "volumes":
            parts = [_volume(one, before.counts, check.compare_from) for one in tables.values()]
        case "required":
            parts = [
                f"select '{name}' as \"table\", count(*) as rows, count(*) || ' rows' as sample "
                f'from {dataset}."{name}"'
                for name in check.required
            ]
        case "watermarks":
            parts = _watermarks(tables, dataset, check.streams)
        case "future":
            parts = [
                _future(one, column.name, as_of)
                for one in tables.values()
                for column in one.columns
                if column.name in check.stamps and column.kind in ("timestamp", "date")
            ]
        case "encodings":
            parts = [part for one in tables.values() if (part := _encodings(connection, one))]
        case "measures":
            parts = [
                f'select {_text(measure.name)} as "table", {_measured(measure.sql, before.measures, measure.name)}'
                for measure in check.measures
            ]
            parts = [
                f'select "table", now, before, case when before >= {check.compare_from} then now / before end '
                f"as share_of_previous, now::bigint || ', ' || before::bigint || ' before' as sample from ({one})"
                for one in parts
            ]
    return " union all by name ".join(f"({one})" for one in parts) + ' order by "table", sample' if parts else ""


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _measured(sql: str, before: Mapping[str, float | str], name: str) -> str:
    # A measure without an earlier value is compared with itself, so a second night with nothing new has the same frame.
    now = f"coalesce(({sql})::double, 0)"
    return f"{now} as now, {before.get(name, now)} as before"


def _volume(one: Table, counts: Mapping[str, int], compare_from: int) -> str:
    """Rows against the load before; null where there is nothing to judge. Compared with itself where there was none."""
    name = f"{one.dataset}.{one.name}"
    before = str(counts[name]) if name in counts else "count(*)"
    return f"""
        select '{one.name}' as "table",
            case when {before} >= {max(1, compare_from)} then count(*) / ({before})::double end as share_of_previous,
            count(*) || ' rows, ' || {before} || ' before' as sample
        from {one.dataset}."{one.name}"
    """


def _shown(one: Table, column: str) -> str:
    """A key's column as it may be shown: what is or may hold an address only as the beginning of its hash."""
    text = f"coalesce(\"{column}\"::varchar, '?')"
    hashed = f"'#' || left(sha256({text}), 8)"
    if column == "email" or column in one.addresses:
        return hashed
    return f"case when contains({text}, '@') then {hashed} else {text} end"


def _keys(one: Table) -> str:
    """Keys that occur twice and keys with a null, with up to five of them."""
    key = ", ".join(f'"{column}"' for column in one.key)
    shown = " || ' / ' || ".join(_shown(one, column) for column in one.key)
    has_null = " or ".join(f'"{column}" is null' for column in one.key)
    return f"""
        select
            '{one.name}' as "table",
            count(*) filter (where times > 1) as duplicate_keys,
            count(*) filter (where has_null) as null_keys,
            array_to_string(min(shown, 5) filter (where times > 1 or has_null), ', ') as sample
        from (
            select {shown} as shown, {has_null} as has_null, count(*) as times
            from {one.dataset}."{one.name}"
            group by {key}
            having count(*) > 1 or {has_null}
        )
    """


def _watermarks(tables: Mapping[str, Table], dataset: str, streams: Mapping[str, str]) -> list[str]:
    """Per object table with rows: whether its stream has a watermark, and how far a record is ahead of it."""
    parts: list[str] = []
    for name, one in tables.items():
        stamp = next((column for column in ("updated_at", "system_modstamp") if column in one.names), "")
        if not stamp or (streams and name not in streams) or (not streams and one.key != ("id",)):
            continue
        parts.append(
            f"""
            select
                '{name}' as "table",
                any_value(marks.stream) is not null as is_watermarked,
                greatest(0, epoch(max(objects."{stamp}")) - epoch(any_value(marks.watermark))) / 3600
                    as hours_past_watermark,
                array_to_string(max_by(objects.id, row(objects."{stamp}", objects.id), 5), ', ') as sample
            from {dataset}."{name}" as objects
            left join {dataset}.load_watermarks as marks on marks.stream = {_text(streams.get(name, name))}
            {"where not objects.archived" if "archived" in one.names else ""}
            having count(*) > 0
            """
        )
    return parts


def _future(one: Table, column: str, as_of: date) -> str:
    """How many days after `as_of` a stamp lies that should be past; 0 for none."""
    today = f"timestamptz '{as_of.isoformat()} 00:00:00+00'"
    ids = " || ' / ' || ".join(_shown(one, key) for key in one.key)
    return f"""
        select
            '{one.name}' as "table",
            greatest(0, (epoch(max("{column}"::timestamptz)) - epoch({today})) / 86400) as days_ahead,
            '{column}' || coalesce(' of ' || array_to_string(
                min({ids}, 5) filter (where "{column}"::timestamptz > {today} + interval 2 day), ', '
            ), '') as sample
        from {one.dataset}."{one.name}"
        having count("{column}") > 0
    """


def _encodings(connection: duckdb.DuckDBPyConnection, one: Table) -> str:
    """The share of rows whose texts were read in the wrong encoding, of a sample by key that repeats."""
    texts = [
        column.name
        for column in one.columns
        if column.name in one.texts
        or (column.kind == "text" and column.name not in one.key and not column.name.endswith(("_id", "url", "hash")))
    ]
    row = connection.execute(f'select count(*) from {one.dataset}."{one.name}"').fetchone()
    rows = int(row[0]) if row else 0
    if not texts or not rows:
        return ""
    key = ", ".join(f'"{column}"' for column in one.key)
    some = f"where hash({key}) % {rows // _SAMPLED + 1} = 0" if rows > _SAMPLED else ""
    everything = ", ".join(f'"{column}"' for column in texts)
    broken = f"regexp_matches(concat_ws(' ', {everything}), {_text(_MOJIBAKE)})"
    shown = " || ' / ' || ".join(_shown(one, column) for column in one.key)
    return f"""
        select
            '{one.name}' as "table",
            coalesce(avg(is_broken::int), 0) as share_misread,
            array_to_string(min(shown, 5) filter (where is_broken), ', ') as sample
        from (select {broken} as is_broken, {shown} as shown from {one.dataset}."{one.name}" {some})
    """
