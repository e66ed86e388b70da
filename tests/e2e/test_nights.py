"""Nights on the sample company through the real commands: the numbers add up, and nothing is asked twice."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.e2e.world import World

OPERATIONS = {
    "extract_facts",
    "reply_class",
    "icp_fit",
    "lead_quality",
    "churn_revisit",
    "meeting_brief",
    "account_deep_dive",
    "contact_background",
}


def test_every_record_of_the_first_night_ends_in_one_outcome(after_first_night: World) -> None:
    world = after_first_night
    outcomes = world.outcomes()
    assert set(outcomes) == OPERATIONS
    selected = {operation: sum(counts.values()) for operation, counts in outcomes.items()}
    # Each operation's records are all there are of their kind; contacts and accounts are held to the raw load below.
    assert selected["lead_quality"] == world.one("warehouse", "select count(*) from contacts")
    assert selected["icp_fit"] == world.one("warehouse", "select count(*) from accounts")
    assert selected["extract_facts"] == world.one("warehouse", "select count(*) from documents")
    assert selected["churn_revisit"] == world.one("warehouse", "select count(*) from queue_churn_revisit")
    assert selected["meeting_brief"] == world.one("warehouse", "select count(*) from queue_meeting_brief")
    for object_type, model in (("contacts", "contacts"), ("companies", "accounts")):
        live = world.one(
            "raw",
            f"""
            select count(*) from hubspot.{object_type}
            where not archived
                and id not in (select merged_id from hubspot.merges where object_type = ?)
                and id not in (select object_id from hubspot.deletions where object_type = ?)
            """,
            [object_type, object_type],
        )
        assert world.one("warehouse", f"select count(*) from {model}") == live
    assert not any(counts.get("failed") or counts.get("over_budget") for counts in outcomes.values())
    assert all(counts.get("enriched") for counts in outcomes.values()), outcomes


def test_a_no_is_on_the_list_before_anything_else_is_asked(after_first_night: World) -> None:
    # A night may die after that: an older plan, approved long ago, must find the no there.
    heard, began = after_first_night.rows(
        "ledger",
        """
        select
            (select max(suppressed_at) from suppression),
            (select min(occurred_at) from run_events where step = 'enrich_lead_quality' and event = 'started')
        """,
    )[0]
    assert heard is not None and heard < began


def test_a_quiet_night_asks_nothing_and_loads_nothing(night: World) -> None:
    before = night.end_state()
    with night.serving():
        night.run("refresh")
    assert night.asked() == 0
    assert not any(counts.get("enriched") for counts in night.outcomes().values())
    numbers = night.one(
        "ledger",
        "select numbers::varchar from run_events where run_id = ? and step = 'load' and event = 'finished'",
        [night.last_run()],
    )
    moved = {name: count for name, count in json.loads(numbers).items() if count and not name.startswith("total_")}
    # The load's own note of when it looked is all that may move.
    assert set(moved) <= {"hubspot.load_watermarks"}
    after = night.end_state()
    assert {name: after[name] for name in after} == before


@pytest.mark.soak  # tests/integration/test_models_build.py shows the same without a CRM
def test_deleting_the_warehouse_loses_nothing_and_asks_nothing(night: World) -> None:
    before = night.end_state()
    (night.data / "warehouse.duckdb").unlink()
    with night.serving():
        night.run("refresh")
    assert night.asked() == 0
    assert night.end_state() == before


@pytest.mark.soak
def test_a_recorded_night_gives_the_same_diff_without_an_agent(night: World) -> None:
    """Somebody without a key, or a reviewer a year later, gets the same changes from the recording alone."""
    before = night.end_state()
    night.extra["NIGHTDESK_AGENT"] = "recorded"
    for name in ("warehouse.duckdb", "ledger.duckdb"):
        (night.data / name).unlink()
    shutil.rmtree(night.data / "spool")
    with night.serving():
        night.run("refresh")
    after = night.end_state()
    assert night.rows("ledger", "select distinct agent, cost_usd::double from attempts") == [("recorded", 0.0)]
    for part in ("facts", "lead_scores", "icp_scores", "changes"):
        assert after[part] == before[part], part


@pytest.mark.soak
def test_after_a_day_of_changes_only_what_changed_is_asked_again(night: World) -> None:
    last_seen = night.one("raw", "select max(hs_timestamp) from hubspot.emails")
    night.run("sandbox", "change", "--share", "0.10")
    with night.serving():
        night.run("refresh")
    asked = dict(
        night.rows(
            "ledger", "select operation, count(*) from attempts where run_id = ? group by all", [night.last_run()]
        )
    )
    assert asked["extract_facts"] > 0
    # Documents: exactly those that are new or edited since the first night.
    strangers = night.rows(
        "ledger",
        """
        select attempts.record_id from attempts
        where attempts.run_id = ? and operation in ('extract_facts', 'reply_class')
            and exists (
                select 1 from answers as earlier
                where earlier.operation = attempts.operation and earlier.record_id = attempts.record_id
                    and earlier.run_id <> attempts.run_id and earlier.input_hash = attempts.input_hash
            )
        """,
        [night.last_run()],
    )
    assert strangers == []
    assert night.one("raw", "select max(hs_timestamp) from hubspot.emails") >= last_seen
    # Contacts and accounts: only those whose own context changed.
    same = night.rows(
        "ledger",
        """
        select attempts.operation, attempts.record_id from attempts
        inner join answers as now using (attempt_id)
        inner join answers as earlier
            on earlier.operation = now.operation and earlier.record_id = now.record_id
            and earlier.run_id <> now.run_id and earlier.context_hash = now.context_hash
        where attempts.run_id = ?
        """,
        [night.last_run()],
    )
    assert same == []
    total = sum(sum(counts.values()) for counts in night.outcomes().values())
    assert sum(asked.values()) < 0.3 * total


def test_the_hostile_messages_move_no_score_beyond_the_cap_and_write_no_field(night: World) -> None:
    import duckdb

    hostile = [
        f"hubspot:{kind.rstrip('s')}:{number}"
        for kind, number in duckdb.connect(str(night.data / "sandbox" / "truth.duckdb"), read_only=True)
        .execute("select document_type, document_id from truth_hostile")
        .fetchall()
    ]
    assert len(hostile) >= 20
    cap = 30.0
    moved = night.rows(
        "warehouse",
        "select document_id, abs(sum(decayed_points)) from facts where document_id in (select unnest(?)) group by all",
        [hostile],
    )
    assert all(points <= cap + 1e-9 for _, points in moved), moved
    written = night.crm("select count(*) from journal where action <> 'define'")
    assert written == [(0,)]
