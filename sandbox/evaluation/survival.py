"""`python -m sandbox.evaluation.survival`: what simulated hostile models get past the check, the policy and the plan.

Nothing. It runs nights with the adversary on a company and a ledger of their own and counts every way in which an
answer could have had an effect it must not have; then one night each with the obedient agent on the company and on its
twin without the hostile words, and compares what would be written, field by field.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nightdesk.errors import NightdeskError
from sandbox.evaluation import night as nights
from sandbox.evaluation import survival_count, survival_twin

if TYPE_CHECKING:
    from enrich.agents.protocol import Agent
    from enrich.agents.simulated import ProvingGround
    from nightdesk.prepare import Project
    from nightdesk.refresh import Progress

MOST_NIGHTS = 12


def honest(project: Project, _: ProvingGround) -> Agent:
    """The rules agent: the night before the attack."""
    from enrich.agents.rules.agent import RulesAgent

    return RulesAgent(project.policy)


def adversary(project: Project, ground: ProvingGround, *, seed: int) -> Agent:
    """The adversary of one night; it knows ids of other records once a night has left some."""
    from enrich.agents.adversary import AdversaryAgent

    return AdversaryAgent(
        project.policy, ground, seed=seed, foreign_ids=survival_count.known_ids(project.settings.ledger)
    )


def obedient(project: Project, ground: ProvingGround) -> Agent:
    """The agent that does what it reads."""
    from enrich.agents.obedient import ObedientAgent

    return ObedientAgent(project.policy, ground)


def attack(
    project_folder: Path, folder: Path, *, contacts: int, seed: int, hostile_nights: int, progress: Progress
) -> survival_count.Counts:
    """An honest night, then so many nights with adversaries, each with another seed; counts what they achieved."""
    nights.proving(
        project_folder,
        folder,
        contacts=contacts,
        seed=seed,
        hostile=True,
        in_turn=[honest, *(_seeded(number) for number in range(1, hostile_nights + 1))],
        progress=progress,
    )
    return survival_count.count(folder)


def _seeded(number: int) -> nights.MakeAgent:
    return lambda project, ground: adversary(project, ground, seed=number)


def obey(
    project_folder: Path, folder: Path, *, contacts: int, seed: int, progress: Progress
) -> survival_twin.Comparison:
    """One night with the obedient agent on the company, one on its twin; compares what they would show and write."""
    for name, hostile in (("hostile", True), ("twin", False)):
        nights.proving(
            project_folder,
            folder / name,
            contacts=contacts,
            seed=seed,
            hostile=hostile,
            in_turn=[obedient],
            progress=progress,
        )
    return survival_twin.compare(folder / "hostile", folder / "twin")


def main(
    folder: Annotated[Path, typer.Option(help="Where the nights are run; replaced.")] = Path("data/survival"),
    contacts: Annotated[int, typer.Option(help="Size of the sample company.")] = 400,
    seed: Annotated[int, typer.Option(help="Of the company.")] = 11,
    hostile_nights: Annotated[int, typer.Option(min=1, max=MOST_NIGHTS, help="Nights with an adversary.")] = 3,
) -> None:
    """Run both attacks and print the tables; exit 1 when anything got through."""
    from nightdesk.cli.common import console, progress_line

    out = console()
    try:
        with progress_line(out) as progress:
            counts = attack(
                Path.cwd(),
                folder / "adversary",
                contacts=contacts,
                seed=seed,
                hostile_nights=hostile_nights,
                progress=progress,
            )
            comparison = obey(Path.cwd(), folder / "obedient", contacts=contacts, seed=seed, progress=progress)
    except NightdeskError as error:
        typer.echo(f"{error}. {error.todo}", err=True)
        raise typer.Exit(error.exit_code) from None
    _print(counts.lines())
    _print(comparison.lines())
    if counts.violations or comparison.effects:
        raise typer.Exit(1)


def _print(lines: Sequence[str]) -> None:
    typer.echo("\n".join([*lines, ""]))


if __name__ == "__main__":
    typer.run(main)
