"""Approval from inside the CRM: only a known person's choice, after our question, about a plan that still stands."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from nightdesk.errors import NightdeskError
from reverse_etl import audit
from reverse_etl.approve import reject
from reverse_etl.rollback import plan_rollback
from reverse_etl.select import Selection
from tests.approval_kit import ANSWER, EVERYTHING, QUESTION, answer, asked, asked_at, listen, people, write
from tests.reverse_kit import AS_OF, Desk, desk, row

SCORE, TIER = "nightdesk_lead_score", "nightdesk_lead_tier"


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Desk]:
    with desk(tmp_path, policy=people(), contacts=4, companies=1) as made:
        yield made


def night(room: Desk, tier: str = "B") -> str:
    return room.plan([*(row(n, SCORE, "61") for n in (1, 2)), row(1, TIER, tier)]).plan_id


def test_an_answer_in_the_crm_approves_exactly_what_was_asked_on_that_record(room: Desk) -> None:
    plan_id = night(room)
    made, report = asked(room, "record:contact:1")
    assert (made.kind, made.rolls_back, made.counts["decision"]) == ("review", plan_id, {"auto": 1})
    assert made.counts["deciding_rule"] == {"ask_in_review_field": 1}
    assert report.counts == {"applied": 1}
    text = room.value(1, QUESTION) or ""
    assert "Lead score: (empty) -> 61" in text and "Lead tier: (empty) -> B" in text
    assert "For: Dana, Kim." in text and plan_id in text and "2026-11-20" in text
    assert room.value(2, QUESTION) is None

    assert listen(room).counts == {"unanswered": 1}
    answer(room, "approve")
    heard = listen(room)
    assert heard.counts == {"approved": 1}
    assert (heard.answers[0].approver, heard.answers[0].role, heard.answers[0].crm_user) == ("Dana", "revops", "11")
    assert listen(room).known == 1  # the same answer is counted once
    assert room.ledger.execute("select approver, role, via, digest = (select digest from plans where plan_id = ?) "
                               "from approvals", [plan_id]).fetchall() == [("Dana", "revops", "crm", True)]  # fmt: skip

    assert write(room, plan_id).counts == {"applied": 2, "not_approved": 1}
    assert (room.value(1, SCORE), room.value(1, TIER), room.value(2, SCORE)) == ("61", "B", None)
    assert audit.verify(room.ledger).ok


def test_a_rejection_in_the_crm_takes_an_approval_back(room: Desk) -> None:
    plan_id = night(room)
    room.approve(plan_id)
    with pytest.raises(NightdeskError, match="No change that waits"):
        asked(room)
    reject(room.ledger, plan_id, Selection(), "Dana", "revops", room.policy, room.clock)
    asked(room)
    answer(room, "approve", record=1)
    assert listen(room).counts == {"approved": 1, "unanswered": 1}
    answer(room, "reject", user="12", record=1, at=asked_at(room) + timedelta(minutes=5))
    assert listen(room).counts == {"rejected": 1, "unanswered": 1}
    assert write(room, plan_id).counts == {"not_approved": 3}


# record -> value, user, source of the answer, and what becomes of it
ANSWERS = {
    1: ("approve", "11", "CRM_UI", "approved"),
    2: ("approve", "11", "INTEGRATION", "not_a_person"),
    3: ("approve", "11", "FORM", "not_a_person"),
    4: ("approve", "11", "AUTOMATION_PLATFORM", "not_a_person"),
    5: ("approve", "11", "IMPORT", "not_a_person"),
    6: ("approve", "99", "CRM_UI", "unknown_user"),
    7: ("approve", "", "CRM_UI", "unknown_user"),
    8: ("approve", "13", "CRM_UI", "wrong_role"),
    9: ("", "11", "CRM_UI", "unanswered"),
    10: ("approve", "12", "CRM_UI", "request_changed"),  # a person changed the question
    11: ("approve", "12", "CRM_UI", "request_changed"),  # an app changed the question
    12: ("approve", "12", "CRM_UI", "request_changed"),  # a person put the question back as it was
    13: ("reject", "12", "MOBILE", "rejected"),
    14: (None, "", "", "unanswered"),  # a customer wrote everything they could think of, but for the answer
}


def test_every_answer_ends_in_one_named_outcome_and_only_known_people_decide(tmp_path: Path) -> None:
    with desk(tmp_path, policy=people(), contacts=len(ANSWERS)) as room:
        plan_id = room.plan([row(n, SCORE, "61") for n in ANSWERS]).plan_id
        asked(room)
        for n in (10, 11, 12):
            text, first = room.value(n, QUESTION) or "", asked_at(room, n)
            source = "INTEGRATION" if n == 11 else "CRM_UI"
            answer(room, text.replace("61", "99"), record=n, name=QUESTION, source=source, at=first)
            if n == 12:
                answer(room, text, record=n, name=QUESTION, at=first + timedelta(seconds=1))
        code = (room.value(14, QUESTION) or "").rpartition("ND-")[2].split(",")[0]
        for name in ("firstname", "jobtitle", "nightdesk_feedback_reason"):
            words = f"approve ND-{code}, approved by Dana (user 11): {ANSWER}=approve"
            answer(room, words, "", 14, name=name, source="FORM")
        for n, (value, user, source, _) in ANSWERS.items():
            if value is not None:
                answer(room, value, user, n, source=source)
        report = listen(room)
        assert {int(one.question.record_id): one.outcome for one in report.answers} == {
            n: outcome for n, (*_, outcome) in ANSWERS.items()
        }
        assert room.ledger.execute("select verdict, approver from approvals order by verdict").fetchall() == [
            ("approved", "Dana"),
            ("rejected", "Kim"),
        ]
        kept = room.ledger.execute("select count(*), count(distinct record_id) from review_answers").fetchone()
        assert kept == (12, 12)
        again = listen(room)  # nothing is kept or counted twice
        assert (again.known, sum(again.counts.values())) == (2, 12)
        assert room.ledger.execute("select count(*) from review_answers").fetchone() == (12,)
        assert write(room, plan_id).counts == {"applied": 1, "not_approved": 13}
        assert {entry[1] for entry in room.journal() if entry[2] == SCORE} == {"1"}


def test_an_old_answer_does_not_answer_a_new_question(room: Desk) -> None:
    night(room)
    asked(room, "record:contact:1")
    answer(room, "approve", at=asked_at(room) + timedelta(milliseconds=1))
    second = night(room, tier="C")
    room.sandbox.store.advance_clock(asked_at(room) + timedelta(hours=1))
    made, report = asked(room, "record:contact:1")
    assert made.rolls_back == second and report.counts == {"applied": 1}
    assert night(room, tier="C") == second  # the same proposals are the same plan, asked about or not
    assert listen(room).counts == {"unanswered": 1}
    assert room.value(1, ANSWER) == "approve"
    assert write(room, second).counts == {"not_approved": 3}


def test_a_plan_that_is_gone_or_over_is_not_answered(room: Desk) -> None:
    first = night(room)
    asked(room, "record:contact:1")
    answer(room, "approve")
    night(room, tier="C")
    report = listen(room)
    assert report.counts == {"plan_gone": 1} and "newer plan" in str(report.answers[0].message)
    assert listen(room).questions == 0  # known to be over
    assert room.ledger.execute("select count(*) from approvals where plan_id = ?", [first]).fetchone() == (0,)
    room.sandbox.store.advance_clock(asked_at(room) + timedelta(hours=1))
    asked(room, "record:contact:1")
    answer(room, "approve")
    room.clock.now += timedelta(hours=100)
    assert listen(room).counts == {"expired": 1}


def test_what_was_changed_in_the_ledger_is_not_answered(room: Desk) -> None:
    plan_id = night(room)
    made, _ = asked(room, "record:contact:1")
    answer(room, "approve")
    find = "select op_id from plan_ops where plan_id = ? and record_id = '2'"
    other = room.ledger.execute(find, [plan_id]).fetchone()[0]
    sealed = room.ledger.execute("select evidence::varchar from plan_ops where plan_id = ?", [made.plan_id]).fetchone()
    change = "update plan_ops set evidence = ? where plan_id = ?"
    room.ledger.execute(change, [f'[{{"id": "{other}"}}]', made.plan_id])  # the answer is to stand for another change
    report = listen(room)
    assert report.counts == {"plan_gone": 1} and "not what was sealed" in str(report.answers[0].message)
    room.ledger.execute(change, [sealed[0], made.plan_id])
    room.ledger.execute("delete from review_answers")
    room.ledger.execute("update plan_ops set wire_value = '99' where plan_id = ? and property = ?", [plan_id, SCORE])
    assert listen(room).counts == {"plan_gone": 1}


def test_two_people_answer_where_two_are_needed(tmp_path: Path) -> None:
    with desk(tmp_path, policy=people(EVERYTHING)) as room:
        plan_id = night(room)
        asked(room, "record:contact:1")
        assert "Two people must approve" in (room.value(1, QUESTION) or "")
        answer(room, "approve")
        assert listen(room).counts == {"approved": 1}
        assert write(room, plan_id).counts == {"not_approved": 3}
        later = asked_at(room) + timedelta(hours=1)
        answer(room, "", "11", at=later)
        answer(room, "approve", "11", at=later + timedelta(minutes=1))  # the same person again is not a second one
        assert listen(room).counts == {"approved": 1}
        assert write(room, plan_id).counts == {"not_approved": 3}
        answer(room, "", "12", at=later + timedelta(hours=1))
        answer(room, "approve", "12", at=later + timedelta(hours=2))
        assert listen(room).counts == {"approved": 1}
        assert write(room, plan_id).counts == {"applied": 2, "not_approved": 1}


def test_somebody_who_opted_out_is_never_asked_about(room: Desk) -> None:
    plan_id = night(room)
    room.ledger.execute("insert into suppression values ('hubspot:contact:1', 'fact', null, null, 'run-1', now())")
    made, report = asked(room, plan_id=plan_id)
    assert made.counts["deciding_rule"] == {"ask_in_review_field": 1, "forbid_suppressed": 1}
    assert report.counts == {"applied": 1, "denied": 1}
    assert room.value(1, QUESTION) is None and room.value(2, QUESTION) is not None


def test_a_question_is_rolled_back_like_anything_else_and_then_answers_nothing(room: Desk) -> None:
    night(room)
    made, _ = asked(room, "record:contact:1")
    answer(room, "approve")
    room.clock.now += timedelta(seconds=1)
    undo = plan_rollback(
        room.ledger, made.plan_id, room.adapter, room.policy, "run-undo", AS_OF, "nightdesk", room.clock
    )
    room.approve(undo.plan_id)
    assert write(room, undo.plan_id).counts == {"applied": 1}
    assert not room.value(1, QUESTION)
    assert listen(room).questions == 0


def test_a_question_about_an_older_plan_is_cleared_by_the_next(room: Desk) -> None:
    night(room)
    asked(room)
    night(room, tier="C")
    made, report = asked(room, "record:contact:1")
    assert made.counts["deciding_rule"] == {"ask_in_review_field": 1, "question_is_over": 1}
    assert report.counts == {"applied": 2}
    assert not room.value(2, QUESTION) and "-> C" in (room.value(1, QUESTION) or "")


def test_words_of_a_person_in_the_question_field_wait_for_a_person(room: Desk) -> None:
    night(room)
    room.edit(1, QUESTION, "my own notes")
    made, report = asked(room, "record:contact:1")
    assert made.counts["deciding_rule"] == {"question_was_changed": 1}
    assert report.counts == {"not_approved": 1} and room.value(1, QUESTION) == "my own notes"


def test_nobody_is_asked_where_nobody_could_answer(tmp_path: Path) -> None:
    with desk(tmp_path) as room:
        night(room)
        with pytest.raises(NightdeskError, match="Nobody could answer") as error:
            asked(room)
        assert error.value.exit_code == 5


def test_asking_twice_asks_once(room: Desk) -> None:
    night(room)
    asked(room, "record:contact:1")
    before = room.requests("%batch/update%")
    made, report = asked(room, "record:contact:1")
    assert (made.operation_count, made.left_out, report.counts) == (0, {"asked already": 1}, {})
    assert room.requests("%batch/update%") == before
    assert listen(room).questions == 1
