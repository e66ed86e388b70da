"""Claude in batches, drained for real against a Messages API that counts what it charges."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from anthropic.types.messages.batch_create_params import BatchCreateParams
from pydantic import TypeAdapter
from starlette.responses import JSONResponse, Response

from enrich.agents.batch import ClaudeBatchAgent
from enrich.agents.batch_journal import Journal, open_calls
from enrich.agents.claude import ClaudeAgent
from enrich.agents.protocol import Agent, AgentRequest, HasRemarks, Tool, WebPage
from enrich.answer import CheckedAnswer
from enrich.budget import NightBudget
from enrich.calls import ToolResult
from enrich.hashing import sha256_hex
from enrich.runner import DrainReport, Limits
from enrich.runner_queue import QueueRow
from enrich.runner_task import Task
from nightdesk.errors import NightdeskError
from nightdesk.policy.models import ClaudeBudget
from tests.messages_api import MessagesApi, first_word, message
from tests.runner_kit import OPERATION, Desk, Row, check, some_rows, task, write_warehouse

SCHEMA = {
    "type": "object",
    "properties": {"level": {"type": "string"}, "quote": {"type": "string"}},
    "required": ["level", "quote"],
    "additionalProperties": False,
}


def limits(**batch: Any) -> ClaudeBudget:
    return ClaudeBudget.model_validate(
        {
            "models": {OPERATION: "claude-haiku-5-5"},
            "max_output_tokens": {OPERATION: 400},
            "effort": "low",
            "concurrency": 4,
            "reads_at_once_tokens": 6000,
            "batch": batch,
        }
    )


def batch_task(version: str = "1") -> Task:
    return replace(task(version=version, agent="claude"), max_output_tokens=400, output_schema=SCHEMA)


@dataclass
class Night:
    """A desk, an API, and a clock that only sleeping moves."""

    desk: Desk
    api: MessagesApi = field(default_factory=MessagesApi)
    now: datetime = datetime(2026, 11, 17, 2, 0, tzinfo=UTC)
    told: list[str] = field(default_factory=list[str])
    pauses: list[float] = field(default_factory=list[float])
    last: ClaudeBatchAgent | None = None

    def __post_init__(self) -> None:
        self.api.clock = self.clock

    def clock(self) -> datetime:
        self.now += timedelta(microseconds=1)
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += timedelta(seconds=seconds)

    @property
    def journal(self) -> Path:
        return self.desk.folder / "batches" / "claude.jsonl"

    def agent(self, *, api_key: str = "test-key", transport: Any = None, **batch: Any) -> ClaudeBatchAgent:
        return ClaudeBatchAgent(
            limits(**batch),
            api_key=api_key,
            clock=self.clock,
            journal=self.journal,
            spool_dir=self.desk.spool,
            transport=transport or httpx2.ASGITransport(app=self.api.app()),
            base_url=self.api.url,
            sleep=self.sleep,
            tell=self.told.append,
        )

    def drain(self, run_id: str = "run-1", *, version: str = "1", usd: str = "10", **settings: Any) -> DrainReport:
        self.last = self.agent(**settings)
        return self.desk.drain(
            self.last,  # pyright: ignore[reportArgumentType]
            run_id=run_id,
            task=batch_task(version),
            budget=NightBudget(Decimal(usd), {OPERATION: Decimal(usd)}),
            limits=Limits(backoff_seconds=0.001),
        )

    def statuses(self) -> list[str]:
        return [batch.status for batch in Journal(self.journal).batches]


@pytest.fixture
def night(tmp_path: Path) -> Night:
    it = Night(Desk(tmp_path / "desk"))
    it.api.url = "http://api.test"
    return it


def fill(night: Night, count: int) -> None:
    write_warehouse(night.desk.warehouse, some_rows(count))


def test_a_queue_is_answered_in_batches_that_fit_at_half_the_price(night: Night) -> None:
    fill(night, 10)
    report = night.drain(most_requests=4)
    assert report.counts["enriched"] == 10
    assert [len(batch.requests) for batch in night.api.batches.values()] == [4, 4, 2]
    for batch in night.api.batches.values():
        TypeAdapter(BatchCreateParams).validate_python({"requests": batch.requests})
        assert all(len(one["custom_id"]) == 64 for one in batch.requests)
    assert set(night.api.charged.values()) == {1}
    # 100 tokens in at 0.10 and 20 out at 0.50 USD per million, halved.
    assert report.cost_usd == 10 * Decimal("0.00001")
    assert night.statuses() == ["collected"] * 3
    keys = night.desk.rows("select input_hash from attempts")
    assert {key for (key,) in keys} == set(night.api.charged), "custom ids are the ledger's keys"
    assert night.drain("run-2").asked == 0
    assert isinstance(night.last, Agent)
    assert isinstance(night.last, HasRemarks)


def test_a_batch_is_split_by_bytes(night: Night) -> None:
    rows = [Row(f"hubspot:contact:{number}", f"Word{number} " + "x" * 400_000) for number in range(5)]
    write_warehouse(night.desk.warehouse, rows)
    night.drain(most_megabytes=1)
    sizes = [len(json.dumps(batch.requests)) for batch in night.api.batches.values()]
    assert len(sizes) == 3
    assert max(sizes) <= 1024 * 1024


def test_the_prefix_is_kept_for_an_hour_where_several_calls_share_it(night: Night) -> None:
    fill(night, 10)
    night.drain()
    assert night.api.bodies[0]["system"][0]["cache_control"] == {"type": "ephemeral", "ttl": "1h"}
    fill(night, 2)
    night.drain("run-2", version="2")
    assert "cache_control" not in night.api.bodies[-1]["system"][0]


def test_looks_come_further_and_further_apart(night: Night) -> None:
    fill(night, 2)
    night.api.looks = 9
    night.drain()
    assert night.pauses[:3] == [10, 15, 22.5]
    assert max(night.pauses) <= 120
    assert any("1 batches with the provider" in line for line in night.told)


def test_every_kind_of_result_becomes_what_it_is(night: Night) -> None:
    fill(night, 7)
    seen: dict[str, int] = {}
    error = {"type": "error", "error": {"type": "invalid_request_error", "message": "too long"}}
    overloaded = {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}

    def outcome(key: str, body: dict[str, Any]) -> dict[str, Any] | None:
        number = int(body["messages"][0]["content"].split()[0].removeprefix("Word"))
        seen[key] = seen.get(key, 0) + 1
        first = seen[key] == 1
        if number == 1:
            return {"type": "errored", "error": error}
        if number == 2 and first:
            return {"type": "errored", "error": overloaded}
        if number == 3 and first:
            return {"type": "expired"}
        if number == 4:
            return {"type": "canceled"}
        return None

    def say(body: dict[str, Any]) -> dict[str, Any]:
        number = int(body["messages"][0]["content"].split()[0].removeprefix("Word"))
        if number == 5:
            return message(body, "", stop_reason="refusal")
        if number == 6:
            return message(body, '{"lev', stop_reason="max_tokens")
        return first_word(body)

    night.api.outcome, night.api.say = outcome, say
    report = night.drain()
    outcomes = {record_id.rsplit(":", 1)[1]: found for record_id, (found, _) in night.desk.outcomes().items()}
    assert outcomes == {
        "0": "enriched",
        "1": "failed",
        "2": "enriched",
        "3": "enriched",
        "4": "failed",
        "5": "rejected",
        "6": "rejected",
    }
    assert report.counts["failed"] == 2
    tries = dict(night.desk.rows("select split_part(record_id, ':', 3), count(*) from attempts group by all"))
    assert (tries["1"], tries["2"], tries["3"], tries["4"]) == (1, 2, 2, 4)
    unpaid = night.desk.rows("select sum(cost_usd) from attempts where status = 'provider_error'")
    assert unpaid == [(0,)]
    assert set(night.api.charged.values()) == {1}


def test_duplicates_strangers_and_broken_streams_do_no_harm(night: Night) -> None:
    fill(night, 5)
    night.api.twice, night.api.broken = True, 2
    report = night.drain()
    assert (report.asked, report.counts["enriched"]) == (5, 5)
    assert night.desk.rows("select count(*) from attempts") == [(5,)]
    assert any("broke off" in line for line in night.told)


def test_a_result_that_is_missing_is_asked_again(night: Night) -> None:
    fill(night, 3)
    night.api.looks = 99

    def process(number: int) -> None:
        if number == 1:
            night.api.looks = 1
        return None

    night.api.on_create = process
    original = MessagesApi._looked_at  # pyright: ignore[reportPrivateUsage]

    def forgetful(api: MessagesApi, batch: Any) -> None:
        original(api, batch)
        if batch.id == "msgbatch_0000" and batch.results:
            batch.results = batch.results[:2]

    night.api._looked_at = forgetful.__get__(night.api)  # pyright: ignore[reportAttributeAccessIssue, reportPrivateUsage]
    report = night.drain()
    assert report.counts["enriched"] == 3
    assert [len(batch.requests) for batch in night.api.batches.values()] == [3, 1]


def test_a_wait_that_is_too_long_stops_with_a_clear_error_and_the_next_run_collects(night: Night) -> None:
    fill(night, 6)
    night.api.looks = 10**6
    with pytest.raises(NightdeskError, match="1 batches with 6 calls are still with the provider after 2 hours") as it:
        night.drain(longest_wait_hours=2)
    assert "next run collects" in it.value.todo
    assert open_calls(night.journal, OPERATION) == 6
    night.api.looks = 1
    report = night.drain("run-2")
    assert report.counts["enriched"] == 6
    assert night.api.creates == 1
    assert set(night.api.charged.values()) == {1}


def test_what_has_ended_when_the_wait_is_over_is_kept(night: Night) -> None:
    fill(night, 6)
    slow = night.api._looked_at  # pyright: ignore[reportPrivateUsage]
    is_slow = True

    def looked_at(batch: Any) -> None:
        if batch.id == "msgbatch_0001" and is_slow:
            return
        slow(batch)

    night.api._looked_at = looked_at  # pyright: ignore[reportAttributeAccessIssue, reportPrivateUsage]
    with pytest.raises(NightdeskError, match="still with the provider"):
        night.drain(most_requests=3, longest_wait_hours=1)
    assert night.desk.rows("select count(*) from answers") == [(3,)]
    is_slow = False
    assert night.drain("run-2").counts == {**night.drain("run-3").counts, "enriched": 3, "unchanged": 3}
    assert night.api.creates == 2
    assert set(night.api.charged.values()) == {1}


def timed_out(status: int = 504) -> Response:
    return JSONResponse({"type": "error", "error": {"type": "timeout_error", "message": "slow"}}, status_code=status)


def test_a_creation_without_an_answer_is_looked_for_and_not_sent_again(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Among batches of others, page by page, and with a provider whose clock is behind ours."""
    from enrich.agents import batch_provider

    monkeypatch.setattr(batch_provider, "_PAGE", 2)
    fill(night, 5)
    night.api.clock = lambda: night.clock() - timedelta(minutes=5)
    for other in range(5):
        foreign: list[dict[str, Any]] = [{"custom_id": f"other-{other}-{number}", "params": {}} for number in range(5)]
        night.api.make(foreign)
    night.api.outcome = lambda key, body: {"type": "canceled"} if key.startswith("other") else None
    night.api.on_create = lambda number: (True, timed_out()) if number == 1 else None
    report = night.drain()
    assert report.counts["enriched"] == 5
    assert night.api.creates == 1
    assert set(night.api.charged.values()) == {1}
    assert any("was found again" in warning for warning in report.warnings)


