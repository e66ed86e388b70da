"""What an apply could not write, and whether it is worth trying again as it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nightdesk.errors import NightdeskError
from reverse_etl.crms.protocol import TRY_AGAIN
from reverse_etl.store import first_event, opened

if TYPE_CHECKING:
    import duckdb

# Ends of an operation that a second apply of the same plan looks at again.
_OPEN = ("refused", "ignored", "altered", "conflict", "unknown")
_ADVICE = {
    "bad_value": "the CRM will refuse it again: mend the value or the field in the CRM",
    "no_right": "give the integration's user the right to write the field",
    "gone": "the record is gone: the next plan leaves it out once a load has seen that",
    "converted": "the record became another one: the next plan writes there",
    "duplicate": "another record holds the value: merge them, or mend the rule in the CRM",
    "schema": "the field is missing or read-only: `nightdesk crm setup`",
    "automation": "code in the CRM (trigger, flow) failed: its owner has to look",
    "other": "read the CRM's message in `nightdesk why RECORD FIELD`",
}


@dataclass(frozen=True, slots=True)
class Failed:
    """What is open of one apply: `counts[(result, refusal)]` operations, refusal empty unless the CRM refused."""

    apply_run_id: str
    plan_id: str
    crm: str
    counts: Mapping[tuple[str, str], int]

    @property
    def total(self) -> int:
        """Operations that did not end as planned."""
        return sum(self.counts.values())


def failed(ledger: Path | duckdb.DuckDBPyConnection, run: str | None) -> Failed:
    """Look up what an apply run (the newest one unless named) left open.

    Raises:
        NightdeskError: There is no such run, or all of it ended as planned.
    """
    with opened(ledger) as con:
        found = con.execute(
            f"""
            select apply_run_id, plan_id, crm from apply_runs inner join plans using (plan_id)
            where not dry_run and ($run is null or $run in (apply_run_id, apply_runs.run_id, plan_id))
            order by {first_event("apply_runs.apply_run_id")} desc limit 1
            """,
            {"run": run},
        ).fetchone()
        if found is None:
            raise NightdeskError("There is no such apply", where=run or "ledger", todo="Run `nightdesk apply` first.")
        counts = {
            (str(result), str(refusal)): int(number)
            for result, refusal, number in con.execute(
                "select result, coalesce(refusal, ''), count(*) from op_results where apply_run_id = $run "
                "and list_contains($open, result) group by all order by 3 desc, 1, 2",
                {"run": found[0], "open": list(_OPEN)},
            ).fetchall()
        }
    if not counts:
        raise NightdeskError(
            "Nothing to try again: all of it ended as planned",
            where=str(found[0]),
            todo="`nightdesk verify` reads back.",
        )
    return Failed(str(found[0]), str(found[1]), str(found[2]), counts)


def view(found: Failed) -> str:
    """One line per reason: how many, and what to expect of another try."""
    lines = [f"{found.total:,} changes of {found.apply_run_id} did not end as planned:"]
    for (result, refusal), number in found.counts.items():
        if result == "refused" and refusal not in TRY_AGAIN:
            advice = _ADVICE.get(refusal or "other", _ADVICE["other"])
        elif result == "conflict":
            advice = "somebody changed it: it stays unless the value is back where the plan saw it"
        elif result in ("ignored", "altered"):
            advice = "the CRM did not keep it: a rule or flow there decides otherwise"
        else:
            advice = "may pass now"
        name = f"{result} ({refusal.replace('_', ' ')})" if refusal else result
        lines.append(f"  {number:,} {name}: {advice}")
    return "\n".join(lines)
