"""Bulk API 2.0 query: a job with a query, and its results as CSV in sets, each behind a locator."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sandbox.salesforce import ids, soql
from sandbox.salesforce.bulk import DELIMITERS, ENDS
from sandbox.salesforce.call import Call, Reply
from sandbox.salesforce.errors import SalesforceError, not_found
from sandbox.salesforce.queries import PAGE, Found, Reader

LARGEST_SET = 50_000
_ENDINGS = {"LF": "\n", "CRLF": "\r\n"}
# Objects with a handful of rows that the Bulk API does not take.
_NOT_HERE = frozenset({"LeadStatus"})


@dataclass(slots=True)
class QueryJob:
    """One query job. `lines` are the rows as they go into the file, made once the job is done.

    Attributes:
        left: How many more times it is asked for its state before that is its end; None is never.
        end: The state it comes to.
    """

    id: str
    object_type: str
    operation: str
    text: str
    user: str
    version: str
    created_at: str
    line_ending: str
    delimiter: str
    found: Found
    left: int | None
    end: str = "JobComplete"
    state: str = "UploadComplete"
    message: str = ""
    changed_at: str = ""
    lines: list[str] = field(default_factory=list[str])

    def info(self) -> dict[str, Any]:
        """The job as the API shows it."""
        found: dict[str, Any] = {
            "id": self.id, "operation": self.operation, "object": self.object_type, "createdById": self.user,
            "createdDate": self.created_at, "systemModstamp": self.changed_at or self.created_at, "state": self.state,
            "concurrencyMode": "Parallel", "contentType": "CSV", "apiVersion": float(self.version),
            "lineEnding": self.line_ending, "columnDelimiter": self.delimiter,
        }  # fmt: skip
        return found | ({"errorMessage": self.message} if self.message else {})

    def details(self) -> dict[str, Any]:
        """The job and how far it is."""
        return self.info() | {
            "jobType": "V2Query", "numberRecordsProcessed": len(self.lines), "retries": 0, "totalProcessingTime": 100,
            "isPkChunkingSupported": True,
        }  # fmt: skip


def create(call: Call) -> Reply:
    """Start a job. What the query says is checked at once, as far as it can be."""
    body = call.object()
    operation, text = str(body.get("operation")), str(body.get("query") or "")
    if operation not in ("query", "queryAll"):
        raise SalesforceError("INVALIDJOB", f"Invalid operation: {operation}")
    delimiter, ending = str(body.get("columnDelimiter", "COMMA")), str(body.get("lineEnding", "LF"))
    if delimiter not in DELIMITERS or ending not in _ENDINGS:
        raise SalesforceError("INVALIDJOB", "columnDelimiter or lineEnding is not known")
    asked = soql.parse(text)
    if asked.counts or asked.offset:
        raise SalesforceError("API_ERROR", "COUNT() and OFFSET are not supported in a Bulk API 2.0 query")
    if asked.object_type in _NOT_HERE:
        raise SalesforceError("INVALIDENTITY", f"Entity '{asked.object_type}' is not supported by the Bulk API.")
    reader = Reader(call.store, call.user, deleted=operation == "queryAll")
    state = call.state
    job = QueryJob(
        ids.make("750", len(state.jobs) + 1), asked.object_type, operation, text, call.user, call.version,
        call.store.now(), ending, delimiter, reader.find(asked), state.bulk_polls,
    )  # fmt: skip
    if state.bulk_waits:
        job.left = state.bulk_waits.pop(0)
    if state.bulk_ends:
        early = state.bulk_ends.pop(0)
        job.end, job.message = early.state, "the job was ended before it was done"
    state.jobs[job.id] = job
    return Reply(200, job.info())


def _job(call: Call) -> QueryJob:
    found = call.state.jobs.get(ids.long(call.params["job"])) if len(call.params["job"]) in (15, 18) else None
    if not isinstance(found, QueryJob):
        raise not_found()
    return found


def listing(call: Call) -> Reply:
    """All query jobs."""
    jobs = [job.details() for job in call.state.jobs.values() if isinstance(job, QueryJob)]
    return Reply(200, {"done": True, "nextRecordsUrl": None, "records": jobs})


def state(call: Call) -> Reply:
    """The job's state; it moves on as it is asked."""
    job = _job(call)
    if job.state not in ENDS:
        if job.left is None or job.left > 0:
            job.state = "InProgress"
            job.left = None if job.left is None else job.left - 1
        else:
            job.state, job.changed_at = job.end, call.store.now()
            if job.state == "JobComplete":
                _write(job)
    return Reply(200, job.details())


def change(call: Call) -> Reply:
    """Abort a job."""
    job, wanted = _job(call), call.object().get("state")
    if wanted != "Aborted":
        raise SalesforceError("INVALIDJOBSTATE", f"a query job cannot be made {wanted}")
    if job.state in ENDS:
        raise SalesforceError("INVALIDJOBSTATE", f"the job has ended already: {job.state}")
    job.state, job.changed_at = "Aborted", call.store.now()
    return Reply(200, job.details())


def remove(call: Call) -> Reply:
    """Forget a job that has ended, and its results."""
    job = _job(call)
    if job.state not in ENDS:
        raise SalesforceError("API_ERROR", "the job is still at work")
    del call.state.jobs[job.id]
    return Reply(204)


def results(call: Call) -> Reply:
    """One set of a complete job's results; the header says where the next one is. It can be fetched again."""
    job = _job(call)
    if job.version != call.version:
        raise SalesforceError("API_ERROR", "the job was created with another API version", status=409)
    if job.state != "JobComplete":
        return Reply(204)
    start = _place(call.query.get("locator", ""), len(job.lines))
    asked = call.query.get("maxRecords", "")
    size = min(LARGEST_SET, int(asked)) if asked.isdigit() and int(asked) else LARGEST_SET
    lines = job.lines[start : start + size]
    after = start + len(lines)
    ending = _ENDINGS[job.line_ending]
    header = _line(job.found.asked.fields, DELIMITERS[job.delimiter])
    return Reply(
        200,
        text=ending.join([header, *lines, ""]),
        headers={
            "Sforce-NumberOfRecords": str(len(lines)),
            "Sforce-Locator": _locator(after) if after < len(job.lines) else "null",
        },
    )


def _locator(place: int) -> str:
    return base64.urlsafe_b64encode(str(place).encode()).decode().rstrip("=")


def _place(locator: str, total: int) -> int:
    if not locator:
        return 0
    try:
        place = int(base64.urlsafe_b64decode(locator + "=" * (-len(locator) % 4)))
    except (binascii.Error, ValueError) as error:
        raise SalesforceError("API_ERROR", f"invalid locator: {locator}") from error
    if not 0 < place < total:
        raise SalesforceError("API_ERROR", f"invalid locator: {locator}")
    return place


def _write(job: QueryJob) -> None:
    """Put the rows down as they are now."""
    names, delimiter = job.found.asked.fields, DELIMITERS[job.delimiter]
    for start in range(0, len(job.found), PAGE):
        for view in job.found.records(start, start + PAGE):
            getters = view.reader.getters(view.row.object, names)
            job.lines.append(_line([_cell(get(view.row)) for _, get in getters], delimiter))


def _line(cells: Sequence[str], delimiter: str) -> str:
    return delimiter.join('"' + cell.replace('"', '""') + '"' for cell in cells)


def _cell(value: object) -> str:
    """A value as these files have it: null is empty, an instant ends in Z."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    return text.replace("+0000", "Z") if text.endswith(".000+0000") and len(text) == 28 else text
