"""The write rules mean the same in SQL and in Python, and mean what the policy's header promises."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nightdesk.errors import NightdeskError
from nightdesk.policy import load
from reverse_etl.decide import COLUMNS, Condition, Rule, decide, holds, matches, rules_from_policy, statement

POLICY_RULES = rules_from_policy(load(Path(__file__).parents[2] / "policies").write_rules.rules)
TEXTS = ["a", "b", "O'Neill", "owned", ""]
NUMBERS = [Decimal("0"), Decimal("0.5"), Decimal("1"), Decimal("2"), Decimal("5")]


def _values(kind: str) -> st.SearchStrategy[Any]:
    return st.sampled_from({"text": TEXTS, "number": NUMBERS, "boolean": [True, False]}[kind])


@st.composite
def conditions(draw: st.DrawFn) -> Condition:
    column = draw(st.sampled_from(sorted(COLUMNS)))
    kind = COLUMNS[column]
    tests = ["equals", "in", "not_in", *(["at_least", "at_most"] if kind == "number" else [])]
    test = draw(st.sampled_from(tests))
    many = test in ("in", "not_in")
    return Condition(column, test, tuple(draw(st.lists(_values(kind), min_size=1, max_size=3 if many else 1))))


@st.composite
def rules(draw: st.DrawFn) -> list[Rule]:
    made = []
    for n in range(draw(st.integers(0, 6))):
        when = tuple(draw(st.lists(conditions(), min_size=1, max_size=3)))
        decision = draw(st.sampled_from([None, "auto", "require_approval"]))
        made.append(Rule(f"r{n}", "permit" if decision else "forbid", decision, when, "because"))
    return draw(st.permutations(made))


def op() -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({name: st.none() | _values(kind) for name, kind in COLUMNS.items()})


def in_sql(ops: list[dict[str, Any]], given_rules: list[Rule] | tuple[Rule, ...]) -> list[tuple[str, str]]:
    kinds = {"text": pa.string(), "number": pa.decimal128(9, 4), "boolean": pa.bool_()}
    columns = {n: pa.array([entry[n] for entry in ops], kinds[k]) for n, k in COLUMNS.items()}
    con = duckdb.connect()
    con.register("candidate_ops", pa.table({"n": list(range(len(ops))), **columns}))
    found = con.execute(
        f"select decision, deciding_rule from ({statement(given_rules, 'candidate_ops')}) order by n"
    ).fetchall()
    con.close()
    return found


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.lists(op(), min_size=1, max_size=12), rules())
def test_sql_and_python_decide_alike(ops: list[dict[str, Any]], some: list[Rule]) -> None:
    assert in_sql(ops, some) == [decide(entry, some) for entry in ops]


@settings(max_examples=60, deadline=None)
@given(op(), rules(), st.randoms(use_true_random=False))
def test_the_order_of_rules_never_matters(entry: dict[str, Any], some: list[Rule], random: Any) -> None:
    shuffled = list(some)
    random.shuffle(shuffled)
    assert decide(entry, some) == decide(entry, shuffled)


@settings(max_examples=60, deadline=None)
@given(op(), rules(), conditions())
def test_one_more_forbid_never_allows_more(entry: dict[str, Any], some: list[Rule], condition: Condition) -> None:
    before, _ = decide(entry, some)
    after, _ = decide(entry, [*some, Rule("zz_more", "forbid", None, (condition,), "")])
    assert after == before or after == "denied"


@settings(max_examples=80, deadline=None)
@given(op(), rules(), st.data())
def test_a_missing_value_never_permits(entry: dict[str, Any], some: list[Rule], data: st.DataObject) -> None:
    gone = {**entry, data.draw(st.sampled_from(sorted(COLUMNS))): None}
    rank = {"denied": 0, "require_approval": 1, "auto": 2}
    forbids = [rule for rule in some if rule.effect == "forbid"]
    # Losing a value may only take away permits and add forbids; it can loosen auto to approval, never the reverse
    # unless the approval itself rested on the lost value; what was denied stays denied.
    if decide(entry, forbids)[0] == "denied" and decide(entry, forbids)[1] != "default_deny":
        assert decide(gone, forbids)[1] != "default_deny"
    if decide(entry, some)[0] == "denied":
        assert rank[decide(gone, some)[0]] == 0


@settings(max_examples=60, deadline=None)
@given(op(), rules(), conditions())
def test_forbid_beats_permit_whatever_else_there_is(entry: dict[str, Any], some: list[Rule], one: Condition) -> None:
    hit = {**entry, one.column: one.values[0]}
    forbid = Rule("zz_forbid", "forbid", None, (Condition(one.column, "in", (one.values[0],)),), "")
    everything = Rule("a_permit", "permit", "auto", (Condition(one.column, "in", (one.values[0],)),), "")
    decision, rule = decide(hit, [everything, *some, forbid])
    assert decision == "denied" and rule != "default_deny"
    # Nor does a value that is missing get past it.
    assert decide({**hit, one.column: None}, [everything, *some, forbid])[0] == "denied"


@settings(max_examples=60, deadline=None)
@given(op(), rules())
def test_what_permits_has_all_its_values_and_no_forbid_against_it(entry: dict[str, Any], some: list[Rule]) -> None:
    decision, rule_id = decide(entry, some)
    if decision == "denied":
        return
    (rule,) = [rule for rule in some if rule.id == rule_id]
    assert all(entry[condition.column] is not None and holds(condition, entry) for condition in rule.when)
    assert all(matches(other, entry) is False for other in some if other.effect == "forbid")
    assert decide(dict.fromkeys(COLUMNS), some)[0] == "denied"


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.lists(op(), min_size=1, max_size=12), rules(), conditions(), st.randoms(use_true_random=False))
def test_in_sql_one_more_forbid_allows_no_more_and_order_is_nothing(
    ops: list[dict[str, Any]], some: list[Rule], condition: Condition, random: Any
) -> None:
    shuffled = list(some)
    random.shuffle(shuffled)
    before, again = in_sql(ops, some), in_sql(ops, shuffled)
    after = in_sql(ops, [*some, Rule("zz_more", "forbid", None, (condition,), "")])
    assert before == again
    assert all(new[0] in (old[0], "denied") for old, new in zip(before, after, strict=True))


def test_a_permit_needs_every_value() -> None:
    rule = Rule(
        "p", "permit", "auto", (Condition("risk", "equals", ("low",)), Condition("operation", "in", ("a",))), ""
    )
    assert decide({"risk": "low", "operation": "a"}, [rule]) == ("auto", "p")
    assert decide({"risk": "low", "operation": None}, [rule]) == ("denied", "default_deny")
    assert decide({"risk": "low"}, [rule]) == ("denied", "default_deny")


def test_approval_beats_auto_and_the_smallest_id_is_named() -> None:
    when = (Condition("risk", "equals", ("low",)),)
    some = [
        Rule("b", "permit", "require_approval", when, ""),
        Rule("c", "permit", "require_approval", when, ""),
        Rule("a", "permit", "auto", when, ""),
    ]
    assert decide({"risk": "low"}, some) == ("require_approval", "b")
    assert in_sql([{**dict.fromkeys(COLUMNS), "risk": "low"}], some) == [("require_approval", "b")]


# the project's own policy ---------------------------------------------------------------------------------------------

GOOD = {
    **dict.fromkeys(COLUMNS),
    "operation": "lead_quality", "object_type": "contacts", "conflict_class": "new", "confidence": Decimal("0.8"),
    "evidence_count": 2, "is_stale": False, "is_suppressed": False, "is_namespaced": True, "autonomy_level": 2,
    "risk": "low", "field_class": "owned",
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, ("require_approval", "approve_recommendations")),
        ({"autonomy_level": 5}, ("auto", "auto_low_risk")),
        ({"autonomy_level": 5, "conflict_class": "changed_by_other"}, ("require_approval", "approve_human_edit")),
        ({"autonomy_level": 5, "risk": "medium"}, ("require_approval", "approve_medium_risk")),
        ({"autonomy_level": 5, "is_suppressed": True}, ("denied", "forbid_suppressed")),
        ({"autonomy_level": 1}, ("denied", "forbid_level_1")),
        ({"is_namespaced": False}, ("denied", "forbid_outside_namespace")),
        ({"evidence_count": 0}, ("denied", "forbid_no_evidence")),
        ({"is_stale": True}, ("denied", "forbid_stale")),
        ({"field_class": "protected"}, ("denied", "forbid_protected")),
        ({"is_suppressed": None}, ("denied", "forbid_suppressed")),
        ({"evidence_count": None}, ("denied", "forbid_no_evidence")),
        ({"autonomy_level": None}, ("denied", "forbid_level_1")),
        ({"autonomy_level": 5, "field_class": "shared"}, ("denied", "default_deny")),
    ],
)
def test_the_policy_decides(change: dict[str, Any], expected: tuple[str, str]) -> None:
    entry = {**GOOD, **change}
    assert decide(entry, POLICY_RULES) == expected
    assert in_sql([entry], POLICY_RULES) == [expected]


@pytest.mark.parametrize(
    ("when", "says"),
    [
        ({"colour": "red"}, "does not have"),
        ({"autonomy_level": "high"}, "another kind"),
        ({"is_stale": "yes"}, "another kind"),
        ({"risk": {"at_most": "low"}}, "not a number"),
        ({"risk": {"like": "l%"}}, "unknown test"),
        ({"autonomy_level": True}, "another kind"),
        ({}, "no conditions"),
    ],
)
def test_a_rule_that_means_nothing_is_an_error(when: dict[str, Any], says: str) -> None:
    with pytest.raises(NightdeskError, match="write rule `x`") as error:
        rules_from_policy([{"id": "x", "effect": "forbid", "when": when, "reason": "r"}])
    assert says in error.value.what
