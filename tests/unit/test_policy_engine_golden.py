"""Every write rule is held by golden cases, both evaluators agree on them, and a case that is missing is noticed."""

from __future__ import annotations

import json
import shutil
from datetime import date
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from typer.testing import CliRunner

from nightdesk import policy
from nightdesk.cli.app import app
from nightdesk.errors import NightdeskError
from nightdesk.policy.load import read_decisions
from nightdesk.policy.models import OpColumn
from reverse_etl.decide import COLUMNS, decide, rules_from_policy
from reverse_etl.policy_check import remarks
from reverse_etl.policy_explain import show
from reverse_etl.policy_tests import PolicyTestReport, cases_of, domains, mutants, run

SHIPPED = Path(__file__).parents[2] / "policies"
POLICY = policy.load(SHIPPED)
TABLES = read_decisions(SHIPPED)
RULES = rules_from_policy(POLICY.write_rules.rules)


@pytest.fixture(scope="module")
def shipped() -> PolicyTestReport:
    return run(POLICY, TABLES)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHIPPED, tmp_path / "policies"))


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text, f"the shipped {path.name} no longer says {old!r}"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def without(folder: Path, *rules: str) -> None:
    """Take away every case that names one of these rules."""
    for path in (folder / "decisions").glob("*.yml"):
        table = yaml.safe_load(path.read_text(encoding="utf-8"))
        table["cases"] = [case for case in table["cases"] if case["expect"]["rule"] not in rules]
        path.write_text(yaml.safe_dump(table), encoding="utf-8")


def test_files_and_evaluator_know_the_same_columns() -> None:
    assert set(get_args(OpColumn)) == set(COLUMNS)


def test_every_rule_holds_and_no_way_to_break_one_goes_unnoticed(shipped: PolicyTestReport) -> None:
    report = shipped
    assert report.failures == () and report.rules_without_case == ()
    assert [(e.mutant.rule_id, e.mutant.change, dict(e.op or {})) for e in report.missed] == []
    assert report.ok and report.mutants > 40


def test_removing_or_weakening_any_forbid_breaks_a_golden_case() -> None:
    cases = cases_of(TABLES)
    broken = [m for m in mutants(RULES, domains(POLICY)) if m.rule_id.startswith("forbid_")]
    assert {m.rule_id for m in broken if m.change == "removed"} == {r.id for r in RULES if r.effect == "forbid"}
    for mutant in broken:
        assert any(decide(c.op, mutant.rules) != (c.decision, c.rule) for c in cases), (mutant.rule_id, mutant.change)


def test_turning_an_approval_into_a_write_breaks_a_golden_case() -> None:
    cases = cases_of(TABLES)
    turned = [m for m in mutants(RULES, domains(POLICY)) if m.change == "require_approval turned into auto"]
    assert {m.rule_id for m in turned} == {r.id for r in RULES if r.decision == "require_approval"}
    for mutant in turned:
        assert any(decide(c.op, mutant.rules) != (c.decision, c.rule) for c in cases), mutant.rule_id


@pytest.mark.parametrize("rule", [rule.id for rule in RULES if rule.effect == "forbid"] + ["auto_low_risk"])
def test_a_rule_whose_cases_are_gone_is_named_with_an_operation_that_shows_it(folder: Path, rule: str) -> None:
    without(folder, rule)
    report = run(POLICY, read_decisions(folder))
    assert not report.ok and rule in report.rules_without_case
    lost = next(e for e in report.missed if (e.mutant.rule_id, e.mutant.change) == (rule, "removed"))
    assert lost.op is not None
    op = {**dict.fromkeys(COLUMNS), **lost.op}
    assert decide(op, RULES) == lost.before and decide(op, lost.mutant.rules) == lost.after
    assert lost.before != lost.after


def test_what_is_said_to_decide_nothing_differently_does_not(shipped: PolicyTestReport) -> None:
    report = shipped
    assert report.unneeded
    rank = {"denied": 0, "require_approval": 1, "auto": 2}
    for escape in report.unneeded:
        assert not escape.sampled
        for case in cases_of(TABLES):
            for level in (1, 2, 3, 4, 5, None):
                op = {**case.op, "autonomy_level": level}
                before, after = decide(op, RULES)[0], decide(op, escape.mutant.rules)[0]
                assert rank[after] <= rank[before], (escape.mutant.rule_id, escape.mutant.change, op)


def test_a_wrong_expectation_fails_in_both_evaluators(folder: Path) -> None:
    edit(folder / "decisions" / "forbids.yml", "rule: forbid_stale", "rule: forbid_protected")
    (failure,) = run(POLICY, read_decisions(folder)).failures
    assert failure.by_sql == failure.by_python == ("denied", "forbid_stale")
    assert (failure.case.decision, failure.case.rule) == ("denied", "forbid_protected")


