"""Splink with the policy's weights: right about a world whose truth is known, in words, and the same every time."""

from __future__ import annotations

import math
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from nightdesk.identity.model import ACCOUNTS, MODELS, PEOPLE, model_hash
from nightdesk.identity.score import Scored, Scoring, score
from nightdesk.policy.identity_models import ACCOUNTS as ACCOUNT_OUTCOMES
from nightdesk.policy.identity_models import PEOPLE as PEOPLE_OUTCOMES
from tests.identity_kit import BEFORE_WEIGHING, World, account, person, shipped
from tests.identity_people import Truth, make

IDENTITY = shipped().identity
TABLE = {"contacts": "int_identity_people", "companies": "int_identity_accounts"}


def weigh(con: duckdb.DuckDBPyConnection, model: Any) -> tuple[Scoring, set[tuple[str, str]]]:
    """The scored pairs, and those that a rule links."""
    con.execute(
        f"""
        create or replace temp table decided as
        select left_record_id, right_record_id from int_identity_keys where kind <> 'related_account';
        create or replace temp table candidates as
        select records.*, settled.record_id is not null as is_settled
        from {TABLE[model.object_type]} as records
        left join (
            select left_record_id as record_id from decided union select right_record_id from decided
        ) as settled using (record_id)
        """
    )
    keys = con.execute("select left_record_id, right_record_id from decided").fetchall()
    return score(con, model, IDENTITY), {(str(left), str(right)) for left, right in keys}


def world(truth: Truth) -> duckdb.DuckDBPyConnection:
    con = duckdb.connect()
    built = World.of(con)
    for table, rows in (("int_source_contacts", truth.contacts), ("int_source_companies", truth.companies)):
        names = [str(row[0]) for row in con.execute(f"describe {table}").fetchall()]
        con.register("given", pa.table({name: [row.get(name) for row in rows] for name in names}))
        con.execute(f"insert into {table} select * from given")
    built.build(*BEFORE_WEIGHING)
    return con


def pairs(rows: list[dict[str, Any]]) -> dict[tuple[str, str], Scored]:
    """The scored pairs of a few people, by ids."""
    with world(Truth(contacts=rows)) as con:
        found, _ = weigh(con, PEOPLE)
    return {(one.left, one.right): one for one in found.scored}


def test_a_made_up_company_is_recognised_without_one_false_link() -> None:
    """Typos, nicknames, swapped names and new jobs on one side; fathers and sons, spouses, namesakes on the other."""
    truth = make(160, seed=11)
    with world(truth) as con:
        people, people_keys = weigh(con, PEOPLE)
        accounts, _ = weigh(con, ACCOUNTS)
    by_rule = people_keys & set(truth.people)
    assert {pair for pair in people_keys if pair[0].split(":")[1] != "company"} == by_rule
    hard = set(truth.people) - by_rule
    likely = {(one.left, one.right) for one in people.scored if one.probability >= IDENTITY.suggest_from}
    cautious = {(one.left, one.right) for one in people.scored}
    true, false = likely & hard, likely - set(truth.people)
    print(f"people: {len(by_rule)} by rule, {len(true)} of {len(hard)} suggested, {len(false)} false")
    print(f"carrying opt-outs: {len(cautious & hard)} of {len(hard)}, {len(cautious - set(truth.people))} false")
    assert false == set()
    assert len(true) >= 0.7 * len(hard)
    assert len(cautious & hard) >= 0.8 * len(hard)
    assert len(cautious - set(truth.people)) <= 0.02 * len(truth.contacts)
    # Who shares name, company, phone or even the address with a relative or colleague is nobody else.
    never = {pair for pair, how in truth.traps.items() if how not in ("stranger", "same name elsewhere")}
    assert len(never) > 40
    assert cautious & never == set()
    same = {(one.left, one.right) for one in accounts.scored if one.kind == "same_account"}
    assert {pair for pair in same if pair not in truth.accounts} == set()


def test_two_runs_over_the_same_records_are_the_same_to_the_byte() -> None:
    truth = make(60, seed=5)
    shuffled = Truth(contacts=truth.contacts[::-1], companies=truth.companies[::-1])
    results = []
    for one in (truth, shuffled):
        with world(one) as con:
            results.append(repr([weigh(con, model)[0].scored for model in MODELS]))
    assert results[0] == results[1]
    assert results[0].count("Scored(") > 5


