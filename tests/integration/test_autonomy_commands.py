"""The commands of autonomy and of `policy explain`, as a person types them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
import pytest
from typer.testing import CliRunner, Result

from nightdesk.cli.app import app
from nightdesk.errors import NightdeskError
from tests.integration.test_autonomy_levels import SCORE, _fewer, earn
from tests.reverse_kit import desk, policies, row


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose lead_quality has earned its next step, with one more plan waiting."""
    folder = tmp_path_factory.mktemp("project")
    policy = policies(folder / "policies", autonomy=_fewer)
    (folder / "data").mkdir()
    with desk(folder / "data", policy=policy, contacts=10) as room:
        earn(room)
        room.plan([row(1, SCORE, "80"), row(2, SCORE, "70", is_stale=True)])
    (folder / "dbt_project.yml").write_text("name: x\n")
    (folder / "profiles.yml").write_text("x: {}\n")
    duckdb.connect(str(folder / "data" / "raw.duckdb")).close()
    return folder


@pytest.fixture
def run(project: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(project)
    for name, value in (("DATA_DIR", "data"), ("POLICIES", "policies"), ("ACTOR", "dana"), ("AS_OF", "2026-11-17")):
        monkeypatch.setenv(f"NIGHTDESK_{name}", value)
    # The sample company's day is in the future of some machines and the past of others.
    from nightdesk import clock as clocks
    from tests.reverse_kit import ManualTime

    time = ManualTime()
    monkeypatch.setattr(clocks, "system_clock", time)

    def typed(*words: str) -> Result:
        return CliRunner().invoke(app, list(words))

    return typed


def test_from_the_review_to_the_promotion_and_back(run: Any) -> None:
    shown = run("autonomy")
    assert shown.exit_code == 0 and "none at this level" in shown.stdout
    found = json.loads(run("autonomy", "review", "--output", "json").stdout)
    lead = next(one for one in found if one["operation"] == "lead_quality")
    assert (lead["proposal"], lead["to_level"], lead["proposed_by"]) == ("promote", 3, "dana")
    refused = run("autonomy", "promote", "lead_quality", "--reason", "good")
    assert isinstance(refused.exception, NightdeskError) and refused.exception.exit_code == 5
    done = run("autonomy", "promote", "lead_quality", "--reason", "good", "--as", "kim", "--role", "sales_lead")
    assert done.exit_code == 0, done.exception
    assert "lead_quality: L2 -> L3, promoted by kim (sales_lead)" in done.stdout
    shown = {one["operation"]: one for one in json.loads(run("autonomy", "show", "--output", "json").stdout)}
    assert (shown["lead_quality"]["level"], shown["lead_quality"]["changed_by"]) == (3, "kim")
    assert shown["lead_quality"]["proposal"] is None
    back = run("autonomy", "demote", "lead_quality", "--to", "1", "--reason", "no")
    assert "lead_quality: L3 -> L1, demoted by dana (revops)" in back.stdout
    for words in (("lead_qualty",), ("lead_quality.nightdesk_icp_score",)):
        wrong = run("autonomy", "demote", *words, "--reason", "no")
        assert isinstance(wrong.exception, NightdeskError) and words[0].split(".")[-1] in wrong.exception.what


def test_explain_shows_every_condition_of_every_rule(run: Any, project: Path) -> None:
    with duckdb.connect(str(project / "data" / "ledger.duckdb")) as con:
        stale = con.execute("select op_id from plan_ops where is_stale").fetchall()[0][0]
    text = run("policy", "explain", stale[:12])
    assert text.exit_code == 0, text.exception
    assert "It is not written, by `forbid_stale`: The inputs changed after the answer." in text.stdout
    assert "is_stale is true" in text.stdout and "autonomy_level is at least 5" in text.stdout
    found = json.loads(run("policy", "explain", stale, "--output", "json").stdout)
    assert (found["decision"], found["deciding_rule"], found["policy_changed"]) == ("denied", "forbid_stale", False)
    rule = next(rule for rule in found["rules"] if rule["id"] == "forbid_stale")
    assert rule["outcome"] == "applies"
    assert rule["conditions"] == [{"column": "is_stale", "wants": "is true", "value": True, "outcome": "holds"}]
