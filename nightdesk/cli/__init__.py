"""The command line: what dbt and terraform users expect, one clear error instead of a traceback."""

from __future__ import annotations


def main() -> None:
    """Entry point of `nightdesk`."""
    from nightdesk.cli.app import run

    run()
