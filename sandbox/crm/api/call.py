"""What a handler gets and what it answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.crm import catalog
from sandbox.crm.associations import AssociationTypes
from sandbox.crm.clock import iso
from sandbox.crm.errors import ApiError, invalid
from sandbox.crm.store import Store
from sandbox.crm.values import Externals, Problem
from sandbox.crm.wire import as_object, as_objects, as_strings
from sandbox.crm.writes import Origin

MAX_BATCH = 100


@dataclass(frozen=True, slots=True)
class Reply:
    """Status and JSON payload (None: no body)."""

    status: int
    payload: Any = None


@dataclass(frozen=True, slots=True)
class Call:
    """One authenticated request.

    Attributes:
        query: Query parameters, each with all its values.
        body: Parsed JSON, None without a body.
        now: Sandbox time, epoch ms, the same for everything this request writes.
    """

    store: Store
    method: str
    path: str
    params: Mapping[str, str]
    query: Mapping[str, list[str]]
    body: Any
    now: int
    request_id: str
    app_id: str = "nightdesk"
    merge_new_id: bool = False

    @property
    def origin(self) -> Origin:
        return Origin("INTEGRATION", self.app_id, "", self.method, self.path, self.request_id)

    @property
    def object_type(self) -> str:
        return plural(self.params["object_type"])

    def flag(self, name: str) -> bool:
        return self.query.get(name, ["false"])[-1].lower() == "true"

    def text(self, name: str) -> str | None:
        found = self.query.get(name)
        return found[-1] if found else None

    def names(self, name: str) -> list[str]:
        """A list parameter, given repeatedly or comma-separated."""
        return [part for value in self.query.get(name, []) for part in value.split(",") if part]

    def number(self, name: str, default: int, low: int, high: int) -> int:
        text = self.text(name)
        try:
            value = default if text is None else int(text)
        except ValueError as error:
            raise invalid(f"{name} must be a whole number") from error
        if not low <= value <= high:
            raise invalid(f"{name} must be between {low} and {high}, got {value}")
        return value

    def json(self) -> dict[str, Any]:
        """The body, which must be a JSON object."""
        body = as_object(self.body)
        if body is None:
            raise invalid("Invalid input JSON: expected an object")
        return body

    def strings(self, name: str) -> list[str]:
        """A list of strings in the body, empty when it is not given."""
        found = as_strings(self.json().get(name) or [])
        if found is None:
            raise invalid(f"Invalid input JSON: {name} must be a list of strings")
        return found

    def inputs(self, limit: int = MAX_BATCH) -> list[dict[str, Any]]:
        """The inputs of a batch request.

        Raises:
            ApiError: 400 when there are none, too many, or one is not an object.
        """
        found = as_objects(self.json().get("inputs"))
        if found is None:
            raise invalid("Invalid input JSON: inputs must be a list of objects")
        if not found:
            raise invalid("The inputs list must not be empty")
        if len(found) > limit:
            raise invalid(f"The maximum number of inputs supported in a batch request is {limit}, got {len(found)}")
        return found


def plural(name: str) -> str:
    """The object type of a plural, singular or numeric name.

    Raises:
        ApiError: 400, HubSpot's answer to a type it does not know.
    """
    found = catalog.ALIASES.get(name.lower())
    if found is None:
        raise invalid(f"Unable to infer object type from: {name}")
    return found


def record_id(raw: Any) -> int | None:
    """The integer of a record id as sent; None for what cannot be one."""
    text = str(raw).strip() if isinstance(raw, (str, int)) and not isinstance(raw, bool) else ""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None


def id_property(body: Mapping[str, Any]) -> str | None:
    """The `idProperty` of a body or an input; None when it is not given.

    Raises:
        ApiError: 400, it is not a string.
    """
    found = body.get("idProperty") or None
    if found is not None and not isinstance(found, str):
        raise invalid("Invalid input JSON: idProperty must be a string")
    return found


def batch_reply(
    call: Call, results: list[dict[str, Any]], errors: list[dict[str, Any]], *, success: int = 200
) -> Reply:
    """The answer of a batch request: 207 as soon as one input failed."""
    stamp = iso(call.now)
    payload: dict[str, Any] = {
        "status": "COMPLETE",
        "results": results,
        "startedAt": stamp,
        "completedAt": iso(call.store.now_ms()),
    }
    if not errors:
        return Reply(success, payload)
    return Reply(207, payload | {"numErrors": len(errors), "errors": errors})


def refused(problems: Iterable[Problem]) -> ApiError:
    """400 in HubSpot's words for values that do not fit their properties."""
    details = [problem.detail() for problem in problems]
    listed = "; ".join(detail["message"] for detail in details[:5])
    return invalid(f"Property values were not valid: {listed}", errors=details)


def association_types(store: Store) -> AssociationTypes:
    """The store's association types, cached."""
    return store.cached("association types", lambda: AssociationTypes(store))


def externals(store: Store) -> Externals:
    """Allowed values of properties whose options are owners, pipelines or stages."""

    def build() -> Externals:
        pipelines = [p for t in catalog.OBJECT_TYPES for p in store.pipelines(t)]
        return {
            "OWNER": frozenset(owner["id"] for owner in store.owners()),
            "PIPELINE": frozenset(pipeline["id"] for pipeline in pipelines),
            "PIPELINE_STAGE": frozenset(stage["id"] for pipeline in pipelines for stage in pipeline["stages"]),
        }

    return store.cached("externals", build)
