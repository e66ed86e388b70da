"""What is valid in the policy files and still may not be meant: names that nothing has, brakes that are not there."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, get_args

from nightdesk.policy import caps, models
from reverse_etl.decide import Rule, rules_from_policy

if TYPE_CHECKING:
    from nightdesk.policy import Policy
    from nightdesk.policy.decision_models import GoldenTable


def remarks(policy: Policy, tables: Mapping[str, GoldenTable], today: date) -> tuple[str, ...]:
    """Name what is unused, unreachable or missing; none of it is an error.

    Raises:
        NightdeskError: A rule is broken in itself (an unknown column, a value of the wrong kind).
    """
    rules = rules_from_policy(policy.write_rules.rules)
    found = [*_unknown_names(policy, rules)]
    written = caps.property_ceilings(policy)
    for operation, entry in policy.autonomy.operations.items():
        if entry.ceiling > 1 and not any(name == operation for name, _ in written):
            found.append(f"autonomy.yml: `{operation}` may go to L{entry.ceiling} and writes no property")
    used = {guard.guard for guard in policy.guards.guards}
    found += [f"guards.yml: the brake `{name}` is not on" for name in get_args(models.GuardName) if name not in used]
    for crm, mapping in policy.mappings.items():
        for item in mapping.exceptions:
            if item.expires_on < today:
                found.append(
                    f"field mapping of {crm}: the exception for {item.object_type}.{item.property} ended on "
                    f"{item.expires_on}; its owner is {item.owner}"
                )
    if not any(rule.effect == "permit" for rule in rules):
        found.append("write_rules.yml: there is no permit, so nothing is ever written")
    if not tables:
        found.append("decisions/: there are no golden cases, so nothing holds the rules")
    return tuple(found)


def _unknown_names(policy: Policy, rules: tuple[Rule, ...]) -> list[str]:
    """Values in conditions that no operation can have: a rule waiting for a misspelt name waits for ever."""
    fields = [
        (object_type, item)
        for mapping in policy.mappings.values()
        for object_type, items in mapping.fields.items()
        for item in items
    ]
    known: dict[str, set[str]] = {
        "operation": {str(name) for name in policy.autonomy.operations} | {"none"},
        "property": {item.property for _, item in fields},
        "object_type": {object_type for object_type, _ in fields},
        "crm": set(policy.mappings),
        "value_type": set(get_args(models.ValueType)),
        "field_class": set(get_args(models.FieldClass)),
        "risk": set(get_args(models.Risk)),
        "conflict_class": {"new", "ours", "changed_by_other"},
    }
    return [
        f"write_rules.yml: `{rule.id}` speaks of the {condition.column.replace('_', ' ')} `{value}`, which there is not"
        for rule in rules
        for condition in rule.when
        for value in condition.values
        if condition.column in known and value not in known[condition.column]
    ]
