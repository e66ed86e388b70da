"""What one load did, and what it could not read."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Problem(BaseModel):
    """One thing that could not be read; everything else was.

    Attributes:
        file: The file, folder or mailbox, as the settings name it.
        position: Line, byte, cue or message in it, in words; empty when the whole file is meant.
        what: What is wrong.
        todo: What to do about it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str
    position: str = ""
    what: str
    todo: str = ""

    def __str__(self) -> str:
        place = f"{self.file}, {self.position}" if self.position else self.file
        return f"{place}: {self.what}" + (f". {self.todo}" if self.todo else "")


class LoadReport(BaseModel):
    """What one load did.

    Attributes:
        rows_moved: Rows that are new, different or gone, per table; all 0 on a quiet night.
        rows_total: Rows in each table afterwards.
        requests: Requests sent over the network, tries included; 0 for files.
        seconds: Wall clock of the whole load.
        schema_changes: What is new or missing in the source's fields, one sentence each.
        erased: Records of erased people that the source still holds and the load kept out, per table.
        problems: What could not be read.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows_moved: dict[str, int]
    rows_total: dict[str, int]
    requests: int
    seconds: float
    schema_changes: list[str]
    erased: dict[str, int] = Field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
