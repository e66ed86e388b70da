"""OpenLineage events: the spec's shape, one end for each beginning, the same ids when told twice."""

# Rows are kept whole: a table is read across.
# ruff: noqa: E501

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2
import pytest

from nightdesk import ledger, lineage, lineage_datasets, lineage_send, runs
from nightdesk.errors import NightdeskError
from nightdesk.ledger import migrate
from nightdesk.lineage import RunRow, StepEvent
from nightdesk.settings import Settings

RUN = RunRow("20261117T030000Z-abc123", "refresh", date(2026, 11, 17))
URL = "http://receiver.test"


def at(second: int) -> datetime:
    return datetime(2026, 11, 17, 3, tzinfo=UTC) + timedelta(seconds=second)


def row(
    second: int, step: str, event: str, numbers: Mapping[str, float] | None = None, message: str | None = None
) -> StepEvent:
    return StepEvent(step, event, at(second), numbers or {}, message)


NIGHT = [
    row(0, "run", "started"),
    row(1, "load", "started"),
    row(2, "load", "finished", {"contacts": 7, "emails": 0, "load_watermarks": 11, "total_contacts": 400}),
    row(3, "build_wave_1", "started"),
    row(4, "build_wave_1", "finished", {"success": 2, "pass": 1}),
    row(5, "enrich_facts", "started"),
    row(6, "enrich_facts", "finished", {"selected": 9, "asked": 3}),
    row(7, "build_wave_2", "started"),
    row(8, "build_wave_2", "finished", {"success": 2}),
    row(9, "enrich_score", "started"),
    row(10, "enrich_score", "finished", {"selected": 4, "asked": 0}),
    row(11, "build_rest", "started"),
    row(12, "build_rest", "finished", {"success": 1}),
    row(13, "plan", "started"),
    row(14, "plan", "finished", {"operations": 5}),
    row(15, "publish", "started"),
    row(16, "publish", "finished", {"scores": 4}),
    row(17, "run", "finished", {"failed_records": 0}),
]


def model(name: str, reads: list[str], role: str = "", operation: str = "", schema: str = "main") -> dict[str, Any]:
    meta = {"nightdesk": {"role": role, "operation": operation}} if role else {}
    return {
        "resource_type": "model", "name": name, "alias": name, "schema": schema, "config": {"meta": meta},
        "depends_on": {"nodes": reads},
    }  # fmt: skip


def source(name: str, database: str, schema: str, table: str) -> dict[str, Any]:
    return {"name": table, "source_name": name, "database": database, "schema": schema, "identifier": table}


MANIFEST = {
    "nodes": {
        "m.documents": model("documents", ["s.emails"], schema="staging"),
        "m.queue_facts": model("queue_facts", ["m.documents"], "queue", "facts"),
        "m.published_facts": model("published_facts", ["s.facts", "m.queue_facts"], "published", "facts"),
        "m.queue_score": model("queue_score", ["m.published_facts"], "queue", "score"),
        "m.published_score": model("published_score", ["s.answers", "m.queue_score"], "published", "score"),
        "m.sync_hubspot__contacts": model("sync_hubspot__contacts", ["m.published_score"]),
        "t.test": {"resource_type": "test", "name": "t", "depends_on": {"nodes": ["m.documents"]}},
    },
    "sources": {
        "s.emails": source("hubspot", "raw", "hubspot", "emails"),
        "s.facts": source("ledger", "ledger", "main", "facts"),
        "s.answers": source("ledger", "ledger", "main", "answers"),
    },
}  # fmt: skip


def told(
    rows: list[StepEvent], run: RunRow = RUN, manifest: Mapping[str, Any] | None = MANIFEST
) -> list[lineage.Event]:
    spoken = lineage_datasets.Spoken(answered=frozenset({"facts"}))
    data = lineage_datasets.of_run(run, rows, manifest, crm_url="https://crm.test", spoken=spoken)
    return lineage.events(run, rows, data)


