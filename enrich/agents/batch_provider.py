"""The Message Batches API, as much of it as is needed: send, find, look, read. Every fault is told apart here.

Nothing is retried silently: creating a batch a second time would pay for it a second time.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, cast

from enrich.agents.claude_errors import Fault, one_line, read_fault
from nightdesk.errors import NightdeskError

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic
    from anthropic.types.messages import MessageBatch, MessageBatchIndividualResponse
    from anthropic.types.messages.batch_create_params import Request

    from nightdesk.clock import Clock

_PAGE = 100


class NotNow(Exception):
    """The API cannot be asked right now; `fault` says why. Nothing is concluded from it."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.what)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Provider:
    """The API behind one client.

    Args:
        client: Open, without retries of its own.
        clock: UTC wall clock.
        secret: The key, to be kept out of error texts.
    """

    client: AsyncAnthropic
    clock: Clock
    secret: str

    async def create(self, requests: Sequence[Request]) -> MessageBatch | Fault:
        """Send a batch; a `Fault` when it failed, which with `may_have_worked` leaves open whether it exists.

        Raises:
            NightdeskError: Every further call would be refused too.
        """
        from anthropic import APIError

        try:
            made = await self.client.messages.batches.create(requests=requests)
        except APIError as error:
            return self._fault(error, "messages/batches")
        if not getattr(made, "id", None):
            return Fault("What came back was not a batch", is_retryable=True, may_have_worked=True)
        return made

    async def look(self, batch_id: str) -> MessageBatch:
        """How far a batch is.

        Raises:
            NotNow: The API does not answer.
            NightdeskError: It does not know the batch, or refuses the key.
        """
        from anthropic import APIError, NotFoundError

        try:
            return await self.client.messages.batches.retrieve(batch_id)
        except NotFoundError as error:
            raise NightdeskError(
                f"The provider does not know batch {batch_id}: another workspace's key, or it was deleted",
                where="ANTHROPIC_API_KEY, or batches/ in the data directory",
                todo="Use the key it was sent with. To pay for its calls again instead, move that folder away.",
            ) from error
        except APIError as error:
            raise NotNow(self._fault(error, batch_id)) from error

    async def created_since(self, moment: datetime) -> list[MessageBatch]:
        """All batches of the account that were created at or after `moment`.

        Raises:
            NotNow: The API does not answer.
            NightdeskError: It refuses the key.
        """
        from anthropic import APIError

        found: list[MessageBatch] = []
        try:
            async for batch in self.client.messages.batches.list(limit=_PAGE):  # newest first
                if batch.created_at < moment:
                    break
                found.append(batch)
        except APIError as error:
            raise NotNow(self._fault(error, "messages/batches")) from error
        return found

    async def results(self, batch_id: str) -> AsyncGenerator[MessageBatchIndividualResponse]:
        """The results as they stream in, in no order.

        Raises:
            NotNow: The stream broke; what was given so far stays true, all of it can be read again.
            NightdeskError: The API refuses the key.
        """
        import httpx2
        from anthropic import APIError

        try:
            stream = await self.client.messages.batches.results(batch_id)
            try:
                async for result in stream:
                    yield result
            finally:
                await stream.close()
        except APIError as error:
            raise NotNow(self._fault(error, batch_id)) from error
        except (httpx2.TransportError, ValueError) as error:
            what = one_line(f"The results of {batch_id} broke off: {error}", self.secret)
            raise NotNow(Fault(what, is_retryable=True)) from error

    async def custom_ids(self, batch_id: str) -> set[str]:
        """The ids of the calls in a batch that has ended.

        Raises:
            NotNow: The API does not answer.
        """
        return {result.custom_id async for result in self.results(batch_id)}

    def _fault(self, error: object, where: str) -> Fault:
        from anthropic import APIError

        return read_fault(cast("APIError", error), now=self.clock(), secret=self.secret, where=where)


def count_calls(batch: MessageBatch) -> int:
    """How many calls a batch has."""
    counts = batch.request_counts
    return counts.processing + counts.succeeded + counts.errored + counts.canceled + counts.expired
