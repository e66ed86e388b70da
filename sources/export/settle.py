"""Decides, in SQL, which rows of an export are newer than what is loaded. The files are read where they lie."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nightdesk.erasure.tombstones import document
from sources.export.files import ExportFile, Reader, reason
from sources.export.targets import Target
from sources.kit.erased import by_text, is_erased
from sources.kit.settle import quoted, same_key
from sources.kit.tables import REMOVED, SQL_TYPES, Column, cast_sql

if TYPE_CHECKING:
    from collections.abc import Callable

    from nightdesk.erasure.tombstones import Tombstones

_BATCH = 20_000
_SHOWN = 20

# What DuckDB may call a column of a typed file that needs no reading as text.
_FITTING = {
    "bool": ("BOOLEAN",),
    "bigint": ("BIGINT", "INTEGER", "SMALLINT", "TINYINT", "UINTEGER"),
    "double": ("DOUBLE", "FLOAT"),
    "timestamp": ("TIMESTAMP WITH TIME ZONE",),
    "date": ("DATE",),
    "money": ("DECIMAL",),
    "probability": ("DECIMAL",),
}


@dataclass(frozen=True, slots=True)
class Misfit:
    """A value that cannot be read: in which file, on which line or record, which column, what stands there."""

    file: str
    place: str
    column: str
    value: str
    kind: str


class TableExport:
    """All files of one table, settled against what is loaded.

    Args:
        sql: A connection with the raw database attached as `raw`.
        dataset: The CRM.
        target: The table.
        files: Its files.
    """

    def __init__(self, sql: Any, dataset: str, target: Target, files: Sequence[ExportFile]) -> None:
        import duckdb

        self._sql = sql
        self.target = target
        self.table = target.table
        self.readers: list[Reader] = []
        self.unreadable: list[tuple[str, str, str]] = []
        self.read_by: list[Any] = [sql]
        self.rows_moved = 0
        self.rows_erased = 0
        self.misfits: list[Misfit] = []
        self.rows_left_out = 0
        self._raw = f'raw.{dataset}."{self.table.name}"'
        self.is_fresh = not self._sql.execute(f"select 1 from {self._raw} limit 1").fetchone()
        for number, file in enumerate(files):
            self._open(file, f"file_{self.table.name}_{number}")
        try:
            if self.readers:
                self._settle()
        except duckdb.Error:
            if not self._drop_broken():
                raise
            if self.readers:
                self._settle()

    def _drop_broken(self) -> int:
        """Leaves out the files that DuckDB does not get through, so that they do not stop the others."""
        import duckdb

        good: list[Reader] = []
        for reader in self.readers:
            try:
                self._sql.execute(f"select count(*) from {reader.name}")
                good.append(reader)
            except duckdb.Error as error:
                todo = "Export it again, with one kind of line ending throughout."
                self.unreadable.append((reader.file.shown, reason(error), todo))
        dropped = len(self.readers) - len(good)
        self.readers = good
        return dropped

    def _open(self, file: ExportFile, name: str) -> None:
        from nightdesk.errors import NightdeskError

        try:
            self.readers.append(Reader(self._sql, file, self.target, name))
        except NightdeskError as error:
            self.unreadable.append((file.shown, error.what, error.todo))

    # -- one pass that tells what can be read, one that moves the rows -------------------------------------------------

    def _settle(self) -> None:
        name = self.table.name
        self._sql.execute(
            f"create or replace view every_{name} as "
            + " union all by name ".join(self._typed(one) for one in self.readers)
        )
        keys = ", ".join(f'"{one}"' for one in self.table.key)
        no_key = " or ".join(f"nullif(trim(\"{one}\"::varchar), '') is null" for one in self.table.key)
        count, distinct, odd = self._sql.execute(
            f"""
            select count(*) filter (where not is_odd), count(distinct ({keys})) filter (where not is_odd),
                count(*) filter (where is_odd)
            from (select {keys}, is_odd or ({no_key}) as is_odd from every_{name})
            """
        ).fetchone()
        self.rows_left_out = int(odd)
        rows = f"(select * from every_{name} where not is_odd and not ({no_key}))"
        if count > distinct:
            latest = f'"{self.target.stamp}" desc nulls last, ' if self.target.stamp else ""
            rows = f"""(
                select * from {rows}
                qualify row_number() over (partition by {keys} order by {latest}file_number desc) = 1
            )"""
        self._sql.execute(f"create view moved_{name} as {self._newer(rows)}")
        if odd:
            self._find_misfits(no_key)

    def _typed(self, reader: Reader) -> str:
        """One file's rows in the table's types, and whether a value of a row could not be read."""
        columns: list[str] = []
        odd: list[str] = ["false"]
        for column in self.table.columns:
            read = f"null::{SQL_TYPES[column.kind]}"
            if column.name in reader.given:
                read = self._read(column, reader.types[column.name])
                if column.kind not in ("text", "json"):
                    odd.append(f"({read} is null and nullif(trim(\"{column.name}\"::varchar), '') is not null)")
            columns.append(f'{read} as "{column.name}"')
        number = self.readers.index(reader)
        return f"select {', '.join(columns)}, {' or '.join(odd)} as is_odd, {number} as file_number from {reader.name}"

    def _read(self, column: Column, given: str) -> str:
        if column.kind in ("text", "json"):
            return f'"{column.name}"' if given == "VARCHAR" else f'"{column.name}"::varchar'
        if given.startswith(_FITTING[column.kind]):
            return f'"{column.name}"::{SQL_TYPES[column.kind]}'
        if given == "TIMESTAMP" and column.kind == "timestamp":
            return f"timezone('UTC', \"{column.name}\")"
        return cast_sql(column).replace(f'"{column.name}"', f'"{column.name}"::varchar')

    def _newer(self, rows: str) -> str:
        """New records, and newer versions of loaded ones: what the export has no column for stays as it is loaded."""
        filled = self.target.filled
        fresh = {
            one.name: f'coalesce(new."{one.name}", {filled[one.name]})' if one.name in filled else f'new."{one.name}"'
            for one in self.table.columns
        }
        if self.is_fresh:
            columns = ", ".join(f'{expression} as "{name}"' for name, expression in fresh.items())
            return f"select {columns}, null::boolean as {REMOVED} from {rows} as new"
        key = f'old."{self.table.key[0]}"'
        columns = ", ".join(
            f'{expression} as "{name}"'
            if all(name in reader.given for reader in self.readers) or name == self.target.stamp
            # Each file for itself: one that has no column for it leaves it as it is loaded.
            else f"case when {key} is null or new.file_number in ({self._having(name)}) then {expression} "
            f'else old."{name}" end as "{name}"'
            for name, expression in fresh.items()
        )
        newer = f"{key} is null"
        if self.target.stamp:
            newer += f' or {fresh[self.target.stamp]} > old."{self.target.stamp}"'
        return f"""
            select {columns}, null::boolean as {REMOVED}
            from {rows} as new
            left join {self._raw} as old on {same_key(self.table, "old", "new")}
            where {newer}
        """

    def _having(self, column: str) -> str:
        """The numbers of the files that have a column; -1 where none has."""
        return ", ".join(["-1", *(str(number) for number, one in enumerate(self.readers) if column in one.given)])

    def _find_misfits(self, no_key: str) -> None:
        shown = " || ' / ' || ".join(f"coalesce(\"{one}\"::varchar, '')" for one in self.table.key)
        for reader in self.readers:
            parts = [f"select 'key' as name, {shown} as id, '' as found from {reader.name} where {no_key}"]
            for column in self.table.columns:
                if column.name in reader.given and column.kind not in ("text", "json"):
                    read = self._read(column, reader.types[column.name])
                    text = f'"{column.name}"::varchar'
                    parts.append(
                        f"select '{column.name}' as name, {shown} as id, {text} as found from {reader.name} "
                        f"where {read} is null and nullif(trim({text}), '') is not null"
                    )
            rows = self._sql.execute(
                f"select * from ({' union all '.join(parts)}) order by all limit {_SHOWN}"
            ).fetchall()
            lines = reader.line_of([str(one) for _, one, _ in rows])
            kinds = {column.name: column.kind for column in self.table.columns}
            for name, one, found in rows:
                place = f"line {lines[one]}" if one in lines else f"record {one}" if one else ""
                kind = "" if name == "key" else kinds[name]
                self.misfits.append(Misfit(reader.file.shown, place, str(name), str(found)[:60], kind))

    # -- what the loader asks ------------------------------------------------------------------------------------------

    def newest(self) -> str | None:
        """The newest stamp of the rows that are moved, ISO 8601; None where the table has no stamp."""
        if not self.target.stamp:
            return None
        row = self._sql.execute(f'select max("{self.target.stamp}")::varchar from moved_{self.table.name}').fetchone()
        return None if row is None or row[0] is None else str(row[0])

    def batches(self, stones: Tombstones | None, keep: Callable[[int], None]) -> Iterator[Any]:
        """The moved rows as Arrow tables; an erased person's are left out."""
        pa: Any = import_module("pyarrow")  # ships no types
        schema = self.table.arrow_schema()
        names = ", ".join(f'"{name}"' for name in schema.names)
        self.read_by.append(cursor := self._sql.cursor())
        reader = cursor.execute(f"select {names} from moved_{self.table.name}").to_arrow_reader(_BATCH)
        for batch in reader:
            page = pa.Table.from_batches([batch]).cast(schema)
            if stones is not None:
                kept = [number for number, row in enumerate(page.to_pylist()) if not self._is_erased(stones, row)]
                self.rows_erased += page.num_rows - len(kept)
                page = page.take(kept)
            self.rows_moved += page.num_rows
            keep(self.rows_moved)
            yield page

    def _is_erased(self, stones: Tombstones, row: dict[str, Any]) -> bool:
        kind, _, object_type = self.target.subject.partition(":")
        one = str(row.get("id"))
        if kind == "contact" and stones.has("contact", one):
            return True
        if kind == "document" and stones.has("document", document(object_type, one)):
            return True
        if not is_erased(stones, self.table, row):
            return False
        if erasure := by_text(stones, self.table, row):
            # By its key from then on: a later version may not show whose it is.
            if kind == "contact":
                stones.learn("contact", one, erasure)
            elif kind == "document":
                stones.learn("document", document(object_type, one), erasure)
        return True


def connect(folder: Path, raw_path: Path) -> Any:
    """A connection for settling: little memory, spilling beside the load, the raw database attached read-only."""
    import duckdb

    sql = duckdb.connect(":memory:")
    sql.execute("set timezone = 'UTC'")
    sql.execute("set memory_limit = '1GB'")
    sql.execute("set preserve_insertion_order = false")
    sql.execute(f"set temp_directory = '{quoted(folder / 'spill')}'")
    sql.execute(f"attach '{quoted(raw_path)}' as raw (read_only)")
    return sql
