"""Why one operation of a plan was decided as it was: every rule, every condition, and the operation's own value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nightdesk.errors import NightdeskError
from reverse_etl.decide import COLUMNS, DEFAULT_DENY, Condition, Rule, Value, decide, holds, matches, rules_from_policy
from reverse_etl.plan import resolve
from reverse_etl.staging import builtin_rules
from reverse_etl.store import opened, rows

if TYPE_CHECKING:
    import duckdb

    from nightdesk.policy import Policy

_SAID = {True: "holds", False: "does not hold", None: "missing"}


@dataclass(frozen=True, slots=True)
class ConditionShown:
    """One line of a rule against one operation: `holds`, `does not hold`, or `missing` (the operation has no value)."""

    column: str
    wants: str
    value: Value
    outcome: str


@dataclass(frozen=True, slots=True)
class RuleShown:
    """One rule against one operation.

    `outcome` is `applies`, `does not apply`, or, where a value is missing, `applies: a value is missing` (a forbid) and
    `does not permit: a value is missing` (a permit).
    """

    id: str
    effect: str
    decision: str | None
    reason: str
    outcome: str
    conditions: tuple[ConditionShown, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """The whole story of one decision.

    Attributes:
        plan_id: The plan.
        op: The operation as the plan froze it.
        decision: The plan's decision.
        deciding_rule: The rule the plan names for it.
        why: The decision in one sentence.
        rules: Every rule of the policy as it is now.
        now: What the policy as it is now decides; None where no rule is asked (a denial that no policy lifts).
        policy_changed: Whether the policy is another one than the plan's.
    """

    plan_id: str
    op: Mapping[str, Any]
    decision: str
    deciding_rule: str
    why: str
    rules: tuple[RuleShown, ...]
    now: tuple[str, str] | None
    policy_changed: bool

    def as_json(self) -> dict[str, Any]:
        """Everything, for machines."""
        return {
            "plan_id": self.plan_id,
            "op": {name: _plain(value) for name, value in self.op.items()},
            "decision": self.decision,
            "deciding_rule": self.deciding_rule,
            "why": self.why,
            "policy_changed": self.policy_changed,
            "decided_now": None if self.now is None else {"decision": self.now[0], "rule": self.now[1]},
            "rules": [
                {
                    "id": rule.id,
                    "effect": rule.effect,
                    "decision": rule.decision,
                    "reason": rule.reason,
                    "outcome": rule.outcome,
                    "conditions": [
                        {"column": c.column, "wants": c.wants, "value": _plain(c.value), "outcome": c.outcome}
                        for c in rule.conditions
                    ],
                }
                for rule in self.rules
            ],
        }


def _plain(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else value


def wants(condition: Condition) -> str:
    """A condition's test in words: `is true`, `is one of a, b`, `is at least 2`."""
    shown = ", ".join(("true" if v else "false") if isinstance(v, bool) else str(v) for v in condition.values)
    match condition.test:
        case "equals":
            return f"is {shown}"
        case "in":
            return f"is one of {shown}"
        case "not_in":
            return f"is none of {shown}"
        case "at_least":
            return f"is at least {shown}"
        case _:
            return f"is at most {shown}"


def show(op: Mapping[str, Value], rules: Sequence[Rule]) -> tuple[RuleShown, ...]:
    """Every rule against one operation, forbids first, then approvals, then what is written by itself."""
    order = {"forbid": 0, "require_approval": 1, "auto": 2}
    shown: list[RuleShown] = []
    for rule in sorted(rules, key=lambda rule: (order[rule.decision or rule.effect], rule.id)):
        match matches(rule, op), rule.effect:
            case True, _:
                outcome = "applies"
            case False, _:
                outcome = "does not apply"
            case None, "forbid":
                outcome = "applies: a value is missing"
            case _:
                outcome = "does not permit: a value is missing"
        conditions = tuple(ConditionShown(c.column, wants(c), op.get(c.column), _SAID[holds(c, op)]) for c in rule.when)
        shown.append(RuleShown(rule.id, rule.effect, rule.decision, rule.reason, outcome, conditions))
    return tuple(shown)


def explain(
    ledger: Path | duckdb.DuckDBPyConnection, op_id: str, policy: Policy, plan_id: str | None = None
) -> Explanation:
    """Explain the decision about one operation.

    Args:
        ledger: The ledger.
        op_id: The operation's id or the beginning of it.
        policy: The policy as it is now; a plan made under another one says so.
        plan_id: The plan, or the beginning of its id; the newest unless named.

    Raises:
        NightdeskError: The plan has no such operation, or several that begin like this.
    """
    with opened(ledger) as con:
        plan_id = resolve(con, plan_id)
        found = rows(
            con,
            "select plan_ops.* replace (evidence::varchar as evidence), plans.policy_hash, plans.kind "
            "from plan_ops inner join plans using (plan_id) where plan_id = ? and starts_with(op_id, ?) "
            "order by op_id limit 2",
            [plan_id, op_id],
        )
    if len(found) != 1:
        raise NightdeskError(
            f"{'Several operations begin' if found else 'No operation begins'} with `{op_id}`",
            where=plan_id,
            todo="`nightdesk review --output json` lists them; name another plan with --plan.",
        )
    op = found[0]
    policy_hash, kind = op.pop("policy_hash"), str(op.pop("kind"))
    rules = rules_from_policy(policy.write_rules.rules)
    values: dict[str, Value] = {column: op.get(column) for column in COLUMNS}
    decision, rule_id = str(op["decision"]), str(op["deciding_rule"])
    asked = kind == "sync" and rule_id not in set(builtin_rules()) - {DEFAULT_DENY}
    return Explanation(
        plan_id,
        op,
        decision,
        rule_id,
        _why(decision, rule_id, kind, rules),
        show(values, rules),
        decide(values, rules) if asked else None,
        policy_hash != policy.hash,
    )


def _why(decision: str, rule_id: str, kind: str, rules: Sequence[Rule]) -> str:
    by_id = {rule.id: rule for rule in rules}
    said = {
        "denied": "It is not written",
        "auto": "It is written by itself",
        "require_approval": "It waits for a person",
    }
    if rule_id == DEFAULT_DENY:
        return f"{said[decision]}: no permit applies, and what no rule permits is denied."
    if rule_id in by_id:
        rule = by_id[rule_id]
        more = " A forbid wins over every permit." if rule.effect == "forbid" else ""
        return f"{said[decision]}, by `{rule_id}`: {rule.reason}.{more}"
    if rule_id in builtin_rules():
        return f"{said[decision]}, by `{rule_id}`: {builtin_rules()[rule_id]}. No policy can lift this."
    if kind != "sync":
        return f"{said[decision]}, by `{rule_id}`: a plan of kind {kind} is decided by this and by the forbids."
    return f"{said[decision]}, by `{rule_id}`, which is no longer a rule of the policy."
