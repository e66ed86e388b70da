"""The moving part of a drain: a reader, some askers, one writer, and what happens when somebody says stop.

    reader --chunks--> askers --spool (fsync)--> spooled responses --> writer --check--> ledger (batches)

Everything that blocks (database, fsync, check) runs in worker threads, one at a time per resource; the event loop only
waits for providers.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeVar

import anyio
from anyio import to_thread
from anyio.abc import ObjectReceiveStream, ObjectSendStream

from enrich import runner_queue
from enrich.agents.protocol import AgentRequest, AgentResponse, OutlivesDrains
from enrich.hashing import attempt_id
from enrich.runner_check import add_answered
from enrich.spool import SpoolLine
from enrich.store import Batch
from nightdesk.errors import NightdeskError, first_of

if TYPE_CHECKING:
    from datetime import datetime
    from decimal import Decimal

    import duckdb

    from enrich.agents.protocol import Agent
    from enrich.budget import NightBudget, Reservation
    from enrich.calls import Dialogue
    from enrich.runner import Checkpoint, Limits, Progress, Tally
    from enrich.runner_queue import QueueRow
    from enrich.runner_task import Task
    from enrich.spool import SpoolWriter
    from nightdesk.clock import Clock

T = TypeVar("T")


@dataclass(slots=True)
class _Question:
    """One due input on its way, in one call or several."""

    row: QueueRow
    dialogue: Dialogue
    is_counted: bool = False  # as answered or given up, for the progress


@dataclass(slots=True)
class _Work:
    """One call to make."""

    request: AgentRequest
    question: _Question
    reservation: Reservation
    tries: int  # calls made before, in this run

    @property
    def row(self) -> QueueRow:
        return self.question.row


@dataclass(frozen=True, slots=True)
class _Spooled:
    """A response in the spool. `ended` is the question that it was the last response of."""

    ref: str
    line: SpoolLine
    ended: _Question | None = None
    is_new: bool = True


@dataclass(kw_only=True)
class Pipeline:
    """Asks everything in `drain_due`. Use once."""

    connection: duckdb.DuckDBPyConnection
    task: Task
    agent: Agent
    spool: SpoolWriter
    run_id: str
    budget: NightBudget
    clock: Clock
    limits: Limits
    tally: Tally
    due: int
    on_progress: Progress
    checkpoint: Checkpoint
    heard_before: Mapping[str, list[str]] = field(default_factory=dict[str, list[str]])
    read_spool: Callable[[str], SpoolLine | None] = lambda _: None

    def __post_init__(self) -> None:
        self.left_out: dict[str, tuple[Literal["failed", "over_budget"], str]] = {}
        self._done = 0
        self._failures_in_a_row = 0
        self._provider_is_down: str | None = None
        self._fatal: BaseException | None = None
        self._signal: signal.Signals | None = None
        self._wait_until = 0.0
        self._database = anyio.Lock()
        self._spooling = anyio.Lock()
        self._settled = anyio.Event()

    async def run(self) -> None:
        """Ask until nothing is due, the budget is used up, or somebody says stop.

        Raises:
            NightdeskError: The agent cannot work, or a file cannot be written.
            KeyboardInterrupt, SystemExit: SIGINT or SIGTERM arrived; what was answered is in the ledger.
        """
        try:
            await self.agent.prepare(self.task.operation)
            await self._run()
        except BaseExceptionGroup as group:
            raise first_of(group) from group
        finally:
            if not (isinstance(self.agent, OutlivesDrains) and self.agent.outlives_drains):
                with anyio.CancelScope(shield=True):
                    await self.agent.aclose()
        if self._signal is not None:
            done = f"{self._done:,} of {self.due:,} answered and kept; run the same command again to go on"
            raise KeyboardInterrupt(done) if self._signal == signal.SIGINT else SystemExit(128 + self._signal)
        if self._fatal is not None:
            raise self._fatal

    async def _run(self) -> None:
        chunks_in, chunks_out = anyio.create_memory_object_stream[list[_Work]](0)
        spooled_in, spooled_out = anyio.create_memory_object_stream[list[_Spooled]](self.agent.concurrency)
        async with anyio.create_task_group() as everything:
            everything.start_soon(self._listen_for_signals, everything.cancel_scope)
            writer_done = anyio.Event()
            everything.start_soon(self._write, spooled_out, writer_done)
            async with anyio.create_task_group() as asking, spooled_in:
                asking.start_soon(self._read, chunks_in, spooled_in.clone())
                for _ in range(self.agent.concurrency):
                    asking.start_soon(self._ask_chunks, chunks_out.clone(), spooled_in.clone())
                chunks_out.close()
            await writer_done.wait()
            everything.cancel_scope.cancel()  # only the signal listener is left

    @property
    def _stopping(self) -> bool:
        return self._signal is not None or self._fatal is not None or self._provider_is_down is not None

    # --- reader ---

    async def _read(self, chunks: ObjectSendStream[list[_Work]], spooled: ObjectSendStream[list[_Spooled]]) -> None:
        chunk: list[_Work] = []
        page = taken = 0
        async with chunks, spooled:
            while not self._stopping:
                page += 1
                rows = await self._in_database(runner_queue.read_page, self.task.operation, page)
                if not rows:
                    break
                for row in rows:
                    if self._stopping:
                        break
                    taken += 1
                    question = self._open(row)
                    if question is None:
                        continue
                    requests = await self._take_up(question, spooled)
                    for request in requests:
                        reservation = await self._reserve(request, question, chunk, chunks)
                        if reservation is None:
                            break
                        chunk.append(_Work(request, question, reservation, row.tries))
                        if len(chunk) >= self.agent.chunk_size:
                            await chunks.send(chunk)
                            chunk = []
            if chunk:
                await chunks.send(chunk)
        if self._stopping:
            for input_hash in await self._in_database(runner_queue.due_after, taken):
                self._leave_out(input_hash)

    def _open(self, row: QueueRow) -> _Question | None:
        """None for a record whose context cannot be read: it fails, the others have their night."""
        try:
            return _Question(row, self.task.open(row, self.connection))
        except NightdeskError as error:
            self._done += 1
            self.left_out[row.input_hash] = ("failed", f"Not asked: {error}")
            self.tally.warnings.append(f"{row.record_id}: {error}")
            return None

    async def _take_up(self, question: _Question, spooled: ObjectSendStream[list[_Spooled]]) -> list[AgentRequest]:
        """The calls to make for a question now: those that an earlier run paid for are heard first."""
        known: dict[str, tuple[str, SpoolLine]] = {}
        for ref in self.heard_before.get(question.row.input_hash, ()):
            line = self.read_spool(ref)
            if line is not None and line.call_hash is not None:
                known[line.call_hash] = (ref, line)
        last: tuple[str, SpoolLine] | None = None
        open_requests: list[AgentRequest] = []
        rounds = await self._pending(question)
        while rounds:
            answered = [request for request in rounds if request.input_hash in known]
            open_requests += [request for request in rounds if request.input_hash not in known]
            for request in answered:
                last = known[request.input_hash]
                question.dialogue.hear(last[1].response)
            rounds = await self._pending(question) if answered else []
        if question.dialogue.is_over and last is not None:
            await spooled.send([_Spooled(*last, ended=question, is_new=False)])
        return open_requests

    async def _pending(self, question: _Question) -> list[AgentRequest]:
        """The next calls; looking things up for them reads the warehouse, one at a time."""
        if self.task.toolbox is None:
            return question.dialogue.pending()
        return await self._in_database(_next_calls, question.dialogue)

    async def _reserve(
        self,
        request: AgentRequest,
        question: _Question,
        chunk: list[_Work],
        chunks: ObjectSendStream[list[_Work]],
    ) -> Reservation | None:
        """Money for one call; waits for calls in flight when they may leave enough. None: over budget."""
        operation = self.task.operation
        worst_case = self.agent.worst_case_usd(request)
        while True:
            settled = self._settled
            reservation = self.budget.reserve(operation, worst_case)
            if reservation is not None:
                return reservation
            if not self.budget.outstanding or not self.budget.could_fit(operation, worst_case):
                self._over_budget(question, worst_case)
                return None
            if chunk:  # what waits here holds reservations that only asking can settle
                await chunks.send(list(chunk))
                chunk.clear()
            await settled.wait()

    def _over_budget(self, question: _Question, worst_case: Decimal) -> None:
        why = self.budget.why_not(self.task.operation, worst_case)
        self.left_out[question.row.input_hash] = ("over_budget", why)
        self._count(question)

    def _count(self, question: _Question) -> None:
        if not question.is_counted:
            question.is_counted = True
            self._done += 1

    def _leave_out(self, input_hash: str) -> None:
        if self._provider_is_down is not None:
            self.left_out[input_hash] = ("failed", self._provider_is_down)

    # --- askers ---

    async def _ask_chunks(
        self, chunks: ObjectReceiveStream[list[_Work]], spooled: ObjectSendStream[list[_Spooled]]
    ) -> None:
        async with chunks, spooled:
            async for chunk in chunks:
                await self._ask_until_done(chunk, spooled)

    async def _ask_until_done(self, chunk: list[_Work], spooled: ObjectSendStream[list[_Spooled]]) -> None:
        while chunk:
            await self._wait_for_provider()
            if self._stopping:
                for work in chunk:
                    self._settle(work, None)
                    self._leave_out(work.row.input_hash)
                return
            requested_at = self.clock()
            try:
                responses = await self.agent.ask([work.request for work in chunk])
            except NightdeskError as error:
                self._stop(error, chunk)
                return
            except Exception as error:
                where = f"agent {self.agent.name}, {self.task.operation}"
                stopped = NightdeskError(
                    f"The agent broke: {type(error).__name__}: {error}", where=where, todo="Report this with the log."
                )
                stopped.__cause__ = error
                self._stop(stopped, chunk)
                return
            self.checkpoint("asked")
            pairs = _paired(chunk, responses)
            again = self._to_ask_again(pairs)
            lines = [
                self._line(work, response, requested_at, is_final=id(work) not in again) for work, response in pairs
            ]
            async with self._spooling:
                refs = await to_thread.run_sync(self.spool.append, lines)
            self.checkpoint("spooled")
            self.tally.asked += len(pairs)
            chunk = []
            items: list[_Spooled] = []
            for ref, line, (work, response) in zip(refs, lines, pairs, strict=True):
                self._settle(work, response)
                work.tries += 1
                if id(work) in again:
                    if self._reserve_again(work):
                        chunk.append(work)
                    items.append(_Spooled(ref, line))
                elif response.status == "provider_error":
                    self._count(work.question)
                    items.append(_Spooled(ref, line))
                else:
                    work.question.dialogue.hear(response)
                    chunk += await self._follow_up(work.question)
                    items.append(_Spooled(ref, line, work.question if work.question.dialogue.is_over else None))
            await spooled.send(items)

    async def _follow_up(self, question: _Question) -> list[_Work]:
        """What a question that takes several rounds asks next, as far as the money goes."""
        if question.dialogue.most_rounds == 1 or self._stopping:
            return []
        works: list[_Work] = []
        for request in await self._pending(question):
            worst_case = self.agent.worst_case_usd(request)
            reservation = self.budget.reserve(self.task.operation, worst_case)
            if reservation is None:
                self._over_budget(question, worst_case)
                break
            works.append(_Work(request, question, reservation, question.row.tries))
        return works

    def _stop(self, error: BaseException, chunk: list[_Work]) -> None:
        """No further call is worth making; let the other askers finish theirs."""
        self._fatal = self._fatal or error
        for work in chunk:
            self._settle(work, None)

    def _to_ask_again(self, pairs: Sequence[tuple[_Work, AgentResponse]]) -> set[int]:
        """Ids of the work to try once more; notes how long the provider wants to be left alone."""
        again: set[int] = set()
        for work, response in pairs:
            if response.status != "provider_error":
                self._failures_in_a_row = 0
                continue
            wait = self.limits.backoff_seconds * 2**work.tries
            if response.retry_after_seconds is not None:
                wait = max(response.retry_after_seconds, 0.0)
            is_worth_it = (
                response.is_retryable
                and work.tries + 1 < self.limits.max_tries
                and wait <= self.limits.longest_wait_seconds
                and not self._stopping
            )
            if is_worth_it:
                again.add(id(work))
                self._wait_until = max(self._wait_until, time.monotonic() + wait)
                continue
            self._failures_in_a_row += 1
            if self._failures_in_a_row >= self.limits.give_up_after and self._provider_is_down is None:
                self._provider_is_down = (
                    f"Not asked: the provider failed {self._failures_in_a_row} times in a row, last: {response.error}"
                )
                self.tally.warnings.append(self._provider_is_down)
        return again

    async def _wait_for_provider(self) -> None:
        """One asker that was told to wait makes all of them wait."""
        while (wait := self._wait_until - time.monotonic()) > 0 and not self._stopping:
            await anyio.sleep(min(wait, 0.5))

    def _settle(self, work: _Work, response: AgentResponse | None) -> None:
        cost = response.cost_usd if response is not None else work.reservation.usd * 0
        self.budget.settle(work.reservation, cost)
        self.tally.cost_usd += cost
        self._settled.set()
        self._settled = anyio.Event()

    def _reserve_again(self, work: _Work) -> bool:
        worst_case = work.reservation.usd
        reservation = self.budget.reserve(self.task.operation, worst_case)
        if reservation is None:
            self._over_budget(work.question, worst_case)
            return False
        work.reservation = reservation
        return True

    def _line(self, work: _Work, response: AgentResponse, requested_at: datetime, *, is_final: bool) -> SpoolLine:
        row, call = work.row, work.request.input_hash
        return SpoolLine(
            attempt_id=attempt_id(self.run_id, self.task.operation, call, work.tries + 1),
            run_id=self.run_id,
            operation=self.task.operation,
            record_type=row.record_type,
            record_id=row.record_id,
            input_hash=row.input_hash,
            context_hash=row.context_hash,
            operation_hash=self.task.operation_hash,
            question_hash=self.task.question_hash,
            policy_hash=self.task.policy_hash,
            agent=self.agent.name,
            model=response.model or self.agent.model_for(self.task.operation),
            requested_at=response.requested_at or requested_at,
            responded_at=response.responded_at or self.clock(),
            is_final=is_final,
            response=response,
            call_hash=None if call == row.input_hash else call,
        )

    # --- writer ---

    async def _write(self, spooled: ObjectReceiveStream[list[_Spooled]], done: anyio.Event) -> None:
        """The one writer. A batch that cannot be committed stops the night; the spool has it."""
        batch = Batch()
        opened = time.monotonic()
        try:
            async with spooled:
                async for items in spooled:
                    if not batch.attempts:
                        opened = time.monotonic()
                    await to_thread.run_sync(self._check, batch, items)
                    for item in items:
                        if item.ended is not None:
                            self._count(item.ended)
                    is_old = time.monotonic() - opened >= self.limits.commit_seconds
                    if batch.attempts >= self.limits.commit_rows or is_old:
                        await self._commit(batch)
                        batch = Batch()
                    self.on_progress(self._done, self.due)
        finally:
            # Also when everything is cancelled: what was checked is one commit away from being kept.
            with anyio.CancelScope(shield=True):
                await self._commit(batch)
            self.on_progress(self._done, self.due)
            done.set()

    def _check(self, batch: Batch, items: Sequence[_Spooled]) -> None:
        for item in items:
            if item.ended is None:
                batch.add_attempt(item.line, item.ref)
                continue
            conclude = item.ended.dialogue.conclude
            broken = add_answered(batch, conclude, item.line, item.ref, self.tally, is_new=item.is_new)
            if broken is not None:
                self.left_out[item.line.input_hash] = ("failed", broken)
        self.checkpoint("checked")

    async def _commit(self, batch: Batch) -> None:
        await self._in_database(_commit, batch)
        self.tally.answers_written += batch.answers
        self.checkpoint("committed")

    async def _in_database(self, function: Callable[..., T], *args: object) -> T:
        async with self._database:
            return await to_thread.run_sync(function, self.connection, *args)

    # --- signals ---

    async def _listen_for_signals(self, everything: anyio.CancelScope) -> None:
        """First signal: no new calls, those in flight may finish. Second, or time is up: stop now."""
        if threading.current_thread() is not threading.main_thread():
            return
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for received in signals:
                if self._signal is not None:
                    everything.cancel()
                    return
                self._signal = received
                everything.deadline = anyio.current_time() + self.limits.grace_seconds


def _commit(connection: duckdb.DuckDBPyConnection, batch: Batch) -> None:
    batch.commit(connection)


def _next_calls(_: duckdb.DuckDBPyConnection, dialogue: Dialogue) -> list[AgentRequest]:
    return dialogue.pending()


def _paired(chunk: Sequence[_Work], responses: Sequence[AgentResponse]) -> list[tuple[_Work, AgentResponse]]:
    """Each request with its response; a response that is missing is an error of its own, not a hole in the numbers."""
    by_hash = {response.input_hash: response for response in responses}
    missing = "The agent gave no response to this request"
    return [
        (
            work,
            by_hash.get(work.request.input_hash)
            or AgentResponse(work.request.input_hash, "provider_error", error=missing, is_retryable=True),
        )
        for work in chunk
    ]
