"""The SQL that decides what is recalled, against a plain rendering of the same rule, and against the clock."""

from __future__ import annotations

import hashlib
import re
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from math import ceil
from pathlib import Path

import duckdb
import jinja2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_models_support import ROOT

from enrich.registry import operations as registered
from nightdesk.policy import load
from sandbox.evaluation.recall import greedy

MACROS = ("text", "context", "recall")
FIRST_DAY = date(2024, 1, 1)
PREDICATES = ("need", "pain", "budget", "champion", "weather")
RELEVANCE = {"need": Decimal("0.9"), "pain": Decimal("0.5"), "budget": Decimal("1.0"), "champion": Decimal("0")}


@dataclass(frozen=True)
class Operation:
    name: str
    record_type: str
    facts_of: str
    shows_strangers: bool
    half_life_days: int
    token_budget: int
    quota: int


@dataclass(frozen=True)
class Fact:
    fact_id: str
    account_id: str
    contact_id: str | None
    predicate: str
    days: int
    quote: str
    is_current: bool
    is_trusted: bool
    similarity: Decimal | None = None

    @property
    def valid_date(self) -> date:
        return FIRST_DAY + timedelta(days=self.days)

    @property
    def line(self) -> str:
        return f'[{self.fact_id}] {self.valid_date} theirs call {self.predicate}=x affirmed "{self.quote}"'

    @property
    def text_id(self) -> str:
        return hashlib.sha256(f"{self.fact_id}\n{self.quote}".encode()).hexdigest()[:12]

    @property
    def tokens(self) -> int:
        return ceil((len(self.line) + 1) / 4)


@pytest.fixture(scope="module")
def sql() -> str:
    """`int_recall` with its macros filled in and every reference named as `world` names it."""
    macros = "".join((ROOT / "macros" / f"{name}.sql").read_text(encoding="utf-8") for name in MACROS)
    model = (ROOT / "models" / "intermediate" / "int_recall.sql").read_text(encoding="utf-8")
    return jinja2.Environment().from_string(macros + model).render(ref="warehouse.main.{}".format)


@pytest.fixture(scope="module")
def world() -> Iterator[duckdb.DuckDBPyConnection]:
    """The relations that the SQL reads, empty, under the names that dbt gives them."""
    with duckdb.connect() as connection:
        connection.execute("attach ':memory:' as warehouse")
        connection.execute(
            """
            create table warehouse.main.stg_policy__recall_operations (operation varchar, record_type varchar,
                facts_of varchar, shows_strangers boolean, half_life_days integer, token_budget integer);
            create table warehouse.main.stg_policy__recall (operation varchar, predicate varchar,
                relevance decimal(9, 4), quota integer, token_budget integer);
            create table warehouse.main.stg_policy__numbers as
                select 4 as token_estimate_chars, null::decimal(5, 4) as semantic_weight;
            create table warehouse.main.stg_ledger__recall_similarity (operation varchar, query_hash varchar,
                fact_id varchar, text_id varchar, similarity decimal(5, 4));
            create table warehouse.main.stg_ledger__recall_queries as select 'op' as operation, 'now' as query_hash;
            create table warehouse.main.accounts (account_id varchar);
            create table warehouse.main.int_contacts (contact_id varchar, account_id varchar);
            create table warehouse.main.meeting_signals (meeting_id varchar, account_id varchar);
            create table warehouse.main.deals (deal_id varchar, account_id varchar);
            create table warehouse.main.facts (fact_id varchar, account_id varchar, contact_id varchar,
                predicate varchar, fact_value varchar, fact_date date, polarity varchar, quote varchar,
                author_side varchar, document_type varchar, valid_date date, trust_share decimal(9, 4),
                is_current boolean, is_trusted boolean);
            insert into warehouse.main.accounts values ('a'), ('b');
            insert into warehouse.main.int_contacts values ('c', 'a'), ('d', 'b');
            insert into warehouse.main.meeting_signals values ('m', 'a');
            insert into warehouse.main.deals values ('deal', 'b');
            """
        )
        yield connection


