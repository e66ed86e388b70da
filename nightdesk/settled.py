"""What a night need not build again: models that rest on raw data alone, of sources in which nothing has moved.

Kept as a note beside the warehouse, written when a night has built everything. The note holds only while the warehouse
is the very file it was written for, unchanged since, and the project, the raw tables and the erasures are the same:
whoever builds, edits or deletes anything in between makes the next night build all of it. A lost note costs seconds.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from nightdesk import ledger
from nightdesk.errors import NightdeskError

if TYPE_CHECKING:
    from nightdesk.prepare import Project
    from nightdesk.waves import Graph

NOTE: Final = "built.json"


def models(project: Project, graph: Graph) -> frozenset[str]:
    """Ids of the models that are as the last night built them."""
    note = project.settings.data_dir / NOTE
    try:
        before: Any = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return frozenset()
    if not isinstance(before, dict):
        return frozenset()
    before = cast("dict[str, Any]", before)
    if before.get("warehouse") != _warehouse(project.settings.warehouse) or before.get("project") != _project(project):
        return frozenset()
    now = _raw(project)
    same = {name for name, state in now.items() if before.get("raw", {}).get(name) == state}
    return graph.resting_on(same)


def remember(project: Project) -> None:
    """Note that everything was built on what the raw tables hold now."""
    content = {
        "warehouse": _warehouse(project.settings.warehouse),
        "project": _project(project),
        "raw": _raw(project),
    }
    (project.settings.data_dir / NOTE).write_text(json.dumps(content) + "\n", encoding="utf-8")


def _file(path: Path) -> list[int]:
    """What tells a file from one that was made or written since."""
    try:
        found = path.stat()
    except OSError:
        return []
    return [found.st_ino, found.st_mtime_ns, found.st_size]


def _warehouse(path: Path) -> list[int]:
    """What tells the warehouse from one written since. What a killed build has committed may lie in the log alone."""
    return _file(path) + _file(path.with_name(path.name + ".wal"))


def _project(project: Project) -> str:
    """The hash of what decides what dbt makes of the same raw data: models, tests, profile, versions, tables."""
    from importlib.metadata import version

    from sources import registry

    total = hashlib.sha256((project.policy.project_hash or "").encode())
    total.update(registry.digest().encode())
    total.update(f"{version('duckdb')} {version('dbt-duckdb')}".encode())
    tests = (one for one in (project.folder / "tests" / "dbt").rglob("*") if one.suffix in (".sql", ".yml"))
    for path in (project.folder / "profiles.yml", *sorted(tests)):
        if path.is_file():
            total.update(f"{path.relative_to(project.folder).as_posix()}\n".encode() + path.read_bytes())
    return total.hexdigest()


def _raw(project: Project) -> dict[str, str]:
    """Dataset -> what its tables hold, and which erasures there were.

    Told by the tables themselves and not by dlt's list of loads alone: a load that is killed after it wrote its rows
    and before it said so is in no list, and the next one finds nothing that moved.
    """
    import duckdb

    from sources.kit.schema import unreadable
    from sources.registry import SOURCES

    path = project.settings.raw
    with ledger.connect(project.settings.ledger, read_only=True) as con:
        erased = con.execute("select count(*), count(finished_at) from erasures").fetchone()
    try:
        raw = duckdb.connect(str(path), read_only=True)
    except duckdb.Error as error:
        raise unreadable(path, error) from error
    try:
        tables: dict[str, list[str]] = {}
        for dataset, table in raw.execute(
            """
            select t.schema_name, t.table_name from duckdb_tables() as t
            inner join duckdb_columns() as c
                on c.database_name = t.database_name and c.schema_name = t.schema_name and c.table_name = t.table_name
            where t.database_name = current_database() and c.column_name = '_dlt_load_id'
            order by all
            """
        ).fetchall():
            tables.setdefault(str(dataset), []).append(str(table))
        found: dict[str, str] = {}
        for name in SOURCES:
            # Rows come with a new load's id; rows that go change the count.
            each = " union all ".join(
                f"select '{table}', count(*), min(_dlt_load_id), max(_dlt_load_id), bit_xor(hash(_dlt_load_id)) "
                f'from {name}."{table}"'
                for table in tables.get(name, ())
            )
            held = raw.execute(f"{each} order by all").fetchall() if each else []
            found[name] = json.dumps([path.stat().st_ino, held, erased])
        return found
    except duckdb.Error as error:
        raise NightdeskError(f"The raw database cannot be read: {error}", where=str(path)) from error
    finally:
        raw.close()
