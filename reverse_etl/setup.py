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
    mapping = policy.field_mapping
    groups: list[tuple[str, str]] = []
    properties: list[tuple[str, PropertySpec]] = []
    options: list[tuple[str, str, tuple[str, ...]]] = []
    problems: list[str] = []
    present = 0
    for object_type, fields in mapping.fields.items():
        described = adapter.describe(object_type)
        if fields and mapping.group.name not in described.groups:
            groups.append((object_type, mapping.group.name))
        for item in fields:
            name = f"{object_type}.{item.property}"
            there = described.properties.get(item.property)
            ours = item.property.startswith(mapping.namespace)
            if there is None and ours:
                spec = PropertySpec(item.property, item.label, item.type, mapping.group.name, tuple(item.options))
                properties.append((object_type, spec))
            elif there is None:
                problems.append(f"{name} is outside the namespace and not in the CRM: its owner must create it")
            elif there.is_archived:
                problems.append(f"{name} was archived in the CRM: restore it there")
            elif there.value_type != item.type:
                problems.append(f"{name} is of type {there.crm_type} in the CRM, the mapping says {item.type}")
            elif there.is_read_only:
                problems.append(f"{name} is read-only in the CRM")
            else:
                missing = tuple(value for value in item.options if value not in there.options)
                if missing and ours:
                    options.append((object_type, item.property, missing))
                elif missing:
                    problems.append(f"{name} lacks the options {', '.join(missing)}")
                else:
                    present += 1
    return SetupDifference(tuple(groups), tuple(properties), tuple(options), tuple(problems), present)


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
        adapter.create_group(object_type, name, policy.field_mapping.group.label)
    for object_type, spec in wanted.properties:
        adapter.create_property(object_type, spec)
    for object_type, name, values in wanted.options:
        adapter.add_options(object_type, name, values)
