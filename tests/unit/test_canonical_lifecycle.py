"""`policies/lifecycle.yml`: what cannot be meant is refused, and what is meant reaches dbt."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from nightdesk import policy
from nightdesk.errors import NightdeskError
from nightdesk.policy import tables
from nightdesk.policy.lifecycle_models import STAGES

ROOT = Path(__file__).parents[2]


def edited(tmp_path: Path, old: str, new: str) -> Path:
    folder = Path(shutil.copytree(ROOT / "policies", tmp_path / "policies"))
    path = folder / "lifecycle.yml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("Prospect: lead", "Prospect: prospect", "crms.salesforce.Account.values.Prospect"),
        (
            "Prospect: lead",
            "Prospect: lead\n        prospect : customer",
            "are the same value",
        ),
        ("Prospect: lead", '"  ": lead', "an empty value cannot mean a stage"),
        ("{won_deal: customer,", "{lucky_deal: customer,", "without_value.lucky_deal"),
        ("without_value: {won_deal", "if_empty: {won_deal", "if_empty"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(NightdeskError) as caught:
        policy.load(edited(tmp_path, old, new))
    assert said in caught.value.what and "lifecycle.yml" in caught.value.where


def test_hubspots_own_words_mean_themselves() -> None:
    read = policy.load(ROOT / "policies").lifecycle.crms["hubspot"]
    for kind in ("contacts", "companies"):
        assert read[kind].values == {stage: stage for stage in STAGES}
        assert read[kind].without_value == {}


def test_dbt_reads_the_same_words_and_the_rules_in_their_order(tmp_path: Path) -> None:
    folder = edited(tmp_path, "Customer - Direct: customer", "' Customer - DIRECT ': evangelist")
    rows = {row[1:] for row in tables.rows(policy.load(folder))["policy_lists"]}
    assert ("lifecycle_value:salesforce:Account", "customer - direct", "evangelist") in rows
    assert ("lifecycle_value:hubspot:contacts", "customer", "customer") in rows
    assert {row for row in rows if row[0] == "lifecycle_rule:salesforce:Account"} == {
        ("lifecycle_rule:salesforce:Account", "0:won_deal", "customer"),
        ("lifecycle_rule:salesforce:Account", "1:open_deal", "opportunity"),
    }


def test_sql_knows_every_stage() -> None:
    """Without a policy in force, dbt takes the vocabulary from a macro: the same words."""
    macro = (ROOT / "macros" / "lifecycle.sql").read_text(encoding="utf-8")
    assert all(f"'{stage}'" in macro for stage in STAGES)
    assert macro.count("',") + 1 == len(STAGES)
