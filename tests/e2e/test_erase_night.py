"""A person is erased between two nights: nothing of them is in any file, and nothing of anybody else has moved."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.world import World
from tests.erase_kit import pieces, scan, subject

_CANDIDATES = """
select to_id
from hubspot.associations
inner join hubspot.contacts on contacts.id = to_id and contacts.email <> '' and contacts.lastname <> ''
where to_object_type = 'contacts' and from_object_type in ('emails', 'calls')
group by to_id
having count(*) filter (from_object_type = 'emails') >= 3 and count(*) filter (from_object_type = 'calls') >= 1
order by count(*) desc, to_id
"""


def _somebody(world: World) -> str:
    """A contact with mails and a call of whom others' answers say something, too."""
    cited = {
        str(row[0])
        for row in world.rows(
            "warehouse",
            """
            select distinct contacts.source_record_id
            from staging.stg_ledger__evidence as evidence
            inner join staging.stg_ledger__answers as answers using (answer_id)
            inner join facts on facts.fact_id = evidence.evidence_id
            inner join contacts on contacts.contact_id = facts.contact_id
            where answers.record_id <> facts.contact_id and answers.operation in ('icp_fit', 'meeting_brief')
            """,
        )
    }
    found = [str(row[0]) for row in world.rows("raw", _CANDIDATES) if str(row[0]) in cited]
    assert found, "the sample company has nobody to erase"
    return found[0]


def _scores(world: World) -> dict[str, tuple[object, object]]:
    return {row[0]: row[1:] for row in world.rows("warehouse", "select contact_id, score, tier from lead_scores")}  # pyright: ignore


@pytest.mark.timeout(600)
@pytest.mark.soak  # test_erase_sources.py and test_erase_rules.py show it on the raw rows of a small company
def test_nothing_of_an_erased_person_is_left_and_nothing_of_others_has_moved(night: World, tmp_path: Path) -> None:
    one = _somebody(night)
    who = subject(night.store, one)
    wanted = pieces(who.texts, who.others)
    assert len(wanted.texts) > 500, "there must be something to look for"
    assert set(scan(night.data / "spool", wanted)) and scan(night.data / "data_docs", wanted) == {}
    before_answers = set(night.rows("ledger", "select answer_id, operation, record_id from answers"))
    before_scores = _scores(night)

    with night.serving():
        night.run("approve", "--all", "--as", "lead", "--role", "revops")
        night.run("apply", "--execute")
        dry = night.run("erase", who.email, expect=2).stdout
        assert "Would be erased" in dry and "nightdesk_" in dry, "what we wrote into the CRM is named"
        assert set(night.rows("ledger", "select answer_id, operation, record_id from answers")) == before_answers
        done = night.run("erase", who.email, "--reason", "ticket 7", "--apply", "--no-build").stdout
        assert "Erased as erasure-" in done
        removed = before_answers - set(night.rows("ledger", "select answer_id, operation, record_id from answers"))
        night.run("refresh")
        assert scan(night.data, wanted) == {}

        # The CRM still holds them; here they are not.
        assert night.crm("select count(*) from objects where object_type = 'contacts' and id = ?", [int(one)]) == [(1,)]
        assert night.one("raw", "select count(*) from hubspot.contacts where id = ?", [one]) == 0
        assert night.one("warehouse", "select count(*) from contacts where source_record_id = ?", [one]) == 0
        night.run("audit", "verify")
        assert "erased before" in night.run("erase", who.email).stdout
        assert "was erased" in night.run("apply", "--execute", _applied(night), expect=4).stderr

    asked = {
        (str(operation), str(record))
        for operation, record in night.rows(
            "ledger", "select operation, record_id from attempts where run_id = ?", [night.last_run()]
        )
    }
    gone = {(str(operation), str(record)) for _, operation, record in removed}
    assert asked <= gone, "only answers that rested on them are asked for again"
    assert {record.split(":")[1] for _, record in asked} & {"company", "meeting"}, "and some are"
    after_scores = _scores(night)
    # Whoever shared a mail or a call with them has one mail or call less to be judged by.
    touched = {record for _, record in gone} | {f"hubspot:contact:{near}" for near in who.near}
    assert {record: score for record, score in before_scores.items() if record not in touched} == {
        record: score for record, score in after_scores.items() if record not in touched
    }
    selected = {
        step.removeprefix("enrich_"): count
        for step, count in night.rows(
            "ledger",
            "select step, (numbers->>'selected')::int from run_events "
            "where run_id = ? and step like 'enrich_%' and event = 'finished'",
            [night.last_run()],
        )
    }
    assert {operation: sum(counts.values()) for operation, counts in night.outcomes().items()} == {
        operation: count for operation, count in selected.items() if count
    }


def _applied(world: World) -> str:
    return world.one("ledger", "select plan_id from apply_runs where not dry_run order by started_at limit 1")
