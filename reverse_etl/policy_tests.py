"""Test the write rules: golden cases against both evaluators, and mutated rules against the golden cases.

A golden case says what must be decided about one operation, and by which rule. The rules are then broken one at a time:
a forbid is removed or made to match less, a permit is removed, made to match more, or turned from approval to auto.
Every broken set of rules must fail some case. Where none does, either the change can decide no operation differently
(that is tried over all combinations of values the rules can tell apart), or a case is missing, and an operation that
shows it is named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, cast, get_args

from nightdesk.policy import models
from reverse_etl.decide import (
    COLUMNS,
    Condition,
    Rule,
    Value,
    decide,
    deciding_rule_sql,
    decision_sql,
    holds,
    rules_from_policy,
    statement,
)

if TYPE_CHECKING:
    import duckdb

    from nightdesk.policy import Policy
    from nightdesk.policy.decision_models import GoldenTable

Op = dict[str, Value]
# Combinations tried at most; beyond that, so many drawn from all of them.
_MOST_COMBINATIONS = 2_000_000
# Columns whose every value means something to somebody; names of operations and objects are widened all at once.
_ONE_BY_ONE = frozenset({"risk", "field_class", "conflict_class", "autonomy_level"})
_SQL_TYPES = {"text": "varchar", "number": "decimal(18, 6)", "boolean": "boolean"}


@dataclass(frozen=True, slots=True)
class Case:
    """One golden case, ready to be decided."""

    table: str
    name: str
    op: Mapping[str, Value]
    decision: str
    rule: str


@dataclass(frozen=True, slots=True)
class Failure:
    """A case that is decided differently: what was expected, what SQL and Python say."""

    case: Case
    by_sql: tuple[str, str]
    by_python: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Mutant:
    """The rules with one thing broken.

    `any_difference`: whether every difference in a decision or the named rule matters (a rule is lost, or decides
    something else), or only that something more gets through (a condition was moved).
    """

    rule_id: str
    change: str
    rules: tuple[Rule, ...]
    any_difference: bool = False


@dataclass(frozen=True, slots=True)
class Escape:
    """A mutant that no case notices, with an operation that it decides differently.

    `op` None: none was found, the change cannot matter; `sampled`: not every combination was tried.
    """

    mutant: Mutant
    op: Mapping[str, Value] | None
    before: tuple[str, str] = ("", "")
    after: tuple[str, str] = ("", "")
    sampled: bool = False


@dataclass(frozen=True, slots=True)
class PolicyTestReport:
    """What `policy test` found. `unneeded` are mutants that can decide nothing differently."""

    cases: tuple[Case, ...]
    failures: tuple[Failure, ...]
    rules_without_case: tuple[str, ...]
    mutants: int
    missed: tuple[Escape, ...]
    unneeded: tuple[Escape, ...]

    @property
    def ok(self) -> bool:
        """Whether every case holds and every rule is held by a case."""
        return bool(self.cases) and not (self.failures or self.rules_without_case or self.missed)


def cases_of(tables: Mapping[str, GoldenTable]) -> tuple[Case, ...]:
    """Every case of every table, its base and changes put together. Columns nobody names are missing values."""
    return tuple(
        Case(
            name,
            case.case,
            {column: _value({**table.base, **case.given}.get(cast("models.OpColumn", column))) for column in COLUMNS},
            case.expect.decision,
            case.expect.rule,
        )
        for name, table in tables.items()
        for case in table.cases
    )


def _value(value: Value | float) -> Value:
    return Decimal(str(value)) if isinstance(value, float) else value


def run(policy: Policy, tables: Mapping[str, GoldenTable]) -> PolicyTestReport:
    """Test the policy's write rules with its golden tables. Reads nothing, writes nothing.

    Raises:
        NightdeskError: A rule is broken in itself.
    """
    import duckdb

    rules, cases = rules_from_policy(policy.write_rules.rules), cases_of(tables)
    con = duckdb.connect(config={"threads": 1})  # small tables: more threads only wait for each other
    try:
        _load(con, [case.op for case in cases])
        in_sql = in_one_statement(con, rules)
        failures = tuple(
            Failure(case, said, told)
            for case, said in zip(cases, in_sql, strict=True)
            if (told := decide(case.op, rules)) != (case.decision, case.rule) or said != (case.decision, case.rule)
        )
        named = {case.rule for case in cases}
        made = mutants(rules, domains(policy))
        decided = [(case.op, decide(case.op, rules)) for case in cases]
        escaped = [one for one in made if all(decide(op, one.rules) == before for op, before in decided)]
        looked_at = [_difference(con, rules, one, domains(policy)) for one in escaped]
    finally:
        con.close()
    return PolicyTestReport(
        cases,
        failures,
        tuple(sorted(rule.id for rule in rules if rule.id not in named)),
        len(made),
        tuple(one for one in looked_at if one.op is not None),
        tuple(one for one in looked_at if one.op is None),
    )


def _load(con: duckdb.DuckDBPyConnection, ops: Sequence[Mapping[str, Value]]) -> None:
    columns = ", ".join(f'"{name}" {_SQL_TYPES[kind]}' for name, kind in COLUMNS.items())
    con.execute(f"create or replace table golden_ops (n integer, {columns})")
    if ops:
        marks = ", ".join("?" * (len(COLUMNS) + 1))
        con.executemany(
            f"insert into golden_ops values ({marks})",
            [[n, *(op.get(name) for name in COLUMNS)] for n, op in enumerate(ops)],
        )


def in_one_statement(con: duckdb.DuckDBPyConnection, rules: Sequence[Rule]) -> list[tuple[str, str]]:
    """Decide everything in `golden_ops` with the statement a plan is decided with."""
    found = con.execute(f"select decision, deciding_rule from ({statement(rules, 'golden_ops')}) order by n").fetchall()
    return [(str(decision), str(rule)) for decision, rule in found]


# what values there are ------------------------------------------------------------------------------------------------


def domains(policy: Policy) -> dict[str, tuple[Value, ...]]:
    """The values each column can have, where policy or code knows them all; the rules may name more."""
    mapped = [
        (object_type, item)
        for mapping in policy.mappings.values()
        for object_type, fields in mapping.fields.items()
        for item in fields
    ]
    return {
        "crm": tuple(sorted(policy.mappings)),
        "object_type": tuple(sorted({object_type for object_type, _ in mapped})),
        "operation": tuple(sorted(policy.autonomy.operations)),
        "value_type": tuple(get_args(models.ValueType)),
        "field_class": tuple(get_args(models.FieldClass)),
        "risk": tuple(get_args(models.Risk)),
        "conflict_class": ("new", "ours", "changed_by_other"),
        "autonomy_level": (1, 2, 3, 4, 5),
    }


def _grid(rules: Sequence[Rule], known: Mapping[str, Sequence[Value]]) -> dict[str, list[Value]]:
    """Per column that a rule looks at: one value of each kind the rules can tell apart, and a missing one."""
    grid: dict[str, list[Value]] = {}
    for column in sorted({condition.column for rule in rules for condition in rule.when}):
        tests = [c for rule in rules for c in rule.when if c.column == column]
        named = [value for condition in tests for value in condition.values]
        values: list[Value] = []
        if COLUMNS[column] == "boolean":
            values = [True, False]
        elif column in known:
            values = [*known[column], *(value for value in named if COLUMNS[column] == "text")]
        elif COLUMNS[column] == "text":
            values = [*named, "something else"]
        else:
            step = Decimal(1) if column == "evidence_count" else Decimal("0.01")
            around = {Decimal(str(value)) + d for value in named for d in (-step, Decimal(0), step)}
            values = [*sorted(number for number in around if number >= 0)]
        # Of values that no condition tells apart, the first stands for all.
        telling = {tuple(holds(test, {column: value}) for test in tests): value for value in reversed(values)}
        grid[column] = [*telling.values(), None]
    return grid


def _difference(
    con: duckdb.DuckDBPyConnection, rules: Sequence[Rule], mutant: Mutant, known: Mapping[str, Sequence[Value]]
) -> Escape:
    """Look for an operation that a mutant decides differently, over all combinations of telling values.

    What another forbid stops by one value alone is stopped before and after, so those values need not be tried.
    """
    grid = _grid((*rules, *mutant.rules), known)
    for rule in mutant.rules:
        if rule.effect == "forbid" and rule.id != mutant.rule_id and len(rule.when) == 1:
            (only,) = rule.when
            grid[only.column] = [v for v in grid[only.column] if holds(only, {only.column: v}) is False]
    total = 1
    for values in grid.values():
        total *= len(values)
    count = min(total, _MOST_COMBINATIONS)
    parts: list[str] = []
    stride = 1
    for column, kind in COLUMNS.items():
        values = grid.get(column)
        if values is None:
            parts.append(f'null::{_SQL_TYPES[kind]} as "{column}"')
            continue
        literals = ", ".join("null" if v is None else f"'{str(v).replace(chr(39), chr(39) * 2)}'" for v in values)
        turn = f"i // {stride}" if total == count else f"hash(i, '{column}')"
        parts.append(f'([{literals}][1 + ({turn}) % {len(values)}])::{_SQL_TYPES[kind]} as "{column}"')
        stride *= len(values)
    rank = "list_position(['denied', 'require_approval', 'auto'], {}_decision)"
    more = f"{rank.format('after')} > {rank.format('before')}"
    wanted = "before_rule <> after_rule or before_decision <> after_decision" if mutant.any_difference else more
    row = con.execute(
        f"""
        with combinations as materialized (select i, {", ".join(parts)} from range({count}) as t(i)),
        named as materialized (
            select *, {deciding_rule_sql(rules, "combinations")} as before_rule,
                {deciding_rule_sql(mutant.rules, "combinations")} as after_rule
            from combinations
        ),
        decided as (
            select *, {decision_sql(rules, "before_rule")} as before_decision,
                {decision_sql(mutant.rules, "after_rule")} as after_decision
            from named
        )
        select * exclude (i) from decided
        where {wanted}
        order by {rank.format("after")} - {rank.format("before")} desc, i limit 1
        """
    ).fetchone()
    if row is None:
        return Escape(mutant, None, sampled=total > count)
    op = {column: _short(value) for column, value in zip(COLUMNS, row[:-4], strict=True) if column in grid}
    before_rule, after_rule, before, after = row[-4:]
    return Escape(mutant, op, (before, before_rule), (after, after_rule))


def _short(value: Value) -> Value:
    return Decimal(f"{value.normalize():f}") if isinstance(value, Decimal) else value


# breaking the rules ---------------------------------------------------------------------------------------------------


def mutants(rules: Sequence[Rule], known: Mapping[str, Sequence[Value]]) -> list[Mutant]:
    """Every way of breaking one rule that would let more through, and of losing one."""
    made: list[Mutant] = []
    for position, rule in enumerate(rules):

        def put(
            change: str, broken: Rule | None, lost: bool = False, position: int = position, rule: Rule = rule
        ) -> None:
            rest = [*rules[:position], *([broken] if broken else []), *rules[position + 1 :]]
            made.append(Mutant(rule.id, change, tuple(rest), lost))

        put("removed", None, True)
        if rule.effect == "permit":
            other = "auto" if rule.decision == "require_approval" else "require_approval"
            put(f"{rule.decision} turned into {other}", replace(rule, decision=other), True)
            if len(rule.when) > 1:
                for condition in rule.when:
                    rest = tuple(c for c in rule.when if c is not condition)
                    put(f"without its condition on {condition.column}", replace(rule, when=rest))
        for condition in rule.when:
            for change, changed in _loosened(rule, condition, known.get(condition.column, ())):
                when = tuple(changed if c is condition else c for c in rule.when)
                put(change, replace(rule, when=when))
    return made


def _loosened(rule: Rule, condition: Condition, known: Sequence[Value]) -> list[tuple[str, Condition]]:
    """A condition changed so that more gets through: a forbid's matches less, a permit's matches more."""
    column, values = condition.column, condition.values
    forbid = rule.effect == "forbid"
    if condition.test in ("at_least", "at_most"):
        limit = Decimal(str(values[0]))
        step = Decimal(1) if limit == limit.to_integral_value() else Decimal("0.01")
        up = (condition.test == "at_least") == forbid
        moved = limit + step if up else limit - step
        said = f"{column} {condition.test.replace('_', ' ')} {moved} instead of {limit}"
        return [(said, replace(condition, values=(moved,)))]
    matches_listed = condition.test in ("equals", "in")
    if matches_listed == forbid:  # fewer values let more through
        if len(values) < 2:
            return []
        return [
            (f"{column} without {value}", replace(condition, values=tuple(v for v in values if v != value)))
            for value in values
        ]
    test = "in" if matches_listed else "not_in"
    others = [value for value in known if value not in values]
    if not others:
        return []
    if column not in _ONE_BY_ONE:
        return [(f"{column} with every other as well", replace(condition, test=test, values=(*values, *others)))]
    return [
        (f"{column} with {value} as well", replace(condition, test=test, values=(*values, value))) for value in others
    ]
