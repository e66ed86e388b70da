"""A CRM that no load reads: what it holds is asked at planning, refusals are named, and undoing finds what is ours."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from nightdesk.errors import NightdeskError
from nightdesk.ledger import connect, migrate
from nightdesk.policy import Policy
from reverse_etl import anchors, audit, retry, setup
from reverse_etl import plan as planning
from reverse_etl.apply import ApplyReport, apply
from reverse_etl.approve import approve
from reverse_etl.plan import PlanSummary
from reverse_etl.rollback import plan_rollback
from reverse_etl.select import Selection
from reverse_etl.verify import verify
from tests.reverse_kit import AS_OF, ManualTime, row
from tests.target_kit import REPLY, SCORE, TIER, MemoryTarget, two_crms, wanted


@dataclass
class Room:
    """One org in memory, a ledger, and what drives them."""

    folder: Path
    policy: Policy
    crm: MemoryTarget
    clock: ManualTime
    ledger: duckdb.DuckDBPyConnection

    def plan(self, *rows: dict[str, Any]) -> PlanSummary:
        self.clock.now += timedelta(seconds=1)
        path = wanted(self.folder / "warehouse.duckdb", rows)
        return planning.make(path, self.ledger, self.crm, self.policy, "run-1", AS_OF, "nightdesk", self.clock)

    def write(self, made: PlanSummary) -> ApplyReport:
        self.clock.now += timedelta(seconds=1)
        if made.counts["decision"].get("require_approval"):
            approve(self.ledger, made.plan_id, Selection(), "Dana", "revops", self.policy, self.clock)
        return apply(
            self.ledger, made.plan_id, self.crm, self.policy, "Dana", False, self.clock, sleep=self.clock.sleep
        )

    def undo(self, *terms: str, every: bool = False) -> PlanSummary:
        self.clock.now += timedelta(seconds=1)
        return plan_rollback(
            self.ledger, None, self.crm, self.policy, "run-2", AS_OF, "nightdesk", self.clock,
            select=Selection.parse(terms), every=every,
        )  # fmt: skip

    def results(self) -> dict[tuple[str, str], tuple[str, str | None, str | None]]:
        """Result, refusal and message of the newest apply, by record and field."""
        found = self.ledger.execute(
            """
            select record_id, property, result, refusal, message
            from op_results inner join apply_runs using (apply_run_id) inner join plan_ops using (plan_id, op_id)
            where apply_run_id = (
                select apply_run_id from apply_runs where not dry_run order by started_at desc limit 1
            )
            """
        ).fetchall()
        return {(record, name): (result, refusal, message) for record, name, result, refusal, message in found}


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    policy, clock = two_crms(tmp_path / "policies"), ManualTime()
    crm = MemoryTarget(policy)
    for number in range(1, 5):
        crm.add("Contact", f"003{number}")
        crm.add("Lead", f"00Q{number}")
    migrate(tmp_path / "ledger.duckdb", clock)
    with connect(tmp_path / "ledger.duckdb") as ledger:
        setup.apply(crm, policy, ledger=ledger, clock=clock)
        yield Room(tmp_path, policy, crm, clock, ledger)


def contact(record: str, name: str, value: str, **more: Any) -> dict[str, Any]:
    return row(record, name, value, object_type="Contact", **more)


def lead(record: str, name: str, value: str, **more: Any) -> dict[str, Any]:
    return row(record, name, value, object_type="Lead", **more)


# planning -------------------------------------------------------------------------------------------------------------


def test_what_the_crm_holds_is_asked_and_what_is_equal_is_not_planned(room: Room) -> None:
    room.crm.edit("Contact", "0031", SCORE, "72.0")
    room.crm.edit("Contact", "0032", SCORE, "11")
    made = room.plan(contact("0031", SCORE, "72"), contact("0032", SCORE, "40"), contact("0033", SCORE, "50"))
    assert (made.crm, made.operation_count, made.left_out) == ("salesforce", 2, {"equal already": 1})
    # a value that was there before us is somebody's; an empty field is free
    assert made.counts["conflict_class"] == {"changed_by_other": 1, "new": 1}
    before = dict(room.ledger.execute("select record_id, before_value from plan_ops").fetchall())
    assert before == {"0032": "11", "0033": None}


def test_after_an_apply_the_same_wishes_are_no_plan(room: Room) -> None:
    rows = [contact("0031", SCORE, "72"), contact("0031", TIER, "B"), lead("00Q1", SCORE, "40")]
    assert room.write(room.plan(*rows)).counts == {"applied": 3}
    again = room.plan(*rows)
    assert (again.operation_count, again.exit_code) == (0, 0)


def test_without_the_crm_such_a_plan_is_not_made(room: Room) -> None:
    path = wanted(room.folder / "warehouse.duckdb", [contact("0031", SCORE, "72")])
    with pytest.raises(NightdeskError, match="needs the CRM"):
        planning.make(path, room.ledger, None, room.policy, "run-1", AS_OF, "nightdesk", room.clock, crm="salesforce")


def test_a_converted_lead_is_written_where_it_lives_now(room: Room) -> None:
    room.crm.converted = {"00Q1": "0031", "00Q2": "0032"}
    made = room.plan(
        lead("00Q1", SCORE, "40"),
        lead("00Q1", REPLY, "positive"),  # contacts have no such field
        lead("00Q2", SCORE, "41"),
        contact("0032", SCORE, "42"),  # the contact has a wish of its own
        lead("00Q3", SCORE, "43"),
    )
    assert made.left_out == {"the record it became has its own": 1}
    assert made.counts["deciding_rule"]["not_on_target"] == 1
    room.write(made)
    assert room.crm.values["Contact", "0031"] == {SCORE: "40"}
    assert room.crm.values["Contact", "0032"] == {SCORE: "42"}
    assert room.crm.values["Lead", "00Q3"] == {SCORE: "43"}


def test_a_lead_converted_between_plan_and_apply_is_named_for_what_it_is(room: Room) -> None:
    made = room.plan(lead("00Q1", SCORE, "40"), lead("00Q2", SCORE, "41"))
    room.crm.converted = {"00Q1": "0031"}
    room.write(made)
    assert room.results()["00Q1", SCORE][:2] == ("refused", "converted")
    assert "converted to Contact 0031" in str(room.results()["00Q1", SCORE][2])
    assert room.results()["00Q2", SCORE][0] == "applied"


# refusals -------------------------------------------------------------------------------------------------------------


def test_a_locked_record_is_tried_again_and_named_when_it_stays_locked(room: Room) -> None:
    made = room.plan(contact("0031", SCORE, "40"), contact("0032", SCORE, "41"))
    room.crm.refusing = {"0031": ["locked"], "0032": ["locked"] * 9}
    report = room.write(made)
    assert report.counts == {"applied": 1, "refused": 1} and report.exit_code == 6
    assert room.results()["0032", SCORE] == ("refused", "locked", "said locked")
    assert room.clock.waited  # not hammered


def test_a_record_that_moved_on_is_read_again_and_only_our_field_decides(room: Room) -> None:
    made = room.plan(contact("0031", SCORE, "40"), contact("0032", SCORE, "41"))

    def meanwhile() -> None:
        room.crm.edit("Contact", "0031", "Phone", "+49 30 1")  # somebody else's field
        room.crm.edit("Contact", "0032", SCORE, "99")  # ours

    room.crm.before_write = [meanwhile]
    report = room.write(made)
    assert report.counts == {"applied": 1, "conflict": 1}
    assert room.crm.values["Contact", "0031"] == {"Phone": "+49 30 1", SCORE: "40"}
    assert room.crm.values["Contact", "0032"] == {SCORE: "99"}


@pytest.mark.parametrize("refusal", ["bad_value", "no_right", "duplicate", "schema", "automation"])
def test_other_refusals_end_at_once_with_their_class(room: Room, refusal: Any) -> None:
    made = room.plan(contact("0031", SCORE, "40"))
    room.crm.refusing = {"0031": [refusal] * 9}
    room.write(made)
    assert room.results()["0031", SCORE] == ("refused", refusal, f"said {refusal}")
    assert len(room.crm.refusing["0031"]) == 8


def test_retry_says_what_to_expect_and_applies_what_can_pass(room: Room) -> None:
    made = room.plan(contact("0031", SCORE, "40"), contact("0032", SCORE, "41"), contact("0033", SCORE, "42"))
    room.crm.refusing = {"0031": ["locked"] * 9, "0032": ["no_right"]}
    room.write(made)
    found = retry.failed(room.ledger, None)
    assert (found.plan_id, found.crm, found.total) == (made.plan_id, "salesforce", 2)
    shown = retry.view(found)
    assert "1 refused (locked): may pass now" in shown and "1 refused (no right): give the" in shown
    room.crm.refusing = {}
    room.clock.now += timedelta(seconds=1)
    again = apply(room.ledger, found.plan_id, room.crm, room.policy, "Dana", False, room.clock, sleep=room.clock.sleep)
    assert again.counts == {"applied": 2, "already_there": 1}
    with pytest.raises(NightdeskError, match="Nothing to try again"):
        retry.failed(room.ledger, None)


# consent --------------------------------------------------------------------------------------------------------------


def test_who_opts_out_is_left_alone_in_every_crm(room: Room) -> None:
    made = room.plan(
        contact("0031", SCORE, "40", subject_id="hubspot:contact:1"),
        contact("0032", SCORE, "41", subject_id="hubspot:contact:2"),
        lead("00Q3", SCORE, "42", subject_id="hubspot:contact:3"),
    )
    room.ledger.execute(
        "insert into suppression values ('hubspot:contact:1', 'fact', 'd#1-2', 'stop', 'run-1', '2026-11-17T06:00:00Z')"
    )
    room.crm.edit("Lead", "00Q3", "HasOptedOutOfEmail", "true")
    assert room.write(made).counts == {"denied": 2, "applied": 1}
    assert "suppression list" in str(room.results()["0031", SCORE][2])
    assert "HasOptedOutOfEmail in the CRM" in str(room.results()["00Q3", SCORE][2])


# undoing and looking again --------------------------------------------------------------------------------------------


def test_everything_of_one_record_or_operation_or_agent_is_undone_over_several_applies(room: Room) -> None:
    room.write(room.plan(contact("0031", SCORE, "40"), lead("00Q1", REPLY, "positive"), contact("0032", SCORE, "1")))
    room.write(room.plan(contact("0031", SCORE, "60", last="40"), contact("0031", TIER, "B")))
    one = room.undo("record:0031", every=True)
    assert one.operation_count == 2
    restored = dict(
        room.ledger.execute("select property, desired_value from plan_ops where plan_id = ?", [one.plan_id]).fetchall()
    )
    assert restored == {SCORE: None, TIER: None}  # what was there before our first write
    assert room.undo("operation:reply_class", every=True).operation_count == 1
    room.ledger.execute(
        "insert into answers select 'a-00Q1', 'reply_class', 'document', 'd', 'h', 'c', 'claude', 'm', 'o', 'p', 'r', "
        "'x', 'enriched', null, 0.9, 1, 0, '2026-11-17T06:00:00Z'"
    )
    assert room.undo("agent:claude", every=True).operation_count == 1
    assert room.undo().operation_count == 2  # the newest apply only
    assert room.write(room.undo(every=True)).counts == {"applied": 4}
    assert room.crm.values["Contact", "0031"] == {SCORE: "", TIER: ""}


def test_drift_looks_at_one_crm(room: Room) -> None:
    room.write(room.plan(contact("0031", SCORE, "40"), contact("0032", SCORE, "41")))
    room.crm.edit("Contact", "0032", SCORE, "5")
    report = verify(room.ledger, room.crm, None, room.clock)
    assert report.counts == {"holds": 1, "changed_by_person": 1}
    other = MemoryTarget(room.policy, crm="tryton")
    assert verify(room.ledger, other, None, room.clock).counts == {}


def test_a_plan_sealed_before_operations_had_a_subject_is_still_whole(room: Room) -> None:
    made = room.plan(contact("0031", SCORE, "40"))
    header = planning.rows(
        room.ledger,
        "select kind, crm, rolls_back_run_id, mapping_hash, policy_hash, schema_hash, guards::varchar as guards "
        "from plans",
    )[0]
    old = planning._stored(room.ledger, made.plan_id, header, planning.FIRST_SEAL)
    room.ledger.execute("update plans set digest = ?", [old])
    assert planning.stored_digest(room.ledger, made.plan_id) == old != made.digest
    room.ledger.execute("update plan_ops set subject_id = 'hubspot:contact:9'")
    assert planning.stored_digest(room.ledger, made.plan_id) != old


# anchors --------------------------------------------------------------------------------------------------------------


def test_the_anchor_in_a_git_history_finds_a_chain_made_anew(room: Room, tmp_path: Path) -> None:
    repository = tmp_path / "anchors"
    repository.mkdir()
    with pytest.raises(NightdeskError, match="git could not keep the anchor"):
        anchors.commit(room.ledger, repository, room.clock)
    for arguments in (["init", "-q"], ["config", "user.email", "audit@example.com"], ["config", "user.name", "Audit"]):
        subprocess.run(["git", "-C", str(repository), *arguments], check=True)
    room.plan(contact("0031", SCORE, "40"))
    first = anchors.commit(room.ledger, repository, room.clock)
    assert first is not None and anchors.commit(room.ledger, repository, room.clock) is None
    room.plan(contact("0031", SCORE, "41"))
    second = anchors.commit(room.ledger, repository, room.clock)
    assert second is not None and second[0] > first[0]
    log = subprocess.run(
        ["git", "-C", str(repository), "log", "--format=%s"], check=True, capture_output=True, text=True
    ).stdout
    assert f"Anchor audit event {second[0]}" in log and f"Anchor audit event {first[0]}" in log
    file = repository / anchors.FILE
    assert audit.verify(room.ledger, file).ok
    room.ledger.execute("delete from audit_anchors")
    room.ledger.execute("delete from audit_events where sequence = (select max(sequence) from audit_events)")
    found = audit.verify(room.ledger, file)
    assert not found.ok and found.first_bad == second[0]
