"""The next day: a share of the contacts changes, through the store, as if from outside."""

from __future__ import annotations

from pathlib import Path


def change(store_path: Path, truth_path: Path, share: float = 0.10, seed: int = 11) -> int:
    """Placeholder until the store exists."""
    raise NotImplementedError
