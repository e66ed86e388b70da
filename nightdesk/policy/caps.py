"""How far an operation may ever go: the ceilings of `autonomy.yml`, and the caps that no policy can lift.

Whatever deletes, merges, changes an owner, makes a record in the CRM, or can be seen by a customer never goes above L4:
a person approves each of these, always.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nightdesk.policy.load import Policy

HIGHEST = 5
APPROVED_BY_A_PERSON = 4
STARTS_AT = 2  # where an operation stands that nobody has promoted yet

# Operations by what they do to people outside, or to records as a whole.
CAPPED_OPERATIONS: dict[str, str] = {
    "outreach_sequence": "a customer would read it",
    "win_back_sequence": "a customer would read it",
    "follow_up": "a customer would read it",
    "proposal": "a customer would read it",
    "mutual_action_plan": "a customer would read it",
    "route_lead": "it changes an owner",
    "duplicates": "it leads to merges",
}
# Properties that hold the owner of a record, in the CRMs there are adapters for.
OWNER_PROPERTIES = frozenset({"hubspot_owner_id", "hubspot_team_id", "ownerid", "owner", "salesman", "employee"})


def cap(policy: Policy, operation: str, crm: str, object_type: str, property_name: str) -> tuple[int, str]:
    """The highest level of one property, whatever the policy says, with the reason ("" for none)."""
    if operation in CAPPED_OPERATIONS:
        return APPROVED_BY_A_PERSON, CAPPED_OPERATIONS[operation]
    if property_name.lower() in OWNER_PROPERTIES:
        return APPROVED_BY_A_PERSON, "it changes an owner"
    mapping = policy.mappings[crm]
    if property_name.startswith("@") or object_type in mapping.keyed_types:
        return APPROVED_BY_A_PERSON, "it makes or removes records"
    if not property_name.startswith(mapping.namespace):
        return APPROVED_BY_A_PERSON, "it is not one of our own properties: customers may see it"
    return HIGHEST, ""


def operation_ceiling(policy: Policy, operation: str) -> int:
    """The highest level of an operation as a whole; 1 for one that `autonomy.yml` does not know."""
    entry = policy.autonomy.operations.get(operation)  # pyright: ignore[reportArgumentType]
    highest = APPROVED_BY_A_PERSON if operation in CAPPED_OPERATIONS else HIGHEST
    return min(entry.ceiling, highest) if entry else 1


def property_ceilings(policy: Policy) -> dict[tuple[str, str], int]:
    """The highest level of each mapped property, by (operation, property).

    A name that several CRMs or object types share has the lowest of its ceilings.
    """
    found: dict[tuple[str, str], int] = {}
    for crm, mapping in policy.mappings.items():
        for object_type, fields in mapping.fields.items():
            for item in fields:
                operation, name = str(item.operation), item.property
                entry = policy.autonomy.operations.get(item.operation)
                allowed = entry.properties.get(name, entry.ceiling) if entry else 1
                highest, _ = cap(policy, operation, crm, object_type, name)
                found[operation, name] = min(found.get((operation, name), HIGHEST), allowed, highest)
    return found
