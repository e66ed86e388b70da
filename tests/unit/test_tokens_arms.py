"""The arithmetic of the arms: what a loop re-sends, what a cache takes, where a dump may stop."""

from __future__ import annotations

import io
import json
import sqlite3
from pathlib import Path

import pytest

from nightdesk.errors import NightdeskError
from sandbox.evaluation import arms, arms_results, tokens
from sandbox.evaluation.arms_records import RawRecord, RawRecords, Scope
from sandbox.evaluation.tokens import Cost, Usage

HAIKU, SONNET = "claude-haiku-5-5", "claude-sonnet-5-5"


def test_a_token_is_the_same_number_of_characters_for_everybody() -> None:
    assert [tokens.count(text) for text in ("", "a", "a" * 31, '{"' * 31)] == [0, 1, 10, 20]


def test_rates_are_the_published_ones() -> None:
    fresh, write, read, output = tokens.rates(HAIKU)
    assert (fresh, output) == pytest.approx((0.1e-6, 0.5e-6))
    assert (write, read) == pytest.approx((fresh * 1.25, fresh * 0.1))


def test_a_loop_sends_everything_again_at_every_turn() -> None:
    # 1,000 at first; the first tool call adds 10 + 500, the second 20 + 2,000; then the answer.
    found = tokens.loop(HAIKU, shared=900, own=100, turns=[(10, 500), (20, 2_000)], answer=50)
    assert found.usage == Usage(3, 1_000 + 1_510 + 3_530, 0, 0, 80, 2_700)
    assert found.usage.own == 1_000 + 1_510 + 3_530 - 2_700
    # Nothing reaches the 4,096 tokens this model's cache takes.
    assert found.usd_cached == found.usd


def test_a_cached_loop_reads_what_the_turn_before_sent_and_writes_the_rest() -> None:
    fresh, write, read, output = tokens.rates(SONNET)
    found = tokens.loop(SONNET, shared=0, own=2_000, turns=[(0, 3_000)], answer=100)
    assert found.usd == pytest.approx((2_000 + 5_000) * fresh + 100 * output)
    assert found.usd_cached == pytest.approx(2_000 * write + 2_000 * read + 3_000 * write + 100 * output)


@pytest.mark.parametrize(
    ("model", "shared", "is_cached"), [(HAIKU, 4_095, False), (HAIKU, 4_096, True), (SONNET, 1_024, True)]
)
def test_a_short_prompt_is_not_cached(model: str, shared: int, is_cached: bool) -> None:
    found = tokens.single(model, shared=shared, own=10, output=5)
    assert (found.usd_cached < found.usd) is is_cached


def test_calls_add_up() -> None:
    one, other = (tokens.single(HAIKU, shared=2_000, own=own, output=90) for own in (500, 7))
    assert one.usage.tokens == 2_590 and one.usage.own == 500
    assert (one + other).usage == Usage(2, 4_507, 0, 0, 180, 4_000)
    assert (one + other).usd == pytest.approx(one.usd + other.usd)


def test_the_interval_draws_accounts_and_repeats() -> None:
    value, interval = tokens.ratio_interval([10.0, 20, 30, 40], [1.0, 2, 3, 4], resamples=200)
    assert value == 10 and interval is not None and (interval.low, interval.high) == (10, 10)
    spread = tokens.ratio_interval([10.0, 0, 90, 4], [1.0, 1, 1, 1], resamples=200)
    assert spread[0] == 26 and spread[1] is not None and spread[1].low < 26 < spread[1].high
    assert spread == tokens.ratio_interval([10.0, 0, 90, 4], [1.0, 1, 1, 1], resamples=200)
    assert tokens.ratio_interval([1.0], [0.0]) == (None, None)


def unit(name: str) -> arms.Unit:
    return ("somebody", name, "yes", "affirmed")


def scope(*documents: str) -> Scope:
    """Documents newest first."""
    return Scope((), (), tuple(RawRecord(name, str(9 - n), "{}") for n, name in enumerate(documents)), ())


@pytest.mark.parametrize(("covered", "read"), [(0, 0), (1, 2), (2, 3), (3, 3)])
def test_a_dump_stops_at_the_first_document_that_reaches_the_coverage(covered: int, read: int) -> None:
    truth = arms.Truth({"old": {unit("pain")}, "new": {unit("need"), unit("old budget")}, "oldest": {unit("champion")}})
    wanted = {unit("need"), unit("pain"), unit("champion")}
    # The newest document says nothing that is wanted; a fact that no longer holds counts for nobody.
    assert arms.cut(scope("newest", "new", "old"), wanted, covered, truth) == read


def test_a_fact_said_twice_is_one_fact() -> None:
    truth = arms.Truth({"b": {unit("pain")}, "a": {unit("pain")}}, {unit("pain")})
    assert arms.wanted(scope("b", "a"), truth) == {unit("pain")}
    assert arms.cut(scope("b", "a"), {unit("pain")}, 1, truth) == 1


