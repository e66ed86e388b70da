"""The rules agent behind the protocol: answers in process for a few records, in worker processes for many."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

import anyio.to_thread

from enrich.agents import rules
from enrich.agents.protocol import ZERO_USD, AgentRequest, AgentResponse, Step, ToolCall
from nightdesk.errors import NightdeskError

if TYPE_CHECKING:
    from nightdesk.policy.load import Policy

IN_PROCESS_RECORDS = 200  # starting workers costs as much as answering about this many
WORKERS = 2
CHUNK = 100

_worker_policy: Policy | None = None  # set once per worker process, read only afterwards


@dataclass(frozen=True, slots=True)
class _Question:
    """What a worker needs of a request: prompts and schemas stay behind."""

    operation: str
    context: str
    steps: tuple[Step, ...] = ()
    may_look_up: bool = False


@dataclass(frozen=True, slots=True)
class _Said:
    """An answer, look-ups to make before it, or what went wrong with this one record."""

    text: str = ""
    calls: tuple[ToolCall, ...] = ()
    error: str = ""


def _start_worker(policy: Policy, parent: int) -> None:
    """Load the policy once; leave Ctrl-C to the parent; end with it even when it was killed."""
    global _worker_policy
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _worker_policy = policy
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    rules.lexicons.load(policy)


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _answer_chunk(questions: Sequence[_Question]) -> list[_Said]:
    if _worker_policy is None:
        raise RuntimeError("the worker was not started with a policy")
    return _answers(questions, _worker_policy)


def _answers(questions: Sequence[_Question], policy: Policy) -> list[_Said]:
    results: list[_Said] = []
    for question in questions:
        try:
            calls = rules.look_up(question, question.steps) if question.may_look_up else ()
            results.append(_Said(calls=calls) if calls else _Said(rules.answer(question, policy, question.steps)))
        except NightdeskError as error:
            results.append(_Said(error=error.what))
        except (ValueError, KeyError, IndexError, RecursionError) as error:
            # One odd document must not cost the night; the runner counts it as failed, with this text.
            results.append(_Said(error=f"{type(error).__name__}: {error}"[:300]))
    return results


class RulesAgent:
    """Deterministic and free. The order of requests and the number of workers change nothing.

    Args:
        policy: Policy with its lexicon folder.
        workers: Worker processes; 0 answers everything in process.
        in_process_records: Records answered before workers are started.
    """

    def __init__(self, policy: Policy, *, workers: int = WORKERS, in_process_records: int = IN_PROCESS_RECORDS) -> None:
        self._policy = policy
        self._workers = workers
        self._left_in_process = in_process_records
        self._pool: concurrent.futures.ProcessPoolExecutor | None = None
        self._version = rules.version(policy)
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        return "rules"

    @property
    def version(self) -> str:
        return self._version

    @property
    def chunk_size(self) -> int:
        return CHUNK

    @property
    def concurrency(self) -> int:
        return max(1, self._workers) + 1  # one chunk waits while the others are worked on

    def model_for(self, operation: str) -> str | None:
        return None

    def max_output_tokens_for(self, operation: str) -> int:
        return 0

    @property
    def speaks_by_rules(self) -> bool:
        """It is the rules."""
        return True

    def reads_at_once(self, operation: str) -> int:
        """No limit: rules read every sentence of whatever length."""
        return 0

    def worst_case_usd(self, request: AgentRequest) -> Decimal:
        return ZERO_USD

    async def prepare(self, operation: str) -> None:
        """Compile the lexicon, so that a broken file is one clear error before any record is read."""
        if operation not in rules.OPERATIONS:
            raise NightdeskError(
                f"The rules agent does not know the operation `{operation}`", todo="Choose another agent for it."
            )
        await anyio.to_thread.run_sync(rules.lexicons.load, self._policy)

    async def ask(self, requests: Sequence[AgentRequest]) -> Sequence[AgentResponse]:
        """One response per request, in the order given."""
        questions = [
            _Question(request.operation, request.context, request.steps, bool(request.tools)) for request in requests
        ]
        results = await anyio.to_thread.run_sync(self._work, questions, abandon_on_cancel=True)
        return [
            AgentResponse(
                input_hash=request.input_hash,
                status="ok",
                text=said.text,
                stop_reason="tool_use" if said.calls else "end",
                tool_calls=said.calls,
            )
            if not said.error
            else AgentResponse(input_hash=request.input_hash, status="provider_error", error=said.error)
            for request, said in zip(requests, results, strict=True)
        ]

    def _work(self, questions: list[_Question]) -> list[_Said]:
        with self._lock:
            in_process = self._workers == 0 or self._left_in_process > 0
            self._left_in_process -= len(questions)
            if not in_process and self._pool is None:
                self._pool = concurrent.futures.ProcessPoolExecutor(
                    self._workers,
                    mp_context=multiprocessing.get_context("spawn"),
                    initializer=_start_worker,
                    initargs=(self._policy, os.getpid()),
                )
            pool = self._pool
        if in_process or pool is None:
            return _answers(questions, self._policy)
        try:
            return pool.submit(_answer_chunk, questions).result()
        except BrokenProcessPool:
            # A worker was killed (memory, an operator): the answers are the same without it, only later.
            with self._lock:
                self._workers, self._pool = 0, None
            return _answers(questions, self._policy)

    async def aclose(self) -> None:
        """End the workers; safe to call twice."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            await anyio.to_thread.run_sync(lambda: pool.shutdown(wait=True, cancel_futures=True))
