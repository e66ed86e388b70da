"""The whole evaluation on a real night, and again on the same night played back from its recording."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from nightdesk import policy as policies
from nightdesk.errors import NightdeskError
from sandbox.evaluation import evaluate_sections, history, night_priced, page, results, terminal
from sandbox.evaluation.evaluate import evaluate
from tests.e2e.world import PROJECT, World


def judged(world: World) -> results.Report:
    policy = policies.load(PROJECT / "policies")
    return evaluate(world.data, world.data / "sandbox" / "truth.duckdb", policy=policy, seed=7, resamples=20)


@pytest.mark.soak
def test_what_claude_would_be_asked_is_counted_and_priced_before_it_is_asked(
    after_first_night: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "not-a-key")
    monkeypatch.setenv("DBT_TARGET_PATH", str(tmp_path / "target"))
    asked = after_first_night.one("ledger", "select count(*) from attempts")
    lines = {line.operation: line for line in night_priced.estimate(PROJECT, after_first_night.data, "claude")}
    batch = {line.operation: line for line in night_priced.estimate(PROJECT, after_first_night.data, "claude_batch")}
    selected = after_first_night.one("warehouse", "select count(distinct context) from queue_extract_facts")
    assert lines["extract_facts"].questions == selected
    assert {"reply_class", "icp_fit", "lead_quality", "meeting_brief"} <= lines.keys() == batch.keys()
    for operation, line in lines.items():
        assert 0 < line.input_usd < line.most_usd
        assert batch[operation].input_usd == pytest.approx(line.input_usd / 2)
    total = sum(line.input_usd for line in lines.values())
    with pytest.raises(NightdeskError, match="the budget is"):
        night_priced.require_room(list(lines.values()), total / 2)
    assert after_first_night.one("ledger", "select count(*) from attempts") == asked


@pytest.mark.soak
def test_a_recording_is_judged_as_the_agent_it_recorded(night: World, tmp_path: Path) -> None:
    live = judged(night)
    exact = next(section for section in live.sections if section.name == "exact")
    assert {name: number.value for name, number in exact.numbers.items()} == dict.fromkeys(exact.numbers, 1.0)
    assert all(number.n for number in exact.numbers.values())
    faithful = next(section for section in live.sections if section.name == "faithful")
    assert (faithful.numbers["briefs"].value or 0) > 0.95
    # Every registered section has something to say on a whole night, or says why not by being a ranking without buyers.
    assert len(live.sections) >= len(evaluate_sections.SECTIONS) - 1
    drawn = page.render(live, [history.line(live)])
    assert all(section.title in drawn for section in live.sections if "&" not in section.title)
    assert list(terminal.parts(live))

    night.extra["NIGHTDESK_AGENT"] = "recorded"
    for name in ("warehouse.duckdb", "ledger.duckdb"):
        (night.data / name).unlink()
    shutil.rmtree(night.data / "spool")
    with night.serving():
        night.run("refresh")
    replayed = judged(night)
    assert (live.subject.agent, replayed.subject.agent) == ("rules", "recorded")
    assert history.key_numbers(replayed) == history.key_numbers(live)
    assert (replayed.company, replayed.items) == (live.company, live.items)
    assert history.comparable([history.line(live)], replayed) == []  # another agent is another line of the history
    assert history.changes(history.line(live), replayed) == []
