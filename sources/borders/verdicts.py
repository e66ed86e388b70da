"""What became of the expectations, and how it is said."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from sources.borders.suites import Severity


class Verdict(BaseModel):
    """What became of one expectation.

    Attributes:
        dataset: The source, or the CRM a plan is for.
        suite: Its file.
        table: The table, or empty for a check over many.
        expectation: Type and column, such as `expect_column_values_to_be_in_set(direction)`.
        meaning: What was expected, in words.
        severity: `stop` or `warn`.
        success: Whether it held.
        failures: `table: column is value (offending ids)`, empty when it held.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    suite: str
    table: str
    expectation: str
    meaning: str
    severity: Severity = "stop"
    success: bool
    failures: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """One line for people: what was expected, what was found, where that is written."""
        found = "; ".join(self.failures) or self.table
        return f"{self.meaning}: {found} [{self.dataset}, suite {self.suite}, {self.expectation}]"


class BorderReport(BaseModel):
    """What a border found.

    Attributes:
        verdicts: One per expectation checked.
        loaded: Datasets that were looked at: those of which something was loaded.
        repeated: No frame had changed since they were judged last; those verdicts hold again.
        seconds: Wall clock.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    verdicts: tuple[Verdict, ...]
    loaded: tuple[str, ...] = ()
    repeated: bool
    seconds: float

    @property
    def warnings(self) -> tuple[Verdict, ...]:
        """What did not hold and does not stop anything."""
        return tuple(one for one in self.verdicts if not one.success and one.severity == "warn")


def stopping(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """What did not hold and must stop."""
    return [one for one in verdicts if not one.success and one.severity == "stop"]
