"""What BI reads: a snapshot of the warehouse and Parquet files, each replaced in one move."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nightdesk.errors import NightdeskError


def public_models(manifest: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Name to (schema, relation) of every model whose access is public."""
    return {
        node["name"]: (node["schema"], node["alias"])
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model" and node.get("access", node["config"].get("access")) == "public"
    }


def publish(warehouse: Path, folder: Path, models: Mapping[str, tuple[str, str]]) -> dict[str, int]:
    """Write `<folder>/warehouse.duckdb` and one Parquet file per public model.

    Returns:
        Rows per model.

    Raises:
        NightdeskError: The disk refuses; what was published before stays as it was.
    """
    import duckdb

    folder.mkdir(parents=True, exist_ok=True)
    counts: dict[str, int] = {}
    try:
        with duckdb.connect(str(warehouse), read_only=True) as connection:
            for name, (schema, relation) in sorted(models.items()):
                target = folder / f"{name}.parquet"
                fresh = target.with_suffix(".parquet.new")
                written = connection.execute(f"""copy "{schema}"."{relation}" to '{fresh}' (format parquet)""")
                ((counts[name],),) = written.fetchall()
                os.replace(fresh, target)
        snapshot = folder / "warehouse.duckdb"
        fresh = snapshot.with_suffix(".duckdb.new")
        shutil.copyfile(warehouse, fresh)
        os.replace(fresh, snapshot)
    except (OSError, duckdb.IOException) as error:
        raise NightdeskError(
            f"The published files could not be written: {str(error).splitlines()[0]}",
            where=str(folder),
            todo="Free disk space and run `nightdesk refresh` again; the files of the last night are untouched.",
        ) from error
    return counts
