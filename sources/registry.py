"""Which sources there are, and the raw tables of each."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Final

from sources.kit import schema
from sources.kit.tables import Table

# One folder a source; the folder's name is the dataset's.
SOURCES: Final = ("hubspot", "salesforce", "mailbox", "transcripts", "calendar")


def datasets() -> dict[str, Mapping[str, Table]]:
    """Dataset -> its tables by name."""
    return {name: import_module(f"sources.{name}.tables").TABLES for name in SOURCES}


def ensure_tables(raw_path: Path) -> None:
    """Creates the raw file with every table of every source, so that dbt builds before the first load.

    Raises:
        NightdeskError: the file is in use by another process, or is not a DuckDB database.
    """
    for dataset, tables in datasets().items():
        schema.ensure_tables(raw_path, dataset, tables.values())


def ensure_once(raw_path: Path) -> None:
    """`ensure_tables`, unless a note beside the raw file says that this release has done so.

    Every command asks; only the first one after an upgrade opens the file, so a load in another process is no hindrance
    to the others.

    Raises:
        NightdeskError: as `ensure_tables`.
    """
    note = raw_path.with_name(raw_path.name + ".tables")
    if raw_path.exists() and note.exists() and note.read_text(encoding="utf-8") == digest():
        return
    ensure_tables(raw_path)
    note.write_text(digest(), encoding="utf-8")


def digest() -> str:
    """Hash of the shape of every raw table."""
    declared = "\n".join(one.ddl() for tables in datasets().values() for one in tables.values())
    return hashlib.sha256(declared.encode()).hexdigest()
