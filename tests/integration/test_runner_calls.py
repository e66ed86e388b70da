"""Questions of several calls: parts of a long document, steps of a loop. What was paid for is never asked again."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from enrich.agents.protocol import AgentRequest, AgentResponse, Step, Tool, ToolCall, WebPage
from enrich.answer import CheckedAnswer, CheckedJudgement, CheckedSentence
from enrich.budget import NightBudget
from enrich.calls import Part, ReadPart, ToolResult
from enrich.evidence import Shown
from enrich.runner_queue import QueueRow
from enrich.runner_task import Task
from tests.runner_kit import OPERATION, Desk, FakeAgent, Row, task, write_warehouse

ROOT = Path(__file__).parents[2]
SHORT, LONG = "Short text", "one two | three four | five six"
ROWS = [Row("hubspot:contact:1", SHORT, priority=2), Row("hubspot:contact:2", LONG, priority=1)]


def in_parts() -> Task:
    """Contexts are cut at `|`."""

    def parts(context: str) -> Sequence[Part]:
        return [Part(piece.strip(), frozenset({f"s{number}"})) for number, piece in enumerate(context.split("|"))]

    def check(read: Sequence[ReadPart], context: str, record_id: str) -> CheckedAnswer:
        said = [part.problem or json.loads(part.text)["quote"] for part in read]
        reason = next((part.problem for part in read if part.problem), None)
        return CheckedAnswer(True, "enriched", reason, 0.5, sentences=(CheckedSentence("reason", 0, "+".join(said)),))

    return replace(task(), parts=parts, check_parts=check, max_output_tokens=10)


class Drawer:
    """A toolbox with one tool that counts up from what it is given."""

    tools = (Tool("look", "Looks.", {"type": "object"}),)
    most_steps = 2
    most_searches = 0

    def call(self, name: str, arguments_json: str) -> ToolResult:
        item = f"d{arguments_json}"
        return ToolResult(
            f"{name} {arguments_json} saw {item}", (Shown(item, "span", item, "quoted", "theirs", "quoted"),)
        )

    def found(self, pages: Sequence[WebPage]) -> ToolResult:
        return ToolResult("")


def in_steps() -> Task:
    """Every record may be looked up twice."""

    def check(text: str, context: str, record_id: str, shown: Mapping[str, Shown]) -> CheckedAnswer:
        body = f"{text} from {' '.join(sorted(shown))}"
        return CheckedAnswer(
            True,
            "enriched",
            None,
            0.5,
            judgements=(CheckedJudgement("persona", "unknown", 0),),
            sentences=(CheckedSentence("reason", 0, body),),
        )

    def toolbox(connection: duckdb.DuckDBPyConnection, row: QueueRow) -> Drawer:
        return Drawer()

    return replace(task(), toolbox=toolbox, check_steps=check, max_output_tokens=10)


def reader(request: AgentRequest) -> AgentResponse:
    """Says back what it was shown; in a loop it looks twice, then says what it saw."""
    if request.tools and len(request.steps) < 2:
        number = len(request.steps)
        call = ToolCall(f"c{number}", "look", str(number))
        return AgentResponse(
            request.input_hash, "ok", stop_reason="tool_use", tool_calls=(call,), said=f"turn {number}", input_tokens=7
        )
    if request.steps:
        return AgentResponse(request.input_hash, "ok", json.dumps([step.results for step in request.steps]))
    quote = request.user_message.split()[0]
    return AgentResponse(request.input_hash, "ok", json.dumps({"level": "influencer", "quote": quote}), input_tokens=7)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    found = Desk(tmp_path)
    write_warehouse(found.warehouse, ROWS)
    return found


def shown_to(agent: FakeAgent) -> list[str]:
    """Calls per record, in order of the journal."""
    return agent.calls


def sentences(desk: Desk) -> dict[str, str]:
    rows = desk.rows("select record_id, body from sentences inner join answers using (answer_id)")
    return dict(rows)


def test_a_long_document_is_read_part_by_part_into_one_answer(desk: Desk) -> None:
    agent = desk.agent(answer=reader)
    report = desk.drain(agent, task=in_parts())
    assert (report.asked, report.counts["enriched"]) == (4, 2)
    assert sentences(desk)["hubspot:contact:2"] == "one+three+five"
    calls = desk.rows(
        "select record_id, input_hash, call_hash, input_tokens from attempts order by record_id, call_hash"
    )
    assert [row[0] for row in calls] == ["hubspot:contact:1"] + ["hubspot:contact:2"] * 3
    assert calls[0][2] is None
    assert len({row[2] for row in calls[1:]}) == 3
    assert len({row[1] for row in calls[1:]}) == 1
    assert desk.drain(agent, task=in_parts(), run_id="run-2").asked == 0


def test_a_part_that_fails_is_asked_again_and_the_others_are_not(desk: Desk) -> None:
    def fails(request: AgentRequest) -> AgentResponse:
        if request.user_message.startswith("three"):
            return AgentResponse(request.input_hash, "provider_error", error="500")
        return reader(request)

    first = desk.drain(desk.agent(answer=fails), task=in_parts())
    assert (first.counts["failed"], first.counts["enriched"]) == (1, 1)
    second = desk.drain(desk.agent(answer=reader), task=in_parts(), run_id="run-2")
    assert (second.asked, second.counts["enriched"], second.counts["unchanged"]) == (1, 1, 1)
    assert sentences(desk)["hubspot:contact:2"] == "one+three+five"


def test_a_part_that_is_refused_costs_its_own_words_only(desk: Desk) -> None:
    def refuses(request: AgentRequest) -> AgentResponse:
        if request.user_message.startswith("three"):
            return AgentResponse(request.input_hash, "refused", error="no")
        return reader(request)

    desk.drain(desk.agent(answer=refuses), task=in_parts())
    assert sentences(desk)["hubspot:contact:2"] == "one+The agent refused to answer: no+five"
    assert desk.outcomes()["hubspot:contact:2"] == ("enriched", "The agent refused to answer: no")


def test_a_part_over_budget_leaves_the_question_for_another_night(desk: Desk) -> None:
    def for_a_dollar(request: AgentRequest) -> AgentResponse:
        return replace(reader(request), cost_usd=Decimal(1))

    costly = desk.agent(answer=for_a_dollar, worst_case=Decimal(1), concurrency=1)
    report = desk.drain(costly, task=in_parts(), budget=NightBudget(Decimal(2), {OPERATION: Decimal(2)}))
    assert (report.counts["over_budget"], report.counts["enriched"], report.asked) == (1, 1, 2)
    second = desk.drain(
        costly, task=in_parts(), run_id="run-2", budget=NightBudget(Decimal(9), {OPERATION: Decimal(9)})
    )
    assert (second.asked, second.counts["enriched"]) == (2, 1)


def test_a_loop_looks_things_up_and_answers_from_what_it_was_shown(desk: Desk) -> None:
    seen: list[tuple[Step, ...]] = []

    def watched(request: AgentRequest) -> AgentResponse:
        seen.append(request.steps)
        return reader(request)

    report = desk.drain(desk.agent(answer=watched), task=in_steps())
    assert (report.asked, report.counts["enriched"]) == (6, 2)
    assert all(body.endswith("from d0 d1") for body in sentences(desk).values())
    last = max(seen, key=len)
    assert [(step.said, step.results) for step in last] == [
        ("turn 0", ("look 0 saw d0",)),
        ("turn 1", ("look 1 saw d1",)),
    ]
    assert desk.rows("select count(*), count(call_hash), count(distinct call_hash) from attempts") == [(6, 6, 6)]
    assert desk.drain(desk.agent(answer=watched), task=in_steps(), run_id="run-2").asked == 0


def test_an_agent_that_never_stops_looking_is_stopped(desk: Desk) -> None:
    def never(request: AgentRequest) -> AgentResponse:
        call = ToolCall("c", "look", str(len(request.steps)))
        return AgentResponse(request.input_hash, "ok", tool_calls=(call,))

    report = desk.drain(desk.agent(answer=never), task=in_steps())
    assert (report.asked, report.counts["rejected"]) == (6, 2)
    assert "went on looking things up after 2 turns" in str(desk.outcomes()["hubspot:contact:1"][1])


def test_more_look_ups_in_one_turn_than_are_answered(desk: Desk) -> None:
    results: list[tuple[str, ...]] = []

    def greedy(request: AgentRequest) -> AgentResponse:
        if request.steps:
            results.append(request.steps[0].results)
            return AgentResponse(request.input_hash, "ok", "done")
        calls = tuple(ToolCall(f"c{number}", "look", str(number)) for number in range(20))
        return AgentResponse(request.input_hash, "ok", tool_calls=calls)

    desk.drain(desk.agent(answer=greedy), task=in_steps())
    assert {len(item) for item in results} == {20}
    assert {text.startswith("look") for text in results[0][:8]} == {True}
    assert set(results[0][8:]) == {"Not looked up: at most 8 look-ups in one turn."}


VICTIM = """
import os, signal, sys
from pathlib import Path
from tests.integration import test_runner_calls as calls
from tests.runner_kit import Desk
folder, kind, point, occurrence = sys.argv[1:]
seen = 0
def checkpoint(reached):
    global seen
    seen += reached == point
    if reached == point and seen == int(occurrence):
        os.kill(os.getpid(), signal.SIGKILL)
