"""Up to 25 conditional updates in one request: each is written only if nobody saved its record since we looked.

A collection has no conditions; the Composite resource lets every part have headers of its own, and answers each part
under a reference of ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from reverse_etl.crms.http import RequestRefused
from reverse_etl.crms.protocol import RecordWrite, WriteOutcome
from reverse_etl.crms.salesforce.client import SalesforceClient
from reverse_etl.crms.salesforce.refusals import of_refusal
from reverse_etl.crms.salesforce.wire import http_date

MAX_PARTS = 25


def send(
    client: SalesforceClient,
    object_type: str,
    batch: Sequence[RecordWrite],
    bodies: Mapping[str, Mapping[str, Any]],
) -> dict[str, WriteOutcome]:
    """Write records whose versions are known.

    Args:
        client: The HTTP client.
        object_type: Their object.
        batch: At most `MAX_PARTS`, each with a version.
        bodies: Their JSON by trace id.

    Raises:
        RequestRefused: The request as a whole was refused; nothing was written.
        OutcomeUnknown: Sent, and no answer.
    """
    if len(batch) == 1:
        write = batch[0]
        headers = {"If-Unmodified-Since": str(http_date(str(write.version)))}
        path = f"sobjects/{object_type}/{write.id}"
        client.request("PATCH", path, body=bodies[write.trace_id], headers=headers, effect="write")
        return {write.trace_id: WriteOutcome("acknowledged")}
    parts = [
        {
            "method": "PATCH",
            "url": f"{client.data_path}/sobjects/{object_type}/{write.id}",
            "referenceId": f"r{n}",
            "httpHeaders": {"If-Unmodified-Since": http_date(str(write.version))},
            "body": bodies[write.trace_id],
        }
        for n, write in enumerate(batch)
    ]
    body = {"allOrNone": False, "compositeRequest": parts}
    return partition(batch, client.request("POST", "composite", body=body, effect="write").body)


def partition(batch: Sequence[RecordWrite], answer: Any) -> dict[str, WriteOutcome]:
    """Give every record exactly one outcome: the one answered under its reference, else unknown."""
    found = cast("dict[str, Any]", answer) if isinstance(answer, dict) else {}
    results = cast("list[dict[str, Any]]", found.get("compositeResponse") or [])
    outcomes: dict[str, WriteOutcome] = {}
    for n, write in enumerate(batch):
        mine = [result for result in results if result.get("referenceId") == f"r{n}"]
        if len(mine) == 1:
            outcomes[write.trace_id] = _outcome(write, mine[0])
        else:
            said = "the answer does not mention it" if not mine else "the answer mentions it more than once"
            outcomes[write.trace_id] = WriteOutcome("unknown", said)
    return outcomes


def _outcome(write: RecordWrite, result: Mapping[str, Any]) -> WriteOutcome:
    status = int(result.get("httpStatusCode") or 0)
    if 200 <= status < 300:
        return WriteOutcome("acknowledged")
    if not 300 <= status < 500:
        return WriteOutcome("unknown", f"HTTP {status}")
    body = result.get("body")
    errors = cast("list[dict[str, Any]]", body) if isinstance(body, list) else []
    first = errors[0] if errors else {}
    error = RequestRefused(status, str(first.get("errorCode", "")), str(first.get("message", f"HTTP {status}")), first)
    return of_refusal(write, error)
