"""A fault file at work in the sandbox org: which requests are struck, and what Salesforce would then answer."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import Response

from nightdesk.errors import NightdeskError
from sandbox import faults
from sandbox.crm.answers import CutResponse
from sandbox.crm.faults import DropConnection
from sandbox.salesforce import catalog, ids
from sandbox.salesforce.app import Api, Seen, error_response, records_of, results_of
from sandbox.salesforce.bulk import Job
from sandbox.salesforce.call import BulkEnd
from sandbox.salesforce.errors import SalesforceError
from sandbox.salesforce.happenings import edit, happen
from sandbox.salesforce.saving import Trigger
from sandbox.salesforce.values import parse_cell

SUPPORTED = faults.NAMES - {"trace_ids", "search_lag"}  # Salesforce has neither trace ids nor a lagging index here
_HOW: dict[str, Callable[[str], str]] = {
    "trim": str.strip,
    "squeeze": lambda text: " ".join(text.split()),
    "lower": str.lower,
    "email": lambda text: text.strip().lower(),
    "phone": lambda text: re.sub(r"[^\d+]", "", text),
}
_REASONS: dict[str, tuple[str, str]] = {
    "bad_value": ("FIELD_CUSTOM_VALIDATION_EXCEPTION", "the value breaks a rule of this org"),
    "no_right": ("INSUFFICIENT_ACCESS_OR_READONLY", "insufficient access rights on object id"),
    "gone": ("ENTITY_IS_DELETED", "entity is deleted"),
    "converted": ("CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead"),
    "stale": ("ENTITY_FAILED_IFLASTMODIFIED_ON_UPDATE_CHECK", "Entity failed iflastmodified on update check"),
    "duplicate": ("DUPLICATES_DETECTED", "Use one of these records?"),
    "locked": ("UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access to this record"),
    "schema": ("INVALID_FIELD", "No such column on this object"),
    "automation": ("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "execution of BeforeUpdate failed"),
    "other": ("UNKNOWN_EXCEPTION", "An unexpected error occurred"),
}
_RECORDS = (*sorted(catalog.REPLICATED - {"User"}), *catalog.HISTORY_OBJECTS, "OpportunityHistory")


@dataclass(slots=True)
class _Struck:
    """What is left to do once the work of one request is done, and what to put back."""

    due: list[faults.AnyFault]
    records: list[str]
    undo: list[Callable[[], None]] = field(default_factory=list[Callable[[], None]])


class FaultRunner:
    """Does what a fault file says, behind the `sandbox.salesforce.app.Fault` protocol.

    Args:
        file: The faults.
        pause: Waiting; the sandbox's own server waits really, `sandbox.virtual.pause` moves virtual time.
        forgiving: A fault about a record or a field that is not there is noted at the request it would have struck,
            instead of being an error: a person serves the file, and may make that field only later.

    Raises:
        NightdeskError: A fault that this CRM does not know.
    """

    def __init__(
        self,
        file: faults.FaultFile,
        *,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        forgiving: bool = False,
    ) -> None:
        self._pause, self._forgiving = pause, forgiving
        self._struck: dict[int, _Struck] = {}
        self.replace(file)

    def replace(self, file: faults.FaultFile) -> None:
        """Go on with other faults from the next request; counting starts anew."""
        for one in file.faults:
            if one.fault not in SUPPORTED:
                raise NightdeskError(f"Salesforce has no such trouble: {one.says()}", where="fault file")
        self._turns = faults.Turns(file.faults, file.seed)

    async def before(self, request: Seen, api: Api) -> Response | None:
        """Changes the org, waits, and perhaps answers in its place."""
        seen = look(request, api)
        struck = _Struck(self._turns.due(seen), sorted(seen.records))
        self._struck[id(request)] = struck
        for one in struck.due:
            if isinstance(one, faults.PersonEdits) and one.moment == "after":
                continue
            if self._tried(request, one, lambda one=one: self._strike(one, struck, api)):
                request.fault.append(one.fault)
        for one in struck.due:
            answer = await self._in_place_of_the_org(one, request, struck, api)
            if answer is not None:
                request.fault.append(one.fault)
                self._end(request)
                return answer
        return None

    async def after(self, request: Seen, response: Response, api: Api) -> Response:
        """Changes the org once more, and what the client gets to see."""
        due = self._end(request)
        later = [one for one in due if isinstance(one, faults.PersonEdits) and one.moment == "after"]
        for one in later:
            if self._tried(request, one, lambda one=one: self._edit(one, api)):
                request.fault.append(one.fault)
        for one in due:
            changed = self._reshaped(one, response, request)
            if changed is not None:
                request.fault.append(one.fault)
                response = changed
        for one in due:
            lost = await self._lost(one, response, request)
            if lost is not None:
                request.fault.append(f"{one.fault} after commit")
                return lost
        return response

    def _end(self, request: Seen) -> list[faults.AnyFault]:
        struck = self._struck.pop(id(request))
        for undo in struck.undo:
            undo()
        return struck.due

    def _tried(self, request: Seen, one: faults.AnyFault, act: Callable[[], bool]) -> bool:
        """Do it; what cannot be done is an error, or with `forgiving` a note at the request."""
        try:
            return act()
        except (NightdeskError, SalesforceError, KeyError) as error:
            if not self._forgiving:
                raise
            request.fault.append(f"{one.fault} could not happen: {error}")
            return False

    def _strike(self, one: faults.AnyFault, struck: _Struck, api: Api) -> bool:
        return happen(api.store, api.state.org, one) or self._prepare(one, struck, api)

    @staticmethod
    def _edit(one: faults.PersonEdits, api: Api) -> bool:
        edit(api.store, api.state.org, one.object_type, one.record, one.property, one.value)
        return True

    # before the work --------------------------------------------------------------------------------------------------

    def _prepare(self, one: faults.AnyFault, struck: _Struck, api: Api) -> bool:
        """Set the org up for this one request."""
        org, store = api.state.org, api.store
        match one:
            case faults.ClockSkew():
                store.skew_seconds = one.seconds
            case faults.TokenExpires():
                for token in list(api.sessions.users):
                    user = api.sessions.users.pop(token)
                    if one.renewed:
                        api.sessions.users[one.renewed] = user
            case faults.AmbiguousKey():
                api.state.ambiguous_key = True
            case faults.BulkJobEnds():
                api.state.bulk_ends.append(BulkEnd(one.state, one.processed))
            case faults.BulkJobWaits():
                api.state.bulk_waits.append(one.looks)
            case faults.CursorExpires():
                api.state.cursors.clear()
            case faults.Automation():
                target = store.fields(one.object_type)[one.sets]
                trigger = Trigger(one.object_type, one.field, one.sets, parse_cell(target, one.to) if one.to else None)
                org.triggers.append(trigger)
                struck.undo.append(lambda: org.triggers.remove(trigger))
            case faults.Normalise():
                key = (one.object_type, one.property)
                org.spelling[key] = _HOW[one.how]
                struck.undo.append(lambda: org.spelling.__delitem__(key))
            case faults.RefuseRecords():
                code, message = _REASONS[one.reason]
                for record in one.chosen(struck.records, self._turns.draw):
                    org.refused[ids.long(record)] = SalesforceError(code, message)
                struck.undo.append(org.refused.clear)
            case _:
                return False
        return True

    async def _in_place_of_the_org(
        self, one: faults.AnyFault, request: Seen, struck: _Struck, api: Api
    ) -> Response | None:
        error: SalesforceError | None = None
        headers: dict[str, str] = {}
        match one:
            case faults.Delay(committed=False):
                request.fault.append(f"{one.fault} {one.seconds:g}s before commit")
                await self._pause(one.seconds)
            case faults.Drop(committed=False):
                return DropConnection()
            case faults.ServerError(committed=False):
                error = _server_error(one.status)
            case faults.EmptyAnswer(committed=False):
                return _answer([], request)
            case faults.RateLimit():
                # Salesforce has no 429 of its own; both limits are 403, told apart by the message.
                said = "TotalRequests" if one.daily else "ConcurrentRequests (Concurrent API Requests)"
                error = SalesforceError("REQUEST_LIMIT_EXCEEDED", f"{said} Limit exceeded.", status=403)
                headers = {} if one.retry_after is None else {"Retry-After": f"{one.retry_after:g}"}
            case faults.Unauthorised():
                error = SalesforceError("INVALID_SESSION_ID", "Session expired or invalid", status=401)
            case faults.MissingScope():
                error = SalesforceError("API_DISABLED_FOR_ORG", "The REST API is not enabled for this user", status=403)
            case faults.RejectBatch():
                if one.chosen(struck.records, self._turns.draw):
                    code, message = _REASONS[one.reason]
                    error = SalesforceError(code, message)
            case _:
                pass
        return None if error is None else error_response(error, headers)

    # after the work ---------------------------------------------------------------------------------------------------

    def _reshaped(self, one: faults.AnyFault, response: Response, request: Seen) -> Response | None:
        """Another answer to the same work; None where the fault has nothing to say about it."""
        results = results_of(bytes(response.body)) if response.status_code == 200 else []
        if not results:
            return None
        records = records_of(request.body)
        match one:
            case faults.EmptyAnswer(committed=True):
                found: list[dict[str, Any]] = []
            case faults.OmitResults():
                gone = set(one.chosen(records, self._turns.draw))
                pairs = zip(records, results, strict=True)
                found = [result for record, result in pairs if record not in gone]
            case faults.ExtraResults():
                stranger: dict[str, Any] = {"id": ids.make("003", 99_999), "success": True, "errors": []}
                if "httpStatusCode" in results[0]:
                    stranger = {"body": None, "httpHeaders": {}, "httpStatusCode": 204, "referenceId": "stranger"}
                found = [*results, results[0] if one.of == "same" else stranger]
            case faults.ShuffleResults():
                found = list(results)
                self._turns.draw.shuffle(found)
            case _:
                return None
        return _answer(found, request)

    async def _lost(self, one: faults.AnyFault, response: Response, request: Seen) -> Response | None:
        match one:
            case faults.Delay(committed=True):
                request.fault.append(f"{one.fault} {one.seconds:g}s after commit")
                await self._pause(one.seconds)
            case faults.Drop(committed=True):
                return DropConnection()
            case faults.ServerError(committed=True):
                return error_response(_server_error(one.status), {})
            case faults.Cut():
                return CutResponse(response, one.keep)
            case _:
                pass
        return None


def _server_error(status: int) -> SalesforceError:
    code = "SERVER_UNAVAILABLE" if status == 503 else "UNKNOWN_EXCEPTION"
    return SalesforceError(code, f"scripted {status}", status=status)


def _answer(results: list[dict[str, Any]], request: Seen) -> Response:
    """These results as the answer to a collection or to several requests in one."""
    whole: Any = {"compositeResponse": results} if request.path.endswith("/composite") else results
    return Response(json.dumps(whole, separators=(",", ":")), 200, media_type="application/json")


def look(request: Seen, api: Api) -> faults.Seen:
    """A request in the words of a fault file. A bulk job is one write: the moment its upload is declared complete."""
    rest = re.sub(r"^/services/data/v[\d.]+/", "", request.path).rstrip("/")
    area, *parts = rest.split("/")
    kind: faults.Kind = "other"
    records = set(records_of(request.body))
    if area == "tooling" or rest.endswith("/describe"):
        kind = "schema"
    elif area == "sobjects" and parts and parts[0] in _RECORDS:
        kind = "read" if request.method == "GET" else "write"
        records |= set(parts[1:2]) - {"deleted", "updated"}
    elif area == "composite":
        kind = "read" if len(parts) == 2 and request.method in ("GET", "POST") else "write"
    elif rest.startswith("jobs/query") or (area in ("query", "queryAll") and parts):
        kind = "read"  # a bulk query, or a later page
    elif area == "jobs" and request.method == "PATCH":
        kind = "write"
        job = api.state.jobs.get(parts[1])
        if isinstance(job, Job):
            rows = csv.DictReader(io.StringIO(job.data or "", newline=""))
            records |= {str(row.get("Id")) for row in rows}
    elif area in ("query", "queryAll"):
        kind = "read" if re.search(rf"\bFROM ({'|'.join(_RECORDS)})\b", request.query) else "other"
        records |= set(re.findall(r"'([A-Za-z0-9]{18})'", request.query))
    return faults.Seen(request.method, request.path, kind, frozenset(records - {""}))