desk = Desk(Path(folder))
agent = desk.agent(answer=calls.reader, chunk_size=1, concurrency=1)
desk.drain(agent, task=getattr(calls, kind)(), checkpoint=checkpoint)
"""


@pytest.mark.parametrize(
    ("kind", "point", "occurrence"),
    [("in_parts", "spooled", 3), ("in_parts", "committed", 1), ("in_steps", "asked", 4), ("in_steps", "spooled", 5)],
)
def test_a_kill_between_calls_repeats_only_what_was_in_flight(
    desk: Desk, kind: str, point: str, occurrence: int
) -> None:
    command = [sys.executable, "-c", VICTIM, str(desk.folder), kind, point, str(occurrence)]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == -9
    agent = desk.agent(answer=reader, chunk_size=1, concurrency=1)
    made = len(agent.calls)
    report = desk.drain(agent, task=globals()[kind]())
    total = {"in_parts": 4, "in_steps": 6}[kind]
    in_flight = 1 if point == "asked" else 0
    assert len(agent.calls) == total + in_flight
    assert report.asked == total + in_flight - made
    undisturbed = Desk(desk.folder / "undisturbed")
    write_warehouse(undisturbed.warehouse, ROWS)
    undisturbed.drain(undisturbed.agent(answer=reader, chunk_size=1, concurrency=1), task=globals()[kind]())
    assert desk.state() == undisturbed.state()


def test_a_transcript_of_an_hour_is_read_whole() -> None:
    """Cut between turns, every span in exactly one part, and the same facts as from one piece."""
    from enrich import context as contexts
    from enrich import registry, spans
    from enrich.agents import rules
    from enrich.answer import check
    from enrich.answer_parts import check_parts
    from nightdesk.policy.load import load

    policy = load(ROOT / "policies")
    operation = registry.operations()["extract_facts"]
    company = policy.icp.company
    speakers = [f"Ben Ashworth ({company})", "Dana Reyes (Alder Foods)", "Dana Reyes (Alder Foods)"]
    turns = [
        f"[00:{number // 60:02d}:{number % 60:02d}] {speakers[number % 3]}: "
        + "We went through the weekly numbers again and nothing there has changed since the spring. " * 3
        for number in range(400)
    ]
    turns[311] = "[00:51:00] Dana Reyes (Alder Foods): Our budget is frozen until July. Who else sees this?"
    header = "[document.type] call\n[document.date] 2026-11-03\n[document.author] dana@alder.example"
    context = f"{header}\n[document.author_side] theirs\n\n" + "\n".join(turns)
    parsed = contexts.parse(context)
    everything = [span.id for span in spans.segment(parsed, company)]
    parts = operation.parts(context, policy, 6000)
    assert len(parts) > 3
    assert sorted(span for part in parts for span in part.span_ids) == sorted(everything)
    assert all(len(part.message) < 6000 * 4 + 1000 for part in parts)

    class Request:
        def __init__(self) -> None:
            self.operation, self.context = "extract_facts", context

    whole: dict[str, Any] = json.loads(rules.answer(Request(), policy))
    read = [
        ReadPart(
            part.span_ids, json.dumps({"facts": [fact for fact in whole["facts"] if fact["span"] in part.span_ids]})
        )
        for part in parts
    ]
    merged = check_parts(operation, read, context, policy, record_id="hubspot:call:1")
    at_once = check(operation, json.dumps(whole), context, policy, record_id="hubspot:call:1")
    assert merged == at_once
    assert any((fact.predicate, fact.fact_date) == ("budget", date(2027, 7, 1)) for fact in merged.facts)

    stolen = [ReadPart(part.span_ids, json.dumps(whole)) for part in parts]
    each_says_all = check_parts(operation, stolen, context, policy, record_id="hubspot:call:1")
    assert each_says_all.facts == at_once.facts
    assert "cites a span that was not shown" in {item.reason for item in each_says_all.rejections}
