"""The border out: a plan that breaks what every plan must hold can be neither approved nor applied, and says why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from nightdesk import steps
from nightdesk.erasure.tombstones import Tombstones
from nightdesk.errors import NightdeskError
from nightdesk.ledger import connect
from nightdesk.prepare import Project
from nightdesk.settings import Settings
from reverse_etl import border
from reverse_etl.apply import apply
from reverse_etl.plan import PlanSummary, make, summarize
from sources.borders.suites import SUITES_DIR
from sources.borders.verdicts import BorderReport
from tests.reverse_kit import AS_OF, Desk, desk, row, warehouse

SCORE, TIER, REASON = "nightdesk_lead_score", "nightdesk_lead_tier", "nightdesk_lead_reason"


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Desk]:
    with desk(tmp_path, contacts=6, companies=1) as made:
        yield made


def planned(room: Desk, rows: list[dict[str, object]], *, opted_out: tuple[int, ...] = ()) -> PlanSummary:
    """A held plan, with the answers it rests on, over a warehouse that knows the records and who said no."""
    for number in {str(one["record_id"]) for one in rows}:
        room.ledger.execute(
            "insert into answers select ?, ?, 'contact', ?, 'i', 'c', 'rules', null, 'o', 'p', 'run-1', 'a', "
            "'enriched', null, 0.8, 1, 0, ?",
            [f"a-{number}", "lead_quality", f"hubspot:contact:{number}", room.clock()],
        )
    warehouse(room.folder / "warehouse.duckdb", rows)
    with duckdb.connect(str(room.folder / "warehouse.duckdb")) as con:
        con.execute("update marts.contacts set contact_id = 'hubspot:contact:' || contact_id")
        con.execute("update marts.accounts set account_id = 'hubspot:company:' || account_id")
        con.execute("create table marts.opt_outs (contact_id varchar)")
        for number in opted_out:
            con.execute("insert into marts.opt_outs values (?)", [f"hubspot:contact:{number}"])
    return remade(room)


def remade(room: Desk) -> PlanSummary:
    return make(
        room.folder / "warehouse.duckdb", room.ledger, room.adapter, room.policy, "run-1", AS_OF, "nightdesk",
        room.clock, hold=True,
    )  # fmt: skip


def checked(room: Desk, summary: PlanSummary, *, suites: Path = SUITES_DIR, docs: bool = True) -> BorderReport:
    return border.check(
        room.ledger, summary, room.policy, warehouse=room.folder / "warehouse.duckdb",
        docs_dir=room.folder / "docs" if docs else None, suites_dir=suites, run_id="run-1", clock=room.clock,
    )  # fmt: skip


def verdicts(room: Desk) -> list[str]:
    found = room.ledger.execute("select verdict from border_verdicts order by sequence").fetchall()
    return [str(one) for (one,) in found]


def test_a_plan_is_held_until_it_has_passed(room: Desk) -> None:
    summary = planned(room, [row(1, SCORE, "61"), row(2, TIER, "B"), row(3, REASON, "They asked for a price.")])
    assert summary.border == ("The plan has not been checked at the border yet",)
    for use in (room.approve, lambda: apply(room.ledger, None, room.adapter, room.policy, "Dana", True, room.clock)):
        with pytest.raises(NightdeskError, match="not been checked at the border") as caught:
            use()
        assert caught.value.exit_code == 4
    first = checked(room, summary)
    assert all(one.success for one in first.verdicts) and not first.repeated
    assert summarize(room.ledger).border == ()
    # The same night again: the same plan, which keeps its verdict without being judged a second time.
    again = remade(room)
    assert again.plan_id == summary.plan_id and not again.is_new
    assert checked(room, again).repeated and verdicts(room) == ["held", "passed"]
    assert room.approve().operation_count == 3
    kept = room.ledger.execute(
        "select border, dataset, plan_id, count(*), bool_and(success), count(*) filter (is_repeated) "
        "from border_checks group by all"
    ).fetchall()
    assert kept == [("plan", "hubspot", summary.plan_id, 2 * len(first.verdicts), True, len(first.verdicts))]
    index = (room.folder / "docs" / "index.html").read_text(encoding="utf-8")
    assert summary.plan_id in index and "validations/plan-hubspot/" in index


# What a broken planner could store, and what is said of it.
BROKEN = (
    (1, SCORE, "deciding_rule = ''", "no rule: operations is 1 (contacts 1 nightdesk_lead_score)"),
    (2, SCORE, "reason = '  '", "no reason: operations is 1"),
    (2, SCORE, "desired_value = '101', wire_value = '101'", "highest is 101 (contacts 2"),
    (3, SCORE, "wire_value = '12'", "what is sent is not what was planned: operations is 1"),
    (1, TIER, "desired_value = 'E', wire_value = 'E'", "contacts.nightdesk_lead_tier: tier is 'E'"),
    (4, TIER, "property = 'email'", "outside the namespace: operations is 1 (contacts 4 email)"),
    (4, REASON, "property = 'nightdesk_lead_score'", "proposed twice: operations is 1 (contacts 4"),
    (5, REASON, "value_type = 'number'", "no number: operations is 1 (contacts 5"),
    (3, REASON, "desired_value = repeat('a', 60001), wire_value = repeat('a', 60001)", "longer than a text may be"),
    (5, SCORE, "evidence = '[]'", "an answer without evidence: operations is 1"),
    (5, TIER, "answer_id = 'made up'", "an answer that the ledger does not have: operations is 1"),
    (3, TIER, "conflict_class = 'ours'", "conflict class: operations is 1 (contacts 3"),
    (
        1, REASON, "decision = 'auto', desired_value = 'See www.example.com', wire_value = 'See www.example.com'",
        "a link: written_unseen is 1 (contacts 1",
    ),
    (2, TIER, "decision = 'auto', risk = 'high'", "written without a person at high risk: operations is 1"),
)  # fmt: skip


def test_a_plan_that_breaks_a_rule_is_refused_and_stays_refused(room: Desk) -> None:
    fields = (SCORE, "60"), (TIER, "B"), (REASON, "They asked.")
    summary = planned(
        room, [row(n, name, value) for n in range(1, 7) for name, value in fields], opted_out=(6,)
    )  # the models did not say so of number 6
    for record, name, change, _ in BROKEN:
        room.ledger.execute(f"update plan_ops set {change} where record_id = '{record}' and property = '{name}'")
    room.ledger.execute("update plans set operation_count = 17")
    shown = replace(summary, counts={**summary.counts, "decision": {"require_approval": 16}})
    with pytest.raises(NightdeskError, match="can be neither approved nor applied") as caught:
        checked(room, shown)
    said = caught.value.what
    expected = [
        *(text for *_, text in BROKEN),
        "the person opted out: operations is 3 (contacts 6 nightdesk_lead_reason",
        "plans: missing is 1 (17 said, 18 stored)",
        "decision: wrong is 1 (auto 0 said, 2 stored)",
    ]  # fmt: skip
    assert [text for text in expected if text not in said] == []
    assert caught.value.exit_code == 4 and caught.value.where == summary.plan_id
    assert verdicts(room) == ["held", "refused"]
    with pytest.raises(NightdeskError, match="refused at the border") as refused:
        border.require_passed(room.ledger, summary.plan_id)
    assert "the person opted out" in refused.value.what and refused.value.exit_code == 4


def test_a_refused_plan_cannot_be_approved_or_applied_until_its_successor_passes(room: Desk) -> None:
    summary = planned(room, [row(n, SCORE, "60") for n in (1, 2, 3)], opted_out=(2,))
    with pytest.raises(NightdeskError, match="opted out"):
        checked(room, summary, docs=False)
    for use in (
        room.approve,
        lambda: apply(room.ledger, None, room.adapter, room.policy, "Dana", True, room.clock),
        lambda: apply(room.ledger, None, room.adapter, room.policy, "Dana", False, room.clock),
    ):
        with pytest.raises(NightdeskError, match="refused at the border") as caught:
            use()
        assert caught.value.exit_code == 4 and "contacts 2 nightdesk_lead_score" in caught.value.what
    assert room.journal() == []
    assert "refused at the border" in summarize(room.ledger).border[0]
    with duckdb.connect(str(room.folder / "warehouse.duckdb")) as con:
        con.execute("update marts.sync_hubspot__contacts set is_suppressed = record_id = '2'")
    corrected = remade(room)
    assert corrected.plan_id != summary.plan_id
    checked(room, corrected, docs=False)
    room.approve()
    report = apply(room.ledger, None, room.adapter, room.policy, "Dana", False, room.clock, sleep=room.clock.sleep)
    assert report.counts == {"applied": 2, "denied": 1}


def test_a_no_that_another_crm_knows_of_the_same_person_holds_here_too(room: Desk) -> None:
    summary = planned(room, [row(1, SCORE, "60"), row(2, SCORE, "60")])
    with duckdb.connect(str(room.folder / "warehouse.duckdb")) as con:
        con.execute(
            "create table marts.merged_records as select 'contacts' as object_type, 'hubspot:contact:2' as "
            "merged_record_id, 'salesforce:contact:003A' as surviving_record_id, 'same_person' as reason"
        )
        con.execute("insert into marts.opt_outs values ('salesforce:contact:003A')")
    with pytest.raises(
        NightdeskError, match=r"the person opted out: operations is 1 \(contacts 2 nightdesk_lead_score"
    ):
        checked(room, summary, docs=False)


def test_a_corrected_suite_lets_the_same_plan_pass(room: Desk, tmp_path: Path) -> None:
    summary = planned(room, [row(1, SCORE, "60")])
    suites = tmp_path / "suites"
    (suites / "plan").mkdir(parents=True)
    text = """