def crm(path: Path) -> Path:
    rows = [
        ("contacts", 1, {"email": "a@x.example", "phone": "", "nightdesk_lead_score": "90"}, None, None),
        ("companies", 5, {"name": "Acme"}, None, None),
        ("emails", 7, {"hs_timestamp": "2026-01-02", "hs_email_text": "long text"}, None, None),
        ("emails", 8, {"hs_timestamp": "2026-03-02", "hs_email_text": "later"}, None, None),
        ("emails", 9, {"hs_timestamp": "2026-04-02", "hs_email_text": "deleted"}, 1, None),
        ("tasks", 3, {"hs_timestamp": "2026-02-02", "hs_task_subject": "Call"}, None, None),
    ]  # fmt: skip
    links = [
        ("contacts", 1, "companies", 5),
        *(("contacts", 1, "emails", n) for n in (7, 8, 9)),
        ("contacts", 1, "tasks", 3),
    ]
    with sqlite3.connect(path) as connection:
        connection.execute(
            "create table objects (object_type, id, created_at, updated_at, archived_at, merged_into, properties)"
        )
        connection.execute("create table associations (from_type, from_id, to_type, to_id)")
        connection.executemany(
            "insert into objects values (?, ?, 0, 0, ?, ?, ?)",
            [(kind, number, gone, merged, json.dumps(values)) for kind, number, values, gone, merged in rows],
        )
        connection.executemany("insert into associations values (?, ?, ?, ?)", links)
    connection.close()
    return path


def test_raw_records_are_lean_and_newest_first(tmp_path: Path) -> None:
    found = RawRecords(crm(tmp_path / "crm.sqlite")).scope("hubspot:contact:1")
    assert [record.id for record in found.documents] == ["hubspot:email:8", "hubspot:email:7"]
    assert [record.id for record in found.around] == ["hubspot:company:5"]
    assert [record.id for record in found.rest] == ["hubspot:task:3"]
    # What is empty, and what Nightdesk itself wrote, is not held against the baseline.
    assert "phone" not in found.record[0].text and "nightdesk" not in found.record[0].text
    assert "long text" in found.documents[1].text and "long text" not in found.documents[1].listed
    assert ": " not in found.record[0].text


def test_without_a_sample_crm_there_is_one_clear_message(tmp_path: Path) -> None:
    with pytest.raises(NightdeskError, match="no sample CRM"):
        RawRecords(tmp_path / "none.sqlite")


def cost(amount: float) -> Cost:
    return Cost(Usage(1, amount), amount / 1e6, amount / 1e6)


def night(*, curated: float, dump: float, loop: float, reading: float, accounts: int = 4) -> arms.Night:
    costs = {
        name: cost(dump if name.startswith("dump") else loop) for name in arms_results.ARMS if name[:2] in ("du", "lo")
    }
    asked = [
        arms.Asked(
            "lead_quality", f"hubspot:contact:{n}", f"account {n}", 2, 1, 1, 1, costs | {"curated": cost(curated)}
        )
        for n in range(accounts)
    ]
    readings = [arms.Reading(f"d{n}", f"account {n}", cost(reading)) for n in range(accounts) if reading]
    at_once = [arms.AtOnce(f"account {n}", cost(dump), cost(dump)) for n in range(accounts)]
    return arms.Night(asked, readings, at_once, {line.record_id: line.account for line in asked})


def told(first: arms.Night, *later: tuple[str, arms.Night]) -> arms_results.TokensReport:
    from datetime import date

    return arms_results.report(
        first, later, contacts=9, seed=1, as_of=date(2026, 11, 17), models={"lead_quality": HAIKU}, resamples=20
    )


def test_reading_counts_on_the_first_night_and_a_missed_goal_is_called_missed() -> None:
    report = told(
        night(curated=100, dump=1_000, loop=9_000, reading=300),
        ("second night, nothing new", arms.Night([], [], [], {})),
        ("ordinary", night(curated=100, dump=1_000, loop=9_000, reading=0, accounts=1)),
    )
    ratios = {line.name: line for line in report.ratios}
    assert ratios["first night: one-shot dump"].tokens == 2.5 and ratios["first night: one-shot dump"].is_met is False
    assert ratios["memory filled: one-shot dump"].tokens == 10 and ratios["memory filled: one-shot dump"].is_met
    # 4 accounts: 30 nights of the dump against one first night and 29 nights of one question.
    assert ratios["30 nights, each ordinary: one-shot dump every night"].tokens == pytest.approx(
        120_000 / (1_600 + 2_900)
    )
    changed_only = ratios["30 nights, each ordinary: one-shot dump of changed records only"]
    assert changed_only.tokens == pytest.approx((4_000 + 29_000) / (1_600 + 2_900))
    assert [(goal.is_met, goal.reached) for goal in report.goals] == [(False, 2.5), (False, 22.5), (True, 0.0)]
    assert [line.curated for line in report.nights] == [400, 0, 25]


def test_the_page_and_the_terminal_show_what_the_report_says() -> None:
    from rich.console import Console

    from sandbox.evaluation import arms_page

    report = told(night(curated=100, dump=1_000, loop=9_000, reading=300))
    page = arms_page.render(report)
    assert (
        "not met" in page
        and "<svg" in page
        and "src=" not in page
        and "http://" not in page.replace("http://www.w3.org", "")
    )
    console = Console(width=200, record=True, file=io.StringIO())
    for part in arms_page.parts(report):
        console.print(part)
    shown = console.export_text()
    assert "NOT MET" in shown and "2.50" in shown and "tool loop, one document a turn" in shown