def test_a_creation_that_never_arrived_is_sent_again_once_that_is_sure(night: Night) -> None:
    fill(night, 5)
    night.api.on_create = lambda number: (False, timed_out()) if number == 1 else None
    began = night.now
    report = night.drain()
    assert report.counts["enriched"] == 5
    assert night.api.creates == 2
    assert night.now - began >= timedelta(seconds=120), "it may still appear for a while"
    assert night.statuses() == ["lost", "collected"]


def test_a_creation_that_was_refused_is_the_runners_to_retry(night: Night) -> None:
    fill(night, 3)
    night.api.on_create = lambda number: (False, timed_out(429)) if number == 1 else None
    assert night.drain().counts["enriched"] == 3
    assert night.statuses() == ["refused", "collected"]
    fill(night, 4)
    night.api.on_create = lambda number: (False, timed_out(401))
    with pytest.raises(NightdeskError, match="refuses to work"):
        night.drain("run-2")
    assert night.statuses() == ["refused", "collected", "refused"]


def test_answers_to_questions_that_nobody_asks_any_more_are_booked_and_kept(night: Night) -> None:
    fill(night, 4)
    night.api.looks = 10**6
    with pytest.raises(NightdeskError, match="still with the provider"):
        night.drain(longest_wait_hours=1)
    night.api.looks = 1
    rows = [*some_rows(3), Row("hubspot:contact:3", "Changed words of a context")]
    write_warehouse(night.desk.warehouse, rows)
    report = night.drain("run-2")
    assert report.counts["enriched"] == 4
    assert any("nobody asks any more" in warning for warning in report.warnings)
    assert night.desk.rows("select count(*) from attempts where run_id like 'batch-%'") == [(0,)]
    assert night.drain("run-3").replayed == 1, "the next replay books it"
    booked = night.desk.rows("select record_id, cost_usd > 0, error from attempts where run_id like 'batch-%'")
    assert [(record_id, is_paid) for record_id, is_paid, _ in booked] == [("hubspot:contact:3", True)]
    assert "Not checked" in booked[0][2]
    assert sum(night.api.charged.values()) == 5
    # The old words come back: the answer is there, and paid for.
    fill(night, 4)
    report = night.drain("run-4")
    assert (report.asked, report.cost_usd, report.counts["enriched"]) == (1, 0, 1)
    assert sum(night.api.charged.values()) == 5


