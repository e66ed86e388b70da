"""Why HubSpot refused a record, in the words that are the same for every CRM."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from reverse_etl.crms.protocol import Refusal

# Codes of single properties are looked at before the category of the whole error, which is VALIDATION_ERROR for all.
_CODES: dict[str, Refusal] = {"PROPERTY_DOESNT_EXIST": "schema", "READ_ONLY_VALUE": "schema"}
_CATEGORIES: dict[str, Refusal] = {
    "OBJECT_NOT_FOUND": "gone",
    "CONFLICT": "duplicate",
    "MISSING_SCOPES": "no_right",
    "VALIDATION_ERROR": "bad_value",
}


def refusal(error: Mapping[str, Any]) -> Refusal:
    """Classify an error body, or one entry of `errors`; what it does not say is `other`."""
    for known, key in ((_CODES, "code"), (_CATEGORIES, "category")):
        for part in _parts(error):
            if str(part.get(key)) in known:
                return known[str(part.get(key))]
    return "other"


def _parts(error: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """An error and those inside it."""
    yield error
    inside: Any = error.get("errors")
    for part in cast("list[Any]", inside) if isinstance(inside, list) else []:
        if isinstance(part, dict):
            yield cast("dict[str, Any]", part)
