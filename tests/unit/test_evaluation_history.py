"""A regression is told from chance: by pairs where the same remarks were judged, by intervals elsewhere."""

from __future__ import annotations

import json
from dataclasses import fields
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightdesk.cli import night as commands
from nightdesk.errors import NightdeskError
from nightdesk.settings import AgentName
from sandbox.evaluation import history, night_priced, report, results
from sandbox.evaluation.metrics import Interval
from sandbox.evaluation.night_priced import Line
from sandbox.evaluation.results import Measured


@given(st.text("01", max_size=80))
def test_bits_survive_being_packed(bits: str) -> None:
    assert history.unpacked(history.packed(bits)) == bits


def test_the_exact_test_of_pairs_knows_known_values() -> None:
    assert history.paired(0, 0) == 1
    assert history.paired(5, 5) == 1
    assert history.paired(10, 0) == pytest.approx(2 / 2**10)
    assert history.paired(0, 10) == history.paired(10, 0)


class _Fixed:
    """Stands in for a report: its key numbers and items are given."""

    def __init__(self, items: dict[str, str] | None = None) -> None:
        self.items = items or {}


def moved(
    monkeypatch: pytest.MonkeyPatch, now: Measured, before: dict[str, Any], items: str = ""
) -> list[history.Change]:
    monkeypatch.setattr(history, "key_numbers", lambda _: {"x": now})
    judged: Any = _Fixed({"x": items} if items else {})
    return history.changes(before, judged)


def test_the_same_remarks_lost_are_a_regression_though_the_interval_is_wide(monkeypatch: pytest.MonkeyPatch) -> None:
    then, now = "1" * 90 + "0" * 10, "0" * 8 + "1" * 82 + "0" * 10
    before = {
        "numbers": {"x": 0.90},
        "intervals": {"x": [0.80, 0.95]},
        "items": {"x": history.packed(then)},
    }
    (change,) = moved(monkeypatch, Measured(value=0.82, n=100), before, now)
    assert change.is_regression
    assert "8 lost, 0 won" in change.why
    # As many won as lost: the same words say that this is chance.
    swapped = "0" * 5 + "1" * 85 + "1" * 4 + "0" * 6
    (change,) = moved(monkeypatch, Measured(value=0.89, n=100), before, swapped)
    assert not change.is_regression


def test_without_pairs_the_earlier_interval_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    before = {"numbers": {"x": 0.90}, "intervals": {"x": [0.85, 0.94]}}
    (inside,) = moved(monkeypatch, Measured(value=0.86), before)
    assert inside.is_worse
    assert not inside.is_regression
    (outside,) = moved(monkeypatch, Measured(value=0.84), before)
    assert outside.is_regression
    (better,) = moved(monkeypatch, Measured(value=0.96), before)
    assert better.is_beyond_noise
    assert not better.is_worse


def test_what_must_never_happen_has_no_tolerance(monkeypatch: pytest.MonkeyPatch) -> None:
    (change,) = moved(monkeypatch, Measured(value=0.9999, tolerance=0), {"numbers": {"x": 1.0}})
    assert change.is_regression
    (change,) = moved(monkeypatch, Measured(value=1.0, fewer_is_better=True, tolerance=0), {"numbers": {"x": 0.0}})
    assert change.is_regression
    assert moved(monkeypatch, Measured(value=0.995), {"numbers": {"x": 1.0}}) == []


def test_only_the_same_agent_on_the_same_words_is_compared() -> None:
    class Subject:
        agent, contacts, seed = "rules", 200, 7

    judged: Any = type("Report", (), {"subject": Subject, "company": "abc"})
    same = {"agent": "rules", "contacts": 200, "seed": 7, "company": "abc"}
    others = [same | {"agent": "claude"}, same | {"seed": 8}, same | {"contacts": 300}]
    changed = same | {"company": "def"}
    assert history.comparable([*others, changed, same], judged) == [same]
    assert history.other_companies([*others, changed, same], judged) == 1


def test_the_committed_history_can_be_read_and_names_its_releases() -> None:
    lines = history.read(Path(__file__).parents[2] / history.RELEASES)
    assert lines
    for line in lines:
        assert line["release"]
        assert line["numbers"]["facts_recall"] > 0
        assert len(history.unpacked(line["items"]["facts_recall"])) > 100


