"""The tables of the raw dataset `transcripts`."""

from __future__ import annotations

from typing import Final

from sources.kit.tables import Table, by_name, files_table, problems_table, table

DATASET: Final = "transcripts"

CALLS: Final = table(
    DATASET,
    "calls",
    "call_key",
    # A call's key stays, whatever files are found for it later.
    ("text", "call_key source title platform language direction"),
    ("timestamp", "started_at"),
    ("text", "started_how"),
    ("bigint", "duration_ms turn_count"),
    ("json", "external_ids"),
    ("text", "crm_call_id owner_email format"),
    ("json", "files speakers turns"),
    # The transcript in canonical lines, as erasure and the readers of calls know them.
    ("text", "body"),
    ("timestamp", "updated_at"),
    addresses=("owner_email", "speakers"),
    texts=("title", "body"),
    document="calls",
    copies="crm_call_id",
)

TABLES: Final[dict[str, Table]] = by_name(CALLS, files_table(DATASET), problems_table(DATASET))
