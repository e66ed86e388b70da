"""After any round of edits, what is loaded is what the org holds: row by row, with deletions, merges and history."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from sandbox.salesforce.rounds import edit_round, truth
from tests.salesforce_kit import org
from tests.salesforce_source_kit import Chaos, Loads, differences, moved


def rounds(folder: Path, seed: int, count: int, size: int, *, thorough: bool = True, **settings: Any) -> Counter[str]:
    """Loads, edits, loads again, with trouble of every kind on the way; returns what happened in the org."""
    happened: Counter[str] = Counter()
    # More records than a page share one second: they were all made at once.
    with org(folder / "org.sqlite", contacts=230, accounts=12, leads=40) as running:
        app, secret = running.api.options.client
        renewing = {"token": "", "client_id": app, "client_secret": secret, "max_attempts": 20}
        loads = Loads(running, folder, settings | renewing)
        chaos = Chaos(loads.transport(), seed)
        loads(transport=chaos)
        assert differences(loads) == []
        for number in range(count):
            happened.update(edit_round(running.store, seed * 1000 + number, size=size, hard=True))
            loads(transport=chaos)
            wrong = differences(loads)
            if wrong:  # deleted and emptied out of the bin within one minute: the next load is told, at the latest
                running.clock.advance(90)
                loads(transport=chaos)
                wrong = differences(loads)
            assert wrong == [], f"round {number} of seed {seed}: {len(wrong)} differences"
            counts = truth(running.store)
            assert loads.table("contacts", "count(*)", where="not is_deleted") == [(counts["Contact.living"],)]
            living = "is_converted and not is_deleted"
            assert loads.table("leads", "count(*)", where=living) == [(counts["Lead.converted"],)]
            if thorough:
                assert moved(loads()) == {}, "nothing happened, so nothing moves"
        if thorough:
            loads(full=True)
            assert differences(loads) == []
        assert len(chaos.troubles) >= 5, chaos.troubles
    return happened


def test_what_is_loaded_is_what_the_org_holds_after_a_round(tmp_path: Path) -> None:
    happened = rounds(tmp_path, seed=7, count=1, size=60, thorough=False)
    assert any(name.startswith("merge") for name in happened) and any(name.startswith("delete") for name in happened)
    assert happened["convert Lead"] and happened["move stage"]


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("threshold", [10_000, 25], ids=["queries", "bulk jobs"])
def test_what_is_loaded_is_what_the_org_holds_after_twenty_rounds(tmp_path: Path, seed: int, threshold: int) -> None:
    happened = rounds(tmp_path, seed=seed, count=20, size=60, bulk_threshold=threshold, bulk_page_rows=60)
    for what in ("delete Contact", "merge Contact", "convert Lead", "undelete Contact", "move stage"):
        assert happened[what], f"{what} never happened"