operations = st.builds(
    Operation,
    name=st.just("op"),
    record_type=st.sampled_from(["account", "meeting", "deal"]),
    facts_of=st.just("account"),
    shows_strangers=st.booleans(),
    half_life_days=st.integers(1, 400),
    token_budget=st.integers(1, 200),
    quota=st.integers(1, 4),
) | st.builds(
    Operation,
    name=st.just("op"),
    record_type=st.just("contact"),
    facts_of=st.sampled_from(["account", "contact"]),
    shows_strangers=st.booleans(),
    half_life_days=st.integers(1, 400),
    token_budget=st.integers(1, 200),
    quota=st.integers(1, 4),
)
facts = st.lists(
    st.builds(
        Fact,
        fact_id=st.integers(0, 10**6).map(lambda number: f"f_{number:07d}"),
        account_id=st.sampled_from("ab"),
        contact_id=st.sampled_from(["c", "d", None]),
        predicate=st.sampled_from(PREDICATES),
        days=st.integers(0, 1500),
        quote=st.integers(1, 120).map("x".__mul__),
        is_current=st.booleans() | st.just(True),
        is_trusted=st.booleans() | st.just(True),
        similarity=st.none() | st.decimals(0, 1, places=4),
    ),
    max_size=25,
    unique_by=lambda fact: fact.fact_id,
)


weights = st.none() | st.decimals("0.01", "0.99", places=4)

Decisions = dict[tuple[str, str], tuple[str, int | None, Decimal | None]]


def decide(
    connection: duckdb.DuckDBPyConnection,
    sql: str,
    operation: Operation,
    given_facts: list[Fact],
    weight: Decimal | None = None,
) -> Decisions:
    """What the SQL says: (record, fact) to decision, position and usefulness. `weight`: of similarity; None is off."""
    for table in ("stg_policy__recall_operations", "stg_policy__recall", "facts", "stg_ledger__recall_similarity"):
        connection.execute(f"delete from warehouse.main.{table}")
    connection.execute("update warehouse.main.stg_policy__numbers set semantic_weight = ?", [weight])
    connection.execute(
        "insert into warehouse.main.stg_policy__recall_operations values (?, ?, ?, ?, ?, ?)",
        [
            operation.name, operation.record_type, operation.facts_of, operation.shows_strangers,
            operation.half_life_days, operation.token_budget,
        ],
    )  # fmt: skip
    connection.executemany(
        "insert into warehouse.main.stg_policy__recall values ('op', ?, ?, ?, 0)",
        [(predicate, relevance, operation.quota) for predicate, relevance in RELEVANCE.items()],
    )
    if given_facts:
        connection.executemany(
            "insert into warehouse.main.facts values"
            " (?, ?, ?, ?, 'x', null, 'affirmed', ?, 'theirs', 'call', ?, ?, ?, ?)",
            [
                (
                    fact.fact_id, fact.account_id, fact.contact_id, fact.predicate, fact.quote, fact.valid_date,
                    Decimal(1) if fact.is_trusted else Decimal("0.25"), fact.is_current, fact.is_trusted,
                )
                for fact in given_facts
            ],
        )  # fmt: skip
    known = [fact for fact in given_facts if fact.similarity is not None]
    similar = [("op", "now", fact.fact_id, fact.text_id, fact.similarity) for fact in known]
    # What another query, another operation or other words in the same place were like must not count.
    similar += [("op", "before", fact.fact_id, fact.text_id, Decimal(0)) for fact in given_facts]
    similar += [("other", "now", fact.fact_id, fact.text_id, Decimal(0)) for fact in given_facts]
    similar += [("op", "now", fact.fact_id, "edited", Decimal(0)) for fact in given_facts]
    if similar:
        connection.executemany(
            "insert into warehouse.main.stg_ledger__recall_similarity values (?, ?, ?, ?, ?)", similar
        )
    rows = connection.execute(f"select record_id, fact_id, decision, position, usefulness from ({sql})").fetchall()
    return {(row[0], row[1]): row[2:] for row in rows}


RECORDS = {
    "account": {"a": "a", "b": "b"},
    "contact": {"c": "a", "d": "b"},
    "meeting": {"m": "a"},
    "deal": {"deal": "b"},
}


