"""What is under Tryton's license stays in its own folder, and nothing of ours imports it."""

from __future__ import annotations

import ast
import tomllib
from importlib.metadata import distribution
from pathlib import Path

ROOT = Path(__file__).parents[2]
MODULE = ROOT / "contrib" / "trytond-nightdesk"
OURS = ("nightdesk", "reverse_etl", "sources", "enrich", "sandbox")


def imports(path: Path) -> set[str]:
    """Top-level names a file imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add((node.module or "").partition(".")[0])
    return found


def test_nothing_of_ours_imports_tryton_or_the_module() -> None:
    for folder in OURS:
        for path in (ROOT / folder).rglob("*.py"):
            assert not imports(path) & {"trytond", "trytond_nightdesk"}, path


def test_the_module_says_its_license_in_every_place() -> None:
    project = tomllib.loads((MODULE / "pyproject.toml").read_text())["project"]
    theirs = distribution("trytond")
    assert project["license"] == theirs.metadata["License-Expression"] == "GPL-3.0-or-later"
    texts = [file for file in theirs.files or () if file.name == "LICENSE"]
    assert (MODULE / "LICENSE").read_text() == texts[0].read_text()
    assert "Apache-2.0" in (MODULE / "COPYRIGHT").read_text()
    for path in (MODULE / "trytond_nightdesk").glob("*.py"):
        assert "GPL-3.0-or-later" in path.read_text().splitlines()[0], path


def test_the_module_is_no_part_of_our_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert not any("contrib" in name for name in project["tool"]["setuptools"]["packages"]["find"]["include"])
    assert not any("tryton" in name for name in project["project"]["dependencies"])
