"""Who decides a proposed change: the write rules as one SQL expression, and the same rules in plain Python.

Default deny; any matching forbid wins; among permits the stricter decision wins; the order of rules never matters
(ties go to the smallest rule id). A missing value never permits: a permit needs every condition to be true, a forbid
applies unless one of its conditions is certainly false. `decision_sql` decides every operation of a plan in one
statement; `decide` is the oracle the tests compare it with, and what `policy explain` can call for one operation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, cast

from nightdesk.errors import NightdeskError

Value = str | int | bool | Decimal | None
Decision = Literal["auto", "require_approval", "denied"]
DEFAULT_DENY = "default_deny"

# What a rule may look at, and the kind of value each column holds. Never a value itself: what is written may not decide
# whether it is written. The same names as `nightdesk.policy.models.OpColumn`.
COLUMNS: dict[str, Literal["text", "number", "boolean"]] = {
    "crm": "text",
    "object_type": "text",
    "property": "text",
    "segment": "text",
    "value_type": "text",
    "conflict_class": "text",
    "confidence": "number",
    "evidence_count": "number",
    "operation": "text",
    "field_class": "text",
    "risk": "text",
    "autonomy_level": "number",
    "is_stale": "boolean",
    "is_suppressed": "boolean",
    "is_namespaced": "boolean",
}
_TESTS = ("equals", "in", "not_in", "at_least", "at_most")


@dataclass(frozen=True, slots=True)
class Condition:
    """One line of a rule: `column` compared by `test` with one value or, for `in` and `not_in`, several."""

    column: str
    test: str
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """One write rule, checked."""

    id: str
    effect: Literal["forbid", "permit"]
    decision: Literal["auto", "require_approval"] | None
    when: tuple[Condition, ...]
    reason: str


def rules_from_policy(entries: Iterable[Any]) -> tuple[Rule, ...]:
    """Build checked rules from `policy.write_rules.rules` (pydantic models or plain mappings with the YAML's keys).

    Raises:
        NightdeskError: A rule names an unknown column, compares it with the wrong kind of value, or has no conditions.
    """
    rules: list[Rule] = []
    for entry in entries:
        raw = cast("Mapping[str, Any]", _plain(entry))
        rule_id, when = str(raw["id"]), cast("Mapping[str, Any]", raw.get("when") or {})
        if not when:
            raise _broken(rule_id, "has no conditions and would match everything")
        conditions = tuple(_condition(rule_id, column, test) for column, test in sorted(when.items()))
        effect, decision = raw["effect"], raw.get("decision")
        if (effect == "permit") != (decision in ("auto", "require_approval")):
            raise _broken(rule_id, "a permit needs decision auto or require_approval, a forbid has none")
        rules.append(Rule(rule_id, effect, decision, conditions, str(raw["reason"])))
    ids = [rule.id for rule in rules]
    for rule_id in ids:
        if ids.count(rule_id) > 1 or rule_id == DEFAULT_DENY:
            raise _broken(rule_id, "is used twice or reserved")
    return tuple(rules)


def _plain(entry: Any) -> Any:
    return entry.model_dump(by_alias=True, exclude_none=True) if hasattr(entry, "model_dump") else entry


def _broken(rule_id: str, why: str) -> NightdeskError:
    return NightdeskError(f"write rule `{rule_id}` {why}", where="policies/write_rules.yml", todo="Correct the rule.")


def _condition(rule_id: str, column: str, test: Any) -> Condition:
    kind = COLUMNS.get(column)
    if kind is None:
        raise _broken(rule_id, f"looks at `{column}`, which an operation does not have")
    test = _plain(test)
    if isinstance(test, Mapping):
        items = list(cast("Mapping[str, Any]", test).items())
        if len(items) != 1 or items[0][0] not in _TESTS:
            raise _broken(rule_id, f"compares `{column}` with an unknown test")
        name, value = items[0]
    else:
        name = "in" if isinstance(test, (list, tuple)) else "equals"
        value = cast("Any", test)
    values = tuple(cast("Sequence[Any]", value)) if isinstance(value, (list, tuple)) else (value,)
    wanted: tuple[type, ...] = {"text": (str,), "number": (int, Decimal, float), "boolean": (bool,)}[kind]
    if not values or any(not isinstance(v, wanted) or (kind == "number" and isinstance(v, bool)) for v in values):
        raise _broken(rule_id, f"compares `{column}` ({kind}) with another kind of value")
    if name in ("at_least", "at_most") and (kind != "number" or len(values) != 1):
        raise _broken(rule_id, f"uses `{name}` on `{column}`, which is not a number")
    return Condition(column, name, tuple(Decimal(str(v)) if isinstance(v, float) else v for v in values))


# the oracle ---------------------------------------------------------------------------------------------------------


def holds(condition: Condition, op: Mapping[str, Value]) -> bool | None:
    """Whether a condition is true of an operation; None when the operation has no value there."""
    value = op.get(condition.column)
    if value is None:
        return None
    match condition.test:
        case "equals" | "in":
            return value in condition.values
        case "not_in":
            return value not in condition.values
        case "at_least":
            return Decimal(value) >= Decimal(cast("int", condition.values[0]))
        case _:
            return Decimal(value) <= Decimal(cast("int", condition.values[0]))


def matches(rule: Rule, op: Mapping[str, Value]) -> bool | None:
    """Whether all conditions hold: False when one certainly does not, None when none is false and one has no value."""
    results = [holds(condition, op) for condition in rule.when]
    if any(result is False for result in results):
        return False
    return None if any(result is None for result in results) else True


def decide(op: Mapping[str, Value], rules: Sequence[Rule]) -> tuple[Decision, str]:
    """Decide one operation; returns the decision and the id of the rule that decided."""
    forbids = [rule.id for rule in rules if rule.effect == "forbid" and matches(rule, op) is not False]
    if forbids:
        return "denied", min(forbids)
    permits = [rule for rule in rules if rule.effect == "permit" and matches(rule, op) is True]
    for decision in ("require_approval", "auto"):
        ids = [rule.id for rule in permits if rule.decision == decision]
        if ids:
            return decision, min(ids)
    return "denied", DEFAULT_DENY


# the statement --------------------------------------------------------------------------------------------------------


def _literal(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, Decimal)):
        return str(value)
    return "'" + str(value).replace("'", "''") + "'"


def _condition_sql(condition: Condition, alias: str) -> str:
    column = f'{alias}."{condition.column}"'
    values = ", ".join(_literal(value) for value in condition.values)
    match condition.test:
        case "equals" | "in":
            return f"{column} in ({values})"
        case "not_in":
            return f"{column} not in ({values})"
        case "at_least":
            return f"{column} >= {values}"
        case _:
            return f"{column} <= {values}"


def _rule_sql(rule: Rule, alias: str) -> str:
    both = " and ".join(_condition_sql(condition, alias) for condition in rule.when)
    return f"coalesce({both}, {'true' if rule.effect == 'forbid' else 'false'})"


def deciding_rule_sql(rules: Sequence[Rule], alias: str = "ops") -> str:
    """Return the SQL expression that names the deciding rule of a row of the relation `alias`."""
    order = {"forbid": 0, "require_approval": 1, "auto": 2}
    ranked = sorted(rules, key=lambda rule: (order[rule.decision or rule.effect], rule.id))
    whens = [f"when {_rule_sql(rule, alias)} then {_literal(rule.id)}" for rule in ranked]
    return f"case {' '.join(whens)} else '{DEFAULT_DENY}' end" if whens else f"'{DEFAULT_DENY}'"


def decision_sql(rules: Sequence[Rule], rule_column: str = "deciding_rule") -> str:
    """Return the SQL expression that turns the deciding rule's id into the decision."""
    auto = [_literal(rule.id) for rule in rules if rule.decision == "auto"]
    held = [_literal(rule.id) for rule in rules if rule.decision == "require_approval"]
    whens = [
        f"when {rule_column} in ({', '.join(ids)}) then '{decision}'"
        for ids, decision in ((sorted(held), "require_approval"), (sorted(auto), "auto"))
        if ids
    ]
    return f"case {' '.join(whens)} else 'denied' end" if whens else "'denied'"


def statement(rules: Sequence[Rule], relation: str) -> str:
    """Return the one statement that decides every row of `relation`, adding `deciding_rule` and `decision`."""
    return (
        f"select decided.*, {decision_sql(rules)} as decision "
        f"from (select ops.*, {deciding_rule_sql(rules)} as deciding_rule from {relation} as ops) as decided"
    )
