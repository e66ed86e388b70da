"""How far each stream has been read. The rows count only once dlt marked the load that wrote them complete."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from sources.hubspot.tables import DATASET
from sources.kit.schema import unreadable
from sources.kit.settle import literal


@dataclass
class Outcome:
    """What the streams of one load found besides rows.

    Attributes:
        watermarks: Object stream -> newest modified stamp of the CRM that is loaded.
        rows_seen: Stream -> records read.
        changes: What is new or missing among the CRM's properties.
    """

    watermarks: dict[str, datetime | None] = field(default_factory=dict[str, "datetime | None"])
    rows_seen: dict[str, int] = field(default_factory=dict[str, int])
    changes: list[str] = field(default_factory=list[str])


def watermark_rows(outcome: Outcome, loaded_at: datetime) -> list[tuple[str, str | None, str, str]]:
    """Rows of `load_watermarks`: one per stream."""
    streams = sorted({*outcome.watermarks, *outcome.rows_seen})
    return [
        (
            stream,
            stamp.astimezone(UTC).isoformat() if (stamp := outcome.watermarks.get(stream)) else None,
            str(outcome.rows_seen.get(stream, 0)),
            loaded_at.astimezone(UTC).isoformat(),
        )
        for stream in streams
    ]


def touch_watermarks(raw_path: Path, outcome: Outcome, loaded_at: datetime) -> None:
    """Notes a load that moved nothing, in one transaction and without dlt: there is no package to load.

    Args:
        raw_path: The raw database; every stream has a row already, else the load would have moved something.
        outcome: What the streams saw.
        loaded_at: When.

    Raises:
        NightdeskError: the database is in use by another process.
    """
    import duckdb

    try:
        connection = duckdb.connect(str(raw_path))
    except duckdb.Error as error:
        raise unreadable(raw_path, error) from error
    try:
        connection.execute("begin")
        for stream, watermark, seen, at in watermark_rows(outcome, loaded_at):
            moved = f", watermark = {literal(watermark)}" if watermark else ""
            connection.execute(
                f"update {DATASET}.load_watermarks set loaded_at = {literal(at)}, rows_seen = {seen}{moved} "
                f"where stream = {literal(stream)}"
            )
        connection.execute("commit")
    finally:
        connection.close()
