"""Decides, in SQL, which rows moved: the spool (what the CRM says) against raw.duckdb (what is loaded).

Everything is set-based and streams out as Arrow, so a load of a million contacts needs no more memory than one of eight
thousand. Casting from the CRM's text to column types happens here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import duckdb

from nightdesk.errors import NightdeskError
from sources.hubspot.spool import NOTES, SEQUENCE
from sources.hubspot.tables import DATASET, OBJECTS, REMOVED, TABLES, Column, Table

_CASTS = {
    "text": "{0}",
    "bool": "try_cast(nullif(trim({0}), '') as boolean)",
    # HubSpot numbers may carry decimals or an exponent; counts are rounded.
    "bigint": "try_cast(round(try_cast(nullif(trim({0}), '') as double)) as bigint)",
    "money": "try_cast(nullif(trim({0}), '') as decimal(18,2))",
    "probability": "try_cast(nullif(trim({0}), '') as decimal(9,4))",
    "timestamp": (
        "case when regexp_full_match(trim({0}), '-?[0-9]+') "
        "then make_timestamptz(try_cast(trim({0}) as bigint) * 1000) "
        "else try_cast(nullif(trim({0}), '') as timestamptz) end"
    ),
}
_SMALL = (
    "owners",
    "pipelines",
    "pipeline_stages",
    "property_definitions",
)  # read whole each time: what is missing is gone
_PER_RECORD = ("property_history", "namespaced_values")


class Settlement:
    """The rows of one load that are new, different or gone.

    Args:
        spool_folder: A finished spool.
        raw_path: The raw database, opened read-only; close before dlt writes.
    """

    def __init__(self, spool_folder: Path, raw_path: Path) -> None:
        self._spool = spool_folder
        self._sql = duckdb.connect(":memory:")
        self._sql.execute("set timezone = 'UTC'")
        self._sql.execute("set memory_limit = '1GB'")  # beyond that it spills next to the spool
        self._sql.execute(f"set temp_directory = '{_quoted(spool_folder / 'spill')}'")
        self._sql.execute(f"attach '{_quoted(raw_path)}' as raw (read_only)")
        self._notes()
        for table in TABLES.values():
            self._typed(table)
        self._gone()
        self._associations()
        self._namespaced()
        for kind in OBJECTS:
            self._object(kind.name, kind.stamp)
        self._history()
        self._deletions()
        self._simple("merges", "true")
        for name in _SMALL:
            self._simple(name, "true", whole=True)
        self._simple("load_watermarks", "true")
        self._unsubscribes()

    def close(self) -> None:
        """Closes the connection and with it the raw database."""
        self._sql.close()

    def __enter__(self) -> Settlement:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def counts(self) -> dict[str, int]:
        """Moved rows per table, removals included."""
        return {name: self._count(f"select count(*) from moved_{name}") for name in TABLES}

    def quiet(self, counts: Mapping[str, int]) -> bool:
        """Whether nothing moved and every stream is known already: then only the watermarks' times need noting."""
        if any(count for name, count in counts.items() if name != "load_watermarks"):
            return False
        return not self._count(
            f"""
            select count(*) from typed_load_watermarks as new
            left join raw.{DATASET}.load_watermarks as old using (stream)
            where old.stream is null
                or old._dlt_load_id not in (select load_id from raw.{DATASET}._dlt_loads where status = 0)
            """
        )

    def batches(self, table: str, rows: int = 20_000) -> Iterator[Any]:
        """The moved rows of a table in its Arrow schema."""
        pa: Any = import_module("pyarrow")  # ships no types
        schema = TABLES[table].arrow_schema()
        names = ", ".join(f'"{name}"' for name in schema.names)
        cursor: Any = self._sql.cursor()
        reader = cursor.execute(f"select {names} from moved_{table}").to_arrow_reader(rows)
        for batch in reader:
            yield pa.Table.from_batches([batch]).cast(schema)

    def check_values(self) -> None:
        """Every value the CRM sent fits its column.

        Raises:
            NightdeskError: names object, property, ids and the value of the first misfit.
        """
        for name, table in TABLES.items():
            typed = [column for column in table.columns if column.kind != "text"]
            if not typed:
                continue
            owner = "object_id" if "object_id" in table.key else table.key[-1]
            misfits = " union all ".join(
                f"""(select '{column.name}' as property, {owner} as id,
                    "{column.name}" as found
                from spool_{name}
                where {_cast(column)} is null and nullif(trim("{column.name}"), '') is not null
                limit 5)"""
                for column in typed
            )
            rows = self._sql.execute(f"select * from ({misfits}) order by 1, 2").fetchall()
            if rows:
                property_name, _, value = rows[0]
                ids = ", ".join(str(one) for column, one, _ in rows if column == property_name)
                kind = table.columns[table.names.index(property_name)].kind
                raise NightdeskError(
                    f"`{property_name}` of {name} holds {value[:60]!r}, which is no {kind}",
                    where=f"{name}.{property_name}, {ids}",
                    todo="Correct the value in the CRM, or the column in sources/hubspot/tables.py, and load again.",
                )

    # -- building blocks -----------------------------------------------------------------------------------------------

    def _count(self, sql: str) -> int:
        found = self._sql.execute(sql).fetchone()
        return 0 if found is None else int(found[0])

    def _files(self, name: str) -> str:
        return f"read_parquet('{_quoted(self._spool / name)}/*.parquet')"

    def _notes(self) -> None:
        for name, columns in NOTES.items():
            self._sql.execute(
                f"create table note{name} as select distinct {', '.join(columns)} from {self._files(name)}"
            )

    def _typed(self, table: Table) -> None:
        """`spool_x`: text, the last row per key. `typed_x`: the same, cast."""
        name, keys = table.name, ", ".join(f'"{key}"' for key in table.key)
        self._sql.execute(
            f"""
            create view spool_{name} as
            select * from {self._files(name)}
            where {SEQUENCE} in (select max({SEQUENCE}) from {self._files(name)} group by {keys})
            """
        )
        casts = ", ".join(f'{_cast(column)} as "{column.name}"' for column in table.columns)
        self._sql.execute(f"create view typed_{name} as select {casts} from spool_{name}")

    def _gone(self) -> None:
        """Records that must leave every table (`merged` away, or vanished from a full list), and those archived now."""
        object_ids = " union all ".join(
            f"select '{kind.name}' as object_type, id, archived from raw.{DATASET}.{kind.name}" for kind in OBJECTS
        )
        seen = " union all ".join(
            f"select '{kind.name}' as object_type, id as object_id from spool_{kind.name} where archived = 'false'"
            for kind in OBJECTS
        )
        self._sql.execute(
            f"""
            create table alive as {seen};

            create table merged as
            select object_type, merged_id, surviving_id from typed_merges
            union all
            select object_type, merged_id, surviving_id from raw.{DATASET}.merges
            where (object_type, merged_id) not in (select (object_type, merged_id) from typed_merges);

            create table gone as
            select object_type, merged_id as object_id from merged
            union
            select known.object_type, known.id
            from ({object_ids}) as known
            inner join note_full using (object_type)
            left join note_listed as listed
                on listed.object_type = known.object_type and listed.object_id = known.id
            left join typed_deletions as deleted
                on deleted.object_type = known.object_type and deleted.object_id = known.id
            where not coalesce(known.archived, false) and listed.object_id is null and deleted.object_id is null;

            create table unlinked as  -- nothing may point from or to these
            select object_type, object_id from gone
            union
            select object_type, object_id from typed_deletions
            where (object_type, object_id) not in (select (object_type, object_id) from alive)
            union
            select object_type, object_id from raw.{DATASET}.deletions
            where (object_type, object_id) not in (select (object_type, object_id) from alive);
            """
        )

    def _associations(self) -> None:
        table = TABLES["associations"]
        on = _on(table, "old", "new")
        old_gone = _gone_sql("old.from_object_type", "old.from_id", "unlinked")
        old_gone_to = _gone_sql("old.to_object_type", "old.to_id", "unlinked")
        self._sql.execute(
            f"""
            create table wanted_associations as
            select * from typed_associations as new
            where not {_gone_sql("new.from_object_type", "new.from_id", "unlinked")}
                and not {_gone_sql("new.to_object_type", "new.to_id", "unlinked")}
            union
            -- a record merged away hands its links to the survivor; records read anew in this load know that themselves
            select
                old.from_object_type, old.from_id, old.to_object_type, merged.surviving_id, old.association_type_id,
                old.category, old.label
            from raw.{DATASET}.associations as old
            inner join merged on merged.object_type = old.to_object_type and merged.merged_id = old.to_id
            where not {old_gone}
                and not {_gone_sql("old.from_object_type", "old.from_id", "note_refreshed")}
                and not {_gone_sql("old.to_object_type", "merged.surviving_id", "unlinked")};

            create table moved_associations as
            select new.*, null::boolean as {REMOVED}
            from wanted_associations as new
            left join raw.{DATASET}.associations as old on {on}
            where old.from_id is null
                or old.category is distinct from new.category
                or old.label is distinct from new.label
            union all
            select {_columns(table, "old")}, true
            from raw.{DATASET}.associations as old
            left join wanted_associations as new on {on}
            where new.from_id is null
                and (
                    {_gone_sql("old.from_object_type", "old.from_id", "note_refreshed")} or {old_gone} or {old_gone_to}
                );
            """
        )

    def _namespaced(self) -> None:
        """Values under our prefix: new, different, cleared (`''`), and those whose property was deleted in the CRM."""
        table = TABLES["namespaced_values"]
        self._sql.execute(
            f"""
            create table moved_namespaced_values as
            select new.*, null::boolean as {REMOVED}
            from typed_namespaced_values as new
            left join raw.{DATASET}.namespaced_values as old on {_on(table, "old", "new")}
            where not {_gone_sql("new.object_type", "new.object_id", "gone")}
                and (old.value is distinct from new.value and (old.object_id is not null or new.value <> ''))
            union all
            select old.object_type, old.object_id, old.property, '', old.updated_at, null
            from raw.{DATASET}.namespaced_values as old
            where old.value <> ''
                and (old.object_type, old.property) not in (select (object_type, name) from typed_property_definitions)
                and not {_gone_sql("old.object_type", "old.object_id", "gone")}
            union all
            {self._removed(table)};
            """
        )

    def _object(self, name: str, stamp: str) -> None:
        """Records that are new or differ; a record whose last change was a namespaced value of ours has not moved."""
        table = TABLES[name]
        stamps = {"updated_at", stamp}
        values = " or ".join(
            f'old."{column}" is distinct from new."{column}"' for column in table.names if column not in stamps | {"id"}
        )
        times = " or ".join(f'old."{column}" is distinct from new."{column}"' for column in sorted(stamps))
        self._sql.execute(
            f"""
            create table written_{name} as
            select object_id as id, max(updated_at) as written_at
            from (
                select object_id, updated_at from moved_namespaced_values
                where object_type = '{name}' and {REMOVED} is null
                union all
                select object_id, updated_at from raw.{DATASET}.namespaced_values where object_type = '{name}'
            )
            group by object_id;

            create view moved_{name} as
            select new.*, null::boolean as {REMOVED}
            from typed_{name} as new
            left join raw.{DATASET}.{name} as old using (id)
            left join written_{name} as written using (id)
            where not {_gone_sql(f"'{name}'", "new.id", "gone")}
                and (
                    old.id is null
                    or {values}
                    or (({times}) and new.updated_at is distinct from written.written_at)
                )
            union all
            select {_columns(table, "old")}, true
            from raw.{DATASET}.{name} as old
            where {_gone_sql(f"'{name}'", "old.id", "gone")};
            """
        )

    def _history(self) -> None:
        """Versions not known yet. Known ones stay even when the CRM no longer shows them (it keeps only the latest)."""
        table = TABLES["property_history"]
        self._sql.execute(
            f"""
            create table moved_property_history as
            select new.*, null::boolean as {REMOVED}
            from typed_property_history as new
            left join raw.{DATASET}.property_history as old on {_on(table, "old", "new")}
            where old.object_id is null and not {_gone_sql("new.object_type", "new.object_id", "gone")}
            union all
            {self._removed(table)};
            """
        )

    def _removed(self, table: Table) -> str:
        return f"""
            select {_columns(table, "old")}, true
            from raw.{DATASET}.{table.name} as old
            where {_gone_sql("old.object_type", "old.object_id", "gone")}
        """

    def _deletions(self) -> None:
        """Archived records; one that is back among the living loses its row."""
        self._simple("deletions", "(object_type, object_id) not in (select (object_type, object_id) from alive)")
        self._sql.execute(
            f"""
            create or replace view moved_deletions as
            select * from plain_deletions
            union all
            select {_columns(TABLES["deletions"], "old")}, true
            from raw.{DATASET}.deletions as old
            where {_gone_sql("old.object_type", "old.object_id", "alive")};
            """
        )

    def _simple(self, name: str, where: str, *, whole: bool = False) -> None:
        """Rows that are new or differ from the loaded ones; with `whole`, rows the CRM no longer has are removed."""
        table = TABLES[name]
        rest = [column for column in table.names if column not in table.key]
        differs = " or ".join(f'old."{column}" is distinct from new."{column}"' for column in rest)
        removed = f"""
            union all
            select {_columns(table, "old")}, true
            from raw.{DATASET}.{name} as old
            left join typed_{name} as new on {_on(table, "old", "new")}
            where new."{table.key[0]}" is null
        """
        self._sql.execute(
            f"""
            create view plain_{name} as
            select new.*, null::boolean as {REMOVED}
            from (select * from typed_{name} where {where}) as new
            left join raw.{DATASET}.{name} as old on {_on(table, "old", "new")}
            where old."{table.key[0]}" is null or {differs}
            {removed if whole else ""};

            create view moved_{name} as select * from plain_{name};
            """
        )

    def _unsubscribes(self) -> None:
        """Addresses unsubscribed from everything; one that no longer is gets `is_unsubscribed = false`."""
        self._simple("unsubscribes", "true")
        self._sql.execute(
            f"""
            create or replace view moved_unsubscribes as
            select * from plain_unsubscribes
            union all
            select old.email, old.changed_at, old.source, false, null
            from raw.{DATASET}.unsubscribes as old
            inner join note_asked using (email)
            left join typed_unsubscribes as new on new.email = old.email
            where old.is_unsubscribed and new.email is null;
            """
        )


def _cast(column: Column) -> str:
    return _CASTS[column.kind].format(f'"{column.name}"')


def _on(table: Table, left: str, right: str) -> str:
    return " and ".join(f'{left}."{key}" = {right}."{key}"' for key in table.key)


def _columns(table: Table, alias: str) -> str:
    return ", ".join(f'{alias}."{name}"' for name in table.names)


def _gone_sql(object_type: str, object_id: str, among: str) -> str:
    return (
        f"exists (select 1 from {among} where {among}.object_type = {object_type} and {among}.object_id = {object_id})"
    )


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
