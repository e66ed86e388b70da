"""Choose operations of a plan: `property:nightdesk_lead_*`, `record:123`, `confidence:<0.6`, `label:acme`, ..."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from nightdesk.errors import NightdeskError
from reverse_etl.records import PLURALS, parse_record

_COLUMNS = {
    "property": "property",
    "operation": "operation",
    "decision": "decision",
    "rule": "deciding_rule",
    "object": "object_type",
    "conflict": "conflict_class",
    "risk": "risk",
    "crm": "crm",
    "segment": "segment",
    "op": "op_id",
}
_NUMBERS = {"confidence": "confidence", "level": "autonomy_level", "evidence": "evidence_count"}
KEYS = (*_COLUMNS, *_NUMBERS, "record", "label", "agent")

_RANGE = re.compile(
    r"(?P<test><=|>=|<|>|=)?(?P<one>\d+(?:\.\d+)?)|(?P<low>\d+(?:\.\d+)?)(?:\.\.|-)(?P<high>\d+(?:\.\d+)?)"
)
_ID_CHARS = 64


@dataclass(frozen=True, slots=True)
class Selection:
    """Terms that all must hold; the values of one term are alternatives, `*` and `?` are wildcards.

    Numbers (`confidence`, `level`, `evidence`) take `0.8`, `<0.6`, `>=3` or `0.4..0.6`; an operation without such a
    number matches none of them. `label` looks for a part of the record's name, in any case;
    `agent` is who gave the answer that a value rests on.
    """

    terms: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @classmethod
    def parse(cls, texts: Iterable[str] = ()) -> Selection:
        """Read terms such as `property:nightdesk_lead_score,nightdesk_lead_tier` or `record:contact:123`.

        Raises:
            NightdeskError: A term has no known key, no value, or a number that is none.
        """
        terms: list[tuple[str, tuple[str, ...]]] = []
        for text in texts:
            key, colon, rest = text.partition(":")
            values = tuple(part.strip() for part in rest.split(",") if part.strip())
            if not colon or key not in KEYS or not values:
                raise NightdeskError(
                    f"`{text}` does not select anything", todo=f"Use KEY:VALUE[,VALUE] with one of {', '.join(KEYS)}."
                )
            for value in values:
                if key in _NUMBERS and not _RANGE.fullmatch(value):
                    raise NightdeskError(
                        f"`{value}` is not a range of numbers",
                        where=f"`{text}`",
                        todo=f"Write {key}:0.8, {key}:<0.6, {key}:>=0.6 or {key}:0.4..0.6.",
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
            if key == "op":
                # Whole ids can be many (a reviewed file); the beginnings that people type are few.
                whole = [value for value in values if len(value) == _ID_CHARS]
                values = tuple(value for value in values if len(value) != _ID_CHARS)
                if whole:
                    options.append("list_contains(?::varchar[], op_id)")
                    parameters.append(whole)
            for value in values:
                options.append(self._option(key, value, parameters))
            clauses.append(f"({' or '.join(options)})")
        return " and ".join(clauses) or "true", parameters

    @classmethod
    def _option(cls, key: str, value: str, parameters: list[Any]) -> str:
        if key == "record":
            return cls._record(value, parameters)
        if key in _NUMBERS:
            return cls._range(_NUMBERS[key], value, parameters)
        if key == "op":
            parameters.append(value)
            return "starts_with(op_id, ?)"
        if key == "agent":
            parameters.append(value)
            return "answer_id in (select answer_id from answers where agent glob ?)"
        if key == "label":
            parameters.append(value.casefold() if set(value) & set("*?") else f"*{value.casefold()}*")
            return "coalesce(lower(record_label), '') glob ?"
        parameters.append(PLURALS.get(value, value) if key == "object" else value)
        return f"coalesce({_COLUMNS[key]}, '') glob ?"

    @staticmethod
    def _range(column: str, value: str, parameters: list[Any]) -> str:
        found = _RANGE.fullmatch(value)
        assert found is not None  # `parse` looked
        if found["one"] is not None:
            parameters.append(Decimal(found["one"]))
            return f"coalesce({column} {found['test'] or '='} ?, false)"
        parameters.extend((Decimal(found["low"]), Decimal(found["high"])))
        return f"coalesce({column} between ? and ?, false)"

    @staticmethod
    def _record(value: str, parameters: list[Any]) -> str:
        name = parse_record(value)
        if name.email:
            parameters.append(f"%{name.email}%")
            return "record_label ilike ?"
        parameters.append(name.record_id)
        if name.object_type is None:
            return "record_id = ?"
        parameters.append(name.object_type)
        return "(record_id = ? and object_type = ?)"
