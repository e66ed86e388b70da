"""What every command needs before it starts: a valid policy, a ledger up to date, and files that dbt can attach."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path

from nightdesk import ledger, policy
from nightdesk.clock import Clock
from nightdesk.errors import NightdeskError
from nightdesk.policy import tables
from nightdesk.settings import Settings
from sources import config, registry
from sources.config import Sources

PROFILE = "profiles.yml"
PROFILE_EXAMPLE = "profiles.yml.example"
_PROJECT_SUFFIXES = {".sql", ".yml", ".csv", ".md"}


@dataclass(frozen=True, slots=True)
class Project:
    """A project folder that is ready: settings, policy, and databases that exist."""

    folder: Path
    settings: Settings
    policy: policy.Policy
    sources: Sources = field(default_factory=Sources)


def project_hash(folder: Path) -> str:
    """Hash of every file that decides what dbt proposes: models, macros, seeds, the project file.

    A plan is sealed with it: a model that was changed between review and apply makes the plan stale.
    """
    files = [folder / "dbt_project.yml"]
    for name in ("models", "macros", "seeds"):
        files += sorted(path for path in (folder / name).rglob("*") if path.suffix in _PROJECT_SUFFIXES)
    total = hashlib.sha256()
    for path in files:
        total.update(f"{path.relative_to(folder).as_posix()}\n".encode() + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def project(folder: Path, settings: Settings, clock: Clock) -> Project:
    """Make the project ready. Calling it again changes nothing.

    Raises:
        NightdeskError: This is not a Nightdesk project, or the policy, the ledger or the disk refuses.
    """
    if not (folder / "dbt_project.yml").is_file():
        raise NightdeskError(
            "This folder is not a Nightdesk project: it has no dbt_project.yml",
            where=str(folder),
            todo="Change into the folder you cloned, or clone the project first.",
        )
    loaded = replace(policy.load(settings.policies), project_hash=project_hash(folder))
    sources = config.read(folder / settings.sources)
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    if not (folder / PROFILE).exists():
        shutil.copyfile(folder / PROFILE_EXAMPLE, folder / PROFILE)
    ledger.migrate(settings.ledger, clock)
    with ledger.connect(settings.ledger) as connection:
        tables.load_into(connection, loaded, clock())
    registry.ensure_once(settings.raw)
    return Project(folder, settings, loaded, sources)
