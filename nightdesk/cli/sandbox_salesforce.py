"""`nightdesk sandbox serve --crm salesforce`: the sample company as an org, to plan and write to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def serve(folder: Path, out: Console, *, port: int, faults: Path | None) -> None:
    """Serve the org until Ctrl-C.

    Args:
        folder: The sample company's.
        out: Where to say what is there.
        port: 0 for any free one.
        faults: A fault file.
    """
    from sandbox.salesforce.app import TOKEN, Options
    from sandbox.salesforce.sample import LINKS, ORG
    from sandbox.salesforce.sample import serve as serve_org

    options = Options()
    if faults is not None:
        from sandbox.faults import load
        from sandbox.salesforce.scripted import SUPPORTED, FaultRunner

        file = load(faults, SUPPORTED)
        options.faults = FaultRunner(file, forgiving=True)
        for number, one in enumerate(file.faults, 1):
            out.print(f"{number}. {one.says()}", markup=False, highlight=False)
        out.print(f"What struck a request stands in the table `requests` of {folder / ORG}, column `fault`.")

    def started(url: str) -> None:
        out.print(f"The sandbox org is at {url}")
        out.print(f"NIGHTDESK_SALESFORCE_URL={url}", markup=False, highlight=False)
        out.print(f"NIGHTDESK_SALESFORCE_TOKEN={TOKEN}", markup=False, highlight=False)
        out.print(f"Who is who stands in {folder / LINKS}: put its lines into seeds/crm_links.csv.")

    serve_org(folder, port=port, options=options, on_start=started)
