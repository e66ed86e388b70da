"""Loads every source that `sources.yml` names, and checks the raw tables at the border."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nightdesk import crms, ledger, logs
from nightdesk.clock import system_clock
from nightdesk.erasure import tombstones
from nightdesk.errors import NightdeskError
from nightdesk.notices import Notice

if TYPE_CHECKING:
    from nightdesk.erasure.tombstones import Tombstones
    from nightdesk.prepare import Project
    from sources.kit.report import LoadReport, Problem

Progress = Callable[[str, str], None]
_TOTAL = "total_"
_PROBLEMS_SHOWN = 10  # of each source; every one is in the log and in the source's table `problems`


@dataclass(slots=True)
class Loaded:
    """What a load of all sources did.

    Attributes:
        moved: Rows new, different or gone, per `<dataset>.<table>`.
        totals: Rows there now, per `<dataset>.<table>`.
        erased: Records of erased people that were kept out.
        problems: What could not be read, over all sources.
        failed: Sources that could not be read and that the night goes on without, and why.
    """

    moved: dict[str, int] = field(default_factory=dict[str, int])
    totals: dict[str, int] = field(default_factory=dict[str, int])
    erased: int = 0
    problems: list[Problem] = field(default_factory=list["Problem"])
    failed: dict[str, str] = field(default_factory=dict[str, str])

    def numbers(self) -> dict[str, int]:
        """The same as the numbers of a run's step: rows moved by name, rows there now as `total_<name>`."""
        others = {"erased": self.erased, "unreadable": len(self.problems)}
        others |= {f"failed_{name}": 1 for name in self.failed}
        return (
            self.moved
            | {name: count for name, count in others.items() if count}
            | {f"{_TOTAL}{name}": count for name, count in self.totals.items()}
        )


def load(project: Project, progress: Progress) -> Loaded:
    """Load what is new in every source and check it.

    Raises:
        NightdeskError: A source cannot be read (and `go_on_without` does not name it), its shape changed, or an
            expectation failed.
    """
    from sources import expectations

    settings = project.settings
    before = previous_counts(project)
    if before is None:
        expectations.prepare()  # its import takes seconds; a first load leaves time for it
    done = Loaded()
    erased = tombstones.read_file(settings.ledger)
    for name, load_one in _loads(project, progress, erased).items():
        progress("load", f"reading {name}")
        try:
            report = load_one()
        except NightdeskError as error:
            if name not in project.sources.go_on_without:
                raise
            done.failed[name] = str(error)
            progress("load", Notice(f"{name} could not be read, and what it had before counts: {error}. {error.todo}"))
            logs.log("source failed", source=name, error=str(error))
            continue
        done.moved |= {f"{name}.{table}": rows for table, rows in report.rows_moved.items()}
        done.totals |= {f"{name}.{table}": rows for table, rows in report.rows_total.items()}
        done.erased += sum(report.erased.values())
        done.problems += report.problems
        for change in report.schema_changes:
            progress("load", Notice(change))
        for number, problem in enumerate(report.problems):
            if number < _PROBLEMS_SHOWN:
                progress("load", Notice(f"not read: {problem}"))
            logs.log("unreadable", source=name, **problem.model_dump())
        if (more := len(report.problems) - _PROBLEMS_SHOWN) > 0:
            progress("load", Notice(f"and {more:,} more that could not be read: table {name}.problems of raw.duckdb"))
    progress("check", "expectations on what was loaded")
    border = expectations.check(
        settings.raw,
        as_of=settings.as_of,
        previous_counts=before,
        docs_dir=settings.data_dir / "data_docs",
        ledger=settings.ledger,
    )
    for warning in border.warnings:
        progress("check", Notice(f"warning: {warning.sentence}"))
        logs.log("border warning", border="raw", dataset=warning.dataset, suite=warning.suite, what=warning.sentence)
    return done


def previous_counts(project: Project) -> dict[str, int] | None:
    """Rows per `<dataset>.<table>` after the last finished load; None before the first."""
    with ledger.connect(project.settings.ledger, read_only=True) as connection:
        row = connection.execute(
            """
            select numbers from run_events
            where step = 'load' and event = 'finished'
            order by occurred_at desc limit 1
            """
        ).fetchone()
    if row is None:
        return None
    counts = {
        name.removeprefix(_TOTAL): int(count) for name, count in json.loads(row[0]).items() if name.startswith(_TOTAL)
    }
    # Before there were several sources, a table's name stood alone.
    return {name if "." in name else f"{crms.HUBSPOT}.{name}": count for name, count in counts.items()}


def _loads(project: Project, progress: Progress, erased: Tombstones | None) -> dict[str, Callable[[], LoadReport]]:
    """The loads of a night by source, in order: CRMs first, because they know the people."""
    settings, config = project.settings, project.sources

    def said(stream: str, rows: int) -> None:
        progress("load", f"{stream}: {rows:,} rows")

    def learned() -> None:
        if erased is not None:
            tombstones.keep(settings.ledger, erased, system_clock)

    def hubspot() -> LoadReport:
        from sources import hubspot

        crms.hubspot_token(settings)
        return hubspot.load(
            hubspot.HubSpotSettings(
                base_url=settings.hubspot_url,
                token=settings.hubspot_token,
                base_path=settings.hubspot_base_path,
                namespace=project.policy.field_mapping.namespace,
                requests_per_10s=settings.hubspot_requests_per_10s,
                policies=settings.policies,
                **config.hubspot.model_dump(),
            ),
            settings.raw,
            settings.pipelines,
            said,
            tombstones=erased,
            on_learned=learned,
        )

    def salesforce() -> LoadReport:
        from sources import salesforce

        return salesforce.load(
            crms.salesforce_source(settings, config.salesforce, project.policy),
            settings.raw,
            settings.pipelines,
            said,
            tombstones=erased,
            on_learned=learned,
        )

    def mailbox() -> LoadReport:
        from sources import mailbox

        return mailbox.load(
            config.mailboxes,
            settings.raw,
            settings.pipelines,
            lambda text: progress("load", text),
            tombstones=erased,
            on_learned=learned,
        )

    def transcripts() -> LoadReport:
        from sources import transcripts

        return transcripts.load(
            config.transcripts, settings.raw, settings.pipelines, said, tombstones=erased, on_learned=learned
        )

    def calendar() -> LoadReport:
        from sources import calendar

        return calendar.load(
            config.calendars,
            settings.raw,
            settings.pipelines,
            said,
            as_of=settings.as_of,
            default_time_zone=project.policy.delivery.company_time_zone,
            tombstones=erased,
            on_learned=learned,
        )

    wanted = {
        "hubspot": ("hubspot" in config.crms, hubspot),
        "salesforce": ("salesforce" in config.crms, salesforce),
        "mailbox": (bool(config.mailboxes), mailbox),
        "transcripts": (bool(config.transcripts), transcripts),
        "calendar": (bool(config.calendars), calendar),
    }
    return {name: one for name, (is_wanted, one) in wanted.items() if is_wanted}
