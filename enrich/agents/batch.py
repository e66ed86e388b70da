"""Claude in message batches: half the price, answers within the hour as a rule and within a day at worst.

For the overnight run. What is sent is written down first (`batch_journal`), so a crash, a kill or a closed laptop costs
nothing: the next run waits for the same batches and takes their results. A creation that ended without an answer is
looked for among the account's batches before anything is sent again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from enrich.agents import batch_books, batch_requests, claude_wire
from enrich.agents.batch_journal import Batch, Journal
from enrich.agents.batch_provider import NotNow, Provider, count_calls
from enrich.agents.claude_base import ClaudeBase
from enrich.agents.claude_errors import Fault, one_line
from enrich.agents.claude_limits import Sleep
from enrich.agents.protocol import AgentRequest, AgentResponse, Tool
from nightdesk.errors import NightdeskError

if TYPE_CHECKING:
    import httpx2
    from anthropic.types.messages import MessageBatch, MessageBatchIndividualResponse

    from nightdesk.clock import Clock
    from nightdesk.policy.models import ClaudeBudget

API_TIMEOUT_SECONDS = 600.0
FIRST_PAUSE_SECONDS = 10.0
LONGEST_PAUSE_SECONDS = 120.0
_PAUSE_GROWS_BY = 1.5

# A batch whose creation ended without an answer may still appear so long after.
SETTLING_SECONDS = 120.0
_CLOCK_SKEW = timedelta(minutes=10)

# Errors of one call that the same call would meet again.
_NOT_RETRYABLE = frozenset({"invalid_request_error", "not_found_error", "permission_error"})


class ClaudeBatchAgent(ClaudeBase):
    """Asks Claude in batches.

    Args:
        limits: `agents.claude` of `policies/budget.yml`.
        api_key: The key; None or empty is refused in `prepare()`, before any call.
        clock: UTC wall clock; `sleep` is expected to move it.
        journal: The journal's file.
        spool_dir: Where raw answers are kept; what is there need not be collected again.
        transport: An httpx2 transport; tests give a mock, None is the network.
        base_url: Another endpoint that speaks the Messages API; None for the SDK's default.
        sleep: Waits between two looks at a batch.
        pauses: Seconds before the second look, and the longest pause; it grows in between.
        settling_seconds: How long after a creation without an answer its batch may still appear.
        tell: Told what is happening, one line each.
        checkpoint: Told where the agent is (`intent`, `sent`, `created`, `polled`, `result`, `read`, `leftovers`,
            `collected`); for tests.
    """

    _is_batch = True

    def __init__(
        self,
        limits: ClaudeBudget,
        *,
        api_key: str | None,
        clock: Clock,
        journal: Path,
        spool_dir: Path,
        transport: httpx2.AsyncBaseTransport | None = None,
        base_url: str | None = None,
        sleep: Sleep = anyio.sleep,
        pauses: tuple[float, float] = (FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS),
        settling_seconds: float = SETTLING_SECONDS,
        tell: Callable[[str], None] = lambda _: None,
        checkpoint: Callable[[str], None] = lambda _: None,
    ) -> None:
        super().__init__(
            limits,
            api_key=api_key,
            clock=clock,
            transport=transport,
            base_url=base_url,
            timeout_seconds=API_TIMEOUT_SECONDS,
        )
        self._journal_file = journal
        self._spool_dir = spool_dir
        self._sleep = sleep
        self._pauses = pauses
        self._settling = timedelta(seconds=settling_seconds)
        self._tell = tell
        self._checkpoint = checkpoint
        self._journal: Journal | None = None
        self._waited = 0.0
        self._is_out_of_time = False
        self._remarks: list[str] = []
        self._handed: dict[str, set[str]] = {}
        self._unasked: dict[str, dict[str, AgentResponse]] = {}

    @property
    def chunk_size(self) -> int:
        """As much as memory should hold at once, by policy: what is asked together goes into few batches."""
        return self._limits.batch.asked_at_once

    @property
    def concurrency(self) -> int:
        """One: a batch is side by side enough, and the journal has one writer."""
        return 1

    def worst_case_usd(self, request: AgentRequest) -> Decimal:
        """Half the price; nothing for a call whose result is kept and has been booked already."""
        if any(request.input_hash in batch.leftovers for batch in self._books().batches):
            return Decimal(0)
        return super().worst_case_usd(request)

    def open_calls(self, operation: str) -> int:
        """How many calls of an operation are with the provider, or their results not yet kept."""
        return sum(len(batch.calls) for batch in self._books().open_batches(operation))

    async def prepare(self, operation: str) -> None:
        """Open a client for this event loop, and read the journal.

        Raises:
            NightdeskError: No key, no model, no limit or no price for the operation; or the journal cannot be read.
        """
        await super().prepare(operation)
        self._journal = None
        self._books().forget(self._clock())
        self._waited, self._is_out_of_time = 0.0, False

    async def ask(self, requests: Sequence[AgentRequest]) -> Sequence[AgentResponse]:
        """Send what is not with the provider yet, wait, and hand over the results.

        When the longest wait is over, results of batches that have ended are handed over; the rest is a provider error
        and, asked again, an exception.

        Raises:
            NightdeskError: The API refuses the key, or batches are still with the provider after the longest wait.
        """
        operation = requests[0].operation
        wanted = {request.input_hash: request for request in requests}
        answers = batch_books.take_leftovers(self._spool_dir, self._books().batches, wanted)
        answers |= self._take_unasked(wanted.keys() - answers.keys())
        pause, longest_pause = self._pauses
        is_first_look = True
        while True:
            await self._find_unknown(operation)
            await self._send(operation, [request for key, request in wanted.items() if key not in answers], answers)
            unread = [batch for batch in self._books().open_batches(operation) if not self._is_read(batch)]
            missing = wanted.keys() - answers.keys()
            waiting = [batch for batch in unread if batch.calls.keys() & missing]
            others = [batch for batch in unread if not batch.calls.keys() & missing]
            for batch in [*waiting, *(others if is_first_look else [])]:
                if await self._has_ended(batch):
                    answers |= await self._read(batch, wanted)
            is_first_look = False
            if wanted.keys() <= answers.keys():
                break
            still = [batch for batch in waiting if not self._is_read(batch)]
            if self._waited >= self._limits.batch.longest_wait_hours * 3600:
                return self._out_of_time(wanted, answers, still)
            if still:
                self._tell(
                    f"{operation}: {len(answers):,} of {len(wanted):,} answered, {len(still)} batches with the provider"
                )
            await self._sleep(pause)
            self._waited += pause
            pause = min(pause * _PAUSE_GROWS_BY, longest_pause)
        return [answers[key] for key in wanted]

    async def collect(self, operation: str) -> None:
        """Look once after batches of an operation of which nothing is due: their cost is booked by the next replay.

        Raises:
            NightdeskError: As `prepare()`.
        """
        await self.prepare(operation)
        try:
            for batch in self._books().open_batches(operation):
                if not batch.is_unknown and await self._has_ended(batch):
                    await self._read(batch, {})
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        """Close the client, and the books of every batch whose results are safely kept. Safe to call twice."""
        try:
            self._close_books()
        finally:
            self._handed, self._unasked = {}, {}
            if self._journal is not None:
                self._journal.close()
            await super().aclose()

    def take_remarks(self) -> list[str]:
        """What a person should know of the batches since the last time."""
        remarks, self._remarks = self._remarks, []
        return remarks

    # --- sending ---

    async def _send(self, operation: str, requests: Sequence[AgentRequest], answers: dict[str, AgentResponse]) -> None:
        """Put calls into new batches, but for those that are, or may be, with the provider already."""
        with_provider = {
            key for batch in self._books().open_batches(operation) if not self._is_read(batch) for key in batch.calls
        }
        fresh = [request for request in requests if request.input_hash not in with_provider]
        if not fresh:
            return
        model = self._model(operation)
        schema, _ = self._schema(fresh[0])
        limits = self._limits.batch
        for calls, bodies in batch_requests.split(
            fresh,
            model=model,
            effort=self._limits.effort,
            schema=schema,
            most_requests=limits.most_requests,
            most_bytes=limits.most_megabytes * 1024 * 1024,
        ):
            batch = self._books().intend(operation, model, calls, self._clock())
            self._checkpoint("intent")
            try:
                made = await self._provider().create(bodies)
            except NightdeskError as error:
                self._books().move(batch, "refused", why=error.what)
                raise
            self._checkpoint("sent")
            if not isinstance(made, Fault):
                self._books().move(batch, "created", batch_id=made.id)
                self._checkpoint("created")
                self._tell(f"{operation}: {len(calls):,} calls sent as {made.id}")
            elif made.may_have_worked:
                self._tell(f"{operation}: no answer to a batch of {len(calls):,} calls ({made.what}); looking for it")
            else:
                self._books().move(batch, "refused", why=made.what)
                failed = self._failed(batch, made.what, is_retryable=made.is_retryable)
                failed = replace(failed, retry_after_seconds=made.retry_after_seconds)
                answers |= {call.input_hash: replace(failed, input_hash=call.input_hash) for call in calls}

    async def _find_unknown(self, operation: str) -> None:
        """Look for batches whose creation ended without an answer: by their number of calls, then by each call."""
        unknown = [batch for batch in self._books().open_batches(operation) if batch.is_unknown]
        if not unknown:
            return
        try:
            found = await self._provider().created_since(min(batch.sent_at for batch in unknown) - _CLOCK_SKEW)
            for batch in unknown:
                await self._find(batch, found)
        except NotNow as later:
            self._tell(f"{operation}: {later.fault.what}")

    async def _find(self, batch: Batch, found: Sequence[MessageBatch]) -> None:
        known = self._books().known_ids() | batch.not_it
        alike = [one for one in found if one.id not in known and count_calls(one) == len(batch.calls)]
        for one in alike:
            if one.processing_status != "ended":
                continue
            if one.results_url and await self._provider().custom_ids(one.id) == batch.calls.keys():
                self._books().move(batch, "created", batch_id=one.id)
                self._checkpoint("created")
                self._remarks.append(f"Batch {one.id} was found again: its creation had ended without an answer")
                return
            batch.not_it.add(one.id)
        is_settled = self._clock() - batch.sent_at >= self._settling
        if is_settled and all(one.id in batch.not_it for one in alike):
            self._books().move(batch, "lost")
            self._tell(f"{batch.operation}: a batch of {len(batch.calls):,} calls never arrived; sending it again")

    # --- waiting ---

    async def _has_ended(self, batch: Batch) -> bool:
        if batch.batch_id is None:
            return False
        try:
            seen = await self._provider().look(batch.batch_id)
        except NotNow as later:
            self._tell(f"{batch.operation}: {later.fault.what}")
            return False
        self._checkpoint("polled")
        if seen.processing_status != "ended":
            return False
        if not seen.results_url:
            self._books().move(batch, "collected", why="its results are gone")
            self._remarks.append(f"The results of batch {batch.batch_id} are gone: its calls are sent again")
            return False
        if batch.status == "created":
            self._books().move(batch, "ended")
        return True

    def _out_of_time(
        self, wanted: dict[str, AgentRequest], answers: dict[str, AgentResponse], still: Sequence[Batch]
    ) -> Sequence[AgentResponse]:
        hours = self._limits.batch.longest_wait_hours
        if self._is_out_of_time or not answers:
            calls = sum(len(batch.calls) for batch in still)
            raise NightdeskError(
                f"{len(still)} batches with {calls:,} calls are still with the provider after {hours:g} hours",
                where="policies/budget.yml, agents.claude.batch.longest_wait_hours",
                todo="Run the same command again later: the next run collects them, nothing is sent twice.",
            )
        self._is_out_of_time = True
        late = [replace(_nothing(key), error="Still with the provider", is_retryable=True) for key in wanted]
        return [answers.get(response.input_hash) or replace(response, retry_after_seconds=0.0) for response in late]

    # --- reading ---

    def _is_read(self, batch: Batch) -> bool:
        return batch.intent in self._handed

    def _take_unasked(self, keys: Set[str]) -> dict[str, AgentResponse]:
        """Results that were read for an earlier `ask()` and had not been asked for by then."""
        taken: dict[str, AgentResponse] = {}
        for intent, kept_aside in self._unasked.items():
            for key in keys & kept_aside.keys():
                taken[key] = kept_aside.pop(key)
                self._handed[intent].add(key)
        return taken

    async def _read(self, batch: Batch, wanted: dict[str, AgentRequest]) -> dict[str, AgentResponse]:
        """The results of a batch that has ended, those that were asked for; the others are kept aside."""
        assert batch.batch_id is not None
        results: dict[str, AgentResponse] = {}
        strange = 0
        try:
            async for result in self._provider().results(batch.batch_id):
                if result.custom_id not in batch.calls:
                    strange += 1
                elif result.custom_id not in results:
                    request = wanted.get(result.custom_id) or _unasked(batch, result.custom_id)
                    results[result.custom_id] = self._response(request, batch, result)
                self._checkpoint("result")
        except NotNow as later:
            self._tell(f"{batch.operation}: {later.fault.what}")
            return {}
        if strange:
            self._remarks.append(f"Batch {batch.batch_id} has {strange} results that nobody asked for")
        for key in batch.calls.keys() - results.keys():
            results[key] = replace(self._failed(batch, "The batch has no result for this call"), input_hash=key)
        asked = {key: response for key, response in results.items() if key in wanted}
        self._handed[batch.intent] = set(asked)
        self._unasked[batch.intent] = {
            key: response
            for key, response in results.items()
            if key not in asked and response.status != "provider_error"
        }
        self._checkpoint("read")
        return asked

    def _response(self, request: AgentRequest, batch: Batch, result: MessageBatchIndividualResponse) -> AgentResponse:
        key, outcome = request.input_hash, result.result
        now = self._clock()
        if outcome.type == "succeeded":
            try:
                return claude_wire.read_messages(
                    request,
                    [outcome.message],
                    model=batch.model,
                    asked_at=batch.sent_at,
                    answered_at=now,
                    is_batch=True,
                )
            except ValueError as error:
                what = one_line(f"The result cannot be read: {error}", self._api_key)
                return replace(self._failed(batch, what, is_retryable=False), input_hash=key)
        if outcome.type == "errored":
            error = outcome.error.error
            what = one_line(f"{error.type}: {error.message}", self._api_key)
            is_retryable = error.type not in _NOT_RETRYABLE
            return replace(self._failed(batch, what, is_retryable=is_retryable), input_hash=key)
        # `canceled` and `expired` are not billed; whatever else a later API may say is no answer either.
        return replace(self._failed(batch, f"{outcome.type} in batch {batch.batch_id}"), input_hash=key)

    def _failed(self, batch: Batch, what: str, *, is_retryable: bool = True) -> AgentResponse:
        return AgentResponse(
            "",
            "provider_error",
            error=what,
            is_retryable=is_retryable,
            model=batch.model,
            requested_at=batch.sent_at,
            responded_at=self._clock(),
        )

    # --- books ---

    def _close_books(self) -> None:
        """Mark batches as collected once the spool has everything that was handed over; keep what nobody asked for."""
        for batch in self._books().batches if self._handed else []:
            if batch.intent not in self._handed or not batch.is_open:
                continue
            kept = batch_books.kept(self._spool_dir, batch)
            if not self._handed[batch.intent] <= kept:
                continue  # not everything was spooled: the next run reads the batch again
            rest = {key: response for key, response in self._unasked[batch.intent].items() if key not in kept}
            batch_books.keep_leftovers(self._spool_dir, batch, rest.values(), agent=self.name)
            self._checkpoint("leftovers")
            left = batch_books.leftovers(self._spool_dir, batch)
            self._books().move(batch, "collected", leftovers=left)
            self._checkpoint("collected")
            if left:
                cost = sum((response.cost_usd for response in left.values()), Decimal(0))
                self._remarks.append(
                    f"{len(left):,} answers of batch {batch.batch_id} ({cost:.4f} USD) were to questions that nobody "
                    "asks any more: booked, and kept in case they are asked again"
                )

    def _books(self) -> Journal:
        if self._journal is None:
            self._journal = Journal(self._journal_file)
        return self._journal

    def _provider(self) -> Provider:
        return Provider(self._opened(), self._clock, self._api_key)


def _nothing(key: str) -> AgentResponse:
    return AgentResponse(key, "provider_error")


def _unasked(batch: Batch, key: str) -> AgentRequest:
    """A call that nobody asks for any more, as far as its result needs it to be read: it may have had tools."""
    record_type, record_id = batch.calls[key]
    return AgentRequest(batch.operation, record_type, record_id, key, "", "", "", tools=(Tool("any", "", {}),))