JANE: dict[str, Any] = {"phone": "+49 30 1234567", "company_name": "Acme Freight", "city": "Berlin"}


NAMES: list[tuple[str, str, dict[str, Any], str, bool]] = [
    ("Jane", "Torberg", JANE, "same", True),
    ("Torberg", "Jane", JANE, "swapped", True),
    ("Jane Maria", "Torberg", JANE, "first_of_several", True),
    ("Jane", "Torbreg", JANE, "misspelt", True),
    ("Jane", "Torberg", {**JANE, "phone": None, "company_name": "Borealis"}, "same", False),
    ("J.", "Torberg", {**JANE, "phone": None, "city": None}, "initial", False),
]


@pytest.fixture(scope="module")
def named() -> dict[str, Scored]:
    """The scored pairs of `NAMES`, each pair with a family, a company and a number of its own, by its number."""
    rows: list[dict[str, Any]] = []
    for case, (first, last, other, _, _) in enumerate(NAMES):
        mine = person(f"hubspot:{case}", "Jane", "Torberg", email=f"jane@acme{case}.com", **JANE)
        rows += [_own(mine, case), _own(person(f"salesforce:{case}", first, last, **other), case)]
    return {one.left.split(":")[2]: one for one in pairs(rows).values()}


def _own(row: dict[str, Any], case: int) -> dict[str, Any]:
    own = "QWXZVK"[case].lower() * 2
    changed = {key: row[key].replace("Tor", f"Tor{own}") for key in ("first_name", "last_name") if row[key]}
    more = {"phone": row.get("phone") and f"{row['phone']}{case}", "company_name": f"{row['company_name']} {own}"}
    return {**row, **changed, **more}


@pytest.mark.parametrize("case", range(len(NAMES)))
def test_a_name_is_told_in_words_and_weighed(named: dict[str, Scored], case: int) -> None:
    _, _, _, outcome, linked = NAMES[case]
    one = named.get(str(case))
    assert (one is not None and one.probability >= IDENTITY.suggest_from) == linked
    if one is None:
        return
    (name,) = (reason for reason in one.reasons if reason.field == "name")
    assert (name.outcome, name.says) == (outcome, PEOPLE.says("name", outcome))
    # What is shown adds up to what was decided.
    total = sum(reason.weight for reason in one.reasons)
    assert total == pytest.approx(one.weight, abs=0.05)
    assert 1 / (1 + 2**-one.weight) == pytest.approx(one.probability, abs=0.001)


def test_relatives_and_successors_are_nobody_else_whatever_they_share() -> None:
    both = [
        (("Hans", "Torberg"), ("Peter", "Torberg")),
        (("Hans", "Torberg sen."), ("Hans", "Torberg jun.")),
        (("Hans", "Torberg"), ("Hans", "Torberg jr")),
        (("Daniel", "Torberg"), ("Daniela", "Torberg")),
        (("Andrea", "Torberg"), ("Andreas", "Torberg")),
        (("Hans Peter", "Torberg"), ("Hans Dieter", "Torberg")),
        (("Hans", "Torberg"), ("Omar", "Haddad")),
    ]
    rows: list[dict[str, Any]] = []
    for case, (mine, other) in enumerate(both):
        everything = {
            "phone": f"+49 30 1234567{case}", "company_name": f"Acme {case}", "city": "Berlin", "country": "Germany",
            "email": f"berlin@acme{case}.com", "job_title": "Owner",
        }  # fmt: skip
        rows += [
            person(f"{crm}:{case}", *name, **everything) for crm, name in (("hubspot", mine), ("salesforce", other))
        ]
    found = pairs(rows)
    assert {pair for pair in found if pair[0].split(":")[2] == pair[1].split(":")[2]} == set()


