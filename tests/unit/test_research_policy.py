"""`policies/research.yml`: what cannot be meant is refused, and what is meant reaches the tools."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from enrich import registry
from nightdesk import policy
from nightdesk.errors import NightdeskError
from nightdesk.policy import tables
from tests.research_kit import ROOT, Text, toolbox, warehouse


def edited(tmp_path: Path, old: str, new: str) -> Path:
    folder = Path(shutil.copytree(ROOT / "policies", tmp_path / "policies"))
    path = folder / "research.yml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("on_signal: [C]", "on_signal: [B, C]", "tier B stands under `again`"),
        ("tokens_per_record: 9000", "tokens_per_record: 900", "`tokens_per_result` is more"),
        ("operations: {}", "operations: {meeting_brief: 2}", "web_search"),
        ("most_steps: 6", "most_steps: 0", "most_steps"),
        ("every_days: 60", "every_day: 60", "every_day"),
        ("B: quarter", "B: week", "again"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(NightdeskError) as caught:
        policy.load(edited(tmp_path, old, new))
    assert said in caught.value.what and "research.yml" in caught.value.where


def test_web_search_reaches_the_operation_it_is_named_for_and_asks_it_anew(tmp_path: Path) -> None:
    before = policy.load(ROOT / "policies")
    after = policy.load(edited(tmp_path, "operations: {}", "operations: {account_deep_dive: 2}"))
    with warehouse([Text("hubspot:email:1", "Hello.")]) as connection:
        assert toolbox(connection, policy=after).most_searches == 2
        assert toolbox(connection, "hubspot:contact:1", "contact_background", after).most_searches == 0
    operation = registry.operations()["account_deep_dive"]
    hashes = {operation.operation_hash(each, agent="a", version="1", model=None) for each in (before, after)}
    assert len(hashes) == 2


def test_dbt_reads_the_same_rules(tmp_path: Path) -> None:
    read = tables.rows(policy.load(edited(tmp_path, "{A: month, B: quarter}", "{A: quarter, D: month}")))
    lists = {(name, item, more) for _, name, item, more in read["policy_lists"] if name.startswith("research_")}
    assert {("research_account_again", "A", "quarter"), ("research_account_again", "D", "month")} <= lists
    assert ("research_account_again", "B", "quarter") not in lists
    assert ("research_account_on_signal", "C", None) in lists and ("research_contact_tiers", "A", None) in lists
    assert any(row[1:] == ("research", "contact_background.every_days", "60") for row in read["policy_settings"])
