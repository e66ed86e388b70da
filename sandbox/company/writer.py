"""Writes a generated company to disk: the CRM's store and, in a file of its own, the truth."""

from __future__ import annotations

from pathlib import Path

from sandbox.company.generate import GeneratedCompany
from sandbox.company.truth import save

CRM_FILE = "crm.sqlite"
TRUTH_FILE = "truth.duckdb"


def write(company: GeneratedCompany, directory: Path) -> None:
    """Creates `crm.sqlite` and `truth.duckdb` in that directory; neither may exist yet."""
    from nightdesk.errors import NightdeskError
    from sandbox.crm.store import Store

    directory.mkdir(parents=True, exist_ok=True)
    truth_path = directory / TRUTH_FILE
    if truth_path.exists():
        raise NightdeskError(
            "A truth file is there already",
            where=str(truth_path),
            todo="Choose another folder or delete it with its CRM.",
        )
    store = Store.create(directory / CRM_FILE)
    store.seed(company.crm)
    save(company.truth, truth_path)
