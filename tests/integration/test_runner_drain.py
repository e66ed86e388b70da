"""A drain from queue to outcomes: every record counted, every answer paid once, every failure kept and told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from enrich.agents.protocol import AgentRequest, AgentResponse
from enrich.budget import NightBudget
from enrich.hashing import input_hash
from enrich.runner import Limits, drain_task
from nightdesk.errors import NightdeskError
from nightdesk.ledger import connect
from tests.runner_kit import (
    AS_OF,
    OPERATION,
    Desk,
    FakeAgent,
    Row,
    check,
    clock,
    good_answer,
    some_rows,
    task,
    write_warehouse,
)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "desk")


def ids(numbers: range) -> set[str]:
    return {f"hubspot:contact:{number}" for number in numbers}


def test_every_record_gets_one_outcome_and_they_add_up(desk: Desk) -> None:
    rows = [*some_rows(10), Row("gated", gate="freemail"), Row("silent", missing="nothing was ever said")]
    write_warehouse(desk.warehouse, rows)
    agent = desk.agent()
    report = desk.drain(agent)
    assert report.counts == {
        "enriched": 10,
        "unchanged": 0,
        "gated": 1,
        "insufficient_data": 1,
        "rejected": 0,
        "failed": 0,
        "over_budget": 0,
    }
    assert (report.selected, report.asked, report.answers_written) == (12, 10, 10)
    outcomes = desk.outcomes()
    assert outcomes["gated"] == ("gated", "freemail says no")
    assert outcomes["silent"] == ("insufficient_data", "nothing was ever said")
    assert (agent.prepared, agent.closed) == ([OPERATION], 1)


def test_all_that_an_answer_holds_is_in_the_ledger(desk: Desk) -> None:
    write_warehouse(desk.warehouse, [Row("hubspot:contact:1", "Wording of a context")])
    desk.drain(desk.agent())
    expected_hash = input_hash(task().operation_hash, desk.rows("select context_hash from answers")[0][0])
    assert desk.rows(
        "select operation, record_id, input_hash, outcome, confidence, evidence_count, run_id from answers"
    ) == [(OPERATION, "hubspot:contact:1", expected_hash, "enriched", Decimal("0.7500"), 3, "run-1")]
    assert desk.rows("select component, level from judgements") == [("persona", "influencer")]
    assert desk.rows("select body from sentences") == [("They said Wording.",)]
    assert desk.rows("select document_id, quote, span_start, span_end from facts") == [
        ("hubspot:contact:1", "Wording", 0, 7)
    ]
    assert len(desk.rows("select * from evidence")) == 3
    status, ref = desk.rows("select status, response_ref from attempts")[0]
    assert status == "ok"
    name, number = ref.rsplit(":", 1)
    raw = (desk.spool / name).read_text().splitlines()[int(number) - 1]
    assert json.loads(json.loads(raw)["response"]["text"]) == {"level": "influencer", "quote": "Wording"}


def test_a_second_night_asks_nothing_and_a_changed_record_alone_is_asked(desk: Desk) -> None:
    write_warehouse(desk.warehouse, some_rows(10))
    agent = desk.agent()
    desk.drain(agent)
    again = desk.drain(agent, run_id="run-2")
    assert (again.asked, again.counts["unchanged"]) == (0, 10)
    assert agent.prepared == [OPERATION], "a quiet night needs no key"
    assert desk.outcomes("run-2")["hubspot:contact:3"] == ("unchanged", "Same input as in run run-1")
    write_warehouse(desk.warehouse, [Row("hubspot:contact:3", "Changed words"), *some_rows(10)[4:]])
    third = desk.drain(agent, run_id="run-3")
    assert (third.selected, third.asked, third.counts["enriched"], third.counts["unchanged"]) == (7, 1, 1, 6)
    assert agent.calls[10:] == ["hubspot:contact:3"]


def test_the_same_run_again_keeps_its_numbers(desk: Desk) -> None:
    write_warehouse(desk.warehouse, some_rows(5))
    agent = desk.agent()
    first = desk.drain(agent)
    before = desk.state()
    second = desk.drain(agent)
    assert second.counts == first.counts
    assert second.asked == 0
    assert desk.state() == before


def test_another_version_of_the_agent_or_prompt_asks_anew(desk: Desk) -> None:
    write_warehouse(desk.warehouse, some_rows(3))
    agent = desk.agent()
    desk.drain(agent)
    report = desk.drain(agent, run_id="run-2", task=task(version="2"))
    assert (report.asked, report.counts["enriched"]) == (3, 3)
    back = desk.drain(agent, run_id="run-3")
    assert (back.asked, back.counts["unchanged"]) == (0, 3), "going back to an earlier prompt costs nothing"


def test_rejected_refused_truncated_and_invalid_answers_are_kept_counted_and_never_asked_again(desk: Desk) -> None:
    replies = {
        "hubspot:contact:0": lambda r: AgentResponse(r.input_hash, "ok", '{"level": "vp", "quote": "never said"}'),
        "hubspot:contact:1": lambda r: AgentResponse(r.input_hash, "ok", "{torn"),
        "hubspot:contact:2": lambda r: AgentResponse(
            r.input_hash, "refused", "No.", stop_reason="refusal", error="bio: no"
        ),
        "hubspot:contact:3": lambda r: AgentResponse(r.input_hash, "truncated", '{"lev', error="stopped by max_tokens"),
    }
    write_warehouse(desk.warehouse, some_rows(5))
    agent = desk.agent(answer=lambda request: replies.get(request.record_id, good_answer)(request))
    report = desk.drain(agent)
    assert (report.counts["rejected"], report.counts["enriched"]) == (4, 1)
    assert desk.rows("select status, count(*) from attempts group by all order by 1") == [
        ("invalid", 1),
        ("ok", 2),
        ("refused", 1),
        ("truncated", 1),
    ]
    assert desk.rows("select count(*) from judgements") == [(1,)], "only the good answer is published"
    assert desk.rows("select body from rejections") == [("never said",)]
    assert desk.outcomes()["hubspot:contact:2"] == ("rejected", "The agent refused to answer: bio: no")
    spooled = "".join(path.read_text() for path in desk.spool.rglob("*.jsonl"))
    assert "never said" in spooled
    assert "{torn" in spooled
    again = desk.drain(agent, run_id="run-2")
    assert (again.asked, again.counts["unchanged"]) == (0, 5)
    assert desk.outcomes("run-2")["hubspot:contact:0"] == (
        "unchanged",
        "Same input as in run run-1, rejected there: Nothing passed the evidence check",
    )


def test_provider_errors_are_retried_then_failed_and_asked_again_the_next_night(desk: Desk) -> None:
    write_warehouse(desk.warehouse, some_rows(3))
    bad = "hubspot:contact:1"
    failing = True

    def answer(request: AgentRequest) -> AgentResponse:
        if request.record_id == bad and failing:
            return AgentResponse(request.input_hash, "provider_error", error="529 overloaded", is_retryable=True)
        return good_answer(request)

    agent = desk.agent(answer=answer)
    report = desk.drain(agent, limits=Limits(max_tries=3, backoff_seconds=0.001))
    assert (report.counts["failed"], report.counts["enriched"], report.asked) == (1, 2, 5)
    assert desk.outcomes()[bad] == ("failed", "529 overloaded")
    tries = f"select stop_reason from attempts where record_id = '{bad}' order by attempt_id"
    assert sorted(row[0] for row in desk.rows(tries)) == ["gave_up", "to_retry", "to_retry"]
    same_run = desk.drain(agent, limits=Limits(max_tries=3, backoff_seconds=0.001))
    assert (same_run.asked, same_run.counts["failed"]) == (0, 1)
    failing = False
    next_night = desk.drain(agent, run_id="run-2")
    assert (next_night.asked, next_night.counts["enriched"], next_night.counts["unchanged"]) == (1, 1, 2)


def test_an_error_that_no_retry_can_help_is_tried_once(desk: Desk) -> None:
    write_warehouse(desk.warehouse, some_rows(1))
    agent = desk.agent(answer=lambda r: AgentResponse(r.input_hash, "provider_error", error="400 too long"))
    assert desk.drain(agent).counts["failed"] == 1
    assert len(agent.calls) == 1


def test_a_wish_to_wait_is_honoured_and_one_that_is_too_long_ends_it(desk: Desk) -> None:
    write_warehouse(desk.warehouse, some_rows(1))
    waits = iter([0.15])

    def answer(request: AgentRequest) -> AgentResponse:
        wait = next(waits, None)
        if wait is None:
            return good_answer(request)
        return AgentResponse(
            request.input_hash, "provider_error", error="429", is_retryable=True, retry_after_seconds=wait
        )

    began = time.monotonic()
    assert desk.drain(desk.agent(answer=answer)).counts["enriched"] == 1
    assert time.monotonic() - began >= 0.15
    waits = iter([3600.0])
    report = desk.drain(desk.agent(answer=answer), run_id="run-2", task=task(version="2"))
    assert (report.counts["failed"], report.asked) == (1, 1)


def test_a_provider_that_is_down_is_not_asked_thousands_of_times(desk: Desk) -> None:
    write_warehouse(desk.warehouse, some_rows(60))
    agent = desk.agent(answer=lambda r: AgentResponse(r.input_hash, "provider_error", error="500", is_retryable=True))
    report = desk.drain(agent, limits=Limits(max_tries=2, backoff_seconds=0.001, give_up_after=5))
    assert report.counts["failed"] == 60
    assert report.asked < 30
    assert any(reason.startswith("Not asked: the provider failed") for _, reason in desk.outcomes().values() if reason)
    assert any("in a row" in warning for warning in report.warnings)


def test_a_hopeless_error_stops_the_night_and_keeps_what_was_answered(desk: Desk) -> None:
    write_warehouse(desk.warehouse, some_rows(20))
    calls = 0

    def answer(request: AgentRequest) -> AgentResponse:
        nonlocal calls
        calls += 1
        if calls > 9:
            raise NightdeskError("The key was revoked", todo="Get another.")
        return good_answer(request)

    agent = desk.agent(answer=answer)
    with pytest.raises(NightdeskError, match="The key was revoked"):
        desk.drain(agent)
    kept = desk.rows("select count(*) from answers")[0][0]
    assert kept >= 9 - 3
    assert desk.rows("select count(*) from outcomes") == [(0,)]
    calls = -1000
    assert desk.drain(agent).counts["enriched"] == 20
    assert agent.closed == 2


def test_an_agent_that_breaks_is_one_clear_error(desk: Desk) -> None:
    write_warehouse(desk.warehouse, some_rows(2))

    def answer(request: AgentRequest) -> AgentResponse:
        raise ZeroDivisionError("oops")

    with pytest.raises(NightdeskError, match="The agent broke: ZeroDivisionError: oops"):
        desk.drain(desk.agent(answer=answer))


def test_an_agent_whose_helpers_are_dear_is_left_open(desk: Desk) -> None:
    class Dear(FakeAgent):
        outlives_drains = True

    write_warehouse(desk.warehouse, some_rows(2))
    agent = Dear(desk.folder / "journal")
    desk.drain(agent)
    assert agent.closed == 0


def test_an_agent_that_forgets_a_request_leaves_no_hole(desk: Desk) -> None:
    class Forgetful(FakeAgent):
        async def ask(self, requests):  # type: ignore[no-untyped-def]
            return (await super().ask(requests))[1:]

    write_warehouse(desk.warehouse, some_rows(4))
    report = desk.drain(
        Forgetful(desk.folder / "journal", chunk_size=4), limits=Limits(max_tries=2, backoff_seconds=0.001)
    )
    assert sum(report.counts.values()) == 4
    assert report.counts["failed"] + report.counts["enriched"] == 4
    assert report.counts["failed"] >= 1


def test_a_bug_in_the_check_fails_one_record_and_not_the_night(desk: Desk) -> None:
    write_warehouse(desk.warehouse, some_rows(4))

    def answer(request: AgentRequest) -> AgentResponse:
        if request.record_id == "hubspot:contact:2":
            return AgentResponse(request.input_hash, "ok", '{"level": "crash", "quote": "x"}')
        return good_answer(request)

    report = desk.drain(desk.agent(answer=answer))
    assert (report.counts["failed"], report.counts["enriched"]) == (1, 3)
    outcome, reason = desk.outcomes()["hubspot:contact:2"]
    assert outcome == "failed"
    assert reason is not None
    assert "RuntimeError: a bug in the check" in reason
    assert any("a bug in the check" in warning for warning in report.warnings)


def test_money_is_never_spent_beyond_the_budget_and_the_best_come_first(desk: Desk) -> None:
    write_warehouse(desk.warehouse, [replace(row, priority=number) for number, row in enumerate(some_rows(10))])

    def answer(request: AgentRequest) -> AgentResponse:
        return replace(good_answer(request), cost_usd=Decimal("0.30"))

    agent = desk.agent(answer=answer, worst_case=Decimal("0.50"), chunk_size=1)
    budget = NightBudget(Decimal(10), {OPERATION: Decimal("1.30")})
    report = desk.drain(agent, budget=budget)
    # 0.30 x 3 = 0.90 leaves 0.40 < 0.50: the fourth worst case no longer fits.
    assert (report.counts["enriched"], report.counts["over_budget"], report.cost_usd) == (3, 7, Decimal("0.90"))
    assert set(agent.calls) == ids(range(7, 10))
    outcome, reason = desk.outcomes()["hubspot:contact:0"]
    assert outcome == "over_budget"
    assert reason is not None
    assert "operation_usd.lead_quality is 1.30 USD and 0.9000 are spent" in reason
    # A new process, another run of the same night: what was spent is remembered from the ledger.
    with connect(desk.ledger) as ledger:
        ledger.execute("insert into runs select 'run-1', 'enrich', null, ?, null, null, ?", [AS_OF, clock()])
    later = desk.drain(agent, run_id="run-2", budget=NightBudget(Decimal(10), {OPERATION: Decimal("1.30")}))
    assert (later.asked, later.counts["over_budget"], later.counts["unchanged"]) == (0, 7, 3)


def test_two_records_with_the_same_context_are_one_question_and_two_answers(desk: Desk) -> None:
    write_warehouse(
        desk.warehouse, [Row("doc:a", "Same words"), Row("doc:b", "Same words"), Row("doc:c", "Other words")]
    )
    agent = desk.agent()
    report = desk.drain(agent)
    assert (report.counts["enriched"], report.asked, report.answers_written) == (3, 2, 3)
    checked = check('{"level": "influencer", "quote": "Same"}', "Same words", "doc:b")
    assert desk.rows("select fact_id, document_id from facts where document_id = 'doc:b'") == [
        (checked.facts[0].fact_id, "doc:b")
    ]
    assert desk.rows(
        """
        select item_kind, item_key, evidence_kind, evidence_id, quote
        from evidence
        where answer_id = (select answer_id from answers where record_id = 'doc:b')
        order by all
        """
    ) == sorted((e.item_kind, e.item_key, e.evidence_kind, e.evidence_id, e.quote) for e in checked.evidence)
    # The other way round in time: a record that turns up later with a context already answered.
    write_warehouse(desk.warehouse, [Row("doc:a", "Same words"), Row("doc:d", "Other words")])
    later = desk.drain(agent, run_id="run-2")
    assert (later.asked, later.counts["enriched"], later.counts["unchanged"]) == (0, 1, 1)
    assert desk.rows("select reason from answers where record_id = 'doc:d'") == [("(same context as doc:c)",)]


def test_a_torn_last_line_is_told_and_its_call_repeated(desk: Desk) -> None:
    write_warehouse(desk.warehouse, some_rows(4))
    agent = desk.agent(chunk_size=1, concurrency=1)
    desk.drain(agent)
    (segment,) = desk.spool.rglob("*.jsonl")
    lines = segment.read_bytes().splitlines(keepends=True)
    fresh = Desk(desk.folder.parent / "fresh")
    write_warehouse(fresh.warehouse, some_rows(4))
    folder = fresh.spool / "run-1"
    folder.mkdir(parents=True)
    (folder / f"{OPERATION}-0001.jsonl").write_bytes(lines[0] + b"not json\n" + lines[2] + lines[3][:40])
    second = fresh.agent(chunk_size=1)
    report = fresh.drain(second, run_id="run-2")
    assert (report.replayed, report.asked) == (2, 2)
    assert (report.counts["enriched"], report.counts["unchanged"]) == (2, 2), "the replayed ones belong to run-1"
    assert sorted("damaged" in warning for warning in report.warnings) == [False, True]
    assert any("cut off by a crash" in warning for warning in report.warnings)
    assert fresh.drain(second, run_id="run-3").warnings == ()


def test_spooled_answers_to_questions_no_longer_asked_are_paid_for_but_not_published(desk: Desk) -> None:
    write_warehouse(desk.warehouse, some_rows(2))
    with pytest.raises(RuntimeError):
        desk.drain(desk.agent(chunk_size=2, concurrency=1), checkpoint=_raise_at("spooled"))
    assert desk.rows("select count(*) from attempts") == [(0,)]
    write_warehouse(desk.warehouse, [Row("hubspot:contact:0", "Other words"), some_rows(2)[1]])
    report = desk.drain(desk.agent())
    assert (report.replayed, report.asked) == (2, 1)
    assert desk.rows("select record_id, status, error is null from attempts order by all") == [
        ("hubspot:contact:0", "ok", False),
        ("hubspot:contact:0", "ok", True),
        ("hubspot:contact:1", "ok", True),
    ]


def test_a_question_that_comes_back_in_the_same_run_is_asked_and_leaves_no_hole(desk: Desk) -> None:
    write_warehouse(desk.warehouse, some_rows(2))
    with pytest.raises(RuntimeError):
        desk.drain(desk.agent(chunk_size=2, concurrency=1), checkpoint=_raise_at("spooled"))
    write_warehouse(desk.warehouse, [Row("hubspot:contact:0", "Other words"), some_rows(2)[1]])
    desk.drain(desk.agent())
    write_warehouse(desk.warehouse, some_rows(2))  # the record is what it was, and the night was killed once more
    report = desk.drain(desk.agent())
    assert (report.selected, report.asked, report.counts["enriched"]) == (2, 1, 2)


def test_paid_answers_left_by_a_crash_are_kept_when_another_agent_goes_on(desk: Desk) -> None:
    write_warehouse(desk.warehouse, some_rows(4))
    paid = desk.agent(name="claude", chunk_size=4)
    with pytest.raises(RuntimeError):
        desk.drain(paid, task=task(agent="claude"), checkpoint=_raise_at("spooled"))
    report = desk.drain(desk.agent(), run_id="run-2")
    assert (report.replayed, report.asked, report.answers_written) == (4, 4, 8)
    assert desk.rows("select agent, run_id, count(*) from answers group by all order by 1") == [
        ("claude", "run-1", 4),
        ("rules", "run-2", 4),
    ]
    back = desk.drain(paid, run_id="run-3", task=task(agent="claude"))
    assert (back.asked, back.counts["unchanged"]) == (0, 4)


def _raise_at(point: str):  # type: ignore[no-untyped-def]
    def checkpoint(reached: str) -> None:
        if reached == point:
            raise RuntimeError("stopped here")

    return checkpoint


def test_a_full_disk_is_one_clear_error_and_nothing_is_lost(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    write_warehouse(desk.warehouse, some_rows(6))
    real, written = os.write, 0

    def write(handle: int, data: bytes) -> int:
        nonlocal written
        if b"attempt_id" in bytes(data[:20]):
            written += 1
            if written > 1:
                real(handle, bytes(data[:10]))
                raise OSError(28, "No space left on device")
        return real(handle, data)

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(NightdeskError, match="disk is full"):
        desk.drain(desk.agent(concurrency=1))
    monkeypatch.undo()
    report = desk.drain(desk.agent())
    assert (report.counts["enriched"], report.replayed + report.warnings.__len__()) == (6, 0)


def test_a_database_error_nobody_foresaw_is_one_message_and_costs_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise duckdb.IOException('IO Error: Could not write file "ledger.duckdb.wal": No space left on device')

    write_warehouse(desk.warehouse, some_rows(4))
    monkeypatch.setattr("enrich.outcomes.record", full)
    with pytest.raises(NightdeskError, match="No space left on device") as caught:
        desk.drain(desk.agent())
    assert "run again" in caught.value.todo
    monkeypatch.undo()
    report = desk.drain(desk.agent())
    assert (report.asked, report.counts["enriched"]) == (0, 4)


def test_records_that_left_the_queue_leave_the_runs_numbers(desk: Desk) -> None:
    write_warehouse(desk.warehouse, some_rows(4))
    desk.drain(desk.agent())
    write_warehouse(desk.warehouse, some_rows(2))
    assert desk.drain(desk.agent()).counts["enriched"] == 2
    assert len(desk.outcomes()) == 2


def test_progress_ends_at_all_that_was_due(desk: Desk) -> None:
    write_warehouse(desk.warehouse, [*some_rows(9), Row("gated", gate="freemail")])
    told: list[tuple[int, int]] = []
    drain_task(
        task(),
        warehouse=desk.warehouse,
        ledger=desk.ledger,
        spool_dir=desk.spool,
        agent=desk.agent(),
        run_id="run-1",
        as_of=AS_OF,
        budget=NightBudget(Decimal(1), {OPERATION: Decimal(1)}),
        clock=clock,
        on_progress=lambda done, due: told.append((done, due)),
    )
    assert told[-1] == (9, 9)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


INTERRUPTED = """
import sys, time
from pathlib import Path
from tests.runner_kit import Desk, good_answer

def slow(request):
    time.sleep(0.03)
    return good_answer(request)

desk = Desk(Path(sys.argv[1]))
try:
    desk.drain(desk.agent(answer=slow, chunk_size=2))
except KeyboardInterrupt as stopped:
    print("stopped:", stopped)
    sys.exit(130)
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_keeps_what_was_answered_and_the_next_run_goes_on(desk: Desk, number: int, code: int) -> None:
    write_warehouse(desk.warehouse, some_rows(60))
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, str(desk.folder)], cwd=root, stdout=subprocess.PIPE, text=True
    )
    while not desk.agent().calls:
        assert process.poll() is None, "the drain ended before it asked anything"
        time.sleep(0.02)
    timer = threading.Timer(0.1, process.send_signal, [number])
    timer.start()
    output, _ = process.communicate(timeout=120)
    assert process.returncode == code
    if code == 130:
        assert "run the same command again" in output
    asked = len(desk.agent().calls)
    assert 0 < asked < 60
    assert desk.rows("select count(*) from answers") == [(asked,)], "calls in flight were waited for and kept"
    report = desk.drain(desk.agent())
    assert report.counts["enriched"] == 60
    assert sorted(desk.agent().calls) == sorted(ids(range(60))), "nothing asked twice"
