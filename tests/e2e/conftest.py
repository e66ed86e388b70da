"""One first night, made once for all workers and copied by every test that goes on from it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from tests.e2e.world import World

CONTACTS = "240"


def _shared(factory: pytest.TempPathFactory, name: str, make: Callable[[World], None]) -> World:
    """A copy of the world of that name; the first worker to ask makes it, the others wait for it."""
    own = factory.getbasetemp()
    root = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    world, made = World(root / f"shared-{name}" / "world"), root / f"shared-{name}" / "made"
    with FileLock(root / f"shared-{name}.lock"):
        if not made.exists():
            make(world)
            made.touch()
    return world.copy(factory.mktemp(name) / "world")


@pytest.fixture(scope="session")
def company(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A company in its CRM, with the namespaced properties set up and nothing else done."""

    def make(world: World) -> None:
        world.folder.mkdir(parents=True)
        world.run("sandbox", "generate", "--contacts", CONTACTS)
        with world.serving():
            world.run("crm", "setup", "--apply")

    return _shared(tmp_path_factory, "company", make)


@pytest.fixture(scope="session")
def after_first_night(company: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """The same company after `nightdesk refresh`. Tests copy it before they change anything."""

    def make(world: World) -> None:
        world.folder.parent.mkdir(parents=True)
        fresh = company.copy(world.folder)
        fresh.extra["NIGHTDESK_RECORD"] = "true"
        with fresh.serving():
            fresh.run("refresh")

    return _shared(tmp_path_factory, "night", make)


@pytest.fixture
def night(after_first_night: World, tmp_path: Path) -> World:
    """A copy of the first night's end, to go on from."""
    return after_first_night.copy(tmp_path / "world")