# an agent that costs money --------------------------------------------------------------------------------------------


def test_without_a_key_nothing_is_begun(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from rich.console import Console

    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    monkeypatch.chdir(Path(__file__).parents[2])
    for agent in night_priced.PRICED:
        with pytest.raises(NightdeskError, match="must be a key"):
            report.run(
                Console(quiet=True), contacts=None, seed=1, folder=tmp_path / "eval", asked=report.Asked(agent=agent)
            )
    assert not (tmp_path / "eval").exists()


def test_nothing_to_play_back_is_one_clear_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from rich.console import Console

    monkeypatch.chdir(Path(__file__).parents[2])
    with pytest.raises(NightdeskError, match="nothing to play back"):
        report.run(Console(quiet=True), contacts=None, seed=1, folder=tmp_path, asked=report.Asked(agent="recorded"))


class _Enough(Exception):
    """Ends a run where a real one would begin to ask."""


def test_a_paid_night_is_priced_first_and_then_held_to_its_budget(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from rich.console import Console

    from sandbox.evaluation import night

    nights: list[dict[str, Any]] = []

    def a_night(_: Path, folder: Path, **options: Any) -> None:
        nights.append(options | {"folder": folder.name})
        if options["agent"] == "claude":
            raise _Enough

    lines = [Line("extract_facts", "a-model", 400, 900_000, Decimal("0.09"), Decimal("1.20"))]
    monkeypatch.setenv("ANTHROPIC_API_KEY", "not-a-key")
    monkeypatch.chdir(Path(__file__).parents[2])
    monkeypatch.setattr(night, "run", a_night)
    monkeypatch.setattr(night_priced, "estimate", lambda *_: lines)

    def evaluate(**options: Any) -> Any:
        asked = report.Asked(agent="claude", **options)
        return report.run(Console(width=120), contacts=None, seed=1, folder=tmp_path, asked=asked)

    assert evaluate(estimate_only=True) is None
    assert [one["agent"] for one in nights] == ["rules"]
    assert "never more than 5.00 USD" in capsys.readouterr().out
    with pytest.raises(NightdeskError, match="Reading alone"):
        evaluate(budget_usd=Decimal("0.05"))
    with pytest.raises(_Enough):
        evaluate(budget_usd=Decimal("0.50"))
    assert [(one["folder"], one["agent"]) for one in nights[-2:]] == [("rehearsal", "rules"), ("night", "claude")]
    assert nights[-1]["budget_usd"] == Decimal("0.50")
    assert {one["contacts"] for one in nights} == {night_priced.CONTACTS}


def test_the_budget_caps_the_night_and_every_operation_of_it() -> None:
    from nightdesk import policy as policies
    from nightdesk.prepare import Project
    from sandbox.evaluation import night

    policy = policies.load(Path(__file__).parents[2] / "policies")
    unused: Any = None
    held = night.held_to(Project(Path(), unused, policy), Decimal("0.50")).policy.budget
    assert held.night_usd == Decimal("0.50")
    assert max(held.operation_usd.values()) == Decimal("0.50")
    assert held.operation_usd.keys() == policy.budget.operation_usd.keys()
    assert policy.budget.night_usd > Decimal("0.50")  # the policy itself is as it was


def test_what_does_not_fit_the_budget_is_refused_before_it_is_asked() -> None:
    lines = [Line("extract_facts", "m", 400, 900_000, Decimal("0.09"), Decimal("1.20"))] * 2
    night_priced.require_room(lines, Decimal("0.18"))
    with pytest.raises(NightdeskError, match=r"about 0\.18 USD, and the budget is 0\.17"):
        night_priced.require_room(lines, Decimal("0.17"))


def test_the_command_knows_the_agents_of_the_settings() -> None:
    assert get_args(commands.AgentName) == get_args(AgentName)


def test_a_report_with_sections_survives_its_json() -> None:
    measured = Measured(value=0.5, n=4, interval=Interval(0.1, 0.9))
    made = results.Section(name="x", title="X", numbers={"y": measured})
    assert results.Section.model_validate(json.loads(made.model_dump_json())) == made
    assert {field.name for field in fields(report.Asked)} >= {"agent", "budget_usd", "recording"}
