"""One Bulk API 2.0 job: thousands of updates for a handful of requests, every record with an outcome.

A job has no column of its own for our trace ids; a record is in it once, so its `Id` ties results to inputs.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from reverse_etl.crms.http import OutcomeUnknown, RequestRefused
from reverse_etl.crms.protocol import CrmUnavailable, RecordWrite, WriteOutcome
from reverse_etl.crms.salesforce.client import SalesforceClient
from reverse_etl.crms.salesforce.refusals import of_cell
from reverse_etl.crms.salesforce.wire import TEXT, CannotHold, Kind, long_id, to_cell

MAX_ROWS = 10_000  # what Salesforce works on as one internal batch
MAX_BYTES = 90 * 1024 * 1024  # it takes 150 MB once encoded; 100 MB before that is advised
WAIT_SECONDS = 3600.0
_POLLS = (1.0, 2.0, 5.0, 10.0)
_ENDS = frozenset({"JobComplete", "Failed", "Aborted"})


@dataclass(slots=True)
class BulkAnswer:
    """What became of a job's records. `left_over` were not worked on and may be sent another way."""

    outcomes: dict[str, WriteOutcome] = field(default_factory=dict[str, WriteOutcome])
    left_over: list[RecordWrite] = field(default_factory=list[RecordWrite])


@dataclass(frozen=True, slots=True)
class BulkFile:
    """A job's file, the records in it, and those that cannot travel in one."""

    text: str
    writes: Sequence[RecordWrite]
    others: Sequence[RecordWrite]
    outcomes: Mapping[str, WriteOutcome]


def compose(writes: Sequence[RecordWrite], kinds: Mapping[str, Kind]) -> list[BulkFile]:
    """Files of at most `MAX_ROWS` records and `MAX_BYTES`. An empty cell leaves its field alone, so records with
    different fields share a file.

    Args:
        writes: The records.
        kinds: Salesforce's type of each field.
    """
    columns = sorted({name for write in writes for name in write.values})
    rows: list[tuple[RecordWrite, list[str]]] = []
    others: list[RecordWrite] = []
    outcomes: dict[str, WriteOutcome] = {}
    for write in writes:
        try:
            cells = {name: to_cell(kinds.get(name, TEXT), value) for name, value in write.values.items()}
        except CannotHold as error:
            outcomes[write.trace_id] = WriteOutcome("rejected", str(error), "bad_value")
            continue
        if None in cells.values():
            others.append(write)
        else:
            rows.append((write, [long_id(write.id), *(cells.get(name) or "" for name in columns)]))
    files: list[BulkFile] = []
    part: list[RecordWrite] = []
    out, writer = _file(columns)
    for write, cells in rows:
        if len(part) == MAX_ROWS or out.tell() > MAX_BYTES:
            files.append(BulkFile(out.getvalue(), part, (), {}))
            part, (out, writer) = [], _file(columns)
        writer.writerow(cells)
        part.append(write)
    files.append(BulkFile(out.getvalue(), part, others, outcomes))
    return files


def _file(columns: Sequence[str]) -> tuple[io.StringIO, Any]:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["Id", *columns])
    return out, writer


def run(client: SalesforceClient, object_type: str, file: BulkFile, on_wait: Callable[[float], None]) -> BulkAnswer:
    """Send one file as a job and wait for its end.

    Nothing is written before the upload is declared complete: until then a lost answer means that nothing happened.

    Raises:
        CrmUnavailable: The job could not be opened or filled; nothing was written.
    """
    answer = BulkAnswer(dict(file.outcomes), list(file.others))
    if not file.writes:
        return answer
    job = _open(client, object_type, file)
    try:
        if not _start(client, job):
            raise OutcomeUnknown("the job could not be asked whether it started")
        state = _finished(client, job, on_wait)
    except OutcomeUnknown as error:
        answer.outcomes |= {w.trace_id: WriteOutcome("unknown", str(error)) for w in file.writes}
        return answer
    _collect(client, job, state, file.writes, answer)
    return answer


