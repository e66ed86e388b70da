"""Bulk API 2.0 ingest: a job, one CSV file, and three result files whose rows come in any order."""

from __future__ import annotations

import csv
import io
import random
from dataclasses import dataclass, field
from typing import Any

from sandbox.salesforce import ids
from sandbox.salesforce.call import Call, Reply
from sandbox.salesforce.errors import SalesforceError, not_found
from sandbox.salesforce.saving import Saver
from sandbox.salesforce.values import parse_cell

MAX_CELL = 32_000
MAX_BYTES = 150 * 1024 * 1024
ENDS = frozenset({"JobComplete", "Failed", "Aborted"})
DELIMITERS = {"COMMA": ",", "TAB": "\t", "PIPE": "|", "SEMICOLON": ";", "CARET": "^", "BACKQUOTE": "`"}


@dataclass(slots=True)
class Job:
    """One ingest job."""

    id: str
    object_type: str
    operation: str
    user: str
    line_ending: str = "LF"
    delimiter: str = ","
    external_id: str | None = None
    state: str = "Open"
    end: str = ""  # the state it comes to once it has been asked often enough
    message: str = ""
    data: str | None = None
    polls: int = 0
    columns: list[str] = field(default_factory=list[str])
    done: list[tuple[str, bool, dict[str, str]]] = field(default_factory=list[tuple[str, bool, dict[str, str]]])
    failed: list[tuple[str, str, dict[str, str]]] = field(default_factory=list[tuple[str, str, dict[str, str]]])
    unprocessed: list[dict[str, str]] = field(default_factory=list[dict[str, str]])

    def info(self) -> dict[str, Any]:
        """The job as the API shows it."""
        found: dict[str, Any] = {
            "id": self.id, "object": self.object_type, "operation": self.operation, "state": self.state,
            "contentType": "CSV", "lineEnding": self.line_ending, "jobType": "V2Ingest", "createdById": self.user,
            "numberRecordsProcessed": len(self.done) + len(self.failed), "numberRecordsFailed": len(self.failed),
        }  # fmt: skip
        return found | ({"errorMessage": self.message} if self.message else {})


def listing(call: Call) -> Reply:
    """All jobs, newest last."""
    jobs = [job.info() for job in call.state.jobs.values() if isinstance(job, Job)]
    return Reply(200, {"done": True, "nextRecordsUrl": None, "records": jobs})


def _job(call: Call) -> Job:
    found = call.state.jobs.get(ids.long(call.params["job"])) if len(call.params["job"]) in (15, 18) else None
    if not isinstance(found, Job):
        raise not_found("The requested resource does not exist")
    return found


def create(call: Call) -> Reply:
    """Open a job."""
    body = call.object()
    object_type, operation = str(body.get("object")), str(body.get("operation"))
    call.store.fields(object_type)
    if operation not in ("insert", "update", "upsert", "delete"):
        raise SalesforceError("INVALIDJOB", f"Invalid operation: {operation}")
    job = Job(
        ids.make("750", len(call.state.jobs) + 1),
        object_type,
        operation,
        call.user,
        line_ending=str(body.get("lineEnding", "LF")),
        delimiter=DELIMITERS.get(str(body.get("columnDelimiter", "COMMA")), ","),
        external_id=body.get("externalIdFieldName"),
    )
    call.state.jobs[job.id] = job
    content = f"services/data/v{call.version}/jobs/ingest/{job.id}/batches"
    return Reply(200, job.info() | {"contentUrl": content})


def upload(call: Call) -> Reply:
    """Take the job's file; once."""
    job = _job(call)
    if job.state != "Open" or job.data is not None:
        raise SalesforceError("INVALIDJOBSTATE", "The job has data already or is not open.")
    if len(call.raw) > MAX_BYTES:
        raise SalesforceError("REQUEST_ENTITY_TOO_LARGE", "the file is larger than 150 MB", status=413)
    job.data = call.raw.decode("utf-8")
    return Reply(201)


def change(call: Call) -> Reply:
    """Say that the upload is complete, or abort."""
    job, state = _job(call), call.object().get("state")
    if state not in ("UploadComplete", "Aborted") or job.state in ENDS or (state, job.state) == (
        "UploadComplete", "InProgress"
    ):  # fmt: skip
        raise SalesforceError("INVALIDJOBSTATE", f"a job cannot go from {job.state} to {state}")
    job.state = str(state)
    if state == "UploadComplete" and not call.state.bulk_late:
        _work(call, job)
    elif not job.end:
        job.unprocessed = _rows(job)
    return Reply(200, job.info())


