"""From one spooled response to ledger rows: what is published, what is kept as rejected, what counts as failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from enrich.runner import Tally
    from enrich.runner_task import Task
    from enrich.spool import SpoolLine
    from enrich.store import Batch


def add_checked(batch: Batch, task: Task, line: SpoolLine, ref: str, context: str, tally: Tally) -> None:
    """Add a response's attempt, and its answer when there is one.

    A refusal and a truncated answer are answers too (`rejected`): the same question would be refused again, and paid
    again. A provider error is no answer. Neither is a fault of our own check: the raw text stays in the spool, the
    record counts as failed tonight.
    """
    from enrich.answer import CheckedAnswer

    response = line.response
    if response.status == "provider_error":
        batch.add_attempt(line, ref)
        return
    if response.status in ("refused", "truncated"):
        why = response.error or response.stop_reason or "no reason given"
        word = "refused to answer" if response.status == "refused" else "was cut off"
        batch.add_attempt(line, ref)
        batch.add_answer(line, CheckedAnswer(False, "rejected", f"The agent {word}: {why}", None))
        return
    try:
        checked = task.check(response.text, context, line.record_id)
    except Exception as error:  # One record our own code cannot read must not cost the other 26,499 their night.
        what = f"The evidence check failed: {type(error).__name__}: {error}"[:500]
        tally.warnings.append(f"{line.record_id} ({ref}): {what}")
        batch.add_attempt(line, ref, status="invalid", error=what)
        return
    if checked.is_valid:
        batch.add_attempt(line, ref)
    else:
        batch.add_attempt(line, ref, status="invalid", error=checked.reason)
    batch.add_answer(line, checked)
