"""From spooled responses to ledger rows: what is published, what is kept as rejected, what counts as failed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from enrich.answer import CheckedAnswer
    from enrich.runner import Tally
    from enrich.spool import SpoolLine
    from enrich.store import Batch


def add_answered(
    batch: Batch, conclude: Callable[[], CheckedAnswer], line: SpoolLine, ref: str, tally: Tally, *, is_new: bool = True
) -> str | None:
    """Add the response that ended a question and the answer it led to.

    A refusal and a truncated answer are answers too (`rejected`). A fault of our own check is none: the raw text stays
    in the spool, the record counts as failed tonight.

    Args:
        batch: Where the rows go.
        conclude: Checks what was said.
        line: The response that came last; a provider error never ends a question.
        ref: Where it stands in the spool.
        tally: Gets a warning when our own check breaks.
        is_new: False when the ledger has this attempt already (all calls were answered before a crash).

    Returns:
        What broke our own check, if it did: there is no answer then.
    """
    status = error = None
    try:
        checked = conclude()
    except Exception as fault:  # One record our own code cannot read must not cost the other 26,499 their night.
        error = f"The evidence check failed: {type(fault).__name__}: {fault}"[:500]
        tally.warnings.append(f"{line.record_id} ({ref}): {error}")
        if is_new:
            batch.add_attempt(line, ref, status="invalid", error=error)
        return error
    if not checked.is_valid and line.response.status == "ok":
        status, error = "invalid", checked.reason
    if is_new:
        batch.add_attempt(line, ref, status=status, error=error)
    batch.add_answer(line, checked)
    return None
