"""What of a batch's results is safely kept, found out by looking: the spool says so, nobody's memory does.

A result that somebody asked for is spooled by the runner. One that nobody asks for any more was paid for all the same:
it goes into a spool segment of its own, `batch-<id>/`, and the next drain's replay books its cost as an attempt that
was not checked. Asked for again later, it is found there and costs nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from enrich.agents.protocol import AgentResponse
from enrich.hashing import attempt_id
from enrich.spool import SpoolLine, SpoolWriter, read_segment

if TYPE_CHECKING:
    from enrich.agents.batch_journal import Batch

_CLOCK_SLACK_SECONDS = 3_600.0


def kept(spool_dir: Path, batch: Batch) -> set[str]:
    """Calls of a batch whose result is in the spool: lines that bear the batch's own time."""
    found: set[str] = set()
    mark = f'"requested_at":"{batch.sent_at.isoformat()}"'.encode()
    for path in spool_dir.glob(f"*/{batch.operation}-*.jsonl"):
        if path.stat().st_mtime < batch.written_at - _CLOCK_SLACK_SECONDS:
            continue
        with path.open("rb") as file:
            for line in file:
                if mark in line and line.endswith(b"\n"):
                    values = json.loads(line)
                    found.add(values.get("call_hash") or values["input_hash"])
    return found & batch.calls.keys()


def keep_leftovers(spool_dir: Path, batch: Batch, responses: Iterable[AgentResponse], *, agent: str) -> list[str]:
    """Spool results that nobody asked for; returns where they are.

    The line has no question, so the replay can only book it. Its attempt bears an id made of the batch's, so that
    keeping it again after a crash books nothing twice.
    """
    lines = [_line(batch, response, agent) for response in responses]
    if not lines:
        return []
    writer = SpoolWriter(spool_dir, _folder(batch), batch.operation)
    try:
        return writer.append(lines)
    finally:
        writer.close()


def leftovers(spool_dir: Path, batch: Batch) -> dict[str, AgentResponse]:
    """Results of a batch that are kept as leftovers, by call."""
    return {
        line.input_hash: line.response
        for path in sorted((spool_dir / _folder(batch)).glob(f"{batch.operation}-*.jsonl"))
        for _, line in read_segment(path)
        if isinstance(line, SpoolLine)
    }


def take_leftovers(spool_dir: Path, batches: Iterable[Batch], wanted: Iterable[str]) -> dict[str, AgentResponse]:
    """Results kept as leftovers that are asked for again; they have been booked, so they cost nothing now."""
    wanted = set(wanted)
    found: dict[str, AgentResponse] = {}
    for batch in batches:
        if batch.leftovers & wanted:
            found |= {key: response for key, response in leftovers(spool_dir, batch).items() if key in wanted}
    nothing = {"input_tokens": 0, "cache_read_tokens": 0, "cache_write_tokens": 0, "output_tokens": 0}
    return {key: replace(response, cost_usd=Decimal(0), **nothing) for key, response in found.items()}


def _line(batch: Batch, response: AgentResponse, agent: str) -> SpoolLine:
    record_type, record_id = batch.calls[response.input_hash]
    return SpoolLine(
        attempt_id=attempt_id(_folder(batch), batch.operation, response.input_hash, 1),
        run_id=_folder(batch),
        operation=batch.operation,
        record_type=record_type,
        record_id=record_id,
        input_hash=response.input_hash,
        context_hash="",
        operation_hash="",
        question_hash="",
        policy_hash="",
        agent=agent,
        model=response.model or batch.model,
        requested_at=_moment(response.requested_at, batch),
        responded_at=_moment(response.responded_at, batch),
        is_final=True,
        response=response,
    )


def _moment(moment: datetime | None, batch: Batch) -> datetime:
    return moment if moment is not None else batch.sent_at


def _folder(batch: Batch) -> str:
    return f"batch-{batch.intent}"
