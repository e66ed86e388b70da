"""`nightdesk eval`: run a night on a company nobody tuned on, judge it, print it, keep it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.evaluation import history, results

if TYPE_CHECKING:
    from rich.console import Console

    from sandbox.company import GeneratedCompany

JSON_FILE = "report.json"
HTML_FILE = "report.html"
SMALLEST_WORDING = 200  # contacts; fewer hold too few remarks of the rarer predicates


def run(out: Console, *, contacts: int, seed: int, folder: Path) -> results.Report:
    """Run everything and print it. Keeps `report.json`, `report.html` and `history.jsonl` in `folder`.

    The main night is judged on everything. With the offline agent two smaller ones follow that only read, one for each
    half of the phrases: a reader that knows the open half by heart shows there. (An agent that costs money is not
    sent over the same ground three times.)

    Raises:
        NightdeskError: A step of a night failed, or `folder` holds something that is not an evaluation.
    """
    from nightdesk import policy as policies
    from nightdesk import settings
    from nightdesk.cli.common import progress_line
    from sandbox.evaluation import facts_staged, night
    from sandbox.evaluation.evaluate import evaluate, goals, reading_only

    project_folder = Path.cwd()
    own = settings.read(project_folder)
    policy = policies.load(own.policies)
    began = time.monotonic()
    with progress_line(out) as progress:
        main = folder / "night"
        night.run(project_folder, main, contacts=contacts, seed=seed, phrases="all", progress=progress)
        progress("judge", "against the truth")
        report = evaluate(main, night.truth_path(main), policy=policy, seed=seed)
        wordings: list[results.Wording] = []
        for phrases in ("open", "held_out") if own.agent == "rules" else ():
            data_dir = folder / f"reading-{phrases}"
            size = max(SMALLEST_WORDING, contacts // 4)
            held: list[facts_staged.Staged] = []

            def staged(
                made: GeneratedCompany,
                phrases: night.Phrases = phrases,
                held: list[facts_staged.Staged] = held,
            ) -> GeneratedCompany:
                company, documents = facts_staged.stage(made, phrases, seed)
                held.append(documents)
                return company

            night.run(
                project_folder,
                data_dir,
                contacts=size,
                seed=seed,
                phrases=phrases,
                progress=progress,
                operations=night.READING,
                stage=staged,
            )
            truth = night.truth_path(data_dir)
            wordings.append(
                reading_only(data_dir, truth, phrases=phrases, policy=policy, staged=held[0] if held else None)
            )
    report = report.model_copy(update={"wordings": tuple(wordings)})
    report = report.model_copy(update={"goals": goals(report)})
    keep(out, report, folder)
    out.print(f"Took {time.monotonic() - began:.0f} s")
    return report


def reuse(out: Console, *, data_dir: Path, folder: Path) -> results.Report:
    """Judge a finished night that is already there, such as the demo's; runs nothing.

    Raises:
        NightdeskError: There is no finished night on a sample company, or another process holds its files.
    """
    from nightdesk import policy as policies
    from nightdesk import settings
    from sandbox.evaluation import night
    from sandbox.evaluation.evaluate import evaluate

    folder.mkdir(parents=True, exist_ok=True)
    policy = policies.load(settings.read(Path.cwd()).policies)
    report = evaluate(data_dir, night.truth_path(data_dir), policy=policy)
    keep(out, report, folder)
    return report


def keep(out: Console, report: results.Report, folder: Path) -> None:
    """Print the report, write both files, append to the history."""
    from sandbox.evaluation import page, terminal

    earlier = history.comparable(history.read(folder), report)
    history.append(folder, report)
    (folder / JSON_FILE).write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")
    (folder / HTML_FILE).write_text(page.render(report, [*earlier, history.line(report)]), encoding="utf-8")
    for part in terminal.parts(report, earlier[-1] if earlier else None):
        out.print(part)
        out.print()
    out.print(f"The same with charts and the errors themselves: {folder / HTML_FILE}; as data: {folder / JSON_FILE}")