def test_a_rule_of_the_user_needs_a_case_of_the_user(folder: Path) -> None:
    edit(
        folder / "write_rules.yml",
        "rules:\n",
        "rules:\n  - {id: forbid_big_customers, effect: forbid, when: {segment: {in: [enterprise, strategic]}, "
        'confidence: {at_most: 0.6}}, reason: "Big customers need more"}\n',
    )
    changed = policy.load(folder)
    cases = yaml.safe_load((folder / "decisions" / "forbids.yml").read_text())
    # A missing segment counts as a hit for a forbid, so every other case must say which one it is.
    cases["base"] |= {"segment": "small"}
    for segment in ("enterprise", "strategic"):
        cases["cases"].append(
            {
                "case": f"{segment} with little confidence",
                "given": {"segment": segment, "confidence": 0.6},
                "expect": {"decision": "denied", "rule": "forbid_big_customers"},
            }
        )
    (folder / "decisions" / "forbids.yml").write_text(yaml.safe_dump(cases))
    table = read_decisions(folder)["forbids.yml"]
    held = cases_of({"forbids.yml": table})
    rules = rules_from_policy(changed.write_rules.rules)
    assert all(decide(case.op, rules) == (case.decision, case.rule) for case in held)
    broken = [m for m in mutants(rules, domains(changed)) if m.rule_id == "forbid_big_customers"]
    assert len(broken) == 4  # removed, either segment left out, the limit of confidence lowered
    for mutant in broken:
        assert any(decide(case.op, mutant.rules) != decide(case.op, rules) for case in held), mutant.change


def test_a_rule_may_list_what_it_is_not_for(folder: Path) -> None:
    edit(folder / "write_rules.yml", "{field_class: protected}", "{field_class: {not_in: [owned, shared, fill_empty]}}")
    changed = rules_from_policy(policy.load(folder).write_rules.rules)
    for op in (case.op for case in cases_of(TABLES)):
        assert decide(op, changed) == decide(op, RULES)


def test_golden_cases_are_no_part_of_the_policy_and_a_broken_one_stops_no_night(folder: Path) -> None:
    (folder / "decisions" / "more.yml").write_text("about: x\nbase: {}\ncases: [{case: nothing}]\n")
    assert policy.load(folder).hash == POLICY.hash
    assert not any(name.startswith("decisions/") for name in POLICY.file_hashes)
    with pytest.raises(NightdeskError, match=r"cases.0.expect") as error:
        read_decisions(folder)
    assert error.value.where.endswith("decisions/more.yml")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("is_suppressed: true}, expect", "is_supressed: true}, expect", "is_supressed"),
        ("decision: auto, rule", "decision: automatic, rule", "decision"),
        ("base:", "bases:", "`base`"),
    ],
)
def test_a_misspelt_golden_case_is_refused(folder: Path, old: str, new: str, said: str) -> None:
    edit(folder / "decisions" / "forbids.yml", old, new)
    with pytest.raises(NightdeskError) as error:
        read_decisions(folder)
    assert said in error.value.what


def test_what_may_not_be_meant_is_said(folder: Path) -> None:
    assert remarks(POLICY, TABLES, date(2026, 11, 17)) == ()
    edit(folder / "write_rules.yml", "operation: {in: [lead_quality,", "operation: {in: [lead_qualty,")
    edit(folder / "guards.yml", "guard: max_clears_share", "guard: max_operations_removed")
    with pytest.raises(NightdeskError, match="guard"):
        policy.load(folder)
    text = (folder / "guards.yml").read_text()
    (folder / "guards.yml").write_text("\n".join(line for line in text.splitlines() if "_removed" not in line) + "\n")
    said = remarks(policy.load(folder), {}, date(2026, 11, 17))
    assert len(said) == 3
    assert "lead_qualty" in said[0] and "max_clears_share" in said[1] and "no golden cases" in said[2]


def test_an_explanation_shows_each_condition_with_the_value() -> None:
    op: dict[str, Any] = {**cases_of(TABLES)[0].op, "autonomy_level": None, "risk": "high"}
    shown = {rule.id: rule for rule in show(op, RULES)}
    assert shown["forbid_level_1"].outcome == "applies: a value is missing"
    assert shown["auto_low_risk"].outcome == "does not apply"
    assert shown["approve_medium_risk"].outcome == "does not permit: a value is missing"
    assert [(c.column, c.wants, c.value, c.outcome) for c in shown["approve_medium_risk"].conditions] == [
        ("autonomy_level", "is at least 2", None, "missing"),
        ("risk", "is one of medium, high", "high", "holds"),
    ]


# commands -------------------------------------------------------------------------------------------------------------


def test_policy_check_shows_rules_ceilings_and_brakes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTDESK_POLICIES", str(folder))
    text = CliRunner().invoke(app, ["policy", "check"])
    assert text.exit_code == 0 and POLICY.hash[:12] in text.stdout
    assert all(word in text.stdout for word in ("forbid_suppressed", "lead_quality", "max_creates_per_owner_week"))
    found = json.loads(CliRunner().invoke(app, ["policy", "check", "--output", "json"]).stdout)
    assert found["hash"] == POLICY.hash and found["ceilings"]["extract_facts"] == 1 and found["remarks"] == []


def test_policy_test_fails_with_the_cases_that_differ(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTDESK_POLICIES", str(folder))
    whole = CliRunner().invoke(app, ["policy", "test", "--output", "json"])
    assert whole.exit_code == 0 and json.loads(whole.stdout)["ok"]
    edit(folder / "write_rules.yml", "{is_stale: true}", "{is_stale: false}")
    failed = CliRunner().invoke(app, ["policy", "test"])
    assert failed.exit_code == 1 and "the inputs changed after the answer" in failed.stdout
