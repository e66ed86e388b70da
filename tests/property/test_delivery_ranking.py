"""Which recommendations are open: the SQL of `int_recommendations` on random signals and random tasks in the CRM."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import jinja2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

ROOT = Path(__file__).parents[2]
TODAY = date(2026, 11, 17)
RULES = {"urgent": "HIGH", "next": "MEDIUM", "also_next": "MEDIUM", "late": "LOW"}
URGENCY = {"HIGH": 0, "MEDIUM": 1, "LOW": 2}
STATES = ("open", "in_hand", "done", "archived", "withdrawn", "superseded")
ENDED = {"done", "archived", "withdrawn", "superseded"}
TABLES = """
create table stg_policy__delivery (open_per_account integer, open_per_owner integer, quote_chars integer,
    sources_per_task integer, due_hour_utc integer);
create table stg_policy__recommendation_rules (rule_id varchar, rule_position integer, signal varchar,
    reply_classes varchar[], operation varchar, subject_template varchar, body_template varchar, priority varchar,
    task_type varchar, due_business_days integer, within_days integer, quiet_days integer);
create table int_recommendation_signals (op_key varchar, rule_id varchar, subject_record_id varchar,
    contact_id varchar, account_id varchar, crm_owner_id varchar, rests_on varchar, answer_id varchar,
    evidence_operation varchar, evidence_record_id varchar, signal varchar, operation varchar, person_name varchar,
    account_name varchar, reply_class varchar, meeting_title varchar, confidence decimal(6, 4), is_stale boolean,
    signal_date date, said_date date, promised_date date, since_date date);
create table int_recommendation_sources (op_key varchar, source_position bigint, evidence_id varchar, quote varchar,
    evidence_date date, source_type varchar, url varchar);
create table int_delivered_tasks (op_key varchar, task_id varchar, rule_id varchar, contact_id varchar,
    account_id varchar, subject varchar, task_status varchar, state varchar, delivered_at timestamptz);
