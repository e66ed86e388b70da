"""What is under Tryton's license stays in its own folder, and nothing of ours imports it."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import distribution
from pathlib import Path

ROOT = Path(__file__).parents[2]
MODULE = ROOT / "contrib" / "trytond-nightdesk"
OURS = ("nightdesk", "reverse_etl", "sources", "enrich", "sandbox")


IMPORT = re.compile(r"^\s*(?:import|from)\s+trytond(?:_nightdesk)?\b", re.MULTILINE)


def test_nothing_of_ours_imports_tryton_or_the_module() -> None:
    assert IMPORT.search("x = 1\n    from trytond.pool import Pool\n") and not IMPORT.search("import trytonic")
    for folder in OURS:
        for path in (ROOT / folder).rglob("*.py"):
            assert not IMPORT.search(path.read_text(encoding="utf-8")), path


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
