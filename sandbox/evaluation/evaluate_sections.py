"""Where a topic joins the evaluation: a module with `section()`, named in `SECTIONS`.

A section reads the finished night, never writes, and says what it found as tables, notes, charts and numbers. Terminal,
page, `report.json` and history show every section alike. It returns None where the night holds nothing of its topic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from sandbox.evaluation import matching, results
from sandbox.evaluation.reading import rows

if TYPE_CHECKING:
    import duckdb

    from nightdesk.policy import Policy
    from sandbox.evaluation.facts import Readings

# Modules beside this one, in the order of the report. One line each; add yours at its place.
SECTIONS: tuple[str, ...] = (
    "facts_long",
    "facts_replaced",
    "facts_exact",
    "recall",
    "briefs_faithful",
    "ranking_calibration",
)


@dataclass(frozen=True)
class Finished:
    """A night that is over, as a section may look at it.

    Attributes:
        connection: Of `reading.opened`: `warehouse`, `ledger`, `truth` and (`has_raw`) `raw`, read-only.
        policy: The policy the night ran with.
        data_dir: Its folder.
        subject: Who was judged, on what.
        readings: Planted and found facts of all documents, those with hostile messages too.
        resamples: Of each bootstrap.
    """

    connection: duckdb.DuckDBPyConnection
    policy: Policy
    data_dir: Path
    subject: results.Subject
    readings: Readings
    resamples: int = 1000

    @cached_property
    def matching(self) -> matching.Matching:
        """Planted and found facts, paired one to one; documents with hostile messages are left out."""
        from sandbox.evaluation import facts

        return facts.compare(self.readings)

    @cached_property
    def has_raw(self) -> bool:
        """Whether what was loaded from the CRM is at hand, as loaded."""
        return bool(rows(self.connection, "select 1 from duckdb_databases() where database_name = 'raw'"))


class SectionModule(Protocol):
    """What a module named in `SECTIONS` has."""

    def section(self, night: Finished) -> results.Section | None:
        """Judge one topic of the night."""
        ...


def judge(night: Finished, names: Sequence[str] | None = None) -> tuple[results.Section, ...]:
    """All sections that have something to say, in their order: those of `SECTIONS`, or those named."""
    found: list[results.Section] = []
    for name in SECTIONS if names is None else names:
        module = cast("SectionModule", import_module(f"sandbox.evaluation.{name}"))
        made = module.section(night)
        if made is not None:
            found.append(made)
    return tuple(found)
