"""Takes up what a crash left in the spool: answers that were paid for and never reached the ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from enrich import runner_queue, store
from enrich.calls import not_usable
from enrich.hashing import answer_id
from enrich.runner_check import add_answered
from enrich.runner_queue import NOT_CHECKED
from enrich.spool import SpoolLine, pending_segments, read_segment

if TYPE_CHECKING:
    import duckdb

    from enrich.answer import CheckedAnswer
    from enrich.runner import Tally
    from enrich.runner_task import Task

_LINES_AT_ONCE = 500


def replay(connection: duckdb.DuckDBPyConnection, task: Task, spool_dir: Path, tally: Tally) -> list[Path]:
    """Put every spooled response of the operation that the ledger does not know into it; no call is made.

    The agent of this drain may be another than the one that answered: an answer is stored under its own. An answer to a
    question that is no longer asked (another context, prompt or policy) is kept as an attempt, for its cost, and not
    as an answer. Needs `drain_keys`.

    Returns:
        The segments read; they may be marked as committed once the ledger is safely closed.
    """
    segments = pending_segments(spool_dir, task.operation)
    for segment in segments:
        lines = _readable(segment, tally)
        while part := list(islice(lines, _LINES_AT_ONCE)):
            _replay_part(connection, task, part, tally)
    return segments


def _readable(segment: Path, tally: Tally) -> Iterator[tuple[str, SpoolLine]]:
    for ref, line in read_segment(segment):
        if isinstance(line, SpoolLine):
            yield ref, line
        elif line.is_last:
            tally.warnings.append(f"The last line, {line.where}, was cut off by a crash; its call is repeated")
        else:
            tally.warnings.append(f"Line {line.where} is damaged and was skipped: check the disk")


def _replay_part(
    connection: duckdb.DuckDBPyConnection, task: Task, part: list[tuple[str, SpoolLine]], tally: Tally
) -> None:
    known = store.known_attempts(connection, (line.attempt_id for _, line in part))
    fresh = [(ref, line) for ref, line in part if line.attempt_id not in known]
    if not fresh:
        return
    wanted = [line for _, line in fresh if line.question_hash == task.question_hash]
    contexts = runner_queue.read_contexts(
        connection, task.operation, [(line.record_id, line.context_hash) for line in wanted]
    )
    answered = store.known_answers(connection, (_answer_id(line) for line in wanted))
    batch = store.Batch()
    for ref, line in fresh:
        context = contexts.get((line.record_id, line.context_hash))
        if line.response.status == "provider_error":
            batch.add_attempt(line, ref)
        elif line.call_hash is not None:
            # One call of several: the drain takes it up with the others when it opens the question again.
            batch.add_attempt(line, ref, error=None if line.question_hash == task.question_hash else NOT_CHECKED)
        elif _answer_id(line) in answered:
            batch.add_attempt(line, ref, error="Not used: this input was answered before")
        elif context is None or line.question_hash != task.question_hash:
            batch.add_attempt(line, ref, error=NOT_CHECKED)
        else:
            add_answered(batch, _conclude(task, line, context), line, ref, tally)
            answered.add(_answer_id(line))
    batch.commit(connection)
    tally.replayed += len(fresh)
    tally.answers_written += batch.answers


def _conclude(task: Task, line: SpoolLine, context: str) -> Callable[[], CheckedAnswer]:
    check = task.check if line.agent == task.agent or task.check_others is None else task.check_others

    def concluded() -> CheckedAnswer:
        failed = not_usable(line.response)
        if failed is not None:
            return task.unusable(failed, context, line.record_id)
        return check(line.response.text, context, line.record_id)

    return concluded


def _answer_id(line: SpoolLine) -> str:
    return answer_id(line.operation, line.record_id, line.input_hash)
