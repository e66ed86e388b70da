"""The truth is read by the evaluation alone: nothing that answers or scores could have looked."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("nightdesk", "enrich", "sources", "reverse_etl", "sandbox/crm")
# The generator writes the truth and extends it; this module tells it where, and opens nothing.
NAMES_THE_FILE = {"nightdesk/sample.py"}
MAY_START_THE_EVALUATION = {"nightdesk/cli/night.py"}
STARTERS = ("sandbox.evaluation.report", "sandbox.evaluation.arms_night")
TRUTH = re.compile(
    r"truth\.duckdb|\btruth_(facts|traps|contacts|companies|replies|hostile|meetings|outreach|duplicates)\b"
)


def modules() -> Iterator[Path]:
    for room in ROOMS:
        yield from sorted((ROOT / room).rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_there_is_something_to_check() -> None:
    assert len(list(modules())) > 20


def test_no_other_module_names_the_truth() -> None:
    named = {name(path) for path in modules() if TRUTH.search(path.read_text(encoding="utf-8"))}
    assert named <= NAMES_THE_FILE


def test_no_other_module_uses_the_path_of_the_truth() -> None:
    users = {name(path) for path in modules() if re.search(r"\bTRUTH\b", path.read_text(encoding="utf-8"))}
    assert users <= NAMES_THE_FILE


def test_no_other_module_imports_its_readers_or_its_shape() -> None:
    guilty = {
        (name(path), module)
        for path in modules()
        for module in imported(path)
        if module.startswith("sandbox.company.truth")
        or (module.startswith("sandbox.evaluation") and name(path) not in MAY_START_THE_EVALUATION)
        or (
            module.startswith("sandbox.evaluation")
            and module != "sandbox.evaluation"  # `from sandbox.evaluation import arms_night` names both
            and not module.startswith(STARTERS)
        )
    }
    assert not guilty


@pytest.mark.parametrize("room", ["enrich", "sources", "reverse_etl"])
def test_what_runs_on_a_real_crm_knows_no_sandbox(room: str) -> None:
    guilty = {
        (name(path), module)
        for path in sorted((ROOT / room).rglob("*.py"))
        for module in imported(path)
        if module == "sandbox" or module.startswith("sandbox.")
    }
    assert not guilty


@pytest.mark.parametrize("folder", ["models", "macros", "seeds", "policies", "enrich"])
def test_no_sql_policy_or_prompt_names_the_truth_or_the_phrases(folder: str) -> None:
    pattern = re.compile(rf"{TRUTH.pattern}|company/phrases")
    texts = [path for path in (ROOT / folder).rglob("*") if path.suffix in {".sql", ".yml", ".yaml", ".md", ".csv"}]
    guilty = [name(path) for path in texts if pattern.search(path.read_text(encoding="utf-8"))]
    assert not guilty
