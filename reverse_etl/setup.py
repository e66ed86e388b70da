"""`crm setup`: the properties the field mapping needs against those the CRM has; shown first, created when told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nightdesk.errors import NightdeskError
from reverse_etl import audit, schema
from reverse_etl.crms.protocol import CrmAdapter, PropertySpec
from reverse_etl.store import Clock, opened, transaction

if TYPE_CHECKING:
    import duckdb

    from nightdesk.policy import Policy
    from nightdesk.policy.models import FieldMapping


@dataclass(frozen=True, slots=True)
class SetupDifference:
    """What is missing, by object type. `exceptions` lists mapped properties outside the namespace: never created."""

    groups: tuple[tuple[str, str], ...]
    properties: tuple[tuple[str, PropertySpec], ...]
    options: tuple[tuple[str, str, tuple[str, ...]], ...]
    problems: tuple[str, ...]
    present: int

    @property
    def is_empty(self) -> bool:
        """Whether the CRM has everything, in the right shape."""
        return not (self.groups or self.properties or self.options or self.problems)

    @property
    def exit_code(self) -> int:
        """0 nothing to do, 1 something only a person can mend, 2 changes waiting."""
        return 1 if self.problems else 0 if self.is_empty else 2

    def as_json(self) -> dict[str, Any]:
        """Everything, as JSON values."""
        return {
            "groups": [{"object_type": o, "name": n} for o, n in self.groups],
            "properties": [
                {"object_type": o, "name": s.name, "label": s.label, "type": s.value_type, "options": list(s.options)}
                for o, s in self.properties
            ],
            "options": [{"object_type": o, "name": n, "add": list(v)} for o, n, v in self.options],
            "problems": list(self.problems),
            "present": self.present,
        }


def difference(adapter: CrmAdapter, policy: Policy) -> SetupDifference:
    """Compare the mapping with the CRM; reads only."""
    mapping = policy.mapping(adapter.crm)
    groups: list[tuple[str, str]] = []
    properties: list[tuple[str, PropertySpec]] = []
    options: list[tuple[str, str, tuple[str, ...]]] = []
    problems: list[str] = []
    present = 0
    for object_type in dict.fromkeys((*mapping.fields, *mapping.asked)):
        described = adapter.describe(object_type)
        wanted = _wanted(mapping, object_type)
        if wanted and mapping.group.name not in described.groups:
            groups.append((object_type, mapping.group.name))
        for item in wanted:
            name = f"{object_type}.{item.name}"
            there = described.properties.get(item.name)
            ours = item.name.startswith(mapping.namespace)
            if there is None and ours:
                properties.append((object_type, item))
            elif there is None:
                problems.append(f"{name} is outside the namespace and not in the CRM: its owner must create it")
            elif there.is_archived:
                problems.append(f"{name} was archived in the CRM: restore it there")
            elif there.value_type != item.value_type:
                problems.append(f"{name} is of type {there.crm_type} in the CRM, the mapping says {item.value_type}")
            elif there.is_read_only:
                problems.append(f"{name} is read-only in the CRM")
            else:
                missing = tuple(value for value in item.options if value not in there.options)
                if missing and ours:
                    options.append((object_type, item.name, missing))
                elif missing:
                    problems.append(f"{name} lacks the options {', '.join(missing)}")
                else:
                    present += 1
    return SetupDifference(tuple(groups), tuple(properties), tuple(options), tuple(problems), present)


def _wanted(mapping: FieldMapping, object_type: str) -> list[PropertySpec]:
    """What an object type must have: properties we write, those people fill in, and the key of records we create."""
    group = mapping.group.name
    wanted = [
        PropertySpec(item.property, item.label, item.type, group, tuple(item.options))
        for item in (*mapping.fields.get(object_type, ()), *mapping.asked.get(object_type, ()))
        if not item.property.startswith("@")
    ]
    if object_type in mapping.keyed_types and object_type in mapping.fields:
        wanted.append(PropertySpec(mapping.key_property, "Nightdesk key", "text", group, is_unique=True))
    return wanted


def apply(
    adapter: CrmAdapter,
    policy: Policy,
    *,
    ledger: Path | duckdb.DuckDBPyConnection | None = None,
    actor: str = "nightdesk",
    clock: Clock | None = None,
) -> SetupDifference:
    """Create what is missing and return what was created; a second call creates nothing.

    With a ledger (and a clock) the change is audited before the first request and the schema snapshot kept after it.

    Raises:
        NightdeskError: A property exists with another type, is archived or read-only; nothing is created then.
    """
    wanted = difference(adapter, policy)
    if wanted.problems:
        raise NightdeskError(
            "; ".join(wanted.problems[:3]),
            where="CRM properties",
            todo="Correct the CRM or field_mapping.yml; nothing was changed.",
        )
    if ledger is None or clock is None:
        _create(adapter, policy, wanted)
        return wanted
    with opened(ledger) as con:
        if not wanted.is_empty:
            with transaction(con):
                audit.append(con, clock, actor, "crm_setup", adapter.crm, wanted.as_json())
        _create(adapter, policy, wanted)
        with transaction(con):
            schema.save(con, adapter.crm, schema.take(adapter, policy), clock)
        audit.anchor(con, clock)
    return wanted


def _create(adapter: CrmAdapter, policy: Policy, wanted: SetupDifference) -> None:
    for object_type, name in wanted.groups:
        adapter.create_group(object_type, name, policy.mapping(adapter.crm).group.label)
    for object_type, spec in wanted.properties:
        adapter.create_property(object_type, spec)
    for object_type, name, values in wanted.options:
        adapter.add_options(object_type, name, values)