def state(call: Call) -> Reply:
    """The job's state; it is shown to move on as it is asked."""
    job = _job(call)
    if job.state in ("UploadComplete", "InProgress"):
        job.polls += 1
        if job.polls > call.state.bulk_polls and not job.end:
            _work(call, job)
        job.state = job.end if job.polls > call.state.bulk_polls else "InProgress"
    return Reply(200, job.info())


def remove(call: Call) -> Reply:
    """Forget a job."""
    job = _job(call)
    if job.state not in ENDS:
        raise SalesforceError("INVALIDJOBSTATE", "the job is not finished")
    del call.state.jobs[job.id]
    return Reply(204)


def results(call: Call) -> Reply:
    """One of the three result files."""
    job, kind = _job(call), call.params["kind"].lower()
    if job.state not in ENDS:
        raise SalesforceError("INVALIDJOBSTATE", "the job is not finished")
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL)
    if kind == "unprocessedrecords":
        writer.writerow(job.columns)
        writer.writerows([row.get(name, "") for name in job.columns] for row in job.unprocessed)
    elif kind == "successfulresults":
        writer.writerow(["sf__Id", "sf__Created", *job.columns])
        writer.writerows([i, str(new).lower(), *(row.get(n, "") for n in job.columns)] for i, new, row in job.done)
    elif kind == "failedresults":
        writer.writerow(["sf__Id", "sf__Error", *job.columns])
        writer.writerows([i, error, *(row.get(n, "") for n in job.columns)] for i, error, row in job.failed)
    else:
        raise not_found()
    return Reply(200, text=out.getvalue())


def _rows(job: Job) -> list[dict[str, str]]:
    reader = csv.DictReader(io.StringIO(job.data or "", newline=""), delimiter=job.delimiter)
    job.columns = list(reader.fieldnames or [])
    return [{name: value or "" for name, value in row.items()} for row in reader]


def _work(call: Call, job: Job) -> None:
    """Do the whole job, or as much of it as a fault allows."""
    rows = _rows(job)
    store = call.store
    saver = call.saver()
    try:
        fields = saver.known(job.object_type, [name for name in job.columns if name != "Id"])
    except SalesforceError as error:
        job.end, job.message, job.unprocessed = "Failed", f"InvalidBatch : Field name not found : {error}", rows
        return
    if any(len(cell) > MAX_CELL for row in rows for cell in row.values()):
        job.end, job.message, job.unprocessed = "Failed", f"InvalidBatch : a field is over {MAX_CELL} chars", rows
        return
    end = call.state.bulk_ends.pop(0) if call.state.bulk_ends else None
    working = rows if end is None else rows[: end.processed]
    known = store.many(job.object_type, [row.get("Id", "") for row in working])
    with store.transaction():
        for row in working:
            try:
                values = {n: parse_cell(fields[n], cell) for n, cell in row.items() if n != "Id" and cell != ""}
                with saver.alone():
                    done, created = _row(call, saver, job, row, values, known)
                job.done.append((done, created, row))
            except SalesforceError as error:
                job.failed.append((row.get("Id", ""), error.in_csv(), row))
    job.unprocessed = rows[len(working) :]
    job.end = "JobComplete" if end is None else end.state
    job.message = "" if end is None else "the job was ended before it was done"
    order = random.Random(len(rows))
    order.shuffle(job.done)
    order.shuffle(job.failed)


def _row(
    call: Call, saver: Saver, job: Job, row: dict[str, str], values: dict[str, Any], known: dict[str, Any]
) -> tuple[str, bool]:
    record_id = row.get("Id", "")
    if job.operation == "insert":
        return saver.create(job.object_type, values), True
    if job.operation == "upsert" and job.external_id and job.external_id != "Id":
        from sandbox.salesforce.rows import find_external

        found = find_external(call, job.object_type, job.external_id, values.get(job.external_id))
        if len(found) > 1:
            raise SalesforceError("DUPLICATE_EXTERNAL_ID", "more than one record found", [job.external_id])
        if not found:
            return saver.create(job.object_type, values), True
        record_id = found[0].id
    if job.operation == "delete":
        saver.delete(job.object_type, record_id)
        return record_id, False
    if not record_id:
        raise SalesforceError("MISSING_ARGUMENT", "Id not specified in an update call", ["Id"])
    saver.update(job.object_type, record_id, values, known.get(ids.long(record_id)) if ids.is_id(record_id) else None)
    return ids.long(record_id), False