create table contacts (contact_id varchar, account_id varchar, is_opted_out boolean);
create table int_business_days (business_days_ahead bigint, due_date date);
"""


@pytest.fixture(scope="module")
def sql() -> str:
    macros = "".join((ROOT / "macros" / f"{name}.sql").read_text(encoding="utf-8") for name in ("text", "delivery"))
    model = (ROOT / "models" / "intermediate" / "int_recommendations.sql").read_text(encoding="utf-8")
    return jinja2.Environment().from_string(macros + model).render(ref="{}".format)


@pytest.fixture(scope="module")
def con() -> duckdb.DuckDBPyConnection:
    made = duckdb.connect()
    made.execute(TABLES)
    for position, (rule, priority) in enumerate(RULES.items()):
        made.execute(
            "insert into stg_policy__recommendation_rules values (?, ?, 's', null, 'reply_class', 'Call {person}', "
            "'Because of {account}', ?, 'CALL', 1, 30, null)",
            [rule, position, priority],
        )
    made.execute("insert into int_business_days values (1, '2026-11-18')")
    made.execute("insert into contacts values ('c0', 'a0', false), ('c1', null, true)")
    return made


recommendations = st.lists(
    st.fixed_dictionaries(
        {
            "account": st.sampled_from(["a0", "a1", None]),
            "contact": st.sampled_from(["c0", "c1", None]),
            "rule": st.sampled_from(sorted(RULES)),
            "days": st.integers(0, 3),
            "holds": st.booleans(),
            "state": st.sampled_from(("new", *STATES)),
        }
    ).filter(lambda r: (r["account"] or r["contact"]) and (r["holds"] or r["state"] != "new")),
    max_size=14,
)


def night(
    con: duckdb.DuckDBPyConnection, sql: str, items: list[dict[str, Any]], most: int, per_owner: int = 100
) -> list[dict[str, Any]]:
    for table in ("stg_policy__delivery", "int_recommendation_signals", "int_delivered_tasks"):
        con.execute(f"delete from {table}")
    con.execute("insert into stg_policy__delivery values (?, ?, 240, 3, 8)", [most, per_owner])
    for item in items:
        said = TODAY - timedelta(days=item["days"])
        if item["holds"]:
            con.execute(
                "insert into int_recommendation_signals (op_key, rule_id, subject_record_id, contact_id, account_id, "
                "crm_owner_id, signal, operation, person_name, account_name, is_stale, signal_date) "
                "values (?, ?, ?, ?, ?, ?, 's', 'reply_class', 'Anna', 'Acme', false, ?)",
                [
                    item["key"],
                    item["rule"],
                    item["contact"] or item["account"],
                    item["contact"],
                    item["account"],
                    item.get("owner"),
                    said,
                ],
            )
        if item["state"] != "new":
            con.execute(
                "insert into int_delivered_tasks (op_key, rule_id, contact_id, account_id, subject, state) "
                "values (?, ?, ?, ?, 'Call Anna', ?)",
                [item["key"], item["rule"], item["contact"], item["account"], item["state"]],
            )
    cursor = con.execute(
        f"select op_key, account_group_id, crm_owner_id, delivery_state, account_rank, is_open, superseded_because, "
        f"holds_today, priority from ({sql})"
    )
    names = [column[0] for column in cursor.description or []]
    return [dict(zip(names, found, strict=True)) for found in cursor.fetchall()]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=recommendations, most=st.integers(1, 4), shuffle=st.randoms(use_true_random=False))
def test_never_more_than_the_policy_allows_are_open_and_the_order_is_total(
    con: duckdb.DuckDBPyConnection, sql: str, drawn: list[dict[str, Any]], most: int, shuffle: Any
) -> None:
    items = [{**item, "key": f"nd_{n:032x}"} for n, item in enumerate(drawn)]
    found = night(con, sql, items, most)
    assert sorted(r["op_key"] for r in found) == [item["key"] for item in items]

    by_group: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for one in found:
        by_group[one["account_group_id"]].append(one)
        contends = one["delivery_state"] == "in_hand" or (
            one["delivery_state"] in ("new", "open") and one["holds_today"]
        )
        assert (one["account_rank"] is not None) == contends
        # What ended never comes back; only what stands untouched in the CRM is ended, and always for a reason.
        assert not (one["is_open"] and one["delivery_state"] in ENDED)
        assert (one["superseded_because"] is not None) == (one["delivery_state"] == "open" and not one["is_open"])
    for group in by_group.values():
        ranked = sorted((r for r in group if r["account_rank"] is not None), key=lambda r: r["account_rank"])
        assert [r["account_rank"] for r in ranked] == list(range(1, len(ranked) + 1))
        assert [r["is_open"] for r in ranked] == [r["account_rank"] <= most for r in ranked]
        free = [r for r in ranked if r["delivery_state"] != "in_hand"]
        assert [URGENCY[r["priority"]] for r in free] == sorted(URGENCY[r["priority"]] for r in free)

    shuffle.shuffle(items)
    again = night(con, sql, items, most)
    assert sorted(again, key=lambda r: r["op_key"]) == sorted(found, key=lambda r: r["op_key"])


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    drawn=st.lists(st.tuples(st.sampled_from(["o1", "o2", None]), st.sampled_from(sorted(RULES))), max_size=12),
    cap=st.integers(1, 4),
)
def test_a_seller_gets_the_most_urgent_of_all_accounts_and_no_more(
    con: duckdb.DuckDBPyConnection, sql: str, drawn: list[tuple[str | None, str]], cap: int
) -> None:
    items = [
        {"key": f"nd_{n:032x}", "account": f"x{n}", "contact": None, "rule": rule, "owner": owner, "days": 1,
         "holds": True, "state": "new"}
        for n, (owner, rule) in enumerate(drawn)
    ]  # fmt: skip
    found = night(con, sql, items, 1, cap)
    for owner in ("o1", "o2"):
        mine = [one for one in found if one["crm_owner_id"] == owner]
        opened = [URGENCY[one["priority"]] for one in mine if one["is_open"]]
        assert len(opened) == min(cap, len(mine))
        assert max(opened, default=0) <= min((URGENCY[o["priority"]] for o in mine if not o["is_open"]), default=9)
    assert all(one["is_open"] for one in found if one["crm_owner_id"] is None)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=recommendations, most=st.integers(1, 4))
def test_once_everything_is_applied_the_next_night_changes_nothing(
    con: duckdb.DuckDBPyConnection, sql: str, drawn: list[dict[str, Any]], most: int
) -> None:
    items = [{**item, "key": f"nd_{n:032x}"} for n, item in enumerate(drawn)]
    for one in night(con, sql, items, most):
        item = next(item for item in items if item["key"] == one["op_key"])
        if one["superseded_because"]:
            item["state"] = "superseded"
        elif one["delivery_state"] == "new" and one["is_open"]:
            item["state"] = "open"
    after = night(con, sql, items, most)
    assert not [r for r in after if r["superseded_because"]]
    assert not [r for r in after if r["delivery_state"] == "new" and r["is_open"]]
    standing: dict[str, int] = defaultdict(int)
    held: dict[str, int] = defaultdict(int)
    for one in after:
        standing[one["account_group_id"]] += one["delivery_state"] in ("open", "in_hand")
        held[one["account_group_id"]] += one["delivery_state"] == "in_hand"
    # More than allowed only where sellers themselves have that many in hand.
    assert all(number <= max(most, held[group]) for group, number in standing.items())
