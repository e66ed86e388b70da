"""Parsed JSON is anything: these turn it into typed lists and objects, or None when it is something else."""

from __future__ import annotations

from typing import Any, cast


def as_object(value: Any) -> dict[str, Any] | None:
    """A JSON object."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def as_list(value: Any) -> list[Any] | None:
    """A JSON array."""
    return cast("list[Any]", value) if isinstance(value, list) else None


def as_objects(value: Any) -> list[dict[str, Any]] | None:
    """A JSON array of nothing but objects."""
    items = as_list(value)
    if items is None or not all(isinstance(item, dict) for item in items):
        return None
    return cast("list[dict[str, Any]]", items)


def as_strings(value: Any) -> list[str] | None:
    """A JSON array of nothing but strings."""
    items = as_list(value)
    if items is None or not all(isinstance(item, str) for item in items):
        return None
    return cast("list[str]", items)