def expected(operation: Operation, given_facts: list[Fact], weight: Decimal | None = None) -> Decisions:
    """The same by plain loops, record by record."""
    found: Decisions = {}
    for record, account in RECORDS[operation.record_type].items():
        own = [
            fact
            for fact in given_facts
            if (fact.account_id == account if operation.facts_of == "account" else fact.contact_id == record)
        ]
        weighed: list[Fact] = []
        for fact in own:
            if not RELEVANCE.get(fact.predicate):
                found[record, fact.fact_id] = ("not_relevant", None, None)
            elif not fact.is_current:
                found[record, fact.fact_id] = ("superseded", None, None)
            elif not (fact.is_trusted or operation.shows_strangers):
                found[record, fact.fact_id] = ("not_trusted", None, None)
            else:
                weighed.append(fact)
        newest = max((fact.valid_date for fact in weighed), default=FIRST_DAY)

        def use(fact: Fact, newest: date = newest) -> Decimal:
            days, half = (newest - fact.valid_date).days, operation.half_life_days
            millionths = (1_000_000 * (2 * half - days % half)) // (2 * half) >> min(days // half, 20)
            trust = Decimal(1) if fact.is_trusted else Decimal("0.25")
            exact = RELEVANCE[fact.predicate] * trust * Decimal(millionths) / 1_000_000
            if weight is not None and fact.similarity is not None:
                exact *= 1 - weight + weight * fact.similarity
            return exact.quantize(Decimal("1e-9"), rounding=ROUND_HALF_UP)

        ordered = sorted(weighed, key=lambda fact: (-use(fact), -fact.valid_date.toordinal(), fact.fact_id))
        seen: dict[str, int] = defaultdict(int)
        in_quota: list[Fact] = []
        for fact in ordered:
            seen[fact.predicate] += 1
            if seen[fact.predicate] <= operation.quota:
                in_quota.append(fact)
            else:
                found[record, fact.fact_id] = ("over_quota", None, use(fact))
        position = 0
        fits = greedy([fact.tokens for fact in in_quota], operation.token_budget)
        for fact, is_in in zip(in_quota, fits, strict=True):
            position += is_in
            found[record, fact.fact_id] = (
                ("included", position, use(fact)) if is_in else ("over_budget", None, use(fact))
            )
    return found


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(operation=operations, given_facts=facts, weight=weights)
def test_every_decision_is_the_plain_rules(
    sql: str,
    world: duckdb.DuckDBPyConnection,
    operation: Operation,
    given_facts: list[Fact],
    weight: Decimal | None,
) -> None:
    assert decide(world, sql, operation, given_facts, weight) == expected(operation, given_facts, weight)


BEFORE = {"f_1": "0.900000000", "f_2": "0.541237000", "f_3": "0.002255125", "f_4": "0.001575900"}


def test_switched_off_similarities_in_the_ledger_change_no_digit(sql: str, world: duckdb.DuckDBPyConnection) -> None:
    """The numbers are those of the SQL before it knew of similarity."""
    given_facts = [
        Fact("f_1", "a", "c", "need", 900, "x" * 20, True, True, Decimal("0.3")),
        Fact("f_2", "a", "c", "budget", 811, "x" * 30, True, True, Decimal("0.1")),
        Fact("f_3", "a", "c", "pain", 333, "x" * 40, True, False, Decimal("0.9")),
        Fact("f_4", "a", "c", "need", 7, "x" * 50, True, True, None),
    ]
    operation = Operation("op", "account", "account", True, 97, 900, 9)
    decided = decide(world, sql, operation, given_facts)
    assert {fact: str(use) for (_, fact), (_, _, use) in decided.items()} == BEFORE
    on = decide(world, sql, operation, given_facts, Decimal("0.5"))
    assert {fact for (_, fact), (_, _, use) in on.items() if str(use) == BEFORE[fact]} == {"f_4"}


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(operation=operations, given_facts=facts, later=st.integers(1, 4000))
def test_nothing_looks_at_today_only_at_the_record(
    sql: str, world: duckdb.DuckDBPyConnection, operation: Operation, given_facts: list[Fact], later: int
) -> None:
    """All remarks moved by the same number of days are decided alike."""
    moved = [replace(fact, days=fact.days + later) for fact in given_facts]
    assert decide(world, sql, operation, moved) == decide(world, sql, operation, given_facts)


def test_the_sum_of_what_is_shown_keeps_the_budget_and_no_left_out_fact_would_still_fit(
    sql: str, world: duckdb.DuckDBPyConnection
) -> None:
    operation = Operation("op", "account", "account", False, 100, 90, 9)
    given_facts = [
        Fact(f"f_{number}", "a", None, "need", 100 - number, "x" * (7 * number % 90 + 1), True, True)
        for number in range(9)
    ]
    decided = decide(world, sql, operation, given_facts)
    tokens = {fact.fact_id: fact.tokens for fact in given_facts}
    used = sum(tokens[fact_id] for (_, fact_id), (said, *_) in decided.items() if said == "included")
    left = [tokens[fact_id] for (_, fact_id), (said, *_) in decided.items() if said == "over_budget"]
    assert used <= 90
    assert left, "the example must have more than fits"
    assert min(left) > 90 - used