def test_a_batch_of_which_nothing_is_due_is_collected_for_its_cost(night: Night) -> None:
    fill(night, 3)
    night.api.looks = 10**6
    with pytest.raises(NightdeskError):
        night.drain(longest_wait_hours=1)
    night.api.looks = 1
    agent = night.agent()
    assert agent.open_calls(OPERATION) == 3
    anyio.run(agent.collect, OPERATION)
    assert agent.open_calls(OPERATION) == 0
    write_warehouse(night.desk.warehouse, [])
    assert night.drain("run-2").replayed == 3
    assert night.desk.rows("select count(*) from attempts where cost_usd > 0") == [(3,)]


def test_live_calls_do_not_pay_for_what_is_in_a_batch(night: Night) -> None:
    fill(night, 3)
    night.api.looks = 10**6
    with pytest.raises(NightdeskError):
        night.drain(longest_wait_hours=1)
    live = ClaudeAgent(
        limits(),
        api_key="test-key",
        clock=night.clock,
        transport=httpx2.ASGITransport(app=night.api.app()),
        in_batches=lambda operation: open_calls(night.journal, operation),
    )
    with pytest.raises(NightdeskError, match="3 calls of `lead_quality` are with the provider in batches"):
        night.desk.drain(live, run_id="run-2", task=batch_task())  # pyright: ignore[reportArgumentType]
    night.api.looks = 1
    night.drain("run-3")
    report = night.desk.drain(live, run_id="run-4", task=batch_task())  # pyright: ignore[reportArgumentType]
    assert report.asked == 0, "what a batch was answered, a live call does not ask again"