def test_words_that_others_have_as_names_are_no_slips_of_the_pen() -> None:
    others = [
        person(f"hubspot:{n}{k}", given, "Torberg", email=f"{given}{n}@other{n}.com")
        for n, given in enumerate(("Anna", "Omar", "Lena"), 5)
        for k in range(2)
    ]
    names = [person(f"hubspot:9{n}", given, "Torborg") for n, given in enumerate(("Ida", "Max", "Kai"))]
    mine = person("hubspot:1", "Jane", "Torberg", email="jane@acme.com", **JANE)
    other = person("salesforce:1", "Jane", "Torborg", **JANE)
    pair = ("hubspot:contact:1", "salesforce:contact:1")
    found = pairs([mine, other, *others, *names])
    # On its own the pair reads as misspelt (NAMES).
    assert pair not in found or {one.field: one.outcome for one in found[pair].reasons}["name"] == "other_family_name"


def test_an_unknown_address_of_the_name_in_the_same_conversation_is_suggested_and_never_more() -> None:
    with duckdb.connect() as con:
        built = World.of(
            con,
            int_source_contacts=[
                person("hubspot:1", "Jane", "Torberg", email="jane@acme.com"),
                person("hubspot:2", "Omar", "Haddad", email="omar@acme.com"),
            ],
            int_source_emails=[{"email_id": f"mailbox:email:{n}", "thread_id": "t"} for n in (1, 2)],
            int_source_participants=[
                {"record_id": "mailbox:email:1", "email": "jane@acme.com"},
                {"record_id": "mailbox:email:1", "email": "omar@acme.com"},
                {"record_id": "mailbox:email:2", "email": "jt77@gmx.de", "participant_name": "Jane Torberg"},
            ],
        )
        built.build(*BEFORE_WEIGHING)
        assert built.rows("select * from int_identity_keys") == []
        found, _ = weigh(con, PEOPLE)
    (one,) = found.scored
    assert one.right == "hubspot:contact:1" and one.left.startswith("address:contact:")
    assert one.probability >= IDENTITY.suggest_from
    assert "in the same conversations" in [reason.says for reason in one.reasons]


def test_another_ending_or_country_is_how_a_subsidiary_looks() -> None:
    cases: list[tuple[str, str | None, dict[str, Any], str]] = [
        ("Torfracht", None, {"city": "Berlin", "country": "DE"}, "same_account"),
        ("Torfracht AG", "torfracht.de", {"city": "Berlin", "country": "DE"}, "related_account"),
        ("Torfracht", "torfracht.de", {"country": "France"}, "related_account"),
        ("Borealis", "torfracht.com", {"city": "Berlin", "country": "DE"}, "same_account"),
    ]
    rows: list[dict[str, Any]] = []
    for case, (name, domain, more, _) in enumerate(cases):
        own = "qwxz"[case] * 3
        mine = account(f"hubspot:{case}", "Torfracht GmbH", "torfracht.com", city="Berlin", country="Germany")
        for row in (mine, account(f"salesforce:{case}", name, domain, **more)):
            changed = {
                key: row[key].replace("orfracht", f"or{own}fracht") for key in ("account_name", "domain") if row[key]
            }
            rows.append({**row, **changed})
    with world(Truth(companies=rows)) as con:
        found, keys = weigh(con, ACCOUNTS)
    assert keys == set()
    kinds = {one.left.split(":")[2]: one.kind for one in found.scored if one.left[-1] == one.right[-1]}
    assert kinds == {str(case): kind for case, (_, _, _, kind) in enumerate(cases)}


def test_the_policys_outcomes_are_the_models() -> None:
    for model, outcomes in ((PEOPLE, PEOPLE_OUTCOMES), (ACCOUNTS, ACCOUNT_OUTCOMES)):
        assert {one.field: {o.name for o in one.outcomes} for one in model.comparisons} == {
            field: set(names) for field, names in outcomes.items()
        }
        for one in model.comparisons:
            assert [bool(o.sql) for o in one.outcomes] == [True] * (len(one.outcomes) - 1) + [False]


def test_another_weight_is_another_model() -> None:
    comparisons = dict(IDENTITY.people.comparisons)
    comparisons["phone"] = {**comparisons["phone"], "same": comparisons["phone"]["same"].model_copy(update={"m": 0.31})}
    changed = IDENTITY.model_copy(update={"people": IDENTITY.people.model_copy(update={"comparisons": comparisons})})
    assert model_hash(changed) != model_hash(IDENTITY) == model_hash(shipped().identity)
    assert math.isclose(IDENTITY.people.comparisons["name"]["same"].weight, math.log2(0.75 / 0.0001))
