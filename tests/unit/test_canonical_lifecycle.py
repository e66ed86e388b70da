"""`policies/lifecycle.yml`: what cannot be meant is refused, and what is meant reaches dbt."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import duckdb
import pytest

from nightdesk import policy, steps
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


def test_the_night_says_the_commonest_unknown_words_and_nothing_else(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as warehouse:
        warehouse.execute(
            "create table unmapped_lifecycle_values (crm varchar, source_object_type varchar,"
            " source_lifecycle_stage varchar, record_count bigint, example_record_id varchar)"
        )
        warehouse.executemany(
            "insert into unmapped_lifecycle_values values (?, ?, ?, ?, ?)",
            [
                ["hubspot", "contacts", "18", 2, "hubspot:contact:2"],
                ["salesforce", "Account", "Cold\x1b[31m", 1200, "salesforce:company:1"],
                ["hubspot", "companies", "19", 1, "hubspot:company:2"],
                ["hubspot", "contacts", "17", 3, "hubspot:contact:1"],
            ],
        )
    duckdb.connect(str(tmp_path / "ledger.duckdb")).close()
    settings = SimpleNamespace(ledger=tmp_path / "ledger.duckdb", warehouse=tmp_path / "warehouse.duckdb")
    said = steps.unknown_lifecycle_words(cast("Any", SimpleNamespace(settings=settings)))
    assert said == [
        "lifecycle.yml does not know `Cold[31m` of salesforce's Account: 1,200 records, such as salesforce:company:1",
        "lifecycle.yml does not know `17` of hubspot's contacts: 3 records, such as hubspot:contact:1",
        "lifecycle.yml does not know `18` of hubspot's contacts: 2 records, such as hubspot:contact:2",
        "and 1 words more: unmapped_lifecycle_values",
    ]
    assert steps.unknown_lifecycle_words(cast("Any", SimpleNamespace(settings=settings)), most=4)[-1].startswith(
        "lifecycle.yml does not know `19`"
    )
