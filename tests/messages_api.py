"""A Messages API to test against: one call after the other or in batches, counting what it would have charged.

It runs as a real HTTP server (a kill of the client loses answers the way a kill does), and answers by a function.
Money is counted where the real one counts it: a live call when it is answered, a batched one when its batch is
processed, whether anybody hears of it or not.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

Say = Callable[[dict[str, Any]], dict[str, Any] | Response]
"""Request body to message, or to a response of another kind."""

Outcome = Callable[[str, dict[str, Any]], dict[str, Any] | None]
"""(custom id, body) to a batch result that is not a success; None for a success."""


def message(body: dict[str, Any], text: str, **more: Any) -> dict[str, Any]:
    """A message as the API gives it; `more` replaces fields."""
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 100, "output_tokens": 20},
        **more,
    }


def first_word(body: dict[str, Any]) -> dict[str, Any]:
    """The answer that `tests.runner_kit.check` takes: a level, and the first word of what was shown as the quote."""
    shown = body["messages"][0]["content"]
    return message(body, json.dumps({"level": "influencer", "quote": shown.split()[0]}))


@dataclass
class FakeBatch:
    """A batch as the API keeps it."""

    id: str
    requests: list[dict[str, Any]]
    created_at: datetime
    looks: int = 0
    results: list[dict[str, Any]] | None = None
    archived: bool = False


@dataclass
class MessagesApi:
    """The server.

    Attributes:
        say: What a model answers.
        outcome: What becomes of a call in a batch, if not a success.
        looks: A batch ends when it has been looked at so often.
        delay: Seconds a live call takes.
        charged: Calls that cost money, by custom id or, live, by the first user message.
        creates: Requests to create a batch, whatever came of them.
        on_create: Called before a batch is made, with the number of the request; may return a response instead of
            the one that would tell of the batch, as (make it all the same?, response).
        twice: Results are given twice, to see that once is enough.
        broken: So many result streams break off in the middle.
    """

    say: Say = first_word
    outcome: Outcome = lambda key, body: None
    looks: int = 1
    delay: float = 0.0
    charged: Counter[str] = field(default_factory=Counter[str])
    batches: dict[str, FakeBatch] = field(default_factory=dict[str, FakeBatch])
    bodies: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    creates: int = 0
    on_create: Callable[[int], tuple[bool, Response] | None] = lambda number: None
    twice: bool = False
    broken: int = 0
    url: str = ""
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def app(self) -> Starlette:
        """The routes the SDK uses."""
        batch = "/v1/messages/batches/{batch_id}"
        return Starlette(
            routes=[
                Route("/v1/messages", self._live, methods=["POST"]),
                Route("/v1/messages/batches", self._create, methods=["POST"]),
                Route("/v1/messages/batches", self._list, methods=["GET"]),
                Route(batch, self._look, methods=["GET"]),
                Route(batch + "/results", self._results, methods=["GET"]),
            ]
        )

    @contextmanager
    def serving(self) -> Generator[str]:
        """Serve on a free port of this machine, in a thread."""
        config = uvicorn.Config(self.app(), host="127.0.0.1", port=0, log_level="error", lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.005)
        self.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        try:
            yield self.url
        finally:
            server.should_exit = True
            thread.join(timeout=10)

    def make(self, requests: list[dict[str, Any]]) -> FakeBatch:
        """Take a batch in, whether or not anybody is told."""
        made = FakeBatch(f"msgbatch_{len(self.batches):04d}", requests, self.clock())
        self.batches[made.id] = made
        return made

    async def _live(self, request: Request) -> Response:
        body = await request.json()
        await anyio.sleep(self.delay)
        said = self.say(body)
        if isinstance(said, Response):
            return said
        content = body["messages"][0]["content"]
        self.charged[content if isinstance(content, str) else content[0]["text"]] += 1
        self.bodies.append(body)
        return JSONResponse(said)

    async def _create(self, request: Request) -> Response:
        self.creates += 1
        requests = (await request.json())["requests"]
        instead = self.on_create(self.creates)
        if instead is not None and not instead[0]:
            return instead[1]
        self.bodies += [one["params"] for one in requests]
        made = self.make(requests)
        return instead[1] if instead is not None else JSONResponse(self._shape(made))

    async def _list(self, request: Request) -> Response:
        newest_first = sorted(self.batches.values(), key=lambda batch: batch.id, reverse=True)
        after = request.query_params.get("after_id")
        if after is not None:
            newest_first = newest_first[[batch.id for batch in newest_first].index(after) + 1 :]
        limit = int(request.query_params.get("limit", "20"))
        page = newest_first[:limit]
        for batch in page:
            self._looked_at(batch)
        ids = {"first_id": page[0].id, "last_id": page[-1].id} if page else {"first_id": None, "last_id": None}
        return JSONResponse(
            {"data": [self._shape(batch) for batch in page], "has_more": len(newest_first) > limit, **ids}
        )

    async def _look(self, request: Request) -> Response:
        batch = self.batches.get(request.path_params["batch_id"])
        if batch is None:
            error = {"type": "not_found_error", "message": "no such batch"}
            return JSONResponse({"type": "error", "error": error}, status_code=404)
        self._looked_at(batch)
        return JSONResponse(self._shape(batch))

    async def _results(self, request: Request) -> Response:
        batch = self.batches[request.path_params["batch_id"]]
        assert batch.results is not None
        lines = [json.dumps(result) + "\n" for result in batch.results]
        if self.twice:
            lines += lines
        if self.broken > 0:
            self.broken -= 1
            return Response("".join(lines)[: len("".join(lines)) // 2 - 5])

        async def stream() -> AsyncIterator[str]:
            for number, line in enumerate(lines):
                yield line
                if number % 100 == 0:
                    await anyio.sleep(0)

        return StreamingResponse(stream(), media_type="application/binary")

    def _looked_at(self, batch: FakeBatch) -> None:
        batch.looks += 1
        if batch.results is None and batch.looks >= self.looks:
            # Back to front: the order of the requests is nothing to rely on.
            batch.results = [self._process(one) for one in reversed(batch.requests)]

    def _process(self, one: dict[str, Any]) -> dict[str, Any]:
        key, params = one["custom_id"], one["params"]
        result = self.outcome(key, params)
        if result is None:
            self.charged[key] += 1
            said = self.say(params)
            assert isinstance(said, dict)
            result = {"type": "succeeded", "message": said}
        return {"custom_id": key, "result": result}

    def _shape(self, batch: FakeBatch) -> dict[str, Any]:
        types = Counter(result["result"]["type"] for result in batch.results or ())
        counts = {name: types.get(name, 0) for name in ("succeeded", "errored", "canceled", "expired")}
        counts["processing"] = len(batch.requests) - sum(counts.values())
        has_results = batch.results is not None and not batch.archived
        return {
            "id": batch.id,
            "type": "message_batch",
            "processing_status": "in_progress" if batch.results is None else "ended",
            "request_counts": counts,
            "created_at": batch.created_at.isoformat(),
            "expires_at": (batch.created_at + timedelta(days=1)).isoformat(),
            "ended_at": None if batch.results is None else self.clock().isoformat(),
            "archived_at": self.clock().isoformat() if batch.archived else None,
            "cancel_initiated_at": None,
            "results_url": f"{self.url}/v1/messages/batches/{batch.id}/results" if has_results else None,
        }
