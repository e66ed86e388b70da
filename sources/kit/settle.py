"""Decides, in SQL, which rows moved: the spool (what the source says) against raw.duckdb (what is loaded).

Everything is set-based and streams out as Arrow, so a load of a million rows needs no more memory than one of eight
thousand. Casting from text to column types happens here and nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Self

import duckdb

from nightdesk.errors import NightdeskError
from sources.kit.spool import SEQUENCE
from sources.kit.tables import REMOVED, Table, cast_sql


class Settlement:
    """The rows of one load that are new, different or gone.

    Per table `x`: view `spool_x` is text, the last row per key; `typed_x` the same, cast; `moved_x` what a source's own
    rules (or `simple`) make of it.

    Args:
        spool_folder: A finished spool.
        raw_path: The raw database, opened read-only; close before dlt writes.
        dataset: The source's name.
        tables: Every table of the dataset, by name.
    """

    def __init__(self, spool_folder: Path, raw_path: Path, dataset: str, tables: Mapping[str, Table]) -> None:
        self.spool = spool_folder
        self.dataset = dataset
        self.tables = tables
        self.sql = duckdb.connect(":memory:")
        self.sql.execute("set timezone = 'UTC'")
        self.sql.execute("set memory_limit = '1GB'")  # beyond that it spills next to the spool
        self.sql.execute(f"set temp_directory = '{quoted(spool_folder / 'spill')}'")
        self.sql.execute(f"attach '{quoted(raw_path)}' as raw (read_only)")
        for one in tables.values():
            self._typed(one)

    def close(self) -> None:
        """Closes the connection and with it the raw database."""
        self.sql.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def counts(self) -> dict[str, int]:
        """Moved rows per table, removals included."""
        return {name: self.count(f"select count(*) from moved_{name}") for name in self.tables}

    def batches(self, table: str, rows: int = 20_000) -> Iterator[Any]:
        """The moved rows of a table in its Arrow schema."""
        pa: Any = import_module("pyarrow")  # ships no types
        schema = self.tables[table].arrow_schema()
        names = ", ".join(f'"{name}"' for name in schema.names)
        cursor: Any = self.sql.cursor()
        reader = cursor.execute(f"select {names} from moved_{table}").to_arrow_reader(rows)
        for batch in reader:
            yield pa.Table.from_batches([batch]).cast(schema)

    def check_values(self) -> None:
        """Every value the source sent fits its column.

        Raises:
            NightdeskError: names table, column, ids and the value of the first misfit.
        """
        for name, table in self.tables.items():
            for key in table.key:
                if self.count(f'select count(*) from {self.files(name)} where "{key}" is null'):
                    raise NightdeskError(
                        f"A row of {name} has no `{key}`, which is part of its key",
                        where=f"{self.dataset}.{name}",
                        todo="Report it as a bug of the source; what was loaded before stays as it is.",
                    )
            typed = [column for column in table.columns if column.kind not in ("text", "json")]
            if not typed:
                continue
            odd = {
                column.name: f"{cast_sql(column)} is null and nullif(trim(\"{column.name}\"), '') is not null"
                for column in typed
            }
            # One pass says that all is well; only when it is not, a pass a column tells where.
            if not self.count(f"select count(*) from spool_{name} where {' or '.join(odd.values())}"):
                continue
            owner = "object_id" if "object_id" in table.key else table.key[-1]
            misfits = " union all ".join(
                f"""(select '{column.name}' as property, {owner} as id,
                    "{column.name}" as found
                from spool_{name}
                where {odd[column.name]}
                limit 5)"""
                for column in typed
            )
            rows = self.sql.execute(f"select * from ({misfits}) order by 1, 2").fetchall()
            if rows:
                property_name, _, value = rows[0]
                ids = ", ".join(str(one) for column, one, _ in rows if column == property_name)
                kind = table.columns[table.names.index(property_name)].kind
                raise NightdeskError(
                    f"`{property_name}` of {name} holds {value[:60]!r}, which is no {kind}",
                    where=f"{name}.{property_name}, {ids}",
                    todo=f"Correct the value at the source, or the column in sources/{self.dataset}/tables.py, "
                    "and load again.",
                )

    # -- building blocks -----------------------------------------------------------------------------------------------

    def count(self, sql: str) -> int:
        """The one number a query gives."""
        found = self.sql.execute(sql).fetchone()
        return 0 if found is None else int(found[0])

    def files(self, name: str) -> str:
        """The spooled files of a table, as something to select from."""
        # A folder may be called `[data]`: only the star of the files is a pattern.
        folder = re.sub(r"([\[*?])", r"[\1]", quoted(self.spool / name))
        return f"read_parquet('{folder}/*.parquet')"

    def _typed(self, table: Table) -> None:
        # The last row per key as it will be loaded: `1` and `1.0` are one number.
        name, keys = table.name, ", ".join(cast_sql(column) for column in table.columns if column.name in table.key)
        self.sql.execute(
            f"""
            create view spool_{name} as
            select * from {self.files(name)}
            where {SEQUENCE} in (select max({SEQUENCE}) from {self.files(name)} group by {keys})
            """
        )
        casts = ", ".join(f'{cast_sql(column)} as "{column.name}"' for column in table.columns)
        self.sql.execute(f"create view typed_{name} as select {casts} from spool_{name}")

    def simple(self, name: str, where: str = "true", *, gone: str = "") -> None:
        """`moved_x`: rows that are new or differ from the loaded ones.

        Args:
            name: The table.
            where: Which of the typed rows count.
            gone: Which loaded rows (as `old`) are removed when the source did not send them; none when empty, all with
                "true".
        """
        table = self.tables[name]
        rest = [column for column in table.names if column not in table.key]
        differs = " or ".join(f'old."{column}" is distinct from new."{column}"' for column in rest) or "false"
        removed = f"""
            union all
            select {select_columns(table, "old")}, true
            from raw.{self.dataset}."{name}" as old
            left join typed_{name} as new on {same_key(table, "old", "new")}
            where new."{table.key[0]}" is null and ({gone})
        """
        self.sql.execute(
            f"""
            create view plain_{name} as
            select new.*, null::boolean as {REMOVED}
            from (select * from typed_{name} where {where}) as new
            left join raw.{self.dataset}."{name}" as old on {same_key(table, "old", "new")}
            where old."{table.key[0]}" is null or {differs}
            {removed if gone else ""};

            create view moved_{name} as select * from plain_{name};
            """
        )


def same_key(table: Table, left: str, right: str) -> str:
    """The join condition of two aliases of a table."""
    return " and ".join(f'{left}."{key}" = {right}."{key}"' for key in table.key)


def select_columns(table: Table, alias: str) -> str:
    """All columns of a table under an alias."""
    return ", ".join(f'{alias}."{name}"' for name in table.names)


def quoted(path: Path) -> str:
    """A path for a SQL literal."""
    return str(path).replace("'", "''")


def literal(text: str) -> str:
    """A SQL string literal."""
    return "'" + text.replace("'", "''") + "'"
