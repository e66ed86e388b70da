"""The suites of tests/expectations: data, one file a subject, read and checked once per use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from nightdesk.errors import NightdeskError

SUITES_DIR = Path(__file__).parents[2] / "tests" / "expectations"
EVERY = "every"  # the folder whose suites hold for every dataset
PLAN = "plan"  # the folder whose suites hold for every plan

Severity = Literal["stop", "warn"]
FrameName = Literal["keys", "volumes", "required", "watermarks", "future", "encodings", "measures"]


class Rule(BaseModel):
    """One expectation: its Great Expectations type, its arguments, and what it means in words.

    Attributes:
        type: Such as `expect_column_values_to_be_between`; further fields are its arguments.
        column: The column of the frame it looks at.
        meaning: What is expected, in words; shown wherever the verdict is.
        severity: `stop` ends the night, `warn` is said and stored.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    type: Annotated[str, Field(pattern=r"^expect_[a-z_]+$")]
    column: str
    meaning: str
    severity: Severity = "stop"


class Measure(BaseModel):
    """A number of one load that the next is compared with."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    sql: str


class Check(BaseModel):
    """One frame and what is expected of it.

    Attributes:
        frame: A built-in frame, see `sources.borders.frames`; else `sql` is the query.
        table: The table it is about; empty for a check over many, whose query then has a column `table`.
        sql: A query over the tables of the border. A column `sample` holds up to five offending ids.
        only, leave_out: Which tables a built-in frame looks at; all when both are empty.
        required: Tables that must hold rows (frame `required`).
        compare_from: Counts below this are not compared (frames `volumes`, `measures`).
        stamps: Columns that must not lie in the future (frame `future`).
        measures: What is compared with the load before (frame `measures`).
        streams: Table to the stream whose watermark it has (frame `watermarks`); when empty, every table with an `id`
            and a stamp has the stream of its own name.
        expectations: The rules.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    frame: FrameName | None = None
    table: str = ""
    sql: str = ""
    only: tuple[str, ...] = ()
    leave_out: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    compare_from: int = 0
    stamps: tuple[str, ...] = ()
    measures: tuple[Measure, ...] = ()
    streams: Mapping[str, str] = Field(default_factory=dict[str, str])
    expectations: Annotated[tuple[Rule, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def has_one_source(self) -> Self:
        if (self.frame is None) == (not self.sql):
            raise ValueError("a check has either a `frame` or a query `sql`")
        return self


class Suite(BaseModel):
    """One file of tests/expectations."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    suite: str
    checks: tuple[Check, ...]


def load_suites(folder: Path) -> list[Suite]:
    """All suites of a folder, by file name; none when there is no such folder.

    Raises:
        NightdeskError: One is not valid (names the file).
    """
    import yaml

    suites: list[Suite] = []
    for path in sorted(folder.glob("*.yml")):
        try:
            suites.append(Suite.model_validate(yaml.safe_load(path.read_text(encoding="utf-8"))))
        except (ValueError, yaml.YAMLError) as error:
            raise NightdeskError(
                f"An expectation suite is not valid: {' '.join(str(error).split())[:300]}",
                where=str(path),
                todo="Correct the file.",
            ) from error
    return suites


def suites_of(dataset: str, suites_dir: Path) -> list[Suite]:
    """The suites that hold for a dataset: those for every one, then its own.

    Raises:
        NightdeskError: There is none at all, or one is not valid.
    """
    found = [*load_suites(suites_dir / EVERY), *load_suites(suites_dir / dataset)]
    return _some(found, suites_dir)


def plan_suites(suites_dir: Path) -> list[Suite]:
    """The suites that hold for every plan.

    Raises:
        NightdeskError: There is none, or one is not valid.
    """
    return _some(load_suites(suites_dir / PLAN), suites_dir / PLAN)


def _some(found: Sequence[Suite], where: Path) -> list[Suite]:
    if not found:
        raise NightdeskError("There are no expectation suites", where=str(where), todo="Restore tests/expectations.")
    return list(found)
