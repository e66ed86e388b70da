"""Write batches: fresh read, three-way compare, journal, one request, read-back, journal. Never the other way round."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

from nightdesk.errors import NightdeskError
from reverse_etl.consent import Consent
from reverse_etl.crms.protocol import (
    CrmAdapter,
    CrmRecord,
    CrmRefused,
    CrmUnavailable,
    ReadResult,
    RecordWrite,
    WriteOutcome,
)
from reverse_etl.digest import sha256
from reverse_etl.journal import Earlier, Journal, Result, Step
from reverse_etl.judge import ApplyOp, Key, Verdict, after_write, before_write

UNKNOWN = 7
_RETRY_SECONDS = (1.0, 4.0)


@dataclass(slots=True)
class Writer:
    """Writes the operations of one apply run.

    Args:
        adapter: The CRM.
        journal: The run's journal.
        subject: What every audit event of the run repeats: plan, digest, fencing token.
        native: Every field the plan writes to, by the record's own id.
        sleep: Waiting before an operation of unknown fate is sent again.
        consent: Who has said no by now; nothing is sent to them.
    """

    adapter: CrmAdapter
    journal: Journal
    subject: dict[str, Any]
    native: frozenset[Key]
    sleep: Callable[[float], None]
    consent: Consent = field(default_factory=Consent)
    _claimed: dict[Key, str] = field(default_factory=dict["Key", str])
    _asked: dict[str, str | None] = field(default_factory=dict[str, "str | None"])

    def run(self, ops: Sequence[ApplyOp], on_progress: Callable[[int, int], None] | None = None) -> None:
        """Bring every operation to its end."""
        done = 0
        for batch in batches(ops, self.adapter.write_batch):
            self._batch(batch)
            done += len(batch)
            if on_progress:
                on_progress(done, len(ops))

    def read(self, batch: Sequence[ApplyOp]) -> ReadResult:
        """Read the records of a batch as they are now."""
        ids = list(dict.fromkeys(op.record_id for op in batch))
        return self.adapter.read(batch[0].object_type, ids, self._wanted(batch))

    def _wanted(self, batch: Sequence[ApplyOp]) -> list[str]:
        return [*_properties(batch), *self.consent.properties(batch[0].object_type)]

    def judge_all(self, batch: Sequence[ApplyOp]) -> list[tuple[ApplyOp, Verdict]]:
        """Read a batch and decide its operations; only where somebody changed a value is its history asked for."""
        read = self.read(batch)
        self._ask_people(batch)
        verdicts = [(op, self.judge(op, read)) for op in batch]
        changed = [op for op, verdict in verdicts if verdict.result == "conflict"]
        if not changed:
            return verdicts
        ids = list(dict.fromkeys(op.record_id for op in changed))
        closer = self.adapter.read(batch[0].object_type, ids, self._wanted(changed), history=True)
        again = {op.op_id: self.judge(op, closer) for op in changed}
        return [(op, again.get(op.op_id, verdict)) for op, verdict in verdicts]

    def judge(self, op: ApplyOp, read: ReadResult) -> Verdict:
        """Decide one operation and, if it goes to a surviving record, claim the field there."""
        found = read.found.get(op.record_id)
        verdict = before_write(
            op,
            found,
            read.missing.get(op.record_id, "not in the CRM"),
            self.native,
            self._claimed,
        )
        no = self._refusal(op, found) if verdict.action == "write" else None
        if no is not None:
            return Verdict("end", verdict.crm_value, verdict.before, "", "skipped_denied", "denied", no)
        if verdict.action == "write" and verdict.target != op.record_id:
            self._claimed[(op.object_type, verdict.target, op.property)] = op.op_id
        return verdict

    def _ask_people(self, batch: Sequence[ApplyOp]) -> None:
        """Tasks and notes are about somebody: what that person's own record in the CRM says counts for them too."""
        if batch[0].object_type not in self.adapter.keyed_types:
            return
        about = {self.consent.person_of(op.subject_id) for op in batch} - {None} - self._asked.keys()
        for object_type in self.consent.flags:
            ids = sorted(str(one) for one in about)
            for start in range(0, len(ids), self.adapter.batch_size):
                part = ids[start : start + self.adapter.batch_size]
                read = self.adapter.read(object_type, part, self.consent.properties(object_type))
                for one in part:
                    self._asked[one] = self.consent.flagged(object_type, read.found.get(one))

    def _refusal(self, op: ApplyOp, found: CrmRecord | None) -> str | None:
        said = self.consent.refusal(op.object_type, op.record_id, found, op.subject_id)
        return said or self._asked.get(self.consent.person_of(op.subject_id) or "")

    def _batch(self, batch: Sequence[ApplyOp]) -> None:
        waiting = self._look(batch)
        attempt = 1
        while waiting:
            again = self._send(waiting, attempt)
            waiting = []
            if again:
                self.sleep(_RETRY_SECONDS[min(attempt, len(_RETRY_SECONDS)) - 1])
                attempt += 1
                # Seconds have passed: whatever a person did meanwhile stays, and what came late is found.
                waiting = self._look([replace(op, earlier=Earlier("unknown", v.before)) for op, v in again])

    def _look(self, batch: Sequence[ApplyOp]) -> list[tuple[ApplyOp, Verdict]]:
        """Read the records, end what needs no write, return what is to be written."""
        verdicts = self.judge_all(batch)
        ended = [(op, verdict) for op, verdict in verdicts if verdict.action == "end"]
        if ended:
            self.journal.commit(
                "ended",
                [Step(op.op_id, v.state, v.crm_value, None, v.message) for op, v in ended],
                [Result(op.op_id, v.result, v.before, v.crm_value, v.message, v.refusal) for op, v in ended],
                ("write_result", {**self.subject, "ops": [[op.op_id, v.result] for op, v in ended]}),
            )
        return [(op, verdict) for op, verdict in verdicts if verdict.action == "write"]

    def _send(self, waiting: list[tuple[ApplyOp, Verdict]], attempt: int) -> list[tuple[ApplyOp, Verdict]]:
        """One request for the operations waiting; returns those to send again."""
        object_type = waiting[0][0].object_type
        writes, trace_of = self._compose(waiting, attempt)
        event = {
            **self.subject,
            "object_type": object_type,
            "attempt": attempt,
            "ops": [[op.op_id, v.target, op.property, sha256(op.wire)] for op, v in waiting],
        }
        # The audit event and the intent are on disk before the request exists.
        self.journal.commit(
            "intent",
            [Step(op.op_id, "intent", v.crm_value, trace_of[v.target], v.message) for op, v in waiting],
            (),
            ("write_intent", event),
        )
        self.journal.commit("sent", [Step(op.op_id, "sent", None, trace_of[v.target]) for op, v in waiting])
        answers = self.adapter.write(object_type, writes)
        silent = WriteOutcome("unknown", "the adapter gave no outcome")
        said = {op.op_id: answers.get(trace_of[v.target], silent) for op, v in waiting}
        self.journal.commit(
            "answered",
            [
                Step(op.op_id, said[op.op_id].state, None, trace_of[v.target], said[op.op_id].message or None)
                for op, v in waiting
            ],
        )
        back = self._read_back(object_type, waiting)
        steps: list[Step] = []
        results: list[Result] = []
        again: list[tuple[ApplyOp, Verdict]] = []
        for op, verdict in waiting:
            found, missing = back.found.get(verdict.target), back.missing.get(verdict.target, "not in the CRM")
            end = after_write(op, verdict.crm_value, said[op.op_id], found, missing)
            if end.again and attempt <= len(_RETRY_SECONDS):
                again.append((op, replace(verdict, crm_value=end.crm_value, version=end.version)))
                continue
            notes = "; ".join(part for part in (verdict.message, end.message) if part) or None
            steps.append(Step(op.op_id, end.state, end.crm_value, trace_of[verdict.target], notes))
            results.append(Result(op.op_id, end.result, verdict.before, end.crm_value, notes, end.refusal))
        if results:
            event = {**self.subject, "ops": [[r.op_id, r.result] for r in results]}
            self.journal.commit("verified", steps, results, ("write_result", event))
        return again

    def _compose(
        self, waiting: list[tuple[ApplyOp, Verdict]], attempt: int
    ) -> tuple[list[RecordWrite], dict[str, str]]:
        values: dict[str, dict[str, str]] = {}
        version = {verdict.target: verdict.version for _, verdict in waiting}
        for op, verdict in waiting:
            values.setdefault(verdict.target, {})[op.property] = op.wire
        run = self.journal.apply_run_id
        token = self.journal.lease.token
        trace_of = {target: f"{run}/{token}/{waiting[0][0].object_type}/{target}/{attempt}" for target in values}
        writes = [RecordWrite(target, trace_of[target], fields, version[target]) for target, fields in values.items()]
        return writes, trace_of

    def _read_back(self, object_type: str, waiting: list[tuple[ApplyOp, Verdict]]) -> ReadResult:
        targets = list(dict.fromkeys(verdict.target for _, verdict in waiting))
        ops = [op for op, _ in waiting]
        try:
            back = self.adapter.read(object_type, targets, _properties(ops))
            # Only where something does not match is it worth asking who changed it.
            wrong = [
                v.target
                for op, v in waiting
                if v.target in back.found
                and after_write(op, v.crm_value, WriteOutcome("acknowledged"), back.found[v.target], "").result
                in ("altered",)
            ]
            if wrong:
                closer = self.adapter.read(object_type, list(dict.fromkeys(wrong)), _properties(ops), history=True)
                back = ReadResult({**back.found, **closer.found}, back.missing)
        except (CrmUnavailable, CrmRefused) as error:
            raise NightdeskError(
                f"Written, but not read back: {error.what}",
                where=error.where,
                todo=f"{error.todo} `nightdesk apply` reads back first and sends nothing twice.",
                exit_code=UNKNOWN,
            ) from error
        return back


def _properties(ops: Sequence[ApplyOp]) -> list[str]:
    return sorted({op.property for op in ops})


def batches(ops: Sequence[ApplyOp], size_for: Callable[[int], int]) -> Iterator[list[ApplyOp]]:
    """Group operations (sorted by object type and record) so that a batch has one object type and no more records than
    `size_for(records of that type)` allows."""
    for _, grouped in groupby(ops, key=lambda op: op.object_type):
        same_type = list(grouped)
        size = size_for(len({op.record_id for op in same_type}))
        batch: list[ApplyOp] = []
        records = 0
        for _, record in groupby(same_type, key=lambda op: op.record_id):
            if records == size:
                yield batch
                batch, records = [], 0
            batch.extend(record)
            records += 1
        if batch:
            yield batch
