"""The audit anchor in a git history: who rewrites the ledger would have to rewrite a repository that others cloned."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from nightdesk.errors import NightdeskError
from reverse_etl import audit
from reverse_etl.store import Clock

if TYPE_CHECKING:
    import duckdb

FILE = "nightdesk-audit-anchor.jsonl"


def commit(ledger: Path | duckdb.DuckDBPyConnection, folder: Path, clock: Clock) -> tuple[int, str] | None:
    """Append the chain's last hash to a file in a git working copy and commit that file alone.

    Returns:
        Sequence and hash that were committed; None when the file holds them already.

    Raises:
        NightdeskError: The folder is no git working copy, or git refuses (the line is in the file then, uncommitted).
    """
    _git(folder, "rev-parse", "--is-inside-work-tree")
    anchored = audit.anchor(ledger, clock, folder / FILE)
    pending = _git(folder, "status", "--porcelain", "--", FILE)
    if not pending:
        return None
    last = audit.last_event(ledger) if anchored is None else anchored
    _git(folder, "add", "--", FILE)
    _git(folder, "commit", "--quiet", "-m", f"Anchor audit event {last[0]}: {last[1][:16]}", "--", FILE)
    return last


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise NightdeskError(
            "git is not installed", where=str(folder), todo="Install git, or anchor in a file."
        ) from error
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise NightdeskError(
            f"git could not keep the anchor: {said[-1] if said else arguments[0]}",
            where=str(folder),
            todo="Name a git working copy in which you may commit.",
        )
    return done.stdout.strip()
