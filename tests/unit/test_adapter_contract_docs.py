"""docs/adapters.md says what the protocol says: its example is the tested file, its methods are the protocol's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from reverse_etl.crms.protocol import CrmAdapter, RoutesRecords

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "adapters.md").read_text(encoding="utf-8")


def test_the_worked_example_is_the_tested_file() -> None:
    assert f"```python\n{(ROOT / 'tests' / 'shelf_adapter.py').read_text(encoding='utf-8').rstrip()}\n```" in PAGE


def test_every_method_of_the_protocol_has_its_line_and_no_other() -> None:
    rows = [line.split("|")[1] for line in PAGE.split("## What `write`")[0].splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`(\w+)", row)}
    methods = {name for protocol in (CrmAdapter, RoutesRecords) for name in vars(protocol) if not name.startswith("_")}
    assert named == methods


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:tests|reverse_etl|nightdesk|seeds)/[\w./]+)`", PAGE))))
def test_every_file_it_names_is_there(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize("name", ["Crm", "CRM_OBJECTS", "KEYED_TYPES"])
def test_the_names_to_extend_are_there(name: str) -> None:
    assert re.search(rf"^{name}\b.*=", (ROOT / "nightdesk" / "policy" / "models.py").read_text(), re.MULTILINE)