def wait_for_earlier(
    client: SalesforceClient, object_type: str, me: Callable[[], str | None], on_wait: Callable[[float], None]
) -> None:
    """Wait until no job of ours is at work on an object: one that an interrupted run has left behind would change
    records after we looked at them.

    Args:
        client: The HTTP client.
        object_type: The object.
        me: The integration user; None takes everybody's jobs for ours.
        on_wait: Waits that many seconds.

    Raises:
        CrmUnavailable: It does not end.
    """
    answer = cast("dict[str, Any]", client.request("GET", "jobs/ingest", params={"jobType": "V2Ingest"}).body)
    while True:
        for job in cast("list[dict[str, Any]]", answer.get("records") or []):
            at_work = job.get("state") in ("UploadComplete", "InProgress")
            if at_work and job.get("object") == object_type and me() in (None, job.get("createdById")):
                try:
                    _finished(client, str(job["id"]), on_wait)
                except OutcomeUnknown as error:
                    raise CrmUnavailable(
                        f"A bulk job of an earlier run is still at work: {error}",
                        where=f"{object_type}, job {job['id']}",
                        todo="Run the same command again when it has ended; nothing was sent.",
                    ) from error
        if answer.get("done", True) or not answer.get("nextRecordsUrl"):
            return
        answer = cast("dict[str, Any]", client.request("GET", str(answer["nextRecordsUrl"])).body)


def _open(client: SalesforceClient, object_type: str, file: BulkFile) -> str:
    """Open a job and upload its file. A job that was opened twice because an answer was lost stays empty."""
    body = {"object": object_type, "operation": "update", "contentType": "CSV", "lineEnding": "LF"}
    try:
        job = str(cast("dict[str, Any]", client.request("POST", "jobs/ingest", body=body).body)["id"])
        client.request("PUT", f"jobs/ingest/{job}/batches", csv=file.text, effect="write")
    except OutcomeUnknown as error:
        raise CrmUnavailable(
            f"The file could not be uploaded: {error}",
            where=f"{object_type} bulk job",
            todo="Nothing was written. Run the same command again: it resumes where it stopped.",
        ) from error
    return job


def _start(client: SalesforceClient, job: str) -> bool:
    """Declare the upload complete; when the answer is lost, the job itself says whether it heard."""
    for _ in range(3):
        try:
            client.request("PATCH", f"jobs/ingest/{job}", body={"state": "UploadComplete"}, effect="write")
            return True
        except OutcomeUnknown:
            if _state(client, job) != "Open":
                return True
        except RequestRefused:
            if _state(client, job) == "Open":
                raise
            return True
    return False


def _state(client: SalesforceClient, job: str) -> str:
    try:
        return str(cast("dict[str, Any]", client.request("GET", f"jobs/ingest/{job}").body)["state"])
    except CrmUnavailable as error:
        raise OutcomeUnknown(f"the job does not answer: {error.what}") from error


def _finished(client: SalesforceClient, job: str, on_wait: Callable[[float], None]) -> str:
    waited = 0.0
    polls = 0
    while True:
        state = _state(client, job)
        if state in _ENDS:
            return state
        if waited >= WAIT_SECONDS:
            raise OutcomeUnknown(f"the job is still {state} after {waited:.0f} s")
        pause = _POLLS[min(polls, len(_POLLS) - 1)]
        on_wait(pause)
        waited, polls = waited + pause, polls + 1


def _collect(client: SalesforceClient, job: str, state: str, writes: Sequence[RecordWrite], answer: BulkAnswer) -> None:
    """Read the three result files; a record is in exactly one of them, or nobody knows what became of it."""
    by_id = {long_id(write.id): write for write in writes}
    seen: dict[str, list[tuple[str, str]]] = {}
    try:
        for kind, name in (("done", "successfulResults"), ("failed", "failedResults"),
                           ("unprocessed", "unprocessedrecords")):  # fmt: skip
            text = client.request("GET", f"jobs/ingest/{job}/{name}", headers={"Accept": "text/csv"}).text
            for row in csv.DictReader(io.StringIO(text, newline="")):
                record_id = long_id(str(row.get("Id") or row.get("sf__Id") or ""))
                seen.setdefault(record_id, []).append((kind, str(row.get("sf__Error") or "")))
    except CrmUnavailable as error:
        message = f"the job's results cannot be read: {error.what}"
        answer.outcomes |= {write.trace_id: WriteOutcome("unknown", message) for write in writes}
        return
    for record_id, write in by_id.items():
        said = seen.get(record_id, [])
        match said:
            case [("done", _)]:
                answer.outcomes[write.trace_id] = WriteOutcome("acknowledged")
            case [("failed", text)]:
                answer.outcomes[write.trace_id] = of_cell(write, text)
            case [("unprocessed", _)] if state == "Aborted":
                message = "the job was aborted in Salesforce before this record"
                answer.outcomes[write.trace_id] = WriteOutcome("rejected", message, "other")
            case [("unprocessed", _)]:
                answer.left_over.append(write)
            case []:
                answer.outcomes[write.trace_id] = WriteOutcome("unknown", "the job's results do not mention it")
            case _:
                answer.outcomes[write.trace_id] = WriteOutcome("unknown", "the job's results mention it more than once")
