"""`nightdesk eval --tokens`: three nights on a sample company of their own, each priced for every arm."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.evaluation import arms, arms_results

if TYPE_CHECKING:
    from rich.console import Console

    from nightdesk.policy import Policy

JSON_FILE = "tokens.json"
HTML_FILE = "tokens.html"
CHANGED = 0.10  # share of contacts that something happens to before the third night


def run(out: Console, *, contacts: int, seed: int, folder: Path) -> arms_results.TokensReport:
    """Run the nights, price them, print the report and keep it in `folder`.

    Raises:
        NightdeskError: A step of a night failed, or `folder` holds something that is not an evaluation.
    """
    from nightdesk import policy as policies
    from nightdesk import sample, settings
    from nightdesk.cli.common import progress_line
    from sandbox.evaluation import night

    began = time.monotonic()
    project_folder = Path.cwd()
    policy = policies.load(settings.read(project_folder).policies)
    data_dir = folder / "tokens-night"
    truth = night.truth_path(data_dir)
    with progress_line(out) as progress:
        night.run(project_folder, data_dir, contacts=contacts, seed=seed, phrases="all", progress=progress)
        progress("price", "the first night")
        first = arms.measure(data_dir, truth, policy)
        later: list[tuple[str, arms.Night]] = []
        quiet = night.again(project_folder, data_dir, progress=progress).run_id
        later.append(("second night, nothing new", arms.measure(data_dir, truth, policy, run_id=quiet)))
        progress("company", "a day passes")
        sample.change(data_dir / "sandbox", share=CHANGED, seed=1)
        changed = night.again(project_folder, data_dir, progress=progress).run_id
        name = f"night with {CHANGED:.0%} of the contacts changed"
        later.append((name, arms.measure(data_dir, truth, policy, run_id=changed)))
    report = _report(first, later, contacts=contacts, seed=seed, policy=policy)
    keep(out, report, folder)
    out.print(f"Took {time.monotonic() - began:.0f} s")
    return report


def reuse(out: Console, *, data_dir: Path, folder: Path) -> arms_results.TokensReport:
    """Price the questions of a night that is there already, as if all were new; runs nothing.

    Raises:
        NightdeskError: There is no finished night on a sample company, or another process holds its files.
    """
    from nightdesk import policy as policies
    from nightdesk import settings
    from sandbox.evaluation import night
    from sandbox.evaluation.reading import opened, rows

    policy = policies.load(settings.read(Path.cwd()).policies)
    truth = night.truth_path(data_dir)
    first = arms.measure(data_dir, truth, policy)
    with opened(data_dir, truth) as connection:
        contacts = int(rows(connection, "select count(*) from warehouse.main.contacts")[0][0])
    report = _report(first, [], contacts=contacts, seed=None, policy=policy)
    keep(out, report, folder)
    return report


def keep(out: Console, report: arms_results.TokensReport, folder: Path) -> None:
    """Print the report and write it as JSON and as a page."""
    from sandbox.evaluation import arms_page

    folder.mkdir(parents=True, exist_ok=True)
    (folder / JSON_FILE).write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")
    (folder / HTML_FILE).write_text(arms_page.render(report), encoding="utf-8")
    for part in arms_page.parts(report):
        out.print(part)
        out.print()
    out.print(f"The same with a picture: {folder / HTML_FILE}; as data: {folder / JSON_FILE}")


def _report(
    first: arms.Night, later: list[tuple[str, arms.Night]], *, contacts: int, seed: int | None, policy: Policy
) -> arms_results.TokensReport:
    from nightdesk import sample

    named = {str(name): model for name, model in policy.budget.agents.claude.models.items()}
    models = {name: named[name] for name in (arms.EXTRACTION, *arms.QUESTIONS)}
    return arms_results.report(first, later, contacts=contacts, seed=seed, as_of=sample.TODAY, models=models)
