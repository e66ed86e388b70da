"""`nightdesk eval`: run a night on a company nobody tuned on, judge it, print it, keep it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nightdesk.errors import NightdeskError
from sandbox.evaluation import history, results

if TYPE_CHECKING:
    from rich.console import Console

    from nightdesk.loading import Progress
    from nightdesk.policy import Policy
    from nightdesk.settings import AgentName
    from sandbox.company import GeneratedCompany
    from sandbox.evaluation.night import Phrases

JSON_FILE = "report.json"
HTML_FILE = "report.html"
CONTACTS = 2000
SMALLEST_WORDING = 200  # contacts; fewer hold too few remarks of the rarer predicates
REGRESSION = 9  # exit code


@dataclass(frozen=True, slots=True)
class Asked:
    """Who is evaluated, and how.

    Attributes:
        agent: The agent of the settings when None.
        budget_usd: The most the night may cost, for an agent that costs money.
        recording: Played back by `recorded`; filled by any other agent.
        estimate_only: Stop after the estimate.
        release: Also keep the numbers in the committed file, under this name.
        fail_on_regression: Exit with `REGRESSION` when a number is worse beyond noise.
    """

    agent: AgentName | None = None
    budget_usd: Decimal | None = None
    recording: Path | None = None
    estimate_only: bool = False
    release: str | None = None
    fail_on_regression: bool = False


def run(
    out: Console, *, contacts: int | None, seed: int, folder: Path, asked: Asked | None = None
) -> results.Report | None:
    """Run everything and print it. Keeps `report.json`, `report.html` and `history.jsonl` in `folder`.

    The main night is judged on everything. With the offline agent two smaller ones follow that only read, one for each
    half of the phrases: a reader that knows the open half by heart shows there. (An agent that costs money is not
    sent over the same ground three times.)

    Args:
        out: Where it is printed.
        contacts: Size of the company; when None 2,000, and 120 for an agent that costs money.
        seed: Another seed is another company.
        folder: Where it is kept.
        asked: Who is evaluated, and how.

    Returns:
        None when only the estimate was asked for.

    Raises:
        NightdeskError: A step of a night failed, `folder` holds something that is not an evaluation, there is no key
            or no room in the budget, or (exit code 9) a number got worse beyond noise.
    """
    from nightdesk import policy as policies
    from nightdesk import settings
    from nightdesk.cli.common import progress_line
    from sandbox.evaluation import night, night_priced
    from sandbox.evaluation.evaluate import evaluate, goals

    chosen = asked or Asked()
    project_folder = Path.cwd()
    own = settings.read(project_folder)
    agent = chosen.agent or own.agent
    if agent == "recorded" and chosen.recording is None:
        raise NightdeskError("There is nothing to play back", todo="Name the recording: `--recording FILE`.")
    night_priced.require_key(agent)
    is_priced = agent in night_priced.PRICED
    size = contacts or (night_priced.CONTACTS if is_priced else CONTACTS)
    budget = (chosen.budget_usd or night_priced.BUDGET_USD) if is_priced else None
    policy = policies.load(own.policies)
    began = time.monotonic()
    with progress_line(out) as progress:
        if budget is not None:
            rehearsed = folder / "rehearsal"
            night.run(
                project_folder, rehearsed, contacts=size, seed=seed, phrases="all", progress=progress, agent="rules"
            )
            lines = night_priced.estimate(project_folder, rehearsed, agent)
            out.print(night_priced.table(lines, budget))
            if chosen.estimate_only:
                return None
            night_priced.require_room(lines, budget)
        elif chosen.estimate_only:
            out.print(f"The agent `{agent}` costs nothing")
            return None
        main = folder / "night"
        night.run(
            project_folder,
            main,
            contacts=size,
            seed=seed,
            phrases="all",
            progress=progress,
            agent=agent,
            recording=chosen.recording,
            budget_usd=budget,
        )
        progress("judge", "against the truth")
        report = evaluate(main, night.truth_path(main), policy=policy, seed=seed)
        halves: tuple[Phrases, ...] = ("open", "held_out") if agent == "rules" else ()
        wordings = [
            _wording(project_folder, folder, phrases, max(SMALLEST_WORDING, size // 4), seed, policy, progress)
            for phrases in halves
        ]
    report = report.model_copy(update={"wordings": tuple(wordings)})
    report = report.model_copy(update={"goals": goals(report)})
    keep(out, report, folder, release=chosen.release, fail_on_regression=chosen.fail_on_regression, began=began)
    return report


def _wording(
    project_folder: Path, folder: Path, phrases: Phrases, size: int, seed: int, policy: Policy, progress: Progress
) -> results.Wording:
    """A night that only reads, on a company that speaks in one half of the phrases, contradictions staged in it."""
    from sandbox.evaluation import facts_staged, night
    from sandbox.evaluation.evaluate import reading_only

    data_dir = folder / f"reading-{phrases}"
    staged: list[facts_staged.Staged] = []

    def stage(made: GeneratedCompany) -> GeneratedCompany:
        company, documents = facts_staged.stage(made, phrases, seed)
        staged.append(documents)
        return company

    night.run(
        project_folder,
        data_dir,
        contacts=size,
        seed=seed,
        phrases=phrases,
        progress=progress,
        operations=night.READING,
        stage=stage,
        agent="rules",
    )
    truth = night.truth_path(data_dir)
    return reading_only(data_dir, truth, phrases=phrases, policy=policy, staged=staged[0] if staged else None)


def reuse(out: Console, *, data_dir: Path, folder: Path, asked: Asked | None = None) -> results.Report:
    """Judge a finished night that is already there, such as the demo's; runs nothing.

    Raises:
        NightdeskError: There is no finished night on a sample company, another process holds its files, or (exit code
            9) a number got worse beyond noise.
    """
    from nightdesk import policy as policies
    from nightdesk import settings
    from sandbox.evaluation import night
    from sandbox.evaluation.evaluate import evaluate

    chosen = asked or Asked()
    folder.mkdir(parents=True, exist_ok=True)
    policy = policies.load(settings.read(Path.cwd()).policies)
    report = evaluate(data_dir, night.truth_path(data_dir), policy=policy)
    keep(out, report, folder, release=chosen.release, fail_on_regression=chosen.fail_on_regression)
    return report


def keep(
    out: Console,
    report: results.Report,
    folder: Path,
    *,
    release: str | None = None,
    fail_on_regression: bool = False,
    began: float | None = None,
) -> None:
    """Print the report, compare it with earlier ones, write both files, append to the history.

    Raises:
        NightdeskError: With `fail_on_regression`, exit code 9: a number is worse beyond noise.
    """
    from sandbox.evaluation import page, terminal

    local, released = history.read(folder), history.read(history.RELEASES)
    earlier = history.comparable(local, report)
    kept = history.comparable(released, report)
    found = [
        history.compared(f"Since {one['evaluated_at']} ({_named(one)})", one, report)
        for one in (*kept[-1:], *earlier[-1:])
    ]
    comparisons = [comparison for comparison in found if comparison is not None]
    history.append(folder, report)
    if release is not None:
        history.append(history.RELEASES, report, release)
    (folder / JSON_FILE).write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")
    drawn = page.render(report, [*kept, *earlier, history.line(report, release)], comparisons)
    (folder / HTML_FILE).write_text(drawn, encoding="utf-8")
    for part in terminal.parts(report, comparisons):
        out.print(part)
        out.print()
    if others := history.other_companies([*released, *local], report):
        out.print(f"{others} earlier evaluations of this size and seed had another company: not compared")
    out.print(f"The same with charts and the errors themselves: {folder / HTML_FILE}; as data: {folder / JSON_FILE}")
    if began is not None:
        out.print(f"Took {time.monotonic() - began:.0f} s")
    worse = sorted({one.name for comparison in comparisons for one in comparison.changes if one.is_regression})
    if worse and fail_on_regression:
        raise NightdeskError(
            f"Worse beyond noise: {', '.join(name.replace('_', ' ') for name in worse)}",
            where=str(folder / HTML_FILE),
            todo="Mend it, or keep the numbers as those of a release with --keep-as.",
            exit_code=REGRESSION,
        )


def _named(entry: Mapping[str, Any]) -> str:
    return f"release {entry['release']}" if entry.get("release") else f"version {entry['version']}"