suite: odd
checks:
  - table: ops
    sql: select count(*) as operations, 'all of them' as sample from ops
    expectations:
      - {type: expect_column_values_to_be_in_set, column: operations, value_set: [0], meaning: Nothing is ever written}
"""
    (suites / "plan" / "odd.yml").write_text(text)
    with pytest.raises(NightdeskError, match=r"Nothing is ever written: ops: operations is 1 \(all of them\)"):
        checked(room, summary, suites=suites)
    (suites / "plan" / "odd.yml").write_text(text.replace("meaning", "severity: warn, meaning"))
    report = checked(room, summary, suites=suites)
    assert [one.meaning for one in report.warnings] == ["Nothing is ever written"]
    assert verdicts(room) == ["held", "refused", "passed"]
    assert summarize(room.ledger).border == (
        "The border warns: Nothing is ever written: ops: operations is 1 (all of them)",
    )
    assert room.approve().operation_count == 1


def test_what_a_person_is_asked_about_may_hold_an_odd_text_but_it_is_said(room: Desk) -> None:
    text = "Title: Head of \u202eegrahc\u202c, see https://example.com/<b>"
    summary = planned(room, [row(1, REASON, text), row(2, REASON, "Anna-Müller\nGmbH & Co. <3 \u200d 50 % off")])
    report = checked(room, summary, docs=False)
    assert [one.split(":")[0] for warning in report.warnings for one in warning.failures] == [
        "a link", "hidden characters", "markup"
    ]  # fmt: skip
    assert all("contacts 1 nightdesk_lead_reason" in one for warning in report.warnings for one in warning.failures)
    assert room.approve().operation_count == 2


def test_whom_a_person_has_lifted_may_be_written_to_again_and_a_list_that_is_missing_stops(room: Desk) -> None:
    summary = planned(room, [row(1, SCORE, "60")], opted_out=(1,))
    lifted = room.policy.suppression.model_copy(
        update={"lifted": (type("L", (), {"contact_id": "1"})(),)}  # as `lifted:` in policies/suppression.yml
    )
    room.policy = replace(room.policy, suppression=lifted)
    checked(room, summary, docs=False)
    key = "ab" * 32
    room.ledger.execute("insert into erasure_key values (?, ?)", [key, room.clock()])
    erased = Tombstones(bytes.fromhex(key)).hash("contact", "1")
    room.ledger.execute("insert into tombstones values ('e1', 'contact', ?, 'Dana', 'x', ?)", [erased, room.clock()])
    with pytest.raises(NightdeskError, match=r"the person was erased: operations is 1 \(contacts 1") as caught:
        checked(room, summary, docs=False)
    assert "opted out: operations" not in caught.value.what
    room.ledger.execute("delete from tombstones")
    with duckdb.connect(str(room.folder / "warehouse.duckdb")) as con:
        con.execute("drop table marts.opt_outs")
    with pytest.raises(NightdeskError, match="The list of opt-outs was there to be asked"):
        checked(room, summary, docs=False)


def test_the_night_ends_with_an_error_and_the_refused_plan_stays_unusable(room: Desk) -> None:
    planned(room, [row(1, SCORE, "60"), row(2, SCORE, "60")], opted_out=(2,))
    room.ledger.close()
    settings = Settings(
        _env_file=None, data_dir=room.folder, hubspot_url=room.sandbox.url, hubspot_token=room.sandbox.token,
        as_of=AS_OF, actor="tester",
    )  # fmt: skip  # pyright: ignore[reportCallIssue]
    project = Project(Path(__file__).parents[2], settings, room.policy)
    with pytest.raises(NightdeskError, match="can be neither approved nor applied") as caught:
        steps.make_plan(project, "run-2", room.clock)
    assert caught.value.exit_code == 4
    room.ledger = connect(room.ledger_path)
    with pytest.raises(NightdeskError, match="refused at the border"):
        room.approve()
    with duckdb.connect(str(room.folder / "warehouse.duckdb")) as con:
        con.execute("delete from marts.opt_outs")
    room.ledger.close()
    made = steps.make_plan(project, "run-3", room.clock)  # the same plan, and nothing against it any more
    assert not made.is_new and made.border == ()
    room.ledger = connect(room.ledger_path)
    assert verdicts(room) == ["held", "refused", "passed"]
    assert room.approve().operation_count == 2