def check_shape(event: lineage.Event) -> None:
    """What OpenLineage 2-0-2 requires of a RunEvent, and of every facet."""
    assert set(event) == {"eventType", "eventTime", "producer", "schemaURL", "run", "job", "inputs", "outputs"}
    assert event["eventType"] in {"START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", event["eventTime"])
    assert event["schemaURL"] == "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
    assert str(UUID(event["run"]["runId"])) == event["run"]["runId"]
    assert event["job"]["namespace"] and event["job"]["name"]
    for dataset in [*event["inputs"], *event["outputs"]]:
        assert dataset["namespace"] and dataset["name"]
    facets = [*event["run"]["facets"].values(), *event["job"]["facets"].values()]
    facets += [facet for dataset in event["outputs"] for facet in dataset.get("outputFacets", {}).values()]
    for facet in facets:
        assert facet["_producer"] == event["producer"] and re.match(r"urn:nightdesk:\d", facet["_producer"])
        assert re.fullmatch(r"https://openlineage\.io/spec/[\w./-]+\.json#/\$defs/\w+", facet["_schemaURL"])
    assert json.loads(json.dumps(event)) == event


def names(event: lineage.Event, side: str) -> set[str]:
    return {f"{dataset['namespace']}/{dataset['name']}" for dataset in event[side]}


def test_every_event_has_the_shape_of_the_spec_and_every_step_its_end() -> None:
    events = told(NIGHT)
    for event in events:
        check_shape(event)
    assert len(events) == len(NIGHT)
    by_run: dict[str, list[str]] = {}
    for event in events:
        by_run.setdefault(event["run"]["runId"], []).append(event["eventType"])
    assert set(map(tuple, by_run.values())) == {("START", "COMPLETE")} and len(by_run) == 9
    parent = lineage.run_uuid(RUN.run_id)
    steps = [event for event in events if event["job"]["name"] != "refresh"]
    assert {event["run"]["facets"]["parent"]["run"]["runId"] for event in steps} == {parent}
    assert events[0]["run"]["runId"] == parent and "parent" not in events[0]["run"]["facets"]


def test_told_twice_is_the_same_and_another_run_is_another() -> None:
    assert lineage.as_lines(told(NIGHT)) == lineage.as_lines(told(NIGHT))
    other = told(NIGHT, RunRow("20261118T030000Z-abc123", "refresh", date(2026, 11, 18)))
    assert not {event["run"]["runId"] for event in other} & {event["run"]["runId"] for event in told(NIGHT)}


def test_datasets_follow_the_night_from_the_crm_to_the_published_file() -> None:
    ends = {event["job"]["name"]: event for event in told(NIGHT) if event["eventType"] == "COMPLETE"}
    load = ends["refresh.load"]
    assert names(load, "inputs") == {"https://crm.test/contacts", "https://crm.test/emails"}
    rows = {item["name"]: item["outputFacets"]["outputStatistics"]["rowCount"] for item in load["outputs"]}
    assert rows == {"hubspot.contacts": 7, "hubspot.emails": 0, "hubspot.load_watermarks": 11}
    assert names(ends["refresh.build_wave_1"], "inputs") == {"duckdb://raw/hubspot.emails"}
    assert names(ends["refresh.build_wave_1"], "outputs") == {
        "duckdb://warehouse/staging.documents", "duckdb://warehouse/main.queue_facts",
    }  # fmt: skip
    assert names(ends["refresh.enrich_facts"], "inputs") == {"duckdb://warehouse/main.queue_facts"}
    assert "duckdb://ledger/main.facts" in names(ends["refresh.enrich_facts"], "outputs")
    # The second wave reads what the first one's agent wrote; an agent that said nothing wrote outcomes only.
    assert "duckdb://ledger/main.facts" in names(ends["refresh.build_wave_2"], "inputs")
    assert names(ends["refresh.enrich_score"], "outputs") == {"duckdb://ledger/main.outcomes"}
    assert names(ends["refresh.plan"], "inputs") == {"duckdb://warehouse/main.sync_hubspot__contacts"}
    assert names(ends["refresh.publish"], "outputs") == {"file/published/scores.parquet"}
    built = [
        item for step in ("build_wave_1", "build_wave_2", "build_rest") for item in ends[f"refresh.{step}"]["outputs"]
    ]
    assert Counter(item["name"] for item in built).most_common(1)[0][1] == 1


