"""Who may decide, and what two people must: policy, terminal, remarks, the walk, and the file."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from nightdesk.errors import NightdeskError
from reverse_etl import audit, review_file, review_view, reviews, view, walk, why
from reverse_etl.gate import four_eyes_sql
from reverse_etl.plan import load
from reverse_etl.select import Selection
from tests.approval_kit import EVERYTHING, Office, office, people, with_people
from tests.reverse_kit import policies, project_policy, row

SCORE, TIER, REASON = "nightdesk_lead_score", "nightdesk_lead_tier", "nightdesk_lead_reason"


def night() -> list[dict[str, Any]]:
    return [*(row(n, SCORE, f"6{n}", confidence=n / 10) for n in (1, 2, 3)), row(1, TIER, "B")]


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Office]:
    with office(tmp_path / "o", people()) as made:
        made.plan(night())
        yield made


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """A room for tests in which nothing is ever decided."""
    with office(tmp_path_factory.mktemp("office"), people()) as made:
        made.plan(night())
        yield made
        assert made.ledger.execute("select count(*) from approvals").fetchone() == (0,)


@pytest.fixture
def strict(tmp_path: Path) -> Iterator[Office]:
    """Everything on contacts needs two people."""
    with office(tmp_path / "o", people(EVERYTHING)) as made:
        made.plan(night())
        yield made


# rights ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("who", "role", "match"),
    [
        ("Eve", "revops", "`Eve` is not among the approvers"),
        ("Dana", "sales_lead", "`Dana` does not have the role `sales_lead`"),
        ("Lee", "seller", "The role `seller` may not decide"),
        (" ", "revops", "needs a name"),
    ],
)
def test_only_the_people_named_decide_in_their_roles(shelf: Office, who: str, role: str, match: str) -> None:
    for verdict in (shelf.approve, shelf.reject):
        with pytest.raises(NightdeskError, match=match) as error:
            verdict(who, role)
        assert error.value.exit_code == 5
    assert shelf.ledger.execute("select count(*) from approvals").fetchone() == (0,)


def test_a_person_is_recorded_by_one_name_whichever_they_use(room: Office) -> None:
    assert room.approve("DANA@example.com", "revops").approver == "Dana"
    assert room.approve("dana", "revops").approver == "Dana"


def test_the_proposer_cannot_approve_under_another_of_their_names(room: Office) -> None:
    room.plan([row(1, SCORE, "71")], created_by="dana@example.com")
    with pytest.raises(NightdeskError, match="proposed this plan"):
        room.approve("Dana", "revops")
    assert room.reject("Dana", "revops").operation_count == 1


def test_without_a_list_anybody_decides_in_a_listed_role(tmp_path: Path) -> None:
    with office(tmp_path, project_policy()) as room:
        room.plan(night())
        assert room.approve("Whoever", "sales_lead").still_waiting == 0


# two people -----------------------------------------------------------------------------------------------------------


def test_two_different_people_are_two_people(strict: Office) -> None:
    first = strict.approve("Dana", "revops", "record:contact:1")
    assert (first.still_waiting, first.need_another) == (4, 2)
    assert strict.standings()["1", SCORE] == "1 of 2: Dana"
    assert strict.standings()["2", SCORE] == "waiting, needs 2"
    strict.approve("dana@example.com", "revops")  # the same person under another name
    assert strict.write().counts == {"not_approved": 4}
    assert strict.approve("Kim", "sales_lead", "record:contact:1").still_waiting == 2
    assert strict.standings()["1", SCORE] == "approved by Dana, Kim"
    assert strict.write().counts == {"applied": 2, "not_approved": 2}
    assert set(strict.crm.values) == {("contacts", "1", SCORE), ("contacts", "1", TIER)}


def test_a_rejection_takes_both_approvals_back(strict: Office) -> None:
    strict.approve("Dana", "revops")
    strict.approve("Kim", "sales_lead")
    strict.reject("Kim", "sales_lead", "property:nightdesk_lead_tier")
    assert strict.standings()["1", TIER] == "rejected by Kim"
    strict.approve("Kim", "sales_lead", "property:nightdesk_lead_tier")
    assert strict.standings()["1", TIER] == "1 of 2: Kim"
    assert strict.write().counts == {"applied": 3, "not_approved": 1}


def test_an_approval_that_ended_is_no_second_one(strict: Office) -> None:
    strict.approve("Dana", "revops")
    strict.ledger.execute("create temp table held as select expires_at from approvals")
    strict.clock.now += timedelta(hours=71)
    strict.approve("Kim", "sales_lead")
    assert strict.write().counts == {"applied": 4}
    strict.clock.now += timedelta(hours=5)
    with pytest.raises(NightdeskError, match="expired"):
        strict.write()


def test_four_eyes_look_where_policy_says(shelf: Office) -> None:
    def needing_two(entry: str) -> int:
        where = four_eyes_sql(people(f"four_eyes:\n  - {{{entry}}}\n"))
        return shelf.ledger.execute(f"select count(*) from plan_ops where {where}").fetchone()[0]

    assert needing_two("risk: [high]") == needing_two("object_type: [companies], property: [nightdesk_lead_tier]") == 0
    assert needing_two("risk: [high, low]") == needing_two("operation: [lead_quality]") == 4
    assert needing_two("object_type: [contacts], property: [nightdesk_lead_tier]") == 1


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda t: t.replace("name: Kim", "name: dana"), "two approvers"),
        (lambda t: t.replace('hubspot: "12"', 'hubspot: "11"'), "is two approvers"),
        (lambda t: t + "  - {}\n", "an empty entry would match nothing"),
        (lambda t: t.replace("hubspot:", "pipedrive:"), "crm_users"),
    ],
)
def test_a_policy_that_lets_one_person_be_two_is_refused(
    tmp_path: Path, change: Callable[[str], str], match: str
) -> None:
    policies(tmp_path / "p", approvals=with_people(EVERYTHING))
    with pytest.raises(NightdeskError, match=match):
        policies(tmp_path / "p", approvals=change)


# remarks, table, differences ------------------------------------------------------------------------------------------


def test_a_remark_is_shown_and_audited_and_changes_nothing(room: Office) -> None:
    before = room.ledger.execute("select digest from plans").fetchone()
    plan_id = load(room.ledger).plan_id
    op = room.ledger.execute("select op_id from plan_ops where property = ?", [TIER]).fetchone()[0]
    made = reviews.note(room.ledger, op[:10], "  the title changed ", "Dana", room.clock)
    verdict = room.approve("Kim", "sales_lead", "property:nightdesk_lead_tier").approval_id
    reviews.note(room.ledger, verdict, "on the phone", "Kim", room.clock)
    assert (made.op_id, made.body) == (op, "the title changed")
    kept = reviews.notes(room.ledger, plan_id)
    assert [n.body for n in kept[op]] == ["the title changed"] and [n.body for n in kept[verdict]] == ["on the phone"]
    events = room.ledger.execute("select body::varchar from audit_events where action = 'noted'").fetchall()
    bodies = [event[0] for event in events]
    assert len(bodies) == 2 and not any("title" in body for body in bodies)
    assert room.ledger.execute("select digest from plans").fetchone() == before
    ops, _ = view.chosen(load(room.ledger), Selection.parse(["record:1"]))
    text = review_view.detail(ops, reviews.standings(room.ledger, plan_id, room.policy, room.clock), kept, {}).plain
    assert "remark of Dana: the title changed" in text and "remark of Kim: on the phone" in text
    assert room.write().counts == {"applied": 1, "not_approved": 3} and audit.verify(room.ledger).ok
    told = why.story(room.ledger, None, "contact:1", TIER, policy=room.policy).facts
    assert [remark["body"] for remark in told["notes"]] == ["the title changed", "on the phone"]
    assert (told["approval"]["approver"], told["approval"]["via"]) == ("Kim", "terminal")


@pytest.mark.parametrize(("target", "match"), [("zz", "no operation or verdict"), ("", "no operation or verdict")])
def test_a_remark_on_nothing_is_refused(shelf: Office, target: str, match: str) -> None:
    with pytest.raises(NightdeskError, match=match):
        reviews.note(shelf.ledger, target, "text", "Dana", shelf.clock)


def test_a_selection_takes_ranges_levels_and_names(shelf: Office) -> None:
    def count(*terms: str) -> int:
        return view.chosen(load(shelf.ledger), Selection.parse(terms))[1]

    assert [count("confidence:<0.2"), count("confidence:0.2..0.3"), count("confidence:>=0.2", "record:3")] == [1, 2, 1]
    assert [count("level:2"), count("level:>2"), count("label:P1@"), count("crm:hubspot"), count("segment:x")] == [
        4, 0, 2, 4, 0
    ]  # fmt: skip
    with pytest.raises(NightdeskError, match="not a range of numbers"):
        count("confidence:high")


def test_the_table_has_a_line_per_change_and_the_columns_asked_for(room: Office) -> None:
    from rich.console import Console

    room.approve("Dana", "revops", "record:contact:2")
    found = load(room.ledger)
    ops, total = view.chosen(found, Selection())
    standings = reviews.standings(room.ledger, found.plan_id, room.policy, room.clock)
    out = Console(width=160, record=True, file=io.StringIO())
    out.print(review_view.table(ops, total, review_view.columns("op,record,to,standing"), standings))
    lines = out.export_text().splitlines()
    assert lines[0].strip() == "4 changes" and len(lines) == 6
    assert any("contact:2" in line and "approved by Dana" in line for line in lines)
    with pytest.raises(NightdeskError, match="no column `colour`"):
        review_view.columns("colour")


# the walk -------------------------------------------------------------------------------------------------------------


def go(room: Office, lines: list[str], person: str = "Dana", role: str = "revops") -> tuple[walk.WalkReport, list[str]]:
    found = load(room.ledger)
    ops, _ = view.chosen(found, Selection())
    standings = reviews.standings(room.ledger, found.plan_id, room.policy, room.clock)
    told: list[str] = []
    report = walk.walk(
        room.ledger,
        found.plan_id,
        walk.records_to_decide(ops, standings, person),
        person,
        role,
        room.policy,
        room.clock,
        show=lambda ops, number, total: told.append(f"{number}/{total} {ops[0]['record_id']} {len(ops)}"),
        ask=lambda: lines.pop(0) if lines else None,
        say=told.append,
    )
    return report, told


def test_the_walk_writes_each_word_at_once_and_stops_at_the_end_of_the_input(room: Office) -> None:
    report, told = go(room, ["a fits", "hm?", "r too early"])
    assert report == walk.WalkReport(approved=1, rejected=1, skipped=0, left=1)
    assert told == ["1/3 1 2", "2/3 2 1", walk.HELP, "3/3 3 1"]
    given = room.ledger.execute("select verdict, note, approver from approvals order by approved_at").fetchall()
    assert given == [("approved", "fits", "Dana"), ("rejected", "too early", "Dana")]
    assert room.write().counts == {"applied": 2, "not_approved": 2}
    report, told = go(room, ["s", "q"])
    assert report == walk.WalkReport(0, 0, 1, 0) and told == ["1/1 3 1"]


def test_the_walk_shows_nobody_what_they_have_approved_already(strict: Office) -> None:
    go(strict, ["a", "a", "a"])
    assert go(strict, ["a", "a", "a"])[1] == []
    report, _ = go(strict, ["a", "a", "q"], "Kim", "sales_lead")
    assert report == walk.WalkReport(2, 0, 0, 1)
    assert strict.write().counts == {"applied": 3, "not_approved": 1}


# the file -------------------------------------------------------------------------------------------------------------


def written(room: Office, tmp_path: Path, *terms: str) -> Path:
    found = load(room.ledger)
    ops, _ = view.chosen(found, Selection.parse(terms))
    path = tmp_path / "review.yml"
    standings = reviews.standings(room.ledger, found.plan_id, room.policy, room.clock)
    path.write_text(review_file.compose(found, ops, standings, path.name), encoding="utf-8")
    return path


def edited(path: Path, *changes: tuple[str, str], count: int = 1) -> Path:
    text = path.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, count)
    path.write_text(text, encoding="utf-8")
    return path


def decide(room: Office, path: Path, who: str = "Dana", role: str = "revops") -> review_file.FileReport:
    return review_file.decide(room.ledger, path, who, role, room.policy, room.clock)


def test_a_filled_in_file_decides_exactly_what_it_says(room: Office, tmp_path: Path) -> None:
    path = written(room, tmp_path)
    assert path.read_text() == written(room, tmp_path).read_text()  # the same plan, the same text
    first, second, third = path.read_text().split("- record: ")[1:]
    first = first.replace("  verdict: null\n  note: null", "  verdict: approve\n  note: fits", 1)
    first = first.replace("    verdict: null", "    verdict: reject", 1)  # its first change: the score
    second = second.replace("  verdict: null", "  verdict: reject", 1)
    path.write_text("- record: ".join([path.read_text().split("- record: ")[0], first, second, third]))
    report = decide(room, path)
    assert (report.approved, report.rejected, report.undecided) == (1, 2, 1)
    given = room.ledger.execute("select distinct verdict, note, via from approvals order by all").fetchall()
    assert given == [("approved", "fits", "file"), ("rejected", None, "file")]
    assert room.write().counts == {"applied": 1, "not_approved": 3}
    assert room.crm.values == {("contacts", "1", TIER): "B"}


def test_a_file_shows_only_what_still_waits(room: Office, tmp_path: Path) -> None:
    room.approve("Kim", "sales_lead", "record:contact:1")
    text = written(room, tmp_path).read_text()
    assert "contact:1" not in text and "contact:2" in text and "We cannot move before July." in text


@pytest.mark.parametrize(
    ("change", "match", "line", "code"),
    [
        (("digest: ", "digest: f"), "not about a plan as it is here", "digest:", 4),
        (("plan: plan-", "plan: plam-"), "a plan that is not here", "plan:", 4),
        (("after: '61'", "after: '99'"), "`after` is not what the plan says", "after: '99'", 4),
        (("before: null", "before: '1'"), "`before` is not what the plan says", "before: '1'", 4),
        (("- because", "- because it is true"), "`why` is not what the plan says", "why:", 4),
        (("We cannot move", "We can move"), "`sources` is not what the plan says", "sources:", 4),
        (("contact:1", "contact:9"), "`record` is not what the plan says", "record: contact:9", 4),
        (("verdict: null", "verdict: maybe"), "Input should be 'approve' or 'reject'", "verdict: maybe", 1),
        (("verdict: null", "verdict: null\n  decision: auto"), "no such entry", "decision: auto", 1),
        (("verdict: null", "verdict: null\n  verdict: approve"), "`verdict` is given twice", "verdict: approve", 1),
        (("verdict: null", "verdict: [null"), "not valid YAML", "", 1),
        (("nightdesk_review: 1", "nightdesk_review: 7"), "nightdesk_review", "nightdesk_review: 7", 1),
        (("note: null", "note: 'x'"), "The file decides nothing", "", 1),
    ],
)
def test_a_file_that_is_not_this_plan_is_refused_with_its_line(
    shelf: Office, tmp_path: Path, change: tuple[str, str], match: str, line: str, code: int
) -> None:
    path = edited(written(shelf, tmp_path), change)
    with pytest.raises(NightdeskError, match=match) as error:
        decide(shelf, path)
    assert error.value.exit_code == code
    if line:
        number = int(str(error.value.where).rpartition(":")[2])
        assert line in path.read_text().splitlines()[number - 1]
    assert shelf.ledger.execute("select count(*) from approvals").fetchone() == (0,)


def test_unknown_and_doubled_changes_are_refused(shelf: Office, tmp_path: Path) -> None:
    path = written(shelf, tmp_path)
    op = path.read_text().split("change: ")[1].split("\n")[0]
    with pytest.raises(NightdeskError, match="is not a change of this plan") as error:
        decide(shelf, edited(path, (op, "f" * 64)))
    assert error.value.exit_code == 4
    path = written(shelf, tmp_path)
    second = path.read_text().split("change: ")[2].split("\n")[0]
    with pytest.raises(NightdeskError, match="in the file twice"):
        decide(shelf, edited(path, (second, op), ("property: nightdesk_lead_tier", f"property: {SCORE}")))


def test_a_file_gives_no_rights_and_opens_no_brakes(room: Office, tmp_path: Path) -> None:
    path = edited(written(room, tmp_path), ("verdict: null", "verdict: approve"))
    with pytest.raises(NightdeskError, match="not among the approvers") as error:
        decide(room, path, "Eve")
    assert error.value.exit_code == 5
    room.clock.now += timedelta(hours=80)
    with pytest.raises(NightdeskError, match="expired"):
        decide(room, path)


def test_awkward_texts_survive_the_file(room: Office, tmp_path: Path) -> None:
    texts = [
        "- x: [y",
        "2026-11-17",
        "null",
        "a\nb\n\n c",
        "“quoted” 'x' \"y\"",
        "🙂 \u2028 \u0085 tab\tend",
        "no",
        "1e3",
    ]
    room.plan([row(n, REASON, text, reason=text) for n, text in enumerate(texts, start=1)])
    path = edited(written(room, tmp_path), ("\n  verdict: null", "\n  verdict: approve"), count=99)
    report = decide(room, path)
    assert (report.approved, report.undecided) == (len(texts), 0)
