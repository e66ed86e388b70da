"""The commands of the write-back."""

import typer


def register(app: typer.Typer) -> None:
    """Add them."""