def test_a_batch_of_another_account_is_an_error_and_nothing_is_sent(night: Night) -> None:
    fill(night, 3)
    night.api.looks = 10**6
    with pytest.raises(NightdeskError):
        night.drain(longest_wait_hours=1)
    night.api.batches.clear()
    with pytest.raises(NightdeskError, match="does not know batch msgbatch_0000"):
        night.drain("run-2")
    assert night.api.creates == 1


def test_results_that_are_gone_are_asked_again(night: Night) -> None:
    fill(night, 3)
    night.api.looks = 10**6
    with pytest.raises(NightdeskError):
        night.drain(longest_wait_hours=1)
    night.api.looks = 1
    night.api.batches["msgbatch_0000"].archived = True
    report = night.drain("run-2")
    assert report.counts["enriched"] == 3
    assert any("are gone" in warning for warning in report.warnings)


class Box:
    """One thing to look up."""

    tools = (
        Tool(
            "look",
            "Looks.",
            {"type": "object", "properties": {"what": {"type": "string"}}, "required": ["what"]},
        ),
    )
    most_steps, most_searches = 2, 0

    def call(self, name: str, arguments_json: str) -> ToolResult:
        return ToolResult(f"seen {json.loads(arguments_json)['what']}")

    def found(self, pages: Sequence[WebPage]) -> ToolResult:
        return ToolResult("")


