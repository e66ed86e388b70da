"""The SQL behind the built-in frames of the border: volumes, keys and freshness of every raw table."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date

from sources.hubspot.tables import DATASET, OBJECTS, TABLES


def volumes(previous: Mapping[str, int], *, required: Collection[str], compare_from: int) -> str:
    """One row per table: rows, rows before, and the two judged columns (null where there is nothing to judge).

    A table without an earlier count is compared with itself, so a second night with nothing new has the same frame.
    """
    rows: list[str] = []
    for name in TABLES:
        before = str(previous[name]) if name in previous else "count(*)"
        needed = "count(*)" if name in required else "null::bigint"
        rows.append(
            f"""
            select '{name}' as "table", count(*) as rows, {before} as rows_before, {needed} as rows_if_required,
                case when {before} >= {compare_from} then count(*) / ({before})::double end as share_of_previous,
                count(*) || ' rows, ' || {before} || ' before' as sample
            from {DATASET}.{name}
            """
        )
    return " union all ".join(rows) + " order by 1"


def keys() -> str:
    """One row per table: keys that occur twice and keys with a null, with up to five of them."""
    rows: list[str] = []
    for name, table in TABLES.items():
        key = ", ".join(f'"{column}"' for column in table.key)
        shown = " || ' / ' || ".join(f"coalesce(\"{column}\"::varchar, '?')" for column in table.key)
        has_null = " or ".join(f'"{column}" is null' for column in table.key)
        rows.append(
            f"""
            select
                '{name}' as "table",
                count(*) filter (where times > 1) as duplicate_keys,
                count(*) filter (where has_null) as null_keys,
                array_to_string(min(shown, 5) filter (where times > 1 or has_null), ', ') as sample
            from (
                select {shown} as shown, {has_null} as has_null, count(*) as times
                from {DATASET}.{name}
                group by {key}
            )
            """
        )
    return " union all ".join(rows) + " order by 1"


def freshness(as_of: date) -> str:
    """One row per object table that has rows: how far its newest record is ahead of `as_of` and of its watermark."""
    today = f"timestamptz '{as_of.isoformat()} 00:00:00+00'"
    rows = [
        f"""
        select
            '{kind.name}' as "table",
            (epoch(max(objects.updated_at)) - epoch({today})) / 86400 as days_ahead,
            any_value(marks.watermark) is not null as is_watermarked,
            greatest(0, epoch(max(objects.updated_at)) - epoch(any_value(marks.watermark))) / 3600
                as hours_past_watermark,
            array_to_string(max_by(objects.id, objects.updated_at, 5), ', ') as sample
        from {DATASET}.{kind.name} as objects
        left join {DATASET}.load_watermarks as marks on marks.stream = '{kind.name}'
        where not objects.archived
        having count(*) > 0
        """
        for kind in OBJECTS
    ]
    return " union all ".join(rows) + " order by 1"
