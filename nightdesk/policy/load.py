"""Read `policies/`, refuse what is broken, and hash what is left."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from nightdesk.errors import NightdeskError
from nightdesk.policy import (
    approval_models,
    autonomy_models,
    caps,
    decision_models,
    delivery_models,
    identity_models,
    lifecycle_models,
    models,
    research_models,
)

_MODELS: dict[str, type[BaseModel]] = {
    "predicates.yml": models.Predicates,
    "icp.yml": models.Icp,
    "competitors.yml": models.Competitors,
    "scoring.yml": models.Scoring,
    "signals.yml": models.Signals,
    "gates.yml": models.Gates,
    "lifecycle.yml": lifecycle_models.Lifecycle,
    "recall.yml": models.Recall,
    "research.yml": research_models.Research,
    "autonomy.yml": autonomy_models.Autonomy,
    "suppression.yml": models.Suppression,
    "field_mapping.yml": models.FieldMapping,
    "write_rules.yml": models.WriteRules,
    "approvals.yml": approval_models.Approvals,
    "guards.yml": models.Guards,
    "delivery.yml": delivery_models.Delivery,
    "identity.yml": identity_models.Identity,
    "budget.yml": models.Budget,
}
# What a template leaves to be filled in: "[your industry]". A list of values never has a space before its first comma,
# so flow sequences such as [A, B, C] are not meant; only strings are looked at, after YAML has read them.
_PLACEHOLDER = re.compile(r"\[[^\[\]]*\]|<[a-z][^<>]*>|\bTODO\b|\bFIXME\b|\bXXX\b", re.IGNORECASE)

# Golden cases that the rules are tested with: they influence nothing, so they are no part of the policy's hash and a
# new case makes no plan stale.
DECISIONS = "decisions"

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Policy:
    """All of `policies/`, validated.

    Attributes:
        hash: sha256 over the files' hashes in name order; written next to every value the policy influenced. The
            golden cases in `decisions/` influence nothing and are left out.
        file_hashes: File name (relative to the folder, `/` between parts) to sha256 of its bytes.
        folder: Where it was read from.
        project_hash: The dbt project it is used with (`prepare.project_hash`); None when there is none.
    """

    predicates: models.Predicates
    icp: models.Icp
    competitors: models.Competitors
    scoring: models.Scoring
    signals: models.Signals
    gates: models.Gates
    lifecycle: lifecycle_models.Lifecycle
    recall: models.Recall
    research: research_models.Research
    autonomy: autonomy_models.Autonomy
    suppression: models.Suppression
    field_mapping: models.FieldMapping
    write_rules: models.WriteRules
    approvals: approval_models.Approvals
    guards: models.Guards
    delivery: delivery_models.Delivery
    identity: identity_models.Identity
    budget: models.Budget
    mappings: dict[str, models.FieldMapping] = field(hash=False)
    hash: str
    file_hashes: dict[str, str] = field(hash=False)
    folder: Path
    project_hash: str | None = None

    def mapping(self, crm: str) -> models.FieldMapping:
        """The field mapping of a CRM.

        Raises:
            NightdeskError: The project has no mapping for it.
        """
        if crm not in self.mappings:
            raise NightdeskError(
                f"There is no field mapping for {crm}",
                where=str(self.folder / f"field_mapping.{crm}.yml"),
                todo="Write that file; docs/adapters.md says what belongs into it.",
            )
        return self.mappings[crm]


def load(folder: Path) -> Policy:
    """Read and validate every policy file.

    Raises:
        NightdeskError: A file is missing, is not YAML, has an unknown key, an unfilled placeholder, a value out of
            range, or names something another file does not know. The message names file, key and remedy.
    """
    if not folder.is_dir():
        raise NightdeskError(
            "There is no policy folder",
            where=str(folder),
            todo="Run the command from the project's folder, or name the folder with NIGHTDESK_POLICIES.",
        )
    parts: dict[str, Any] = {}
    for name, model in _MODELS.items():
        parts[name.removesuffix(".yml")] = _read(folder / name, model)
    mappings = _mappings(folder, parts["field_mapping"])
    hashes = {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix in {".yml", ".md"} and DECISIONS not in path.relative_to(folder).parts
    }
    known = {*_MODELS, *(_mapping_file(crm) for crm in mappings)}
    unknown = [name for name in hashes if "/" not in name and name.endswith(".yml") and name not in known]
    if unknown:
        raise NightdeskError(
            f"No part of Nightdesk reads the policy file `{unknown[0]}`",
            where=str(folder / unknown[0]),
            todo=f"Remove it or give it one of the known names: {', '.join(sorted(_MODELS))}.",
        )
    total = hashlib.sha256("".join(f"{name}:{value}\n" for name, value in sorted(hashes.items())).encode()).hexdigest()
    policy = Policy(**parts, mappings=mappings, hash=total, file_hashes=hashes, folder=folder)
    _agree(policy)
    return policy


def read_decisions(folder: Path) -> dict[str, decision_models.GoldenTable]:
    """Read and validate the golden cases in `decisions/`, by file name; empty when there are none.

    Raises:
        NightdeskError: A file is broken; the message names file, key and remedy.
    """
    return {path.name: _read(path, decision_models.GoldenTable) for path in sorted((folder / DECISIONS).glob("*.yml"))}


def _mapping_file(crm: str) -> str:
    return "field_mapping.yml" if crm == "hubspot" else f"field_mapping.{crm}.yml"


def _mappings(folder: Path, hubspot: models.FieldMapping) -> dict[str, models.FieldMapping]:
    """HubSpot's mapping and those of the other CRMs the project has a file for."""
    found = {"hubspot": hubspot}
    for crm in sorted(models.CRM_OBJECTS):
        path = folder / _mapping_file(crm)
        if crm != "hubspot" and path.is_file():
            found[crm] = _read(path, models.FieldMapping)
    for crm, mapping in found.items():
        if mapping.crm != crm:
            raise NightdeskError(
                f"`crm` says {mapping.crm}, the file's name says {crm}",
                where=str(folder / _mapping_file(crm)),
                todo=f"Write `crm: {crm}`, or rename the file.",
            )
    return found


