"""Whole nights over both CRMs, a mailbox, transcripts and a calendar: one picture, one score, every no heard."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.sources_world import (
    BUDGET,
    CALLED_OFF,
    CRMS,
    IN_BOTH,
    NEW,
    ONLY_HERE,
    PRIVATE,
    SPOOFED,
    STRANGER,
    SourcesWorld,
    make,
)
from tests.e2e.test_errors import error_of
from tests.e2e.world import AS_OF

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> SourcesWorld:
    """The company before any night."""
    world = SourcesWorld(tmp_path_factory.mktemp("sources") / "company")
    make(world)
    return world


@pytest.fixture(scope="module")
def first(company: SourcesWorld, tmp_path_factory: pytest.TempPathFactory) -> SourcesWorld:
    """The same company after its first night; tests that change something copy it."""
    world = company.copy(tmp_path_factory.mktemp("night") / "world")
    with world.serving_all():
        night = world.run("refresh")
    (world.folder / "night.txt").write_text(night.stdout, encoding="utf-8")
    return world


@pytest.fixture
def night(first: SourcesWorld, tmp_path: Path) -> SourcesWorld:
    return first.copy(tmp_path / "world")


def email_id(world: SourcesWorld, message_id: str) -> str:
    """What the mail of that Message-ID is called."""
    return world.one("raw", "select 'mailbox:email:' || key from mailbox.messages where internet_message_id like ?",
                     [f"%{message_id}%"])  # fmt: skip


def proposed(world: SourcesWorld, crm: str, only: str = "") -> dict[tuple[str, str], str]:
    """(record, property) to the value that the newest plan wants there; what is denied is left out."""
    found = world.rows(
        "ledger",
        "select record_id, property, desired_value from plan_ops where plan_id = ? and decision <> 'denied'",
        [world.plan(crm)],
    )
    return {(record, name): value for record, name, value in found if only in ("", name)}


def test_every_record_of_every_operation_has_one_outcome(first: SourcesWorld) -> None:
    for operation, outcomes in first.outcomes().items():
        queued = first.one("warehouse", f"select count(*) from queue_{operation}")
        assert sum(outcomes.values()) == queued > 0, operation
        assert not outcomes.get("failed"), operation


def test_a_budget_in_a_mail_that_nobody_logged_is_a_fact_with_its_source(first: SourcesWorld) -> None:
    found = first.rows(
        "warehouse",
        "select contact_id, fact_value, quote, is_trusted from facts where predicate = 'budget' and document_id = ?",
        [email_id(first, NEW)],
    )
    assert found == [(first.told()["writer"]["id"], "available", BUDGET, True)]


def test_what_is_private_or_forged_says_nothing_about_anybody(first: SourcesWorld) -> None:
    stranger, forged = email_id(first, STRANGER), email_id(first, SPOOFED)
    assert first.rows("warehouse", "select * from documents where body ilike '%On Friday?%'") == []
    assert first.one("warehouse", "select count(*) from facts where document_id = ?", [stranger]) == 0
    # What a forged mail says is kept as what it is: nobody's word, which counts for nothing and is repeated nowhere.
    facts = first.rows(
        "warehouse", "select contact_id, is_trusted, counted_points::double from facts where document_id = ?", [forged]
    )
    assert set(facts) <= {(None, False, 0.0)}
    repeated = "select count(*) from plan_ops where evidence::varchar like '%75k%' or desired_value like '%75k%'"
    assert first.one("ledger", repeated) == 0
    briefs = "select count(*) from meeting_briefs where brief like '%75k%' or evidence_text like '%75k%'"
    assert first.one("warehouse", briefs) == 0
    ((side,),) = first.rows("warehouse", "select author_side from emails where email_id = ?", [forged])
    assert side == "unknown"


def test_what_stands_in_several_places_is_there_once(first: SourcesWorld) -> None:
    told = first.told()
    subject, author = told["logged"]["subject"], told["logged"]["from"].lower()
    found = first.rows(
        "warehouse",
        "select email_id from emails where subject = ? and from_email = ? and occurred_at::date <= date '2026-11-17' "
        "and email_id in (select document_id from documents where body = ?)",
        [subject, author, first.one("warehouse", "select body from documents where document_id = ?",
                                    [told["logged"]["id"]])],
    )  # fmt: skip
    assert found == [(told["logged"]["id"],)]
    # The org was made from what HubSpot holds: every deal, meeting, note, call and email of it is a second copy.
    for kind in ("meetings", "deals", "notes", "calls", "emails"):
        key = f"{kind.removesuffix('s')}_id"
        assert first.rows("warehouse", f"select {key} from {kind} where {key} like 'salesforce:%'") == [], kind
        standing = first.one("warehouse", f"select count(*) from {kind} where {key} like 'hubspot:%'")
        assert standing >= len(first.objects(kind)) > 0, kind


def test_two_files_of_a_call_are_one_and_a_logged_call_gets_its_words(first: SourcesWorld) -> None:
    only_here = first.rows("warehouse", "select call_id from calls where call_id like 'transcripts:%'")
    assert len(only_here) == 1
    people = first.rows("warehouse", "select distinct contact_id from facts where document_id = ?", list(only_here[0]))
    assert people in ([], [(first.told()["writer"]["id"],)])
    spoken = first.rows("warehouse", "select document_id from documents where body ilike '%pelicans%'")
    assert spoken == [(first.told()["call"]["id"],)]


def test_a_meeting_that_only_a_calendar_knows_gets_its_brief(first: SourcesWorld) -> None:
    told = first.told()
    found = first.rows(
        "warehouse",
        "select meeting_id, title, meeting_date::varchar, is_cancelled from meetings "
        "where meeting_id like 'calendar:%'",
    )
    assert sorted(row[1:] for row in found) == [("Called off", AS_OF, True), ("Next steps", AS_OF, False)]
    (ours,) = (row[0] for row in found if row[1] == "Next steps")
    briefs = {row[0] for row in first.rows("warehouse", "select meeting_id from meeting_briefs")}
    assert {ours, told["met"]["id"]} <= briefs
    assert not {row[0] for row in found if row[1] == "Called off"} & briefs
    copies = first.rows("raw", "select distinct uid from calendar.events")
    assert {ONLY_HERE, IN_BOTH, CALLED_OFF} == {row[0] for row in copies}
    assert "1 not readable" in (first.folder / "night.txt").read_text(encoding="utf-8")


def test_contacts_of_both_crms_are_one_record_with_one_score(first: SourcesWorld) -> None:
    twins = first.twins()
    contacts = {row[0] for row in first.rows("warehouse", "select contact_id from contacts")}
    live = {f"hubspot:contact:{key}" for key in first.objects("contacts")} & set(twins)
    assert live and live <= contacts
    here = {twins[f"hubspot:contact:{key}"] for key, one in first.objects("contacts").items()
            if one.get("email") and f"hubspot:contact:{key}" in twins}  # fmt: skip
    assert not {one for one in contacts if one.startswith("salesforce:") and one.split(":")[2] in here}
    org = proposed(first, "salesforce", "Nightdesk_Lead_Score__c")
    here = {
        twins[f"hubspot:contact:{record}"]: float(value)
        for (record, _), value in proposed(first, "hubspot", "nightdesk_lead_score").items()
        if f"hubspot:contact:{record}" in twins
    }
    there = {record: float(value) for (record, _), value in org.items()}
    assert here == there
    assert len(here) > 5


def test_whoever_said_no_anywhere_is_left_alone_everywhere(first: SourcesWorld) -> None:
    told, twins = first.told(), first.twins()
    flagged = {f"hubspot:contact:{key}" for key, one in first.objects("contacts").items()
               if one.get("hs_email_optout") == "true"}  # fmt: skip
    no = flagged | {told["no_by_mail"]["id"], told["no_in_org"]["id"]}
    no |= {row[0] for row in first.rows("warehouse", "select contact_id from opt_outs where contact_id is not null")}
    heard = first.rows("warehouse", "select source from opt_outs where contact_id = ?", [told["no_by_mail"]["id"]])
    assert {row[0] for row in heard} & {"reply_class", "fact", "linked_person"}
    heard = first.rows("warehouse", "select evidence_id from opt_outs where contact_id = ?", [told["no_in_org"]["id"]])
    assert [row[0].split(":")[2] for row in heard] == [told["no_in_org"]["org_id"]]
    ids = {one.split(":")[2] for one in no if one.startswith("hubspot:")}
    there = {twins[one] for one in no if one in twins} | {one.split(":")[2] for one in no if "salesforce" in one}
    assert told["no_in_org"]["org_id"] in there
    kinds = {"hubspot": ("contacts",), "salesforce": ("Contact", "Lead")}
    for crm, people in (("hubspot", ids), ("salesforce", there)):
        planned = first.rows(
            "ledger",
            "select record_id, object_type, subject_id from plan_ops where plan_id = ? and decision <> 'denied'",
            [first.plan(crm)],
        )
        assert planned
        assert not {record for record, kind, _ in planned if kind in kinds[crm]} & people, crm
        assert not {subject for _, _, subject in planned if subject} & no, crm
    assert email_id(first, PRIVATE)  # it was loaded


def test_both_crms_are_written_checked_and_rolled_back(night: SourcesWorld) -> None:
    untouched = {"hubspot": night.objects("contacts"), "salesforce": night.org_values()}
    expected = {crm: proposed(night, crm) for crm in CRMS}
    with night.serving_all():
        for crm in CRMS:
            night.run("approve", "--all", "--crm", crm, "--as", "maya", "--role", "revops")
            night.run("apply", "--execute", "--crm", crm)
            assert night.run("drift", "--crm", crm).returncode == 0
        kept = {(key, name): value for key, one in night.objects("contacts").items() for name, value in one.items()
                if name == "nightdesk_lead_score" and value}  # fmt: skip
        assert kept == {
            place: value for place, value in expected["hubspot"].items() if place[1] == "nightdesk_lead_score"
        }
        assert {(key, name) for _, key, name in night.org_values() if name == "Nightdesk_Lead_Score__c"} == {
            place for place in expected["salesforce"] if place[1] == "Nightdesk_Lead_Score__c"
        }
        # What we wrote is no news to the next night.
        night.run("refresh")
        assert night.asked() == 0
        for crm in CRMS:
            night.run("rollback", "--crm", crm, expect=3)
            night.run("approve", "--all", "--crm", crm, "--as", "maya", "--role", "revops")
            night.run("apply", "--execute", "--crm", crm)
    assert night.org_values() == untouched["salesforce"] == {}
    ours = {
        (key, name)
        for key, one in night.objects("contacts").items()
        for name, value in one.items()
        if name.startswith("nightdesk_") and value
    }
    assert not ours
    assert "chain is whole" in night.run("audit", "verify").stdout


def test_a_night_without_news_moves_nothing_and_asks_nothing(first: SourcesWorld) -> None:
    # In its place: files that lie elsewhere are other files.
    before = first.end_state()
    with first.serving_all():
        first.run("refresh")
    assert first.asked() == 0
    numbers = json.loads(
        first.one(
            "ledger",
            "select numbers from run_events where run_id = ? and step = 'load' and event = 'finished'",
            [first.last_run()],
        )
    )
    moved = {name: count for name, count in numbers.items() if count and not name.startswith("total_")}
    assert {name for name in moved if not name.endswith(".load_watermarks")} == set(), moved
    after = first.end_state()
    for part in before.keys() - {"outcomes"}:
        assert after[part] == before[part], part


def test_a_mailbox_that_cannot_be_read_stops_the_night_unless_it_may(night: SourcesWorld) -> None:
    (night.exports / "ann.mbox").unlink()
    with night.serving_all():
        assert "ann.mbox" in error_of(night.run("refresh", expect=None))
        night.write_sources(go_on_without=["mailbox"])
        went_on = night.run("refresh", expect=6)
    assert "mailbox could not be read" in went_on.stdout
    assert "ann.mbox" in went_on.stdout


def killed(world: SourcesWorld, *arguments: str, when: Callable[[], bool]) -> None:
    process = world.start(*arguments)
    deadline = time.monotonic() + 120
    while not when() and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()


def test_a_load_that_is_killed_between_sources_ends_like_any_other(
    company: SourcesWorld, first: SourcesWorld, tmp_path: Path
) -> None:
    world = company.copy(tmp_path / "world")

    def loaded(pipeline: str) -> Callable[[], bool]:
        return lambda: (world.data / "dlt" / pipeline).exists()

    with world.serving_all():
        for pipeline in ("nightdesk_hubspot", "salesforce", "mailbox"):
            killed(world, "refresh", when=loaded(pipeline))
        world.run("refresh")
    assert world.end_state() == first.end_state()