def test_without_a_manifest_the_builds_are_told_without_datasets() -> None:
    ends = {event["job"]["name"]: event for event in told(NIGHT, manifest=None) if event["eventType"] == "COMPLETE"}
    assert ends["refresh.build_rest"]["outputs"] == [] and ends["refresh.load"]["outputs"]


def test_a_failed_step_carries_its_message_and_fails_the_run() -> None:
    events = told(
        [*NIGHT[:2], row(2, "load", "failed", {}, "The CRM says 401"), row(3, "run", "failed", {}, "The CRM says 401")]
    )
    assert [event["eventType"] for event in events] == ["START", "START", "FAIL", "FAIL"]
    for event in events[2:]:
        check_shape(event)
        assert event["run"]["facets"]["errorMessage"]["message"] == "The CRM says 401"


def test_a_step_killed_and_begun_again_aborts_the_first_try() -> None:
    events = told(
        [*NIGHT[:2], row(9, "run", "started", None, "resumed"), row(10, "load", "started"), row(11, "load", "finished")]
    )
    assert [event["eventType"] for event in events] == ["START", "START", "RUNNING", "ABORT", "START", "COMPLETE"]
    first, second = events[1]["run"]["runId"], events[4]["run"]["runId"]
    assert first != second and events[3]["run"]["runId"] == first and events[5]["run"]["runId"] == second


class Receiver:
    """Answers with a status, or not at all."""

    def __init__(self, answers: list[int | Exception]) -> None:
        self.answers = answers
        self.seen: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.seen.append((str(request.url), json.loads(request.content)))
        answer = self.answers[min(len(self.seen), len(self.answers)) - 1]
        if isinstance(answer, Exception):
            raise answer
        return httpx2.Response(answer)


@pytest.mark.parametrize(
    ("answers", "sent", "problem"),
    [
        ([201], 18, None),
        ([201, 500], 2, "answers 500 to event 2 of 18"),
        ([httpx2.ConnectError("refused")], 1, "cannot be reached: ConnectError"),
        ([httpx2.ReadTimeout("slow")], 1, "cannot be reached: ReadTimeout"),
    ],
)
def test_a_receiver_that_is_down_costs_one_try(answers: list[int | Exception], sent: int, problem: str | None) -> None:
    receiver = Receiver(answers)
    said = lineage_send.send(URL, told(NIGHT), transport=httpx2.MockTransport(receiver))
    assert len(receiver.seen) == sent
    assert {url for url, _ in receiver.seen} == {f"{URL}/api/v1/lineage"}
    assert [event for _, event in receiver.seen] == told(NIGHT)[:sent]
    assert said is None if problem is None else problem in (said or "")


def test_a_slow_receiver_is_left_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lineage_send, "SECONDS_IN_ALL", 0.0)
    receiver = Receiver([201])
    said = lineage_send.send(URL, told(NIGHT), transport=httpx2.MockTransport(receiver))
    assert said is not None and "slow" in said and len(receiver.seen) < 18


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    found = Settings(_env_file=None, data_dir=tmp_path, openlineage_url="http://127.0.0.1:9")  # pyright: ignore[reportCallIssue]
    migrate(found.ledger, lambda: at(0))
    return found