def _read(path: Path, model: type[M]) -> M:
    if not path.is_file():
        raise NightdeskError(
            f"The policy file `{path.name}` is missing",
            where=str(path),
            todo="Restore it from version control; without it nothing may be scored or written.",
        )
    try:
        text = path.read_text(encoding="utf-8")
        data = yaml.safe_load(text)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark is not None else ""
        raise NightdeskError(
            f"`{path.name}` is not valid YAML: {getattr(error, 'problem', None) or error}",
            where=f"{path}{line}",
            todo="Mend the line; indentation and colons are the usual cause.",
        ) from None
    for key, text_value in _strings(data, ()):
        found = _PLACEHOLDER.search(text_value)
        if found:
            raise NightdeskError(
                f"`{'.'.join(key)}` still holds the placeholder `{found.group()}`",
                where=str(path),
                todo="Fill in your own value; nothing runs on a half-filled policy.",
            )
    try:
        return model.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or path.name
        message = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            message = "no such setting"
        more = f" ({error.error_count() - 1} more after it)" if error.error_count() > 1 else ""
        raise NightdeskError(
            f"`{key}`: {message}{more}",
            where=str(path),
            todo="Mend the value; the comments in the file say what is allowed.",
        ) from None


def _strings(data: object, key: tuple[str, ...]) -> list[tuple[tuple[str, ...], str]]:
    """Every string in nested YAML data with the keys that lead to it."""
    if isinstance(data, str):
        return [(key, data)]
    found: list[tuple[tuple[str, ...], str]] = []
    if isinstance(data, dict):
        for name, value in data.items():  # pyright: ignore[reportUnknownVariableType]
            found += _strings(value, (*key, str(name)))  # pyright: ignore[reportUnknownArgumentType]
    elif isinstance(data, list):
        for position, value in enumerate(data):  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
            found += _strings(value, (*key, str(position)))  # pyright: ignore[reportUnknownArgumentType]
            # A YAML list of one string is how an unquoted placeholder such as `[your industry]` reads.
            if len(data) == 1 and isinstance(value, str) and value.lower().startswith(("your ", "my ", "insert ")):  # pyright: ignore[reportUnknownArgumentType]
                found[-1] = (key, f"[{value}]")
    return found


def _agree(policy: Policy) -> None:
    """What one file says must be known to the other it speaks of."""
    known = policy.predicates.predicates
    spoken = [
        ("signals.yml", f"signals.{n}", rule.predicate, rule.value) for n, rule in enumerate(policy.signals.signals)
    ]
    spoken += [
        ("recall.yml", f"operations.{operation}.relevance", predicate, None)
        for operation, rule in policy.recall.operations.items()
        for predicate in rule.relevance
    ]
    spoken += [
        ("suppression.yml", "sources", item.predicate, None) for item in policy.suppression.sources if item.predicate
    ]
    for name, key, predicate, value in spoken:
        if predicate not in known:
            _refuse(
                policy,
                name,
                key,
                f"the predicate `{predicate}` is not in predicates.yml",
                "Correct the name or add the predicate.",
            )
        values = known[predicate].values
        if value is not None and values and value not in values:
            _refuse(policy, name, key, f"`{predicate}` has no value `{value}`", f"Use one of {', '.join(values)}.")
    budget_values = known["budget"].values if "budget" in known else ()
    for value in policy.recall.churn_revisit.trigger_values:
        if value not in budget_values:
            _refuse(
                policy,
                "recall.yml",
                "churn_revisit.trigger_values",
                f"`budget` has no value `{value}`",
                f"Use one of {', '.join(budget_values)}.",
            )
    for fields in (fields for mapping in policy.mappings.values() for fields in mapping.fields.values()):
        for item in fields:
            if item.operation not in policy.autonomy.operations:
                _refuse(
                    policy,
                    "autonomy.yml",
                    "operations",
                    f"`{item.operation}` writes `{item.property}` but has no level",
                    "Give it a ceiling; whatever that is, a new operation stands at 2 or lower.",
                )
    written = caps.property_ceilings(policy)
    for operation, entry in policy.autonomy.operations.items():
        if entry.ceiling > caps.APPROVED_BY_A_PERSON and operation in caps.CAPPED_OPERATIONS:
            _refuse(
                policy,
                "autonomy.yml",
                f"operations.{operation}.ceiling",
                f"`{operation}` is never above L{caps.APPROVED_BY_A_PERSON}: {caps.CAPPED_OPERATIONS[operation]}",
                f"Write {caps.APPROVED_BY_A_PERSON} or less.",
            )
        for name in entry.properties:
            if (operation, name) not in written:
                _refuse(
                    policy,
                    "autonomy.yml",
                    f"operations.{operation}.properties",
                    f"`{operation}` writes no property `{name}`",
                    "Use a property that the field mapping lists for this operation.",
                )


def _refuse(policy: Policy, name: str, key: str, message: str, todo: str) -> None:
    raise NightdeskError(f"`{key}`: {message}", where=str(policy.folder / name), todo=todo)
