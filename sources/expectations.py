"""The border: what must hold of the raw tables before a night builds on them, checked by Great Expectations.

The suites are data (tests/expectations/*.yml). DuckDB computes a small frame per check, Great Expectations judges the
frame: it reads pandas frames only and is many times slower than SQL, so it never sees a raw row.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from nightdesk.errors import NightdeskError

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

SUITES_DIR = Path(__file__).parents[1] / "tests" / "expectations"
_AFTER_LOAD = frozenset({"volumes", "freshness"})  # built-in frames that say nothing about a raw file never loaded
_CACHE = "border.json"


class Rule(BaseModel):
    """One expectation: its Great Expectations type, its arguments, and what it means in words."""

    model_config = ConfigDict(frozen=True, extra="allow")

    type: Annotated[str, Field(pattern=r"^expect_[a-z_]+$")]
    column: str
    meaning: str


class Check(BaseModel):
    """One frame and what is expected of it. The frame is built in (`frame`) or a query over the raw tables (`sql`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    frame: Literal["volumes", "keys", "freshness"] | None = None
    table: str = ""
    sql: str = ""
    required: tuple[str, ...] = ()
    compare_from: int = 0
    expectations: Annotated[tuple[Rule, ...], Field(min_length=1)]


class Suite(BaseModel):
    """One file of tests/expectations."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    suite: str
    checks: tuple[Check, ...]


class Verdict(BaseModel):
    """What became of one expectation.

    Attributes:
        suite: Its file.
        table: The raw table, or empty for a check over many.
        expectation: Type and column, such as `expect_column_values_to_be_in_set(found)`.
        meaning: What was expected, in words.
        success: Whether it held.
        failures: `table: offending ids` (up to 5 ids each), empty when it held.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    suite: str
    table: str
    expectation: str
    meaning: str
    success: bool
    failures: tuple[str, ...] = ()


class ExpectationReport(BaseModel):
    """What the border found.

    Attributes:
        verdicts: One per expectation checked.
        loaded: Whether the raw file has seen a load (else volumes and freshness were left out).
        repeated: The frames were the same, byte by byte, as at the last check that passed; its verdicts hold again.
        seconds: Wall clock.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    verdicts: tuple[Verdict, ...]
    loaded: bool
    repeated: bool
    seconds: float


def check(
    raw_path: Path,
    *,
    as_of: date,
    previous_counts: Mapping[str, int] | None = None,
    docs_dir: Path | None = None,
    suites_dir: Path = SUITES_DIR,
) -> ExpectationReport:
    """Checks the raw tables against every suite.

    Args:
        raw_path: The raw database, opened read-only.
        as_of: The night's today.
        previous_counts: Rows per table before this load (`LoadReport.rows_total` of the one before), to notice a loss.
        docs_dir: Where `border.json` (results) goes; with it, frames that did not change are not judged again.
        suites_dir: Where the suites are.

    Raises:
        NightdeskError: an expectation failed (table, expectation, up to 5 offending rows), or a suite is broken.
    """
    started = time.monotonic()
    suites = load_suites(suites_dir)
    frames, loaded = _frames(raw_path, suites, as_of, previous_counts or {})
    digest = _digest(suites, frames)
    before = None if docs_dir is None else _read(docs_dir / _CACHE)
    repeated = before is not None and before[0] == digest and all(verdict.success for verdict in before[1])
    verdicts = before[1] if before is not None and repeated else _judge(frames)
    if docs_dir is not None and not repeated:
        docs_dir.mkdir(parents=True, exist_ok=True)
        content = {"digest": digest, "as_of": as_of.isoformat(), "verdicts": [one.model_dump() for one in verdicts]}
        (docs_dir / _CACHE).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    failed = [verdict for verdict in verdicts if not verdict.success]
    if failed:
        raise _failure(failed, raw_path)
    return ExpectationReport(
        verdicts=tuple(verdicts), loaded=loaded, repeated=repeated, seconds=round(time.monotonic() - started, 3)
    )


def prepare() -> None:
    """Imports Great Expectations aside. Call it when a long load begins: the import then costs no time of its own.

    A failing import is not noticed here; `check` meets it again and says so.
    """
    import threading

    threading.Thread(target=_import_gx, name="import-great-expectations", daemon=True).start()


def _import_gx() -> Any:
    import logging
    import os

    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations as gx
    from great_expectations.data_context.types import base

    # It tells the terminal about its temporary folders, through a logger with a level of its own.
    for name in ("great_expectations", base.__name__):
        logging.getLogger(name).setLevel(logging.WARNING)
    return gx


def load_suites(suites_dir: Path) -> list[Suite]:
    """All suites of a folder, by file name.

    Raises:
        NightdeskError: there is none, or one is not valid (names the file).
    """
    import yaml

    suites: list[Suite] = []
    for path in sorted(suites_dir.glob("*.yml")):
        try:
            suites.append(Suite.model_validate(yaml.safe_load(path.read_text(encoding="utf-8"))))
        except (ValueError, yaml.YAMLError) as error:
            raise NightdeskError(
                f"An expectation suite is not valid: {str(error).splitlines()[0]}",
                where=str(path),
                todo="Correct the file.",
            ) from error
    if not suites:
        raise NightdeskError(
            "There are no expectation suites", where=str(suites_dir), todo="Restore tests/expectations."
        )
    return suites


class _Framed:
    """A check with the frame computed for it."""

    def __init__(self, suite: str, check: Check, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
        self.suite = suite
        self.check = check
        self.columns = tuple(columns)
        self.rows = tuple(rows)


def _frames(
    raw_path: Path, suites: Sequence[Suite], as_of: date, previous: Mapping[str, int]
) -> tuple[list[_Framed], bool]:
    import duckdb

    from sources.border_frames import freshness, keys, volumes
    from sources.kit.schema import unreadable

    try:
        connection = duckdb.connect(str(raw_path), read_only=True)
    except duckdb.Error as error:
        raise unreadable(raw_path, error) from error
    try:
        connection.execute("set timezone = 'UTC'")
        loaded = _count(connection, "select count(*) from hubspot.load_watermarks") > 0
        frames: list[_Framed] = []
        for suite in suites:
            for one in suite.checks:
                if one.frame in _AFTER_LOAD and not loaded:
                    continue
                if one.frame == "volumes":
                    sql = volumes(previous, required=one.required, compare_from=one.compare_from)
                elif one.frame == "keys":
                    sql = keys()
                elif one.frame == "freshness":
                    sql = freshness(as_of)
                else:
                    sql = f"select '{one.table}' as \"table\", * from ({one.sql}) order by all"
                try:
                    cursor = connection.execute(sql)
                    frames.append(
                        _Framed(suite.suite, one, [c[0] for c in cursor.description or ()], cursor.fetchall())
                    )
                except duckdb.Error as error:
                    raise NightdeskError(
                        f"A check of suite {suite.suite} cannot be computed: {str(error).splitlines()[0]}",
                        where=f"{one.frame or one.table}",
                        todo="Correct the suite, or load again if the raw tables are of an older release.",
                    ) from error
        return frames, loaded
    finally:
        connection.close()


def _count(connection: duckdb.DuckDBPyConnection, sql: str) -> int:
    row = connection.execute(sql).fetchone()
    return 0 if row is None else int(row[0])


def _digest(suites: Sequence[Suite], frames: Sequence[_Framed]) -> str:
    content = [
        [suite.model_dump(mode="json") for suite in suites],
        [[frame.columns, [[str(value) for value in row] for row in frame.rows]] for frame in frames],
    ]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _read(path: Path) -> tuple[str, list[Verdict]] | None:
    """The last result, or None when there is none that can be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return str(content["digest"]), [Verdict.model_validate(one) for one in content["verdicts"]]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _judge(frames: Sequence[_Framed]) -> list[Verdict]:
    """Hands each frame to Great Expectations."""
    gx = _import_gx()
    import pandas as pd
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    source = context.data_sources.add_pandas("border")
    verdicts: list[Verdict] = []
    for number, framed in enumerate(frames):
        frame: pd.DataFrame = pd.DataFrame(list(framed.rows), columns=list(framed.columns))
        name = f"{number}_{framed.suite}_{framed.check.frame or framed.check.table}"
        batch = (
            source.add_dataframe_asset(name)
            .add_batch_definition_whole_dataframe("whole")
            .get_batch({"dataframe": frame})
        )
        rules = framed.check.expectations
        suite = gx.ExpectationSuite(name=name, expectations=[_expectation(gx.expectations, rule) for rule in rules])
        result = batch.validate(
            suite, result_format={"result_format": "COMPLETE", "unexpected_index_column_names": ["table", "sample"]}
        )
        by_rule = {str(one.expectation_config.meta["rule"]): one for one in result.results if one.expectation_config}
        for rule in rules:
            verdicts.append(_verdict(framed, rule, by_rule[_rule_name(rule)]))
    return verdicts


def _expectation(expectations: Any, rule: Rule) -> Any:
    kind = getattr(expectations, "".join(part.title() for part in rule.type.split("_")), None)
    if kind is None:
        raise NightdeskError(
            f"Great Expectations has no `{rule.type}`", where="tests/expectations", todo="Correct the suite."
        )
    return kind(column=rule.column, meta={"rule": _rule_name(rule)}, **(rule.model_extra or {}))


def _rule_name(rule: Rule) -> str:
    return f"{rule.type}({rule.column})"


def _verdict(framed: _Framed, rule: Rule, result: Any) -> Verdict:
    if result.exception_info.get("raised_exception") or "exception_message" not in result.exception_info:
        raise NightdeskError(
            f"Great Expectations could not check {_rule_name(rule)}: {result.exception_info}",
            where=f"tests/expectations, suite {framed.suite}",
            todo="Correct the suite.",
        )
    failures: list[str] = []
    if not result.success:
        for row in result.result.get("unexpected_index_list") or ():
            found = row.get(rule.column)
            found = found.item() if hasattr(found, "item") else found  # numpy's False prints as np.False_
            shown = f"{found:g}" if isinstance(found, float) else repr(found)
            sample = row.get("sample") or "no row to show"
            failures.append(f"{row['table']}: {rule.column} is {shown} ({sample})")
    return Verdict(
        suite=framed.suite,
        table=framed.check.table,
        expectation=_rule_name(rule),
        meaning=rule.meaning,
        success=bool(result.success),
        failures=tuple(failures),
    )


def _failure(failed: Sequence[Verdict], raw_path: Path) -> NightdeskError:
    lines = [
        f"{verdict.meaning}: {'; '.join(verdict.failures) or verdict.table} [{verdict.suite}, {verdict.expectation}]"
        for verdict in failed
    ]
    count = "An expectation" if len(lines) == 1 else f"{len(lines)} expectations"
    return NightdeskError(
        f"{count} of the raw data failed:\n  " + "\n  ".join(lines),
        where=str(raw_path),
        todo="Correct the records in the CRM and load again, or the expectation in tests/expectations if it is wrong.",
    )
