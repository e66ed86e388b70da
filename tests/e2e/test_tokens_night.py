"""A real night, priced, told as lineage and as provenance."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from nightdesk import policy as policies
from sandbox.evaluation import arms
from tests.e2e.world import PROJECT, World


def test_the_night_is_priced_as_it_was_asked(after_first_night: World) -> None:
    world = after_first_night
    policy = policies.load(PROJECT / "policies")
    truth = world.data / "sandbox" / "truth.duckdb"
    priced = arms.measure(world.data, truth, policy)
    by_run = arms.measure(world.data, truth, policy, run_id=world.last_run())
    # In a first night everything there is to ask was asked by the one run.
    assert by_run.asked == priced.asked and by_run.readings == priced.readings
    outcomes = world.outcomes()
    for operation, count in Counter(line.operation for line in priced.asked).items():
        judged = sum(outcomes[operation].get(name, 0) for name in ("enriched", "rejected"))
        assert judged <= count <= sum(outcomes[operation].values())
    assert len(priced.readings) == world.one(
        "ledger", "select count(distinct input_hash) from attempts where operation = 'extract_facts'"
    )
    for line in priced.asked:
        assert 0 <= line.relevant_covered <= line.covered <= line.known
        spent = {arm: cost.usage.tokens for arm, cost in line.costs.items()}
        # More to read is never cheaper, and nothing is cheaper for being sent again.
        assert spent["dump"] <= spent["dump_full"] and spent["dump_relevant"] <= spent["dump_full"]
        assert spent["loop_wide"] <= spent["loop"] <= spent["loop_full"]
    assert sum(line.covered for line in priced.asked) > 0
    quiet = arms.measure(world.data, truth, policy, run_id="a run that asked nothing")
    assert not quiet.asked and not quiet.readings


def test_every_call_of_the_night_is_borne_by_a_value_or_named(after_first_night: World) -> None:
    borne = after_first_night.one("warehouse", "select sum(call_share) from ai_cost_by_value")
    named = after_first_night.one("warehouse", "select sum(call_count) from ai_cost_unattributed")
    assert borne + named == pytest.approx(after_first_night.one("ledger", "select count(*) from attempts"))
    # What a value remembers is part of it: scores that cite a remark bear its reading.
    assert after_first_night.one("warehouse", "select count(*) from ai_value_questions where role = 'remembered'") > 0


def test_the_lineage_of_the_night_is_what_the_night_did(after_first_night: World) -> None:
    world = after_first_night
    lines = (world.data / "lineage" / f"{world.last_run()}.ndjson").read_text().splitlines()
    ends = {event["job"]["name"]: event for event in map(json.loads, lines) if event["eventType"] == "COMPLETE"}
    steps = world.rows(
        "ledger",
        "select step, numbers::varchar from run_events where run_id = ? and event = 'finished'",
        [world.last_run()],
    )
    assert set(ends) == {"refresh" if step == "run" else f"refresh.{step}" for step, _ in steps}
    built = 0
    for step, numbers in steps:
        if step.startswith("build_"):
            # The datasets are computed from the manifest; dbt counted what it really made.
            assert len(ends[f"refresh.{step}"]["outputs"]) == json.loads(numbers)["success"], step
            built += 1
    assert built >= 3


def test_a_planned_value_leads_back_to_a_sentence(after_first_night: World) -> None:
    world = after_first_night
    record, name = world.rows(
        "ledger",
        """
        select record_id, property from plan_ops
        where object_type = 'companies' and property = 'nightdesk_icp_score' and contains(evidence::varchar, '"f_')
        order by record_id limit 1
        """,
    )[0]
    found = json.loads(world.run("why", f"company:{record}", name, "--format", "prov").stdout)
    spans = [entity for entity in found["entity"].values() if entity["prov:type"]["$"] == "nd:Span"]
    bodies = [row[0] for row in world.rows("warehouse", "select body from documents where body is not null")]
    assert spans and all(any(span["prov:value"] in body for body in bodies) for span in spans)
    assert found["wasDerivedFrom"] and any(name.startswith("nd:load/") for name in found["activity"])
