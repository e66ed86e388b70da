"""Pages on disk: what the CRM said, as text columns in Parquet, one folder a table. Memory stays flat."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from sources.hubspot.tables import TABLES

SEQUENCE: Final = "_seq"

# Notes a load takes besides rows: which records had their associations read anew, which ids a full list showed, which
# types were listed in full, and which addresses were asked for their consent status.
NOTES: Final[dict[str, tuple[str, ...]]] = {
    "_refreshed": ("object_type", "object_id"),
    "_listed": ("object_type", "object_id"),
    "_full": ("object_type",),
    "_asked": ("email",),
}

_ROWS: Final = 5_000
_CHARACTERS: Final = 16_000_000


class Spool:
    """Appends rows of text to Parquet files under `folder`. Thread-safe.

    A later row with the same key wins (`_seq` grows with every row).
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if folder.exists():
            shutil.rmtree(folder)  # left by a load that was killed; the next one reads the CRM again
        folder.mkdir(parents=True)
        self._tables = {name: _Buffer(columns) for name, columns in spool_columns().items()}
        self._sequence = 0
        self._lock = threading.Lock()

    def add(self, table: str, rows: Iterable[Sequence[str | None]]) -> int:
        """Appends rows given in column order. Returns how many."""
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

    def finish(self) -> None:
        """Writes what is buffered; every table then has at least one (maybe empty) file."""
        with self._lock:
            for name, buffer in self._tables.items():
                buffer.flush(self.folder / name)

    def remove(self) -> None:
        """Deletes the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)


class _Buffer:
    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = tuple(columns)
        self._files = 0
        self._clear()

    def _clear(self) -> None:
        self._data: list[list[str | None]] = [[] for _ in self._columns]
        self._sequences: list[int] = []
        self.characters = 0

    @property
    def rows(self) -> int:
        return len(self._sequences)

    def append(self, row: Sequence[str | None], sequence: int) -> None:
        for values, value in zip(self._data, row, strict=True):
            values.append(value)
            if value is not None:
                self.characters += len(value)
        self._sequences.append(sequence)

    def flush(self, folder: Path) -> None:
        if self._files and not self._sequences:
            return
        folder.mkdir(exist_ok=True)
        pa, pq = _pyarrow()
        arrays = [pa.array(values, pa.string()) for values in self._data] + [pa.array(self._sequences, pa.int64())]
        table = pa.Table.from_arrays(arrays, names=[*self._columns, SEQUENCE])
        pq.write_table(table, folder / f"{self._files:06d}.parquet", compression="lz4")
        self._files += 1
        self._clear()


def _pyarrow() -> tuple[Any, Any]:
    return import_module("pyarrow"), import_module("pyarrow.parquet")  # ship no types


def spool_columns() -> Mapping[str, Sequence[str]]:
    """Column names per spooled table, notes included."""
    return {name: table.names for name, table in TABLES.items()} | NOTES
