"""Great Expectations judges the frames of one dataset: one batch, one suite, one page of Data Docs.

Imported late: it takes seconds, and a night in which no frame changed does without.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from nightdesk.errors import NightdeskError
from sources.borders.frames import Framed
from sources.borders.suites import Rule
from sources.borders.verdicts import Verdict

RESULTS = ".results"
_MOST_FAILURES = 20
_SHOWN = 60


def import_gx() -> Any:
    """The library, silent and without telemetry."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations as gx
    from great_expectations.data_context.types import base

    # It tells the terminal about its temporary folders, through a logger with a level of its own.
    for name in ("great_expectations", base.__name__):
        logging.getLogger(name).setLevel(logging.WARNING)
    return gx


def _site(docs_dir: Path) -> dict[str, Any]:
    return {
        "class_name": "SiteBuilder",
        "show_how_to_buttons": False,
        "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(docs_dir)},
        "site_index_builder": {"class_name": "DefaultSiteIndexBuilder", "show_cta_footer": False},
    }


@dataclass(frozen=True, slots=True)
class _Placed:
    """A rule and the column of the wide frame it looks at."""

    framed: Framed
    rule: Rule
    column: str
    key: str


class Judge:
    """One context of Great Expectations, used for any number of datasets.

    Args:
        docs_dir: Folder of the Data Docs; results are kept below it for the pages. Nothing is kept when None.
    """

    def __init__(self, docs_dir: Path | None) -> None:
        gx = self._gx = import_gx()
        from great_expectations.data_context.types.base import (
            DataContextConfig,
            FilesystemStoreBackendDefaults,
            InMemoryStoreBackendDefaults,
            ProgressBarsConfig,
        )

        defaults = (
            InMemoryStoreBackendDefaults(init_temp_docs_sites=False)
            if docs_dir is None
            else FilesystemStoreBackendDefaults(root_directory=str(docs_dir / RESULTS))
        )
        config = DataContextConfig(
            store_backend_defaults=defaults,
            analytics_enabled=False,
            data_docs_sites={} if docs_dir is None else {"borders": _site(docs_dir)},
        )
        self.context: Any = gx.get_context(mode="ephemeral", project_config=config)
        self.context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
        self._source = self.context.data_sources.add_pandas("border")

    def judge(self, name: str, dataset: str, frames: Sequence[Framed], now: datetime) -> list[Verdict]:
        """Judges every rule of a dataset's frames.

        Args:
            name: Of the page, such as `raw-hubspot`.
            dataset: Whose frames these are.
            frames: The frames.
            now: When, for the page.

        Raises:
            NightdeskError: A rule names an expectation there is none of, or one that cannot be checked.
        """
        from great_expectations.core.run_identifier import RunIdentifier

        gx = self._gx
        placed = _placed(frames)
        batch = self._source.add_dataframe_asset(name).add_batch_definition_whole_dataframe("whole")
        suite = gx.ExpectationSuite(name=name, expectations=[self._expectation(one) for one in placed])
        definition = self.context.validation_definitions.add(
            gx.ValidationDefinition(name=name, data=batch, suite=self.context.suites.add_or_update(suite))
        )
        result = definition.run(
            batch_parameters={"dataframe": _wide(frames, placed)},
            result_format={"result_format": "COMPLETE", "unexpected_index_column_names": ["table", "sample"]},
            run_id=RunIdentifier(run_name=name, run_time=now),
        )
        by_rule = {str(one.expectation_config.meta["rule"]): one for one in result.results if one.expectation_config}
        self.context.validation_definitions.delete(name)
        return [_verdict(dataset, one, by_rule[one.key]) for one in placed]

    def _expectation(self, one: _Placed) -> Any:
        rule = one.rule
        kind = getattr(self._gx.expectations, "".join(part.title() for part in rule.type.split("_")), None)
        if kind is None:
            raise NightdeskError(
                f"Great Expectations has no `{rule.type}`", where="tests/expectations", todo="Correct the suite."
            )
        more: dict[str, Any] = dict(rule.model_extra or {})
        if "null" in rule.type:
            # Many frames share one batch: beyond its own rows a column is empty.
            from great_expectations.expectations.row_conditions import Column

            more["row_condition"] = Column("check") == _check_name(one)
        return kind(
            column=one.column,
            description=rule.meaning,
            severity="critical" if rule.severity == "stop" else "warning",
            meta={"rule": one.key},
            **more,
        )


def _check_name(one: _Placed) -> str:
    return one.column.rpartition(": ")[0]


def _placed(frames: Sequence[Framed]) -> list[_Placed]:
    """Gives each frame a name of its own (`emails`, `emails 2`), and its columns names below it."""
    times: dict[str, int] = {}
    found: list[_Placed] = []
    for framed in frames:
        about = framed.check.table or str(framed.check.frame or framed.suite)
        times[about] = times.get(about, 0) + 1
        base = about if times[about] == 1 else f"{about} {times[about]}"
        found += [
            _Placed(framed, rule, f"{base}: {rule.column}", f"{base} #{number}")
            for number, rule in enumerate(framed.check.expectations)
        ]
    return found


def _wide(frames: Sequence[Framed], placed: Sequence[_Placed]) -> Any:
    """All frames as one: `check`, `table`, `sample` and the judged columns."""
    import pandas as pd

    names = {(id(one.framed), one.rule.column): one.column for one in placed}
    records: list[dict[str, Any]] = []
    for framed in frames:
        mine = {column: names[id(framed), column] for column in framed.columns if (id(framed), column) in names}
        check = next(iter(mine.values())).rpartition(": ")[0]
        for row in framed.rows:
            values = dict(zip(framed.columns, row, strict=True))
            record = {"check": check, "table": values.get("table"), "sample": values.get("sample")}
            records.append(record | {column: values[short] for short, column in mine.items()})
    columns = ["check", "table", "sample", *dict.fromkeys(one.column for one in placed)]
    return pd.DataFrame(
        {column: pd.Series([record.get(column) for record in records], dtype="object") for column in columns}
    )


def _verdict(dataset: str, one: _Placed, result: Any) -> Verdict:
    name = f"{one.rule.type}({one.rule.column})"
    if result.exception_info.get("raised_exception") or "exception_message" not in result.exception_info:
        raise NightdeskError(
            f"Great Expectations could not check {name}: {str(result.exception_info)[:300]}",
            where=f"tests/expectations, suite {one.framed.suite}",
            todo="Correct the suite.",
        )
    failures: list[str] = []
    if not result.success:
        for row in (result.result.get("unexpected_index_list") or ())[:_MOST_FAILURES]:
            sample = row.get("sample") or "no row to show"
            failures.append(f"{row['table']}: {one.rule.column} is {_plain(row.get(one.column))} ({sample})")
    return Verdict(
        dataset=dataset,
        suite=one.framed.suite,
        table=one.framed.check.table,
        expectation=name,
        meaning=one.rule.meaning,
        severity=one.rule.severity,
        success=bool(result.success),
        failures=tuple(failures),
    )


def _plain(found: Any) -> str:
    found = found.item() if hasattr(found, "item") else found  # numpy's False prints as np.False_
    if isinstance(found, float):
        return "nothing" if found != found else f"{found:g}"
    return "nothing" if found is None else repr(found)[:_SHOWN]