def test_a_loop_takes_a_batch_per_step(night: Night) -> None:
    fill(night, 4)

    def say(body: dict[str, Any]) -> dict[str, Any]:
        shown = body["messages"][0]["content"][0]["text"]
        steps = len(body["messages"]) // 2
        number = int(shown.split()[0].removeprefix("Word"))
        if steps < number:  # record 0 answers at once, record 3 wants more than it may have
            used = {"type": "tool_use", "id": f"t{steps}", "name": "look", "input": {"what": f"it {steps}"}}
            return message(body, "", content=[used], stop_reason="tool_use")
        return message(body, json.dumps({"level": "influencer", "quote": shown.split()[0]}))

    night.api.say = say

    def check_steps(text: str, context: str, record_id: str, shown: object) -> CheckedAnswer:
        return check(text, context, record_id)

    def open_box(connection: object, row: object) -> Box:
        return Box()

    looped = replace(batch_task(), toolbox=open_box, check_steps=check_steps)
    night.last = night.agent()
    report = night.desk.drain(
        night.last,  # pyright: ignore[reportArgumentType]
        task=looped,
        budget=NightBudget(Decimal(10), {OPERATION: Decimal(10)}),
    )
    assert [len(batch.requests) for batch in night.api.batches.values()] == [4, 3, 2]
    assert (report.counts["enriched"], report.counts["rejected"]) == (3, 1)
    assert night.api.bodies[-1]["tool_choice"] == {"type": "none"}
    assert set(night.api.charged.values()) == {1}
    assert night.statuses() == ["collected"] * 3


def test_the_journal_holds_ids_and_hashes_and_no_word_of_a_customer(night: Night) -> None:
    rows = [Row(f"hubspot:contact:{number}", f"Word{number} budget is frozen until July") for number in range(3)]
    write_warehouse(night.desk.warehouse, rows)
    night.drain()
    text = night.journal.read_text()
    assert "hubspot:contact:1" in text
    assert not any(word in text for word in ("Word", "budget", "frozen", "test-key", "influencer"))


def test_a_torn_last_line_is_not_read_and_not_written_after(night: Night) -> None:
    fill(night, 3)
    night.drain()
    with night.journal.open("a") as file:
        file.write('{"kind":"intent","inte')
    assert night.statuses() == ["collected"]
    fill(night, 5)
    night.drain("run-2")
    assert night.statuses() == ["collected", "collected"]
    night.journal.write_text("{}\n" + night.journal.read_text())
    fill(night, 6)
    with pytest.raises(NightdeskError, match="Line 1 of the batch journal cannot be read"):
        night.drain("run-3")


