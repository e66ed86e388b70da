"""Pages on disk: what a source said, as columns in Parquet, one folder a table. Memory stays flat."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final

SEQUENCE: Final = "_seq"

_ROWS: Final = 5_000
_CHARACTERS: Final = 16_000_000


class Spool:
    """Appends rows to Parquet files under `folder`. Thread-safe.

    A later row with the same key wins (`_seq` grows with every row).

    Args:
        folder: Emptied first: whatever a killed load left there is read from the source again.
        columns: Column names per table, in the order rows are given.
    """

    def __init__(self, folder: Path, columns: Mapping[str, Sequence[str]]) -> None:
        self.folder = folder
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
        self._tables = {name: _Buffer(names) for name, names in columns.items()}
        self._sequence = 0
        self._lock = threading.RLock()  # rows that are made on the way may add others

    def add(self, table: str, rows: Iterable[Sequence[str | None]]) -> int:
        """Appends rows of text given in column order. Returns how many. `rows` may add to other tables on its way."""
        count = 0
        with self._lock:
            buffer = self._tables[table]
            for row in rows:
                self._sequence += 1
                buffer.append(row, self._sequence)
                count += 1
                if buffer.rows >= _ROWS or buffer.characters >= _CHARACTERS:
                    buffer.flush(self.folder / table)
        return count

    def add_arrow(self, table: str, page: Any) -> int:
        """Appends an Arrow table. Columns are found by name, values cast to text; what is missing is null."""
        pa, _ = _pyarrow()
        with self._lock:
            buffer = self._tables[table]
            buffer.flush(self.folder / table)
            start = self._sequence
            self._sequence += page.num_rows
            columns = [
                page.column(name).cast(pa.string())
                if name in page.column_names
                else pa.nulls(page.num_rows, pa.string())
                for name in buffer.columns
            ]
            sequence = pa.array(range(start + 1, self._sequence + 1), pa.int64())
            buffer.write(
                self.folder / table, pa.Table.from_arrays([*columns, sequence], names=[*buffer.columns, SEQUENCE])
            )
        return int(page.num_rows)

    def has_rows(self, table: str) -> bool:
        """Whether anything was added to a table. Ask before `finish`."""
        return self._tables[table].is_used

    def finish(self) -> None:
        """Writes what is buffered; every table then has at least one (maybe empty) file."""
        with self._lock:
            for name, buffer in self._tables.items():
                buffer.flush(self.folder / name, always=True)

    def remove(self) -> None:
        """Deletes the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)


class _Buffer:
    def __init__(self, columns: Sequence[str]) -> None:
        self.columns = tuple(columns)
        self._files = 0
        self._clear()

    def _clear(self) -> None:
        self._data: list[list[str | None]] = [[] for _ in self.columns]
        self._sequences: list[int] = []
        self.characters = 0

    @property
    def rows(self) -> int:
        return len(self._sequences)

    @property
    def is_used(self) -> bool:
        return bool(self._files or self._sequences)

    def append(self, row: Sequence[str | None], sequence: int) -> None:
        if len(row) != len(self.columns):
            raise ValueError(f"a row has {len(row)} values for {len(self.columns)} columns")
        for values, value in zip(self._data, row, strict=True):
            values.append(value)
            if value is not None:
                self.characters += len(value)
        self._sequences.append(sequence)

    def flush(self, folder: Path, *, always: bool = False) -> None:
        if not self._sequences and (self._files or not always):
            return
        pa, _ = _pyarrow()
        arrays = [pa.array(values, pa.string()) for values in self._data] + [pa.array(self._sequences, pa.int64())]
        self.write(folder, pa.Table.from_arrays(arrays, names=[*self.columns, SEQUENCE]))
        self._clear()

    def write(self, folder: Path, page: Any) -> None:
        folder.mkdir(exist_ok=True)
        _, pq = _pyarrow()
        pq.write_table(page, folder / f"{self._files:06d}.parquet", compression="lz4")
        self._files += 1


def _pyarrow() -> tuple[Any, Any]:
    return import_module("pyarrow"), import_module("pyarrow.parquet")  # ship no types