def test_100_000_facts_of_8_000_contacts_take_seconds(sql: str) -> None:
    """With a similarity for each of them. 2 s of processor time; the limit leaves room for busy machines."""
    with duckdb.connect() as connection:
        connection.execute("attach ':memory:' as warehouse")
        connection.execute(
            """
            set threads = 2;
            create table warehouse.main.stg_policy__recall_operations as
                select 'icp' as operation, 'account' as record_type, 'account' as facts_of, false as shows_strangers,
                    365 as half_life_days, 900 as token_budget
                union all select 'lead', 'contact', 'contact', false, 365, 600
                union all select 'revisit', 'account', 'account', false, 365, 900
                union all select 'brief', 'meeting', 'account', true, 180, 2400;
            create table warehouse.main.stg_policy__recall as
                select operation, 'p' || predicate as predicate, 6 as quota,
                    1.0 - cast(predicate * 0.05 as decimal(9, 4)) as relevance
                from warehouse.main.stg_policy__recall_operations, range(12) as ranged(predicate);
            create table warehouse.main.stg_policy__numbers as
                select 4 as token_estimate_chars, 0.5::decimal(5, 4) as semantic_weight;
            create table warehouse.main.stg_ledger__recall_queries as
                select operation, 'now' as query_hash from warehouse.main.stg_policy__recall_operations;
            create table warehouse.main.accounts as select 'a' || n as account_id from range(1200) as ranged(n);
            create table warehouse.main.int_contacts as
                select 'c' || n as contact_id, 'a' || (n % 1200) as account_id from range(8000) as ranged(n);
            create table warehouse.main.meeting_signals as
                select 'm' || n as meeting_id, 'a' || n as account_id from range(120) as ranged(n);
            create table warehouse.main.deals as select 'd' as deal_id, 'a0' as account_id;
            create table warehouse.main.facts as
                select 'f_' || substr(sha256(n::varchar), 1, 12) as fact_id, 'a' || (n % 1200) as account_id,
                    'c' || (n % 8000) as contact_id, 'p' || (hash(n) % 22) as predicate, 'x' as fact_value,
                    null::date as fact_date, 'affirmed' as polarity,
                    repeat('word ', 6 + (hash(n * 3) % 20)::int) as quote,
                    'theirs' as author_side, 'call' as document_type,
                    date '2026-11-17' - (hash(n * 5) % 600)::int as valid_date, 1.0::decimal(9, 4) as trust_share,
                    n % 9 > 0 as is_current, n % 20 > 0 as is_trusted
                from range(100000) as ranged(n);
            create table warehouse.main.stg_ledger__recall_similarity as
                select operation, 'now' as query_hash, fact_id,
                    left(sha256(fact_id || chr(10) || quote), 12) as text_id,
                    ((hash(fact_id) % 10001) / 10000)::decimal(5, 4) as similarity
                from warehouse.main.facts, warehouse.main.stg_policy__recall_operations;
            """
        )
        began = time.perf_counter()
        connection.execute(f"create table decided as {sql}")
        seconds = time.perf_counter() - began
        counts = dict(connection.execute("select decision, count(*) from decided group by 1").fetchall())
    assert set(counts) == {"included", "over_quota", "over_budget", "superseded", "not_trusted", "not_relevant"}
    assert seconds < 15, f"{seconds:.1f} s"


def test_the_log_speaks_of_every_operation_that_recalls_and_judges_the_records_it_says() -> None:
    rules = load(ROOT / "policies").recall.operations
    log = (ROOT / "models" / "marts" / "audit" / "recall_log.sql").read_text(encoding="utf-8")
    (listed,) = re.findall(r"set operations = \[(.*?)\]", log, re.DOTALL)
    assert set(re.findall(r"'(\w+)'", listed)) == set(rules)
    for name, rule in rules.items():
        assert registered()[name].record_type == rule.record, name
        queue = next(Path(ROOT / "models").rglob(f"queue_{name}.sql")).read_text(encoding="utf-8")
        assert f"packed_facts('{name}')" in queue, name
