"""Every promise on the page has its proof: the tests named in docs/invariants.md exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "invariants.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)


@cache
def functions_of(path: str) -> frozenset[str]:
    file = ROOT / path
    if not file.is_file():
        return frozenset()
    body = ast.parse(file.read_text(encoding="utf-8")).body
    return frozenset(node.name for node in body if isinstance(node, ast.FunctionDef))


def test_every_test_that_is_named_exists() -> None:
    assert NAMED
    assert [f"{path}::{name}" for path, name in NAMED if name not in functions_of(path)] == []


def test_every_invariant_has_its_proof() -> None:
    rows = re.findall(r"^\| \*\*(\d)\. .*$", PAGE, re.MULTILINE)
    assert rows == [str(number) for number in range(1, 8)]
    for line in PAGE.splitlines():
        if line.startswith("| **"):
            assert len(re.findall(r"`tests/[\w/]+\.py::\w+`", line)) >= 3, line[:60]


def test_every_property_of_the_write_back_has_its_test() -> None:
    rows = re.findall(r"^\| (\d+) \| .* \| (.*) \|$", PAGE, re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, 28))
    for number, tests in rows:
        assert re.search(r"`tests/property/[\w/]+\.py::\w+`", tests), number


def test_dbt_has_no_way_to_call_anything() -> None:
    # A Python model or a plugin runs inside `dbt build`: it could pay for an answer, and pay again at every rebuild.
    assert [
        str(path.relative_to(ROOT)) for folder in ("models", "macros") for path in (ROOT / folder).rglob("*.py")
    ] == []
    assert not (ROOT / "packages.yml").exists() and not (ROOT / "dependencies.yml").exists()
    profile = (ROOT / "profiles.yml.example").read_text(encoding="utf-8")
    settings = "\n".join(line.split("#")[0] for line in profile.splitlines())
    for word in ("plugins:", "module_paths:", "httpfs", "remote:"):
        assert word not in settings, word
    for path in (*(ROOT / "models").rglob("*.sql"), *(ROOT / "macros").rglob("*.sql")):
        assert not re.search(
            r"https?://|\bhttpfs\b|\bread_text\s*\(|\binstall\s+\w+;", path.read_text(encoding="utf-8")
        )
