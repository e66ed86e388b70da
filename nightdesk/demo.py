"""The demo: a sample company, its CRM in a process of its own, and one to three nights."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nightdesk import agents, morning, prepare, sample, settings
from nightdesk.clock import system_clock
from nightdesk.errors import NightdeskError
from nightdesk.refresh import Night, refresh

if TYPE_CHECKING:
    from rich.console import Console

_MARK = ".nightdesk-demo"
_ENV = """\
# Written by `nightdesk demo`, so that every command after it works on the sample company. Replace it for your own CRM.
NIGHTDESK_DATA_DIR={data_dir}
NIGHTDESK_HUBSPOT_URL={url}
NIGHTDESK_HUBSPOT_TOKEN={token}
NIGHTDESK_AS_OF={as_of}
NIGHTDESK_AGENT=rules
"""
_WRITTEN_BY_DEMO = _ENV.splitlines()[0]
_TITLES = ("The first night", "A second night, nothing new", "A third night, after 10 % of the contacts changed")


@dataclass(frozen=True, slots=True)
class Timed:
    """One night of the demo and its seconds."""

    title: str
    night: Night
    seconds: float


def run(out: Console, *, contacts: int, seed: int, nights: int, folder: Path) -> list[Timed]:
    """Run the demo and print what a morning looks like.

    Raises:
        NightdeskError: `folder` holds something that is not a demo, or a step of a night failed.
    """
    from nightdesk.cli.common import progress_line

    project_folder = Path.cwd()
    _clear(folder)
    url = f"http://127.0.0.1:{sample.PORT}"
    read = settings.Settings(
        _env_file=None,  # pyright: ignore[reportCallIssue]
        data_dir=folder,
        policies=settings.read(project_folder).policies,
        hubspot_url=url,
        hubspot_token=sample.TOKEN,  # pyright: ignore[reportArgumentType]
        as_of=sample.TODAY,
        agent="rules",
    )
    out.print(f"The sample company: {contacts:,} contacts, seed {seed}, today is {sample.TODAY:%A %d %B %Y}")
    began = time.monotonic()
    made = sample.make(read.sandbox, contacts=contacts, seed=seed, force=False)
    out.print(f"  made in {time.monotonic() - began:.0f} s: " + ", ".join(f"{n:,} {name}" for name, n in made.items()))
    done: list[Timed] = []
    project = prepare.project(project_folder, read, system_clock)
    agent = agents.make(project)
    for number, title in enumerate(_TITLES[:nights]):
        if number == 2:
            # While nobody serves it: the CRM's clock moves on to that day's evening.
            changed = sample.change(read.sandbox, share=0.10, seed=seed)
            out.print("A day passed: " + ", ".join(f"{n:,} {name}" for name, n in changed.items()))
        out.print(f"{title}: load, curate, enrich, plan")
        with sample.served(read.sandbox):
            if number == 0:
                set_up_properties(project)
            began = time.monotonic()
            with progress_line(out) as progress:
                night = refresh(project, agent=agent, clock=system_clock, progress=progress)
            done.append(Timed(title, night, time.monotonic() - began))
        parts = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in night.seconds.items())
        asked = sum(drain.asked for drain in night.drains)
        out.print(f"  {done[-1].seconds:.0f} s ({parts}); the agent was asked {asked:,} times")
    note = _write_env(project_folder, read)
    out.print()
    out.print(morning.morning(project, done[-1].night.run_id))
    out.print(note)
    return done


def set_up_properties(project: prepare.Project) -> None:
    """Create the namespaced properties, as `nightdesk crm setup --apply` does."""
    from nightdesk.crms import open_crm
    from reverse_etl import setup

    with open_crm(project) as crm:
        setup.apply(crm, project.policy, ledger=project.settings.ledger, clock=system_clock)


def _clear(folder: Path) -> None:
    """Remove the last demo's data; nothing that is not a demo's."""
    if folder.exists() and any(folder.iterdir()):
        if not (folder / _MARK).exists():
            raise NightdeskError(
                "The demo replaces its folder, and this one holds something else",
                where=str(folder),
                todo="Choose another with --folder, or move what is there.",
            )
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _MARK).write_text("Made by `nightdesk demo`; replaced at its next start.\n")


def _write_env(project_folder: Path, read: settings.Settings) -> str:
    """Let the commands after the demo find it, unless somebody's own settings are there."""
    path = project_folder / ".env"
    if path.exists() and not path.read_text().startswith(_WRITTEN_BY_DEMO):
        return f"Your own .env was left alone: set NIGHTDESK_DATA_DIR={read.data_dir} to look at the demo."
    path.write_text(
        _ENV.format(data_dir=read.data_dir, url=read.hubspot_url, token=sample.TOKEN, as_of=sample.TODAY.isoformat())
    )
    return ""
