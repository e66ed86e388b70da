"""What a night need not build again: models that rest on raw data alone, of sources in which nothing has moved.

Kept as a note beside the warehouse, written when a night has built everything. The note holds only while the warehouse
is the very file it was written for, unchanged since, and the project, the raw tables and the erasures are the same:
whoever builds, edits or deletes anything in between makes the next night build all of it. A lost note costs seconds.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

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
        before = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return frozenset()
    if before.get("warehouse") != _file(project.settings.warehouse) or before.get("project") != _project(project):
        return frozenset()
    now = _raw(project)
    same = {name for name, state in now.items() if before.get("raw", {}).get(name) == state}
    return graph.resting_on(same)


def remember(project: Project) -> None:
    """Note that everything was built on what the raw tables hold now."""
    content = {
        "warehouse": _file(project.settings.warehouse),
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


def _project(project: Project) -> str:
    """The hash of the dbt project and of the raw tables' shape."""
    from sources import registry

    total = hashlib.sha256((project.policy.project_hash or "").encode())
    total.update(registry.digest().encode())
    return total.hexdigest()


def _raw(project: Project) -> dict[str, str]:
    """Dataset -> what its tables hold: the loads that changed them, and the erasures that did."""
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
        known = {
            str(row[0])
            for row in raw.execute("select schema_name from duckdb_tables() where table_name = '_dlt_loads'").fetchall()
        }
        found: dict[str, str] = {}
        for name in SOURCES:
            loads = (
                raw.execute(f"select count(*), max(load_id) from {name}._dlt_loads").fetchone()
                if name in known
                else None
            )
            found[name] = json.dumps([path.stat().st_ino, loads, erased])
        return found
    except duckdb.Error as error:
        raise NightdeskError(f"The raw database cannot be read: {error}", where=str(path)) from error
    finally:
        raw.close()
