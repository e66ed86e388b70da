"""What an import of export files is told."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class ExportSettings(BaseModel):
    """Where the files are and which CRM wrote them.

    Attributes:
        crm: Whose records they are: their ids are that CRM's, and its raw tables take them.
        path: A folder. A file is called by its table or object (`contacts.csv`, `EmailMessage.csv`), with a number
            behind it where there are several (`contacts_2.csv`); or a folder of that name holds them. CSV with a header
            line, JSON lines, or Parquet; CSV and JSON lines may be compressed (`.gz`).
        columns: `table.column` -> the file's name for it, where that is neither the raw column's name nor the CRM's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    crm: Literal["hubspot", "salesforce"]
    path: Path
    columns: Mapping[str, str] = Field(default_factory=dict[str, str])
