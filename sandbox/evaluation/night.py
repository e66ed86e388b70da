"""Runs the nights an evaluation judges: a sample company of its own, its CRM served, one refresh."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from nightdesk import agents, demo, prepare, sample, settings
from nightdesk.clock import system_clock
from nightdesk.errors import NightdeskError
from nightdesk.refresh import refresh

if TYPE_CHECKING:
    from enrich.agents.protocol import Agent
    from enrich.agents.simulated import ProvingGround
    from nightdesk.prepare import Project
    from nightdesk.refresh import Night, Progress

    MakeAgent = Callable[[Project, ProvingGround], Agent]
    from sandbox.company import GeneratedCompany

Phrases = Literal["all", "open", "held_out"]
READING = ("extract_facts", "reply_class")
# What judging a reading needs: the facts in force and the published classes, with all they are made of.
_READING_MODELS = ("+facts", "+published_extract_facts", "+published_reply_class", "+stg_policy__predicates")
_MARK = ".made-by-nightdesk-eval"
_FOLDER_VARIABLE = "NIGHTDESK_DATA_DIR"


def truth_path(data_dir: Path) -> Path:
    """Where the truth of a data folder's sample company lies."""
    return data_dir / "sandbox" / sample.TRUTH


def run(
    project_folder: Path,
    data_dir: Path,
    *,
    contacts: int,
    seed: int,
    phrases: Phrases,
    progress: Progress,
    operations: Sequence[str] | None = None,
    stage: Callable[[GeneratedCompany], GeneratedCompany] | None = None,
    agent: settings.AgentName | None = None,
    recording: Path | None = None,
    budget_usd: Decimal | None = None,
) -> Night:
    """Make a company in `data_dir` and run a night on it.

    Args:
        project_folder: Folder of `dbt_project.yml`.
        data_dir: Replaced when an earlier evaluation made it.
        contacts: Size of the company.
        seed: Another seed is another company.
        phrases: Which half of its phrases the company speaks with.
        progress: Told what is happening.
        operations: Only these, without scores and plan; the whole night when None.
        stage: Changes the company before it goes into its CRM.
        agent: Who answers; the agent of the settings when None.
        recording: With the agent `recorded`, what is played back; with another, where what it says is kept.
        budget_usd: The night costs no more than this, whatever the policy allows.

    Raises:
        NightdeskError: `data_dir` holds something else, or a step of the night failed.
    """
    from sandbox import company

    _clear(data_dir)
    port = _free_port()
    read = asked_of(project_folder, data_dir, agent, port)
    if recording is not None and read.agent == "recorded":
        _played_back(recording, read.recordings)
    elif recording is not None:
        read = read.model_copy(update={"record": True})
    progress("company", f"{contacts:,} contacts, seed {seed}, {phrases} phrases")
    made = company.generate(contacts=contacts, seed=seed, as_of=sample.TODAY, phrases=phrases)
    if stage is not None:
        made = stage(made)
    company.write(made, read.sandbox)
    # The sandbox serves from the folder of its settings, in a process of its own.
    with _environment(_FOLDER_VARIABLE, str(data_dir)), sample.served(read.sandbox, port):
        project = held_to(prepare.project(project_folder, read, system_clock), budget_usd)
        demo.set_up_properties(project)
        night = refresh(
            project,
            agent=agents.make(project),
            clock=system_clock,
            progress=progress,
            operations=operations,
            write_plan=operations is None,
        )
        if operations is not None:
            from nightdesk.dbt import Dbt

            progress("build", "what was read")
            Dbt(project_folder, data_dir, read.as_of).build(
                extra=["--select", *_READING_MODELS, "--indirect-selection", "empty"]
            )
    if recording is not None and read.record:
        shutil.copyfile(read.recordings, recording)
    return night


