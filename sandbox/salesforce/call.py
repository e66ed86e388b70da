"""One API request as its handler sees it, and the answer it gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from sandbox.salesforce.errors import malformed
from sandbox.salesforce.saving import Org, Origin, Saver
from sandbox.salesforce.store import Store

if TYPE_CHECKING:
    from sandbox.salesforce.queries import Cursor

MAX_COLLECTION = 200
MAX_RETRIEVE = 2000
MAX_CHUNKS = 10


@dataclass(slots=True)
class Reply:
    """An answer: JSON, or text as it is (a Bulk API file)."""

    status: int = 200
    payload: Any = None
    text: str | None = None
    headers: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class BulkEnd:
    """How the next bulk job ends before its time: after `processed` rows, with the rest unprocessed."""

    state: str
    processed: int


@dataclass(slots=True)
class State:
    """What the running server remembers: the org's rules, query cursors, jobs, and what faults have prepared.

    Attributes:
        page_size: How many records a page of a query holds at most.
        bulk_polls: How often a job's state is asked before the job is done.
        bulk_waits: How often the next query jobs are asked instead, one after the other; None is for ever.
        bulk_late: Whether a job's records are saved only then, and not as soon as its upload is complete.
    """

    org: Org
    cursors: dict[str, Cursor] = field(default_factory=dict[str, "Cursor"])
    cursor_count: int = 0
    page_size: int = 2000
    jobs: dict[str, Any] = field(default_factory=dict[str, Any])
    bulk_ends: list[BulkEnd] = field(default_factory=list["BulkEnd"])
    bulk_waits: list[int | None] = field(default_factory=list["int | None"])
    bulk_polls: int = 1
    bulk_late: bool = False
    ambiguous_key: bool = False
    daily_limit: int = 15_000
    requests_left: int = 15_000


@dataclass(frozen=True, slots=True)
class Call:
    """One request. `params` are the parts of the path, `query` those behind `?`, `body` is the JSON in it."""

    store: Store
    state: State
    user: str
    method: str
    path: str
    version: str
    params: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any
    raw: bytes

    def saver(self) -> Saver:
        """Writes of this request."""
        return Saver(self.store, self.state.org, Origin(self.user, self.method, self.path))

    def url(self, tail: str) -> str:
        """An address within this API version."""
        return f"/services/data/v{self.version}/{tail}"

    def object(self) -> dict[str, Any]:
        """The body as a JSON object."""
        if not isinstance(self.body, dict):
            raise malformed("Expected a JSON object")
        return cast("dict[str, Any]", self.body)
