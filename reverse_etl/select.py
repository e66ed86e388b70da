"""Choose operations of a plan: `property:nightdesk_lead_*`, `record:123`, `operation:icp_fit`, `decision:auto`, ..."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from nightdesk.errors import NightdeskError
from reverse_etl.records import PLURALS, SINGULARS, parse_record

_COLUMNS = {
    "property": "property",
    "operation": "operation",
    "decision": "decision",
    "rule": "deciding_rule",
    "object": "object_type",
    "conflict": "conflict_class",
    "risk": "risk",
    "op": "op_id",
}
KEYS = (*_COLUMNS, "record")


@dataclass(frozen=True, slots=True)
class Selection:
    """Terms that all must hold; the values of one term are alternatives, `*` and `?` are wildcards."""

    terms: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @classmethod
    def parse(cls, texts: Iterable[str] = ()) -> Selection:
        """Read terms such as `property:nightdesk_lead_score,nightdesk_lead_tier` or `record:contact:123`.

        Raises:
            NightdeskError: A term has no known key or no value.
        """
        terms: list[tuple[str, tuple[str, ...]]] = []
        for text in texts:
            key, colon, rest = text.partition(":")
            values = tuple(part.strip() for part in rest.split(",") if part.strip())
            if not colon or key not in KEYS or not values:
                raise NightdeskError(
                    f"`{text}` does not select anything", todo=f"Use KEY:VALUE[,VALUE] with one of {', '.join(KEYS)}."
                )
            terms.append((key, values))
        return cls(tuple(terms))

    @classmethod
    def ops(cls, op_ids: Iterable[str]) -> Selection:
        """Choose single operations by id, or by an unambiguous beginning of it."""
        ids = tuple(op_ids)
        return cls((("op", ids),)) if ids else cls()

    @property
    def is_everything(self) -> bool:
        """Whether nothing is filtered."""
        return not self.terms

    def where(self) -> tuple[str, list[Any]]:
        """Return a SQL condition over the columns of plan_ops and its parameters."""
        clauses: list[str] = []
        parameters: list[Any] = []
        for key, values in self.terms:
            options: list[str] = []
            for value in values:
                if key == "record":
                    options.append(self._record(value, parameters))
                elif key == "op":
                    options.append("starts_with(op_id, ?)")
                    parameters.append(value)
                else:
                    options.append(f"{_COLUMNS[key]} glob ?")
                    parameters.append(PLURALS.get(value, value) if key == "object" else value)
            clauses.append(f"({' or '.join(options)})")
        return " and ".join(clauses) or "true", parameters

    @staticmethod
    def _record(value: str, parameters: list[Any]) -> str:
        name = parse_record(value)
        if name.email:
            parameters.append(f"%{name.email}%")
            return "record_label ilike ?"
        parameters.append(name.record_id)
        if name.object_type is None:
            return "record_id = ?"
        parameters.append(name.object_type if name.object_type in SINGULARS else PLURALS.get(name.object_type, ""))
        return "(record_id = ? and object_type = ?)"
