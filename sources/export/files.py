"""The files of an export: which table each is for, how DuckDB reads it, and what in it cannot be read."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TextIO, cast

from nightdesk.errors import NightdeskError
from sources.export.targets import Target
from sources.kit.settle import literal, quoted

if TYPE_CHECKING:
    import duckdb

Form = Literal["csv", "jsonl", "parquet"]

_FORMS: dict[str, Form] = {
    ".csv": "csv", ".csv.gz": "csv", ".jsonl": "jsonl", ".jsonl.gz": "jsonl", ".ndjson": "jsonl", ".ndjson.gz": "jsonl",
    ".parquet": "parquet",
}  # fmt: skip
# Only a case keeps DuckDB from looking into what is no JSON.
_IS_OBJECT = "case when json_valid(line) then json_type(line) = 'OBJECT' else false end"
_BUFFER = "max_line_size = 8000000, buffer_size = 16000000"  # bytes; DuckDB would take sixteen lines' worth
_NUMBER = re.compile(r"[-_ ]?\d+$")
_DELIMITERS = (",", ";", "\t", "|")
_SHOWN = 20  # problems of one kind in a file that are named one by one; the rest are counted


@dataclass(frozen=True, slots=True)
class ExportFile:
    """One file: where, for which table, in which form."""

    path: Path
    shown: str
    table: str
    form: Form


def find(folder: Path, targets: Mapping[str, Target]) -> tuple[list[ExportFile], list[str]]:
    """The files of an export, and the names of those that no table is known for.

    Raises:
        NightdeskError: The folder is not there, or holds nothing that can be loaded.
    """
    if not folder.is_dir():
        raise NightdeskError("There is no such folder", where=str(folder), todo="Name the folder with the export.")
    found: list[ExportFile] = []
    unknown: list[str] = []
    for path in sorted(one for one in folder.rglob("*") if one.is_file() and not one.name.startswith(".")):
        ending = next((one for one in sorted(_FORMS, key=len, reverse=True) if path.name.lower().endswith(one)), None)
        shown = path.relative_to(folder).as_posix()
        stem = path.name[: -len(ending)].lower() if ending else ""
        names = {stem, _NUMBER.sub("", stem), *(part.lower() for part in path.relative_to(folder).parts[:-1])}
        table = next((name for name, target in targets.items() if names & target.names), None)
        if ending is None or table is None:
            unknown.append(shown)
        else:
            found.append(ExportFile(path, shown, table, _FORMS[ending]))
    if not found:
        known = ", ".join(sorted(targets))
        raise NightdeskError(
            "There is no file of an export in it", where=str(folder),
            todo=f"A file is called by its table, as `contacts.csv`; there are {known}.",
        )  # fmt: skip
    return found, unknown


class Reader:
    """How one file is read: a view `name` with one column per raw column that the file has, in text or as it is typed.

    Args:
        sql: Where the view is made.
        file: Which file.
        target: The table it is for.
        name: The view's name.

    Attributes:
        given: Raw columns the file has -> the file's own names.
        ignored: Columns of the file that no raw column is known for.
        types: Raw column -> DuckDB's type of it in the view.

    Raises:
        NightdeskError: The file cannot be read at all, or has no column for a key.
    """

    def __init__(self, sql: duckdb.DuckDBPyConnection, file: ExportFile, target: Target, name: str) -> None:
        import duckdb

        self._sql = sql
        self.file = file
        self.target = target
        self.name = name
        self._delimiter = ","
        try:
            self._encoding = _encoding(file.path) if file.form == "csv" else "utf-8"
            if not file.path.stat().st_size:
                raise NightdeskError("It is empty", where=file.shown, todo="Export it again, or leave it out.")
            header = self._header()
            self.given = {target.columns[one.lower()]: one for one in header if one.lower() in target.columns}
            self.ignored = [one for one in header if one.lower() not in target.columns]
            lacking = [one for one in (*target.table.key, *target.required) if one not in self.given]
            if lacking:
                raise NightdeskError(
                    f"No column is `{lacking[0]}`, without which nothing of it is loaded", where=file.shown,
                    todo="Export it as well, or say with --column which column it is.",
                )  # fmt: skip
            sql.execute(f"create view {name} as {self._select(header)}")
            described = sql.execute(f"describe {name}").fetchall()
        except (duckdb.Error, OSError, EOFError, zlib.error, csv.Error) as error:
            raise NightdeskError(reason(error), where=file.shown, todo="Export the file again.") from error
        self.types = {str(row[0]): str(row[1]) for row in described}

    def _header(self) -> list[str]:
        if self.file.form == "csv":
            with _open(self.file.path, self._encoding) as lines:
                start = "".join(islice(lines, 20))
            self._delimiter = max(
                _DELIMITERS, key=lambda one: sum(name.lower() in self.target.columns for name in _first(start, one))
            )
            return _first(start, self._delimiter)
        if self.file.form == "parquet":
            rows = self._sql.execute(f"describe select * from read_parquet('{quoted(self.file.path)}')").fetchall()
            return [str(row[0]) for row in rows]
        rows = self._sql.execute(
            f"select distinct unnest(case when {_IS_OBJECT} then json_keys(line) end) from {self._lines()} order by 1"
        ).fetchall()
        return [str(row[0]) for row in rows]

    def _lines(self) -> str:
        """The lines of a JSON lines file, numbered."""
        return (
            f"(select row_number() over () as number, column0 as line from read_csv('{quoted(self.file.path)}', "
            "columns = {'column0': 'varchar'}, delim = '\\0', quote = '', escape = '', header = false, "
            f"{_BUFFER}, strict_mode = false, auto_detect = false))"
        )

    def _select(self, header: Sequence[str]) -> str:
        if self.file.form == "csv":
            columns = ", ".join(f"{literal(one)}: 'varchar'" for one in _unique(header))
            own = ", ".join(f'{_name(given)} as "{column}"' for column, given in self.given.items())
            return (
                f"select {own} from read_csv('{quoted(self.file.path)}', columns = {{{columns}}}, header = true, "
                f"delim = {literal(self._delimiter)}, encoding = '{self._encoding}', "
                f"quote = '\"', escape = '\"', auto_detect = false, {_BUFFER}, "
                f"store_rejects = true, rejects_table = 'rejects_{self.name}', rejects_scan = 'scans_{self.name}', "
                "rejects_limit = 0)"
            )
        if self.file.form == "parquet":
            own = ", ".join(f'{_name(given)} as "{column}"' for column, given in self.given.items())
            return f"select {own} from read_parquet('{quoted(self.file.path)}')"
        shape = json.dumps(dict.fromkeys(self.given.values(), "VARCHAR"), ensure_ascii=False)
        own = ", ".join(f'record[{literal(given)}] as "{column}"' for column, given in self.given.items())
        return (
            f"select {own} from (select case when {_IS_OBJECT} then from_json(line, {literal(shape)}) end as record "
            f"from {self._lines()}) where record is not null"
        )

    def unread(self, read_by: Sequence[duckdb.DuckDBPyConnection]) -> Iterator[tuple[str, str]]:
        """(place, what is wrong) of every line that is no record. Call it after these connections read the view."""
        if self.file.form == "csv":
            # Each connection that read the view notes what it could not read in a table of its own, and only then.
            # Lines are counted there by record; people count them as an editor does.
            seen: dict[int, str] = {}
            for one in read_by:
                made = f"select 1 from duckdb_tables() where table_name = 'rejects_{self.name}'"
                if one.execute(made).fetchone():
                    rows = one.execute(
                        f"select line_byte_position, min_by(error_message, byte_position) from rejects_{self.name} "
                        "group by 1"
                    ).fetchall()
                    seen |= {int(at): str(message) for at, message in rows}
            rows = sorted(seen.items())[:_SHOWN]
            lines = _lines_at(self.file.path, [at for at, _ in rows])
            for at, message in rows:
                first = message.splitlines()[0].rstrip(". ")
                if "unterminated" in first.lower():
                    first = "a quote is opened and never closed; nothing of the file after it was read"
                yield f"line {lines[at]}", first
        elif self.file.form == "jsonl":
            rows = self._sql.execute(
                f"select number, left(line, 40) from {self._lines()} where trim(line) <> '' "
                f"and not {_IS_OBJECT} order by number limit {_SHOWN}"
            ).fetchall()
            for number, line in rows:
                yield f"line {number}", f"is no JSON object: {line!r}"

    def line_of(self, keys: Sequence[str]) -> dict[str, int]:
        """Key -> line, of some records of a CSV file; a pass over the file, made only when something is wrong."""
        if self.file.form != "csv" or len(self.target.table.key) != 1:
            return {}
        wanted, found = set(keys), dict[str, int]()
        with _open(self.file.path, self._encoding) as lines:
            csv.field_size_limit(sys.maxsize)  # a mail is longer than what the module takes for a mistake
            reader = csv.reader(lines, delimiter=self._delimiter)
            header = [one.strip() for one in next(reader, list[str]())]
            at = header.index(self.given[self.target.table.key[0]])
            before = reader.line_num
            for row in reader:
                if len(row) > at and row[at] in wanted:
                    found.setdefault(row[at], before + 1)
                before = reader.line_num
                if len(found) == len(wanted):
                    break
        return found


def _open(path: Path, encoding: str) -> TextIO:
    codec = "utf-8-sig" if encoding == "utf-8" else encoding
    if path.suffix.lower() == ".gz":
        return cast("TextIO", gzip.open(path, "rt", encoding=codec, errors="replace", newline=""))
    return path.open(encoding=codec, errors="replace", newline="")


def _encoding(path: Path) -> Literal["utf-8", "utf-16"]:
    """UTF-16 is known by its first two bytes; whatever else is no UTF-8 is named by line."""
    with gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb") as file:
        return "utf-16" if file.read(2) in (b"\xff\xfe", b"\xfe\xff") else "utf-8"


def _first(start: str, delimiter: str) -> list[str]:
    csv.field_size_limit(sys.maxsize)
    return [one.strip() for one in next(csv.reader(io.StringIO(start, newline=""), delimiter=delimiter), list[str]())]


def _lines_at(path: Path, places: Sequence[int]) -> dict[int, int]:
    """Byte of an (unpacked) file -> its line."""
    found: dict[int, int] = {}
    with gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb") as file:
        at, line = 0, 1
        for place in sorted(places):
            while at < place and (read := file.read(min(1 << 20, place - at))):
                at += len(read)
                line += read.count(b"\n")
            found[place] = line
    return found


def _unique(header: Sequence[str]) -> list[str]:
    """Names as DuckDB wants them: none twice, none empty."""
    seen: set[str] = set()
    names: list[str] = []
    for number, one in enumerate(header):
        name = one or f"column_{number}"
        while name.lower() in seen:
            name += "_"
        seen.add(name.lower())
        names.append(name)
    return names


def _name(given: str) -> str:
    return '"' + given.replace('"', '""') + '"'


def reason(error: Exception) -> str:
    """What went wrong, in a line."""
    first = (str(error) or type(error).__name__).splitlines()[0]
    return f"It cannot be read: {first[:300]}"
