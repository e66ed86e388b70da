"""A raw table defined once: its DDL, its Arrow schema, dlt's hints and the type check of a load derive from here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Any, Final, Literal

# dlt's hard-delete hint: a staged row with `_removed = true` deletes its key, is not inserted; null in the table.
REMOVED: Final = "_removed"
LOAD_ID: Final = "_dlt_load_id"

Kind = Literal["text", "json", "bool", "bigint", "double", "timestamp", "date", "money", "probability"]

SQL_TYPES: Final[dict[Kind, str]] = {
    "text": "varchar",
    "json": "varchar",  # JSON text: every reader parses what it needs, and a broken piece stops nobody else
    "bool": "boolean",
    "bigint": "bigint",
    "double": "double",
    "timestamp": "timestamp with time zone",
    "date": "date",
    "money": "decimal(18,2)",
    "probability": "decimal(9,4)",
}
DECIMALS: Final[dict[Kind, tuple[int, int]]] = {"money": (18, 2), "probability": (9, 4)}
DLT_TYPES: Final[dict[Kind, str]] = {
    "text": "text",
    "json": "text",
    "bool": "bool",
    "bigint": "bigint",
    "double": "double",
    "timestamp": "timestamp",
    "date": "date",
    "money": "decimal",
    "probability": "decimal",
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `is_property` means: filled from the CRM property of the same name."""

    name: str
    kind: Kind
    is_property: bool = False


@dataclass(frozen=True)
class Table:
    """One raw table.

    Attributes:
        dataset: The source's name, and the schema of the table in raw.duckdb.
        name: Table name.
        key: The primary key of the merge.
        columns: In table order.
        addresses: Columns in which email addresses stand (one or many, any separator): a row that carries an address of
            an erased person is left out of a load and deleted when somebody is erased.
        texts: Columns with free text, searched for addresses and voices in the same way.
        document: What each row is (emails, calls, meetings) where its key names something that is erased as a whole:
            once a row was kept out or deleted, it stays out by its key, whatever it says later.
        copies: The column with the id of a CRM's document of that kind which says the same, where there is one.
        thread: The column that names a conversation, and the column of text in which older mails of it may be quoted.
    """

    dataset: str
    name: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    addresses: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    document: str = ""
    thread: tuple[str, str] | None = None
    copies: str = ""

    def __post_init__(self) -> None:
        named = {*self.key, *self.addresses, *self.texts, *(self.thread or ()), *filter(None, [self.copies])}
        unknown = named - set(self.names)
        if unknown:
            raise ValueError(f"{self.dataset}.{self.name} has no column {', '.join(sorted(unknown))}")
        if self.document and len(self.key) != 1:
            raise ValueError(f"{self.dataset}.{self.name} is of documents, so its key must be one column")

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Column names in table order, without the columns dlt needs."""
        return tuple(column.name for column in self.columns)

    def ddl(self) -> str:
        """The `create table if not exists` statement, with dlt's own columns last."""
        body = ",\n    ".join(
            [
                f'"{column.name}" {SQL_TYPES[column.kind]}{" not null" if column.name in self.key else ""}'
                for column in self.columns
            ]
            + [f'"{REMOVED}" boolean', f'"{LOAD_ID}" varchar not null']
        )
        return f'create table if not exists {self.dataset}."{self.name}" (\n    {body}\n)'

    def arrow_schema(self) -> Any:
        """The Arrow schema of a staged batch: the table's columns plus `_removed` (dlt adds the load id)."""
        pa: Any = import_module("pyarrow")  # ships no types
        types: dict[Kind, Any] = {
            "text": pa.string(),
            "json": pa.string(),
            "bool": pa.bool_(),
            "bigint": pa.int64(),
            "double": pa.float64(),
            "timestamp": pa.timestamp("us", tz="UTC"),
            "date": pa.date32(),
            "money": pa.decimal128(18, 2),
            "probability": pa.decimal128(9, 4),
        }
        fields = [
            pa.field(column.name, types[column.kind], nullable=column.name not in self.key) for column in self.columns
        ]
        return pa.schema([*fields, pa.field(REMOVED, pa.bool_())])