def test_a_journal_that_has_grown_keeps_what_matters(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    from enrich.agents import batch_journal

    fill(night, 30)
    night.drain(most_requests=5)
    fill(night, 31)
    night.api.looks = 10**6
    with pytest.raises(NightdeskError):
        night.drain("run-2", longest_wait_hours=1)
    before = night.journal.stat().st_size
    monkeypatch.setattr(batch_journal, "_REWRITE_FROM_BYTES", 100)
    night.api.looks = 1
    night.drain("run-3")
    assert night.journal.stat().st_size < before / 2
    assert night.statuses() == ["collected"] * 7
    assert sum(night.api.charged.values()) == 31


def test_over_budget_records_are_left_and_the_rest_is_sent(night: Night) -> None:
    fill(night, 10)
    one = night.agent().worst_case_usd(
        batch_task().open(_queue_row(), None).pending()[0]  # pyright: ignore[reportArgumentType]
    )
    report = night.drain(usd=str(one * 3))
    assert report.counts["enriched"] >= 3
    assert report.counts["failed"] == 0
    assert sum(report.counts.values()) == 10
    assert report.cost_usd <= one * 3


def _queue_row(number: int = 1) -> QueueRow:
    return QueueRow(
        "contact", f"hubspot:contact:{number}", f"Word{number} of a context", "c", sha256_hex(str(number)), 0
    )


def requests_of(count: int) -> list[AgentRequest]:
    opened = [batch_task().open(_queue_row(number), None) for number in range(count)]  # pyright: ignore[reportArgumentType]
    return [question.pending()[0] for question in opened]


def test_results_that_nobody_spooled_are_read_again_and_not_paid_again(night: Night) -> None:
    """A full disk between the answer and the spool."""

    async def ask_and_lose() -> int:
        agent = night.agent()
        await agent.prepare(OPERATION)
        answered = await agent.ask(requests_of(3))
        await agent.aclose()
        return sum(response.status == "ok" for response in answered)

    assert [anyio.run(ask_and_lose) for _ in range(2)] == [3, 3]
    assert night.statuses() == ["ended"]
    assert night.api.creates == 1


def test_leftovers_are_booked_once_whenever_the_process_dies(night: Night) -> None:
    fill(night, 4)
    night.api.looks = 10**6
    with pytest.raises(NightdeskError):
        night.drain(longest_wait_hours=1)
    night.api.looks = 1

    def dying(reached: str) -> None:
        if reached == "leftovers":
            raise KeyboardInterrupt

    agent = night.agent()
    agent._checkpoint = dying  # pyright: ignore[reportPrivateUsage]
    with pytest.raises(KeyboardInterrupt):
        anyio.run(agent.collect, OPERATION)
    assert night.statuses() == ["ended"]
    anyio.run(night.agent().collect, OPERATION)
    assert night.statuses() == ["collected"]
    write_warehouse(night.desk.warehouse, [])
    night.drain("run-2")
    night.drain("run-3")
    booked = night.desk.rows("select count(*), count(distinct input_hash) from attempts where cost_usd > 0")
    assert booked == [(4, 4)]


def test_a_second_ask_of_the_same_drain_finds_what_the_first_one_read(night: Night) -> None:
    """Money that runs short cuts a queue into several asks."""
    fill(night, 4)
    night.api.looks = 10**6
    with pytest.raises(NightdeskError):
        night.drain(longest_wait_hours=1)
    night.api.looks = 1
    keys = list(Journal(night.journal).batches[0].calls)

    async def ask_twice() -> list[str]:
        agent = night.agent()
        await agent.prepare(OPERATION)
        requests = [replace(request, input_hash=key) for request, key in zip(requests_of(4), keys, strict=True)]
        answered = [*await agent.ask(requests[:1]), *await agent.ask(requests[1:3])]
        await agent.aclose()
        return [response.status for response in answered]

    assert anyio.run(ask_twice) == ["ok"] * 3
    assert night.api.creates == 1
    assert set(night.api.charged.values()) == {1}
