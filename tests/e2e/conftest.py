"""One first night, made once and copied by every test that goes on from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.world import World

CONTACTS = "240"


@pytest.fixture(scope="session")
def company(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A company in its CRM, with the namespaced properties set up and nothing else done."""
    world = World(tmp_path_factory.mktemp("company") / "world")
    world.folder.mkdir()
    world.run("sandbox", "generate", "--contacts", CONTACTS)
    with world.serving():
        world.run("crm", "setup", "--apply")
    return world


@pytest.fixture(scope="session")
def after_first_night(company: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """The same company after `nightdesk refresh`. Tests copy it before they change anything."""
    world = company.copy(tmp_path_factory.mktemp("night") / "world")
    world.extra["NIGHTDESK_RECORD"] = "true"
    with world.serving():
        world.run("refresh")
    del world.extra["NIGHTDESK_RECORD"]
    return world


@pytest.fixture
def night(after_first_night: World, tmp_path: Path) -> World:
    """A copy of the first night's end, to go on from."""
    return after_first_night.copy(tmp_path / "world")
