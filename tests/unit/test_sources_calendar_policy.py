"""The company's time zone is a name that clocks know, or the policy is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from nightdesk.errors import NightdeskError
from nightdesk.policy import load
from nightdesk.policy.tables import rows

POLICIES = Path(__file__).parents[2] / "policies"


def _with_zone(folder: Path, line: str) -> Path:
    shutil.copytree(POLICIES, folder)
    file = folder / "delivery.yml"
    kept = [one for one in file.read_text().splitlines() if not one.startswith("company_time_zone")]
    file.write_text("\n".join([*kept, line]) + "\n")
    return folder


def _setting(folder: Path) -> list[str]:
    settings = rows(load(folder))["policy_settings"]
    return [value for _, policy, name, value in settings if (policy, name) == ("delivery", "company_time_zone")]


def test_the_companys_zone_reaches_the_ledger(tmp_path: Path) -> None:
    assert _setting(_with_zone(tmp_path / "a", "company_time_zone: Europe/Berlin")) == ["Europe/Berlin"]
    assert _setting(_with_zone(tmp_path / "b", "")) == ["UTC"]


def test_a_zone_that_no_clock_knows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NightdeskError, match="company_time_zone") as refused:
        load(_with_zone(tmp_path / "a", "company_time_zone: Middle Earth"))
    assert "Middle Earth" in str(refused.value)
    assert "delivery.yml" in str(refused.value)