def test_a_run_of_the_ledger_is_kept_even_when_nobody_listens(settings: Settings, tmp_path: Path) -> None:
    run = runs.start(
        settings.ledger, "refresh", as_of=date(2026, 11, 17), agent="rules", policy_hash="p", clock=lambda: at(1)
    )
    with run.step("load") as numbers:
        numbers["contacts"] = 3
    run.event("run", "finished", {"failed_records": 0})
    problem = lineage_send.after_run(settings, run.run_id, manifest_path=tmp_path / "none.json")
    assert problem is not None and "cannot be reached" in problem
    kept = [json.loads(line) for line in (tmp_path / "lineage" / f"{run.run_id}.ndjson").read_text().splitlines()]
    assert [(event["eventType"], event["job"]["name"]) for event in kept] == [
        ("START", "refresh"), ("START", "refresh.load"), ("COMPLETE", "refresh.load"), ("COMPLETE", "refresh"),
    ]  # fmt: skip
    for event in kept:
        check_shape(event)


def test_lineage_never_fails_a_night(settings: Settings, tmp_path: Path) -> None:
    assert "no run" in (lineage_send.after_run(settings, "nobody") or "")
    run = runs.start(
        settings.ledger, "refresh", as_of=date(2026, 11, 17), agent="rules", policy_hash="p", clock=lambda: at(1)
    )
    (tmp_path / "lineage").write_text("a file where the folder should be")
    assert "could not be kept" in (lineage_send.after_run(settings, run.run_id) or "")
    (tmp_path / "manifest.json").write_text('{"nodes": []}')
    run.event("build_wave_1", "started")
    run.event("build_wave_1", "finished", {"success": 1})
    assert "could not be" in (
        lineage_send.after_run(settings, run.run_id, manifest_path=tmp_path / "manifest.json") or ""
    )


def test_an_apply_says_what_it_wrote_where(settings: Settings) -> None:
    run = runs.start(
        settings.ledger, "apply", as_of=date(2026, 11, 17), agent=None, policy_hash="p", clock=lambda: at(1)
    )
    run.event("run", "finished", {"applied": 2, "conflict": 1})
    with ledger.connect(settings.ledger) as connection:
        connection.execute(
            "insert into apply_runs values ('apply-1', ?, 'plan-1', 'd', false, 'Kim', 1, ?)", [run.run_id, at(1)]
        )
        for number, (kind, result) in enumerate(
            [("contacts", "applied"), ("companies", "altered"), ("contacts", "conflict")]
        ):
            connection.execute(
                "insert into plan_ops by name select 'plan-1' as plan_id, ? as op_id, 'hubspot' as crm, "
                "? as object_type, "
                "'1' as record_id, 'p' as property, 'string' as value_type, 'v' as wire_value, 'new' as conflict_class, "
                "'r' as reason, '[]' as evidence, 0 as evidence_count, 'o' as operation, 'owned' as field_class, 'low' as risk, "
                "2 as autonomy_level, false as is_stale, false as is_suppressed, true as is_namespaced, 'auto' as decision, "
                "'rule' as deciding_rule",
                [str(number), kind],
            )
            connection.execute(
                "insert into op_results by name select 'apply-1' as apply_run_id, ? as op_id, ? as result, ? as recorded_at",
                [str(number), result, at(2)],
            )
    end = lineage_send.tell(settings, run.run_id)[-1]
    counts = {
        item["name"]: item.get("outputFacets", {}).get("outputStatistics", {}).get("rowCount")
        for item in end["outputs"]
    }
    assert counts["contacts"] == 1 and counts["companies"] == 1 and "main.op_results" in counts


def test_a_run_is_found_by_the_beginning_of_its_id(settings: Settings) -> None:
    with ledger.connect(settings.ledger) as connection:
        for run_id in ("20261117T01-a", "20261117T02-b"):
            connection.execute(
                "insert into runs values (?, 'plan', null, date '2026-11-17', null, 'p', ?)",
                [run_id, at(int(run_id[10]))],
            )
    assert lineage.read_run(settings.ledger, None)[0].run_id == "20261117T02-b"
    assert lineage.read_run(settings.ledger, "20261117T01")[0].run_id == "20261117T01-a"
    for text in ("20261117", "nobody"):
        with pytest.raises(NightdeskError):
            lineage.read_run(settings.ledger, text)
