"""Pages of records as Arrow tables of text, whether they came as JSON or as a CSV file. Pure, but for the file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

_BLOCK = 16 << 20  # bytes of a CSV file held at once; no record is longer


def text(value: Any) -> str | None:
    """A JSON value as Salesforce writes it into a CSV file."""
    if value is None or isinstance(value, str):
        return value
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def of_records(records: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Any:
    """An Arrow table with a text column per field, from the records of a query's answer."""
    pa: Any = import_module("pyarrow")  # ships no types
    kind = pa.string()
    arrays: list[Any] = []
    for name in names:
        values = [record.get(name) for record in records]
        try:
            arrays.append(pa.array(values, kind))
        except (TypeError, pa.ArrowException):
            arrays.append(pa.array([text(value) for value in values], kind))
    return pa.Table.from_arrays(arrays, names=list(names))


def of_csv(path: Path) -> Iterator[Any]:
    """Arrow tables of text from a CSV file with a header; an empty cell is null.

    Raises:
        ValueError: the file ends within a record, or is no CSV.
    """
    pa: Any = import_module("pyarrow")  # ships no types
    csv: Any = import_module("pyarrow.csv")
    names = header(path)
    if not names:
        return
    try:
        reader = csv.open_csv(
            path,
            read_options=csv.ReadOptions(block_size=_BLOCK, use_threads=False),
            parse_options=csv.ParseOptions(newlines_in_values=True),
            convert_options=csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
                null_values=[""],
            ),
        )
        with reader:
            for batch in reader:
                yield pa.Table.from_batches([batch])
    except pa.ArrowInvalid as error:
        raise ValueError(str(error)) from error


def header(path: Path) -> list[str]:
    """The column names in a CSV file's first line."""
    import csv

    with path.open(encoding="utf-8", newline="") as file:
        return next(csv.reader(file), list[str]())


def is_ended(path: Path) -> bool:
    """Whether a file is empty or its last line is a whole one."""
    size = path.stat().st_size
    if not size:
        return True
    with path.open("rb") as file:
        file.seek(size - 1)
        return file.read(1) == b"\n"


def column(page: Any, name: str) -> list[str | None]:
    """A column's values, or nothing but None where the page has no such column."""
    return page.column(name).to_pylist() if name in page.column_names else [None] * page.num_rows
