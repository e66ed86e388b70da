"""Arrow, as the one untyped library here: it ships no type hints, so its door is one function."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def pyarrow() -> Any:
    """The pyarrow module, imported when first needed."""
    return import_module("pyarrow")
