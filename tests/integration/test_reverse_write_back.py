"""Plan, approve, apply, roll back against the sandbox CRM; what was written is read in the CRM's own journal."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from nightdesk.errors import NightdeskError
from reverse_etl import audit, plan, setup
from reverse_etl.apply import ApplyReport, apply
from reverse_etl.approve import approve, reject
from reverse_etl.rollback import plan_rollback
from reverse_etl.select import Selection
from reverse_etl.verify import verify
from tests.reverse_kit import AS_OF, EVIDENCE, Desk, desk, policies, row

SCORE, TIER, REASON = "nightdesk_lead_score", "nightdesk_lead_tier", "nightdesk_lead_reason"


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Desk]:
    with desk(tmp_path, contacts=5, companies=2, meetings=1) as made:
        yield made


def night() -> list[dict[str, Any]]:
    """Three contacts, one company, one meeting."""
    return [
        *(row(n, SCORE, f"{60 + n}.0") for n in (1, 2, 3)),
        *(row(n, TIER, "B") for n in (1, 2, 3)),
        row(1, "nightdesk_icp_scored_on", "2026-11-16", object_type="companies"),
        row(
            1,
            "nightdesk_brief",
            "Lead with costs.\r\n\r\nThey said “not before July” — 🙂 ' \" \\ ",
            object_type="meetings",
        ),
    ]


def write(room: Desk, plan_id: str | None = None, **more: Any) -> ApplyReport:
    return apply(
        room.ledger, plan_id, room.adapter, room.policy, "Dana", False, room.clock, sleep=room.clock.sleep, **more
    )


def undo(room: Desk, run: str | None = None, **more: Any) -> Any:
    room.clock.now += timedelta(seconds=1)
    return plan_rollback(
        room.ledger, run, room.adapter, room.policy, "run-undo", AS_OF, "nightdesk", room.clock, **more
    )


# plan -----------------------------------------------------------------------------------------------------------------


def test_a_plan_counts_decides_and_says_what_waits(room: Desk) -> None:
    made = room.plan(
        [
            *night(),
            row(4, SCORE, "50", is_suppressed=True),
            row(5, SCORE, "NaN"),
            row(4, TIER, "🙂"),
            row(5, TIER, "C", is_stale=True),
            row(5, REASON, "no source", evidence="[]"),
            row(2, "nightdesk_revisit_trigger", "fired", object_type="companies"),
            row(4, "jobtitle", "CEO"),
            row(4, "nightdesk_last_reply", None),
            row(5, "nightdesk_last_reply", ""),
            row(3, "nightdesk_lead_scored_on", "2026-11-17", crm="2026-11-17T00:00:00Z", last="2026-11-17"),
        ]
    )
    assert made.counts["decision"] == {"require_approval": 9, "denied": 6}
    assert made.counts["deciding_rule"] == {
        "approve_recommendations": 8, "approve_medium_risk": 1, "forbid_no_evidence": 1, "forbid_stale": 1,
        "forbid_suppressed": 1,
        "invalid_value": 2, "unmapped_property": 1,
    }  # fmt: skip
    assert (made.exit_code, made.tripped) == (3, ())
    assert made.left_out == {"nothing wanted": 2, "equal already": 1}
    assert all(sum(part.values()) == made.operation_count == 15 for part in made.counts.values())


def test_the_same_inputs_in_any_order_are_the_same_plan_stored_once(room: Desk) -> None:
    first = room.plan(night())
    again = room.plan(list(reversed(night())))
    assert (again.plan_id, again.digest, again.is_new) == (first.plan_id, first.digest, False)
    changed = room.plan([*night()[:-1], row(1, "nightdesk_brief", "Another", object_type="meetings")])
    assert changed.digest != first.digest and changed.is_new


def test_nothing_that_differs_is_exit_code_zero_and_level_five_needs_nobody(tmp_path: Path) -> None:
    with desk(tmp_path) as room:
        room.promote("lead_quality", 5)
        assert room.plan([]).exit_code == 0
        assert room.plan([row(1, SCORE, "80", crm="80.0", last="80")]).exit_code == 0
        made = room.plan([row(1, SCORE, "80")])
        assert (made.exit_code, made.counts["decision"]) == (2, {"auto": 1})
        assert write(room).counts == {"applied": 1}
        assert room.value(1, SCORE) == "80"


def test_one_field_proposed_twice_stops_the_plan(room: Desk) -> None:
    with pytest.raises(NightdeskError, match=f"`{SCORE}` of contacts 1 is proposed 2 times"):
        room.plan([row(1, SCORE, "1"), row(1, SCORE, "2")])


def test_planning_before_crm_setup_says_what_to_do(tmp_path: Path) -> None:
    with desk(tmp_path, prepared=False) as room:
        with pytest.raises(NightdeskError, match=f"contacts.{SCORE} does not exist in the CRM") as error:
            room.plan([row(1, SCORE, "1")])
        assert "crm setup" in error.value.todo


# apply ----------------------------------------------------------------------------------------------------------------


def test_apply_writes_exactly_the_plan_and_only_once(room: Desk) -> None:
    made = room.plan(night())
    dry = apply(room.ledger, None, room.adapter, room.policy, "Dana", clock=room.clock)
    assert (dry.counts, dry.exit_code, room.journal()) == ({"not_approved": 8}, 3, [])
    room.approve()
    dry = apply(room.ledger, None, room.adapter, room.policy, "Dana", clock=room.clock)
    assert dry.counts == {"would_write": 8} and room.journal() == []

    report = write(room)
    assert (report.counts, report.exit_code, report.total) == ({"applied": 8}, 0, 8)
    wanted = {
        (o["object_type"], o["record_id"], o["property"], "", o["wire_value"])
        for o in plan.load(room.ledger).ops.to_pylist()
    }
    assert set(room.journal()) == wanted and len(room.journal()) == len(wanted)
    told = {(r["object_type"], r["record_id"], p, "", v) for r in dry.requests for p, v in r["values"].items()}
    assert told == wanted  # the dry run had told exactly that
    assert room.value(1, SCORE) == "61"
    assert (
        room.value(1, "nightdesk_brief", "meetings") == "Lead with costs.\n\nThey said “not before July” — 🙂 ' \" \\"
    )

    again = write(room)
    assert again.counts == {"already_there": 8} and len(room.journal()) == 8
    kept = room.ledger.execute("select distinct crm_after from op_results where result = 'already_there'").fetchall()
    assert ("61",) in kept and (None,) not in kept
    assert room.plan([row(1, SCORE, "61", crm=room.value(1, SCORE), last="61")]).operation_count == 0
    assert audit.verify(room.ledger).ok
    assert made.plan_id == report.plan_id


def test_approving_a_part_writes_exactly_that_part_and_the_rest_later(room: Desk) -> None:
    room.plan(night())
    report = room.approve(None, "property:nightdesk_lead_*", "record:1,contact:2")
    assert (report.operation_count, report.still_waiting) == (4, 4)
    assert write(room).counts == {"applied": 4, "not_approved": 4}
    assert {(entry[1], entry[2]) for entry in room.journal()} == {(n, p) for n in "12" for p in (SCORE, TIER)}
    room.approve()
    assert write(room).counts == {"applied": 4, "already_there": 4}
    assert len(room.journal()) == 8


def test_a_rejection_takes_an_approval_back(room: Desk) -> None:
    room.plan(night())
    room.approve()
    reject(room.ledger, None, Selection.parse([f"property:{TIER}"]), "Kim", "sales_lead", room.policy, room.clock)
    assert write(room).counts == {"applied": 5, "not_approved": 3}
    assert TIER not in {entry[2] for entry in room.journal()}


@pytest.mark.parametrize(
    ("approver", "role", "says"),
    [
        ("nightdesk", "revops", "proposed"),
        ("NightDesk ", "revops", "proposed"),
        ("Dana", "intern", "role"),
        (" ", "revops", "name"),
    ],
)
def test_who_may_not_approve(room: Desk, approver: str, role: str, says: str) -> None:
    room.plan(night())
    with pytest.raises(NightdeskError, match=says) as error:
        approve(room.ledger, None, Selection(), approver, role, room.policy, room.clock)
    assert error.value.exit_code == 5
    assert write(room).counts == {"not_approved": 8}


def test_denied_operations_are_never_written_even_when_everything_is_approved(room: Desk) -> None:
    room.plan([row(1, SCORE, "61"), row(2, SCORE, "62", is_suppressed=True), row(3, "jobtitle", "CEO")])
    room.approve()
    with pytest.raises(NightdeskError, match="waits for approval"):
        room.approve(None, "record:2")
    assert write(room).counts == {"applied": 1, "denied": 2}
    assert [entry[1:3] for entry in room.journal()] == [("1", SCORE)]


def test_no_request_goes_out_before_its_audit_event_is_committed(room: Desk) -> None:
    room.plan(night())
    room.approve()
    seen: list[tuple[int, int]] = []
    send = room.adapter.write

    def watched(object_type: str, writes: Any) -> Any:
        events = room.ledger.execute("select body::varchar from audit_events where action = 'write_intent'").fetchall()
        covered = {(op[1], op[2]) for (body,) in events for op in json.loads(body)["ops"]}
        assert {(w.id, name) for w in writes for name in w.values} <= covered
        states = room.ledger.execute("select count(*) from write_attempts where state = 'sent'").fetchone()
        seen.append((len(events), states[0] if states else 0))
        return send(object_type, writes)

    room.adapter.write = watched  # pyright: ignore[reportAttributeAccessIssue]
    assert write(room).counts == {"applied": 8}
    assert len(seen) == 3


def test_when_the_audit_cannot_be_written_nothing_is_sent(room: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    room.plan(night())
    room.approve()
    append = audit.append

    def full_disk(con: Any, clock: Any, actor: str, action: str, *rest: Any) -> int:
        if action == "write_intent":
            raise duckdb.IOException("IO Error: Could not write file: No space left on device")
        return append(con, clock, actor, action, *rest)

    monkeypatch.setattr(audit, "append", full_disk)
    with pytest.raises(NightdeskError, match="ledger could not be written") as error:
        write(room)
    assert "resumes" in error.value.todo
    assert room.journal() == [] and room.requests("%batch/update%") == 0
    assert room.ledger.execute("select count(*) from write_attempts").fetchone() == (0,)
    monkeypatch.undo()
    assert write(room).counts == {"applied": 8}


# what makes a plan stale ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "damage",
    [
        "update plan_ops set wire_value = '100', desired_value = '100' where record_id = '1' and value_type = 'number'",
        "update plan_ops set decision = 'auto' where record_id = '1'",
        "update plan_ops set evidence = '[]' where record_id = '1'",
        "delete from plan_ops where record_id = '1'",
        "insert into plan_ops select * replace ('x' as op_id, '5' as record_id) from plan_ops limit 1",
        "update plans set digest = sha256('x')",
        "update plans set expires_at = expires_at + interval 1 year",
        "update plans set created_by = 'Eve'",
        "update plans set policy_hash = 'x'",
        "update plans set guards = '[]'",
    ],
)
def test_a_plan_somebody_touched_is_refused(room: Desk, damage: str) -> None:
    room.plan(night())
    room.approve()
    room.ledger.execute(damage)
    for attempt in (lambda: write(room), lambda: room.approve()):
        with pytest.raises(NightdeskError) as error:
            attempt()
        assert error.value.exit_code == 4
    assert room.journal() == []


def test_an_expired_plan_is_refused(room: Desk) -> None:
    room.plan(night())
    room.approve()
    room.clock.now += timedelta(hours=72)
    with pytest.raises(NightdeskError, match="expired") as error:
        write(room)
    assert error.value.exit_code == 4 and room.journal() == []


def test_a_newer_plan_replaces_an_older_one(room: Desk) -> None:
    first = room.plan(night())
    room.approve()
    room.plan(night()[:3])
    with pytest.raises(NightdeskError, match="newer plan") as error:
        write(room, first.plan_id)
    assert error.value.exit_code == 4
    assert write(room).counts == {"not_approved": 3}  # approvals do not carry over to another digest


@pytest.mark.parametrize(
    ("stem", "old", "new"),
    [
        ("scoring", "weights", "weights "),
        ("field_mapping", "Lead score evidence", "Evidence"),
        ("approvals", "72", "71"),
    ],
)
def test_a_changed_policy_is_another_plan(room: Desk, tmp_path: Path, stem: str, old: str, new: str) -> None:
    room.plan(night())
    room.approve()
    if stem == "scoring":
        changed = policies(tmp_path / "p", scoring=lambda text: text + "\n# a comment is a change too\n")
    else:
        changed = policies(tmp_path / "p", **{stem: lambda text: text.replace(old, new)})
    with pytest.raises(NightdeskError, match="policy or the field mapping changed") as error:
        apply(room.ledger, None, room.adapter, changed, "Dana", False, room.clock)
    assert error.value.exit_code == 4 and room.journal() == []


def test_a_property_whose_options_changed_in_the_crm_makes_the_plan_stale(room: Desk) -> None:
    room.plan(night())
    room.approve()
    room.adapter.add_options("contacts", TIER, ["E"])
    with pytest.raises(NightdeskError, match="properties changed") as error:
        write(room)
    assert error.value.exit_code == 4 and room.journal() == []


# guards ---------------------------------------------------------------------------------------------------------------


def test_a_shrunken_source_stops_the_plan_until_a_person_accepts_it_by_name(room: Desk) -> None:
    room.plan(night()[:2], source=100)
    made = room.plan(night(), source=10)
    assert made.tripped == ("min_source_share",) and made.exit_code == 3
    with pytest.raises(NightdeskError, match=r"brakes are on: min_source_share: 0\.1 against 0\.5") as error:
        room.approve()
    assert error.value.exit_code == 3
    with pytest.raises(NightdeskError, match="brakes are on"):
        write(room)
    with pytest.raises(NightdeskError, match="does not stop this plan"):
        room.approve(accept_guards=["max_operations"])
    room.approve(accept_guards=["min_source_share"], note="half of the accounts moved to another portal")
    assert write(room).counts == {"applied": 8}
    # The doubtful night is not the measure of the next one.
    assert room.plan(night()[:1], source=12).tripped == ("min_source_share",)


def test_a_note_cannot_pretend_to_accept_a_guard(room: Desk) -> None:
    room.plan([], source=100)
    room.plan(night(), source=0)
    with pytest.raises(NightdeskError, match="note cannot accept"):
        room.approve(note="accepted guards: min_source_share")


def test_scores_that_jump_are_a_brake(room: Desk) -> None:
    calm = [row(n, SCORE, "75", crm="70", last="70") for n in (1, 2, 3)]
    assert room.plan([*calm, row(4, SCORE, "90")]).tripped == ()
    jump = row(4, SCORE, "95", crm="70", last="70")
    assert room.plan([*calm, jump]).tripped == ()  # one of four is not more than a quarter
    assert room.plan([*calm[:2], jump]).tripped == ("max_score_movement_share",)


# people ---------------------------------------------------------------------------------------------------------------


def test_a_human_edit_between_plan_and_apply_wins(room: Desk) -> None:
    room.plan(night())
    room.approve()
    room.edit(2, SCORE, "7")
    report = write(room)
    assert (report.counts, report.exit_code) == ({"applied": 7, "conflict": 1}, 0)
    assert room.value(2, SCORE) == "7" and room.value(2, TIER) == "B"
    (problem,) = report.problems
    assert problem["record_id"] == "2" and "CRM_UI" in problem["message"]
    state = room.ledger.execute(
        "select state, crm_value from write_attempts where state = 'skipped_conflict'"
    ).fetchall()
    assert state == [("skipped_conflict", "7")]


def test_a_human_edit_before_the_plan_waits_for_a_person_and_is_restored_only_if_still_there(room: Desk) -> None:
    room.edit(1, SCORE, "5")
    room.edit(2, SCORE, "5")
    made = room.plan([row(n, SCORE, "80", crm="5", last="70") for n in (1, 2)])
    assert made.counts["deciding_rule"] == {"approve_human_edit": 2}
    room.approve()
    room.edit(2, SCORE, "6")
    assert write(room).counts == {"applied": 1, "conflict": 1}
    assert (room.value(1, SCORE), room.value(2, SCORE)) == ("80", "6")


def test_our_own_writes_that_the_load_has_not_seen_yet_are_not_taken_for_a_persons(room: Desk) -> None:
    room.plan(night())
    room.approve()
    write(room)
    room.edit(2, SCORE, "9")
    stale = [{**entry, "last_written_value": entry["desired_value"]} for entry in night()]  # the CRM as it was before
    made = room.plan(stale)
    assert made.counts["conflict_class"] == {"changed_by_other": 1} and made.left_out == {"equal already": 7}
    (op,) = plan.load(room.ledger).ops.to_pylist()
    assert (op["record_id"], op["before_value"], op["deciding_rule"]) == ("2", "9", "approve_human_edit")
    again = room.plan(stale)
    assert again.plan_id == made.plan_id and audit.verify(room.ledger).ok


def test_a_plan_right_after_an_apply_is_empty_although_the_warehouse_knows_nothing_of_it(room: Desk) -> None:
    room.plan(night())
    room.approve()
    write(room)
    again = room.plan(night())  # neither what the CRM holds nor what we wrote has reached the warehouse
    assert (again.operation_count, again.left_out) == (0, {"equal already": 8})
    room.edit(2, SCORE, "9")
    assert room.plan(night()).counts["conflict_class"] == {"changed_by_other": 1}


# rollback -------------------------------------------------------------------------------------------------------------


def test_rollback_restores_every_field_and_human_edits_survive_both(room: Desk) -> None:
    room.edit(3, SCORE, "70")
    rows = [*night()[:2], row(3, SCORE, "63", crm="70", last="70"), *night()[3:]]
    room.plan(rows)
    room.approve()
    room.edit(1, TIER, "D")
    assert write(room).counts == {"applied": 7, "conflict": 1}
    room.edit(2, SCORE, "1")

    made = undo(room)
    assert made.kind == "rollback" and made.counts["decision"] == {"require_approval": 6}
    assert made.counts["deciding_rule"] == {"rollback_needs_approval": 6}
    assert made.left_out == {"changed since": 1}
    with pytest.raises(NightdeskError, match="proposed"):
        approve(room.ledger, made.plan_id, Selection(), "nightdesk", "revops", room.policy, room.clock)
    assert write(room, made.plan_id).counts == {"not_approved": 6}
    room.approve(made.plan_id)
    assert write(room, made.plan_id).counts == {"applied": 6}

    assert (room.value(1, SCORE), room.value(3, SCORE)) == (None, "70")
    assert (room.value(1, TIER), room.value(2, SCORE)) == ("D", "1")
    assert [room.value(n, TIER) for n in (2, 3)] == [None, None]
    assert undo(room, made.plan_id).operation_count == 6  # the undoing can itself be undone
    assert audit.verify(room.ledger).ok


def test_a_plan_that_was_rolled_back_is_not_applied_again(room: Desk) -> None:
    made = room.plan(night())
    room.approve()
    write(room)
    back = undo(room)
    room.approve(back.plan_id)
    assert write(room, made.plan_id).counts == {"already_there": 8}  # planned, not yet undone
    write(room, back.plan_id)
    with pytest.raises(NightdeskError, match="was rolled back by") as error:
        write(room, made.plan_id)
    assert error.value.exit_code == 4 and room.value(1, SCORE) is None
    again = room.plan(night())  # a new night proposes it again, and a person decides again
    assert again.is_new and again.digest == made.digest
    assert write(room, again.plan_id).counts == {"not_approved": 8}


def test_rollback_of_a_part_and_by_plan_or_run(room: Desk) -> None:
    made = room.plan(night())
    room.approve()
    report = write(room)
    for name in (made.plan_id, report.apply_run_id, "run-1"):
        assert undo(room, name).operation_count == 8
    part = undo(room, None, select=Selection.parse(["property:nightdesk_lead_tier"]))
    assert part.counts["property"] == {TIER: 3}
    with pytest.raises(NightdeskError, match="Nothing to roll back"):
        undo(room, "apply-unknown")


def test_rollback_touches_nobody_who_opted_out_meanwhile(room: Desk) -> None:
    room.plan([row(n, SCORE, "61") for n in (1, 2)])
    room.approve()
    write(room)
    room.ledger.execute(
        "insert into suppression values ('hubspot:contact:1', 'reply_class', null, null, 'run-9', ?)", [room.clock()]
    )
    made = undo(room)
    assert made.counts["deciding_rule"] == {"forbid_suppressed": 1, "rollback_needs_approval": 1}
    room.approve(made.plan_id)
    assert write(room, made.plan_id).counts == {"applied": 1, "denied": 1}
    assert (room.value(1, SCORE), room.value(2, SCORE)) == ("61", None)


# looking again --------------------------------------------------------------------------------------------------------


def test_verify_says_what_still_holds_and_who_changed_the_rest(room: Desk) -> None:
    room.plan(night())
    room.approve()
    report = write(room)
    room.edit(1, SCORE, "3")
    found = verify(room.ledger, room.adapter, report.apply_run_id, room.clock)
    assert (found.counts, found.exit_code) == ({"holds": 7, "changed_by_person": 1}, 0)
    assert [(d["record_id"], d["property"]) for d in found.differences] == [("1", SCORE)]


# the properties -------------------------------------------------------------------------------------------------------


def test_crm_setup_shows_then_creates_then_has_nothing_to_do(tmp_path: Path) -> None:
    with desk(tmp_path, prepared=False) as room:
        wanted = setup.difference(room.adapter, room.policy)
        mapping = room.policy.field_mapping
        types = dict.fromkeys((*mapping.fields, *mapping.asked))
        all_wanted = [
            (o, item.property)
            for o in types
            for item in (*mapping.fields.get(o, ()), *mapping.asked.get(o, ()))
            if not item.property.startswith("@")
        ]
        keys = [(o, mapping.key_property) for o in types if o in mapping.keyed_types]
        ours = {(o, name) for o, name in all_wanted if name.startswith(mapping.namespace)}
        assert {(o, spec.name) for o, spec in wanted.properties} == {*ours, *keys}
        assert [spec.is_unique for o, spec in wanted.properties if (o, spec.name) in keys] == [True, True]
        assert (len(wanted.groups), wanted.exit_code) == (len(types), 2)
        assert room.requests("%") == 3 * len(types)  # it only read

        setup.apply(room.adapter, room.policy, ledger=room.ledger, actor="Dana", clock=room.clock)
        after = setup.difference(room.adapter, room.policy)
        assert (after.is_empty, after.exit_code, after.present) == (True, 0, len(all_wanted) + len(keys))
        there = room.adapter.describe("contacts").properties
        assert (there[SCORE].crm_type, there[TIER].options) == ("number", ("A", "B", "C", "D"))
        assert there["nightdesk_lead_scored_on"].crm_type == "date" and there[SCORE].group == "nightdesk"
        assert setup.apply(room.adapter, room.policy).is_empty
        assert room.ledger.execute("select count(*) from schema_snapshots").fetchone() == (len(mapping.fields),)
        actions = room.ledger.execute("select action, actor from audit_events").fetchall()
        assert actions == [("crm_setup", "Dana")]


def test_a_property_of_another_type_is_an_error_that_names_it_and_nothing_is_created(tmp_path: Path) -> None:
    with desk(tmp_path, prepared=False) as room:
        room.adapter.create_group("contacts", "nightdesk", "Nightdesk")
        body = {"name": SCORE, "label": "x", "type": "string", "fieldType": "text", "groupName": "nightdesk"}
        room.adapter.client.request("POST", "/crm/v3/properties/contacts", json=body, effect="create")
        with pytest.raises(
            NightdeskError, match=f"contacts.{SCORE} is of type string in the CRM, the mapping says number"
        ):
            setup.apply(room.adapter, room.policy)
        assert [p.name for _, p in setup.difference(room.adapter, room.policy).properties].count(TIER) == 1


def test_missing_options_are_added_and_those_of_people_stay(tmp_path: Path) -> None:
    with desk(tmp_path, prepared=False) as room:
        room.adapter.create_group("contacts", "nightdesk", "Nightdesk")
        body = {
            "name": TIER, "label": "x", "type": "enumeration", "fieldType": "select", "groupName": "nightdesk",
            "options": [{"label": "Ours", "value": "Z", "displayOrder": 0},
                {"label": "A!", "value": "A", "displayOrder": 1}],
        }  # fmt: skip
        room.adapter.client.request("POST", "/crm/v3/properties/contacts", json=body, effect="create")
        assert setup.difference(room.adapter, room.policy).options == (("contacts", TIER, ("B", "C", "D")),)
        setup.apply(room.adapter, room.policy)
        assert room.adapter.describe("contacts").properties[TIER].options == ("Z", "A", "B", "C", "D")
        assert setup.difference(room.adapter, room.policy).is_empty


def test_evidence_travels_with_the_operation(room: Desk) -> None:
    room.plan(night())
    op = plan.load(room.ledger).ops.to_pylist()[0]
    assert json.loads(op["evidence"]) == json.loads(EVIDENCE) and op["evidence_count"] == 1
    assert Counter(o["is_namespaced"] for o in plan.load(room.ledger).ops.to_pylist()) == {True: 8}
