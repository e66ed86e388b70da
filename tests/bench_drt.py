"""The published reverse-ETL tool `drt-core` on the same job: the same contacts, fields and sandbox CRM.

It runs from a virtual environment of its own, named by DRT_VENV; nothing is downloaded here. Its HubSpot destination
has HubSpot's address built in, so a line of Python in front of its command line puts the sandbox's there; nothing else
of it is changed. `match_policy: update_only` is the setting that costs it the fewest requests.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_LAUNCH = """
import sys
import drt.destinations.hubspot as hubspot
hubspot._HUBSPOT_API = sys.argv.pop(1) + "/crm/v3/objects"
from drt.cli.main import app
app()
"""
_SYNC = """
name: scores
description: Lead scores to the CRM
model: select * from scores
destination:
  type: hubspot
  object_type: contacts
  id_property: email
  properties_template: |
    {{"nightdesk_lead_score": "{{{{ row.score }}}}", "nightdesk_lead_tier": "{{{{ row.tier }}}}",
     "nightdesk_lead_reason": "{{{{ row.reason }}}}", "email": "{{{{ row.email }}}}"}}
  auth: {{type: bearer, token_env: HUBSPOT_TOKEN}}
sync:
  mode: full
  match_policy: update_only
  on_error: {on_error}
"""


@dataclass(frozen=True, slots=True)
class DrtRun:
    """What one `drt run` did: its exit code, its own account of it, and the wall time."""

    exit_code: int
    said: dict[str, Any]
    seconds: float
    error: str


def python() -> Path | None:
    """The interpreter of the environment that has drt-core; None where there is none."""
    named = os.environ.get("DRT_VENV")
    found = Path(named) / "bin" / "python" if named else None
    if found is None or not found.exists():
        return None
    asked = subprocess.run([found, "-c", "import drt.destinations.hubspot"], capture_output=True, check=False)
    return found if asked.returncode == 0 else None


def run(folder: Path, url: str, token: str, rows: list[tuple[str, str, str, str]], on_error: str = "skip") -> DrtRun:
    """Sync `(email, score, tier, reason)` rows with drt.

    Args:
        folder: A new folder for its project, profile and source database.
        url: The CRM's address.
        token: The CRM's token.
        rows: What to write.
        on_error: `skip` goes on after a record that failed, `fail` (drt's default) stops there.
    """
    interpreter = python()
    assert interpreter is not None
    (folder / "syncs").mkdir(parents=True)
    (folder / ".drt").mkdir()
    database = folder / "source.sqlite"
    with closing(sqlite3.connect(database)) as source:
        source.execute("create table scores (email text, score text, tier text, reason text)")
        source.executemany("insert into scores values (?, ?, ?, ?)", rows)
        source.commit()
    (folder / "drt_project.yml").write_text("name: bench\nversion: '0.1'\nprofile: local\n")
    (folder / ".drt" / "profiles.yml").write_text(f"local:\n  type: sqlite\n  database: {database}\n")
    (folder / "syncs" / "scores.yml").write_text(_SYNC.format(on_error=on_error))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("NIGHTDESK_", "PYTHON"))}
    environment = {**kept, "HOME": str(folder), "HUBSPOT_TOKEN": token, "DO_NOT_TRACK": "1", "NO_PROXY": "127.0.0.1"}
    began = time.monotonic()
    ended = subprocess.run(
        [interpreter, "-c", _LAUNCH, url, "run", "--output", "json"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.monotonic() - began
    start = ended.stdout.find("{")
    said = json.loads(ended.stdout[start:]) if start >= 0 else {}
    return DrtRun(ended.returncode, said, seconds, ended.stderr[-2000:] or ended.stdout[-2000:])