def held_to(project: Project, budget_usd: Decimal | None) -> Project:
    """The project with a policy that lets a night, and each operation of it, cost no more than this."""
    if budget_usd is None:
        return project
    budget = project.policy.budget
    capped = budget.model_copy(
        update={
            "night_usd": min(budget.night_usd, budget_usd),
            "operation_usd": {name: min(usd, budget_usd) for name, usd in budget.operation_usd.items()},
        }
    )
    return replace(project, policy=replace(project.policy, budget=capped))


def _played_back(recording: Path, place: Path) -> None:
    if not recording.is_file():
        raise NightdeskError(
            "There is no recording to play back",
            where=str(recording),
            todo="Make one: `--agent claude --recording FILE`.",
        )
    shutil.copyfile(recording, place)


def again(project_folder: Path, data_dir: Path, *, progress: Progress) -> Night:
    """One more night on the company that `run` made in `data_dir`, as it is now.

    Raises:
        NightdeskError: A step of the night failed.
    """
    port = _free_port()
    read = asked_of(project_folder, data_dir, None, port)
    with _environment(_FOLDER_VARIABLE, str(data_dir)), sample.served(read.sandbox, port):
        project = prepare.project(project_folder, read, system_clock)
        return refresh(project, agent=agents.make(project), clock=system_clock, progress=progress)


def proving(
    project_folder: Path,
    data_dir: Path,
    *,
    contacts: int,
    seed: int,
    hostile: bool,
    in_turn: Sequence[MakeAgent],
    progress: Progress,
) -> list[Night]:
    """Nights with agents that no setting can choose, one after another, on a company and a ledger of their own.

    Args:
        project_folder: Folder of `dbt_project.yml`.
        data_dir: Replaced when an earlier evaluation made it; marked as a proving ground for good.
        contacts: Size of the company.
        seed: Another seed is another company.
        hostile: False gives the twin without the words that try to steer.
        in_turn: Each makes the agent of one night, given the project and the right to answer here.
        progress: Told what is happening.

    Raises:
        NightdeskError: `data_dir` holds something else, or a step of a night failed.
    """
    from enrich.agents.simulated import claim
    from sandbox import company

    _clear(data_dir)
    ground = claim(data_dir)
    port = _free_port()
    read = asked_of(project_folder, data_dir, None, port)
    progress("company", f"{contacts:,} contacts, seed {seed}{'' if hostile else ', without hostile words'}")
    made = company.generate(contacts=contacts, seed=seed, as_of=sample.TODAY, hostile=hostile)
    company.write(made, read.sandbox)
    nights: list[Night] = []
    with _environment(_FOLDER_VARIABLE, str(data_dir)), sample.served(read.sandbox, port):
        project = prepare.project(project_folder, read, system_clock)
        demo.set_up_properties(project)
        for make in in_turn:
            agent = make(project, ground)
            nights.append(refresh(project, agent=agent, clock=system_clock, progress=progress))
    return nights


def asked_of(project_folder: Path, data_dir: Path, agent: settings.AgentName | None, port: int) -> settings.Settings:
    """Settings of a night on this folder with that agent; with that of the project's own settings when None."""
    own = settings.read(project_folder)
    return settings.Settings(
        _env_file=None,  # pyright: ignore[reportCallIssue]
        data_dir=data_dir,
        policies=own.policies,
        hubspot_url=f"http://127.0.0.1:{port}",
        hubspot_token=sample.TOKEN,  # pyright: ignore[reportArgumentType]
        as_of=sample.TODAY,
        agent=agent or own.agent,
    )


def _clear(data_dir: Path) -> None:
    if data_dir.exists() and any(data_dir.iterdir()):
        if not (data_dir / _MARK).exists():
            raise NightdeskError(
                "The evaluation replaces its folders, and one holds something else",
                where=str(data_dir),
                todo="Choose another with --folder, or move what is there.",
            )
        shutil.rmtree(data_dir)
    data_dir.mkdir(parents=True, exist_ok=True)
    (data_dir / _MARK).write_text("Made by `nightdesk eval`; replaced at its next start.\n", encoding="utf-8")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _environment(name: str, value: str) -> Generator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = before