def columns(kind: Kind, names: str, *, is_property: bool = False) -> tuple[Column, ...]:
    """Columns of one kind, their names separated by blanks."""
    return tuple(Column(name, kind, is_property) for name in names.split())


def table(
    dataset: str,
    name: str,
    key: str,
    *groups: tuple[Kind, str],
    addresses: Iterable[str] = (),
    texts: Iterable[str] = (),
    document: str = "",
    thread: tuple[str, str] | None = None,
    copies: str = "",
) -> Table:
    """A table from groups of columns: `table("calendar", "events", "id", ("text", "id title"), ("date", "on"))`.

    Args:
        dataset: The source.
        name: Table name.
        key: Columns of the primary key, separated by blanks.
        groups: (kind, names separated by blanks), in table order.
        addresses: See `Table`.
        texts: See `Table`.
        document: See `Table`.
        thread: See `Table`.
        copies: See `Table`.
    """
    all_columns = tuple(one for kind, names in groups for one in columns(kind, names))
    return Table(
        dataset, name, tuple(key.split()), all_columns, tuple(addresses), tuple(texts), document, thread, copies
    )


def files_table(dataset: str) -> Table:
    """`files`: which files were read, as they were then. `file` is the path as the settings' source gives it."""
    return table(
        dataset,
        "files",
        "source file",
        ("text", "source file"),
        ("bigint", "size_bytes"),
        ("timestamp", "modified_at"),
        ("text", "sha256 format"),
        ("bigint", "records problems"),
        ("timestamp", "read_at"),
    )


def problems_table(dataset: str) -> Table:
    """`problems`: what could not be read, by file and place. A file that is read again says its problems anew."""
    return table(
        dataset,
        "problems",
        "file position what",
        ("text", "file position what todo"),
        ("timestamp", "seen_at"),
    )


def by_name(*tables: Table) -> dict[str, Table]:
    """Tables by their names.

    Raises:
        ValueError: Two have the same name.
    """
    found = {one.name: one for one in tables}
    if len(found) < len(tables):
        raise ValueError("two tables of a dataset have the same name")
    return found


def dlt_columns(one: Table) -> list[dict[str, Any]]:
    """dlt's column hints for a table."""
    hints: list[dict[str, Any]] = []
    for column in one.columns:
        hint: dict[str, Any] = {
            "name": column.name,
            "data_type": DLT_TYPES[column.kind],
            "nullable": column.name not in one.key,
        }
        if column.kind in DECIMALS:
            hint["precision"], hint["scale"] = DECIMALS[column.kind]
        hints.append(hint)
    hints.append({"name": REMOVED, "data_type": "bool", "nullable": True, "hard_delete": True})
    return hints


# -- from text to types, in one place --------------------------------------------------------------------------------

_CASTS: Final[Mapping[Kind, str]] = {
    "text": "{0}",
    "json": "{0}",
    "bool": "try_cast(nullif(trim({0}), '') as boolean)",
    # Numbers of a CRM may carry decimals or an exponent; counts are rounded.
    "bigint": "try_cast(round(try_cast(nullif(trim({0}), '') as double)) as bigint)",
    "double": "try_cast(nullif(trim({0}), '') as double)",
    "money": "try_cast(nullif(trim({0}), '') as decimal(18,2))",
    "probability": "try_cast(nullif(trim({0}), '') as decimal(9,4))",
    "date": "try_cast(nullif(trim({0}), '') as date)",
    "timestamp": (
        "case when regexp_full_match(trim({0}), '-?[0-9]+') "
        "then make_timestamptz(try_cast(trim({0}) as bigint) * 1000) "
        "else try_cast(nullif(trim({0}), '') as timestamptz) end"
    ),
}


def cast_sql(column: Column) -> str:
    """The SQL that reads a column's text as its type; null where it cannot be read."""
    return _CASTS[column.kind].format(f'"{column.name}"')
