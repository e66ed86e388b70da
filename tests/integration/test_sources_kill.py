"""kill -9 at any moment of a load, then load again: the same end state as a load nobody disturbed."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from test_sources_support import Bench, Template, serving, shared_template

# Runs one load in a process that kills itself at a named point: the n-th page read, the
# n-th statement dlt sends to DuckDB while loading, or just before dlt marks the package complete.
_VICTIM = """
import os, signal, sys
from pathlib import Path
from pydantic import SecretStr
from sources.hubspot import HubSpotSettings, load
import sources.kit.pipeline as pipeline

url, raw, pipelines, point, number = sys.argv[1:6]
left = [int(number)]

def tick():
    left[0] -= 1
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)

def patched(owner, name):
    original = getattr(owner, name)
    def replacement(*args, **kwargs):
        tick()
        return original(*args, **kwargs)
    setattr(owner, name, replacement)

if point in ("statement", "complete"):
    pipeline._dlt()
    from dlt.destinations.impl.duckdb.sql_client import DuckDbSqlClient
    from dlt.load.load import Load
    patched(*{"statement": (DuckDbSqlClient, "execute_query"), "complete": (Load, "complete_package")}[point])

progress = (lambda stream, rows: tick()) if point == "page" else None
fast = {"requests_per_10s": 100000, "searches_per_second": 1000}
settings = HubSpotSettings(base_url=url, token=SecretStr("sandbox-token"), **fast)
load(settings, Path(raw), Path(pipelines), progress)
"""


def _kill(it: Bench, point: str, number: int) -> bool:
    """One load that dies at the point. False when it ended before it got there."""
    command = [sys.executable, "-c", _VICTIM, it.sandbox.url, str(it.raw), str(it.pipelines), point, str(number)]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=120)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode != 0


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    return shared_template(tmp_path_factory)


@pytest.mark.parametrize(
    ("point", "number", "keep_folder"),
    [
        ("page", 4, True),
        ("statement", 40, True),
        ("complete", 1, False),
    ],
)
def test_a_killed_first_load_ends_like_an_undisturbed_one(
    template: Template, tmp_path: Path, point: str, number: int, keep_folder: bool
) -> None:
    """With dlt's working folder kept, and with it lost."""
    undisturbed = Bench.contents_of(template.folder / "raw.duckdb")
    with template.loaded(tmp_path) as it:
        it.forget()
        assert _kill(it, point, number)
        if not keep_folder:
            it.drop_pipelines()
        it.load()
        assert it.contents() == undisturbed
        assert it.moved() == {}


def test_what_a_kill_left_is_not_loaded_into_a_raw_file_made_anew(template: Template, tmp_path: Path) -> None:
    undisturbed = Bench.contents_of(template.folder / "raw.duckdb")
    with template.loaded(tmp_path) as it:
        it.edit("contacts", 1_000_004, jobtitle="COO")
        assert _kill(it, "complete", 1)
        it.raw.unlink()
        it.load()
        assert len(it.contents()["contacts"]) == len(undisturbed["contacts"])
        assert it.moved() == {}


@pytest.mark.parametrize(("point", "number"), [("complete", 1)])
def test_a_killed_later_load_loses_no_change(template: Template, tmp_path: Path, point: str, number: int) -> None:
    with template.loaded(tmp_path) as it:
        it.edit("contacts", 1_000_004, jobtitle="COO")
        it.edit("deals", 3_000_001, amount="7.5", dealstage="closedwon")
        it.api("DELETE", "/crm/v3/objects/emails/4000003")
        assert _kill(it, point, number)
    with serving(tmp_path) as it:
        it.load()
        assert it.ask("select jobtitle from hubspot.contacts where id = '1000004'") == [("COO",)]
        assert it.contents() == it.clean_contents()
        assert it.moved() == {}
