"""Fault files: what is to go wrong between a client and a sandbox CRM, on which request; the same words for every CRM.

A file is a seed and a list of faults. Which requests a fault strikes is said by `when` in words that hold for any CRM
(the kind of request, the record in it, the second one of its kind). What the client then sees is spelled by each
sandbox in its own CRM's way. Lists of faults are read here and their turns are counted here; see docs/faults.md.
"""

from __future__ import annotations

import random
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, cast, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from nightdesk.errors import NightdeskError

# read: records by id; write: records changed or created; search: an index; schema: fields and their definitions.
Kind = Literal["read", "write", "search", "schema", "other"]


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as far as `when` looks at it. `records` are the ids in it, as the client wrote them."""

    method: str
    path: str
    kind: Kind
    records: frozenset[str] = frozenset()


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)


class When(_Strict):
    """Which requests a fault strikes. All that is given must fit; the requests that fit are counted from 1.

    Attributes:
        kind: The kind of request; unless given, the one the fault is about.
        path: A regular expression searched in the path.
        method: The HTTP method.
        record: The id of a record the request must be about.
        after: Only once a request of this kind has come: `read` after `write` is a read-back.
        kth: The first of the fitting requests concerned, from 1.
        times: How many from there on; null means all.
        share: The chance of each of those, drawn from the file's seed.
    """

    kind: Kind | None = None
    path: str = ""
    method: str | None = None
    record: str | None = None
    after: Literal["read", "write"] | None = None
    kth: int = Field(default=1, ge=1)
    times: int | None = Field(default=1, ge=1)
    share: float = Field(default=1.0, gt=0, le=1)

    @field_validator("path")
    @classmethod
    def _is_expression(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"is not a regular expression: {error}") from error
        return value

    def says(self) -> str:
        """The same in words."""
        ending = {1: "st", 2: "nd", 3: "rd"}.get(self.kth % 10 if self.kth % 100 not in (11, 12, 13) else 0, "th")
        numbers = (
            f"from the {self.kth}{ending} on"
            if self.times is None
            else f"the {self.kth}{ending}"
            if self.times == 1
            else f"{self.times} from the {self.kth}{ending} on"
        )
        parts = [
            f"{self.method or ''} {self.kind or 'any'} request".strip(),
            f"with {self.path} in its path" if self.path else "",
            f"about record {self.record}" if self.record else "",
            f"after a {self.after}" if self.after else "",
            f"({numbers}{'' if self.share >= 1 else f', {self.share:.0%} of them'})",
        ]
        return " ".join(part for part in parts if part)


class _Fault(_Strict):
    """What all faults have: where they strike. `about` is the kind of request that is meant unless `when` says so."""

    about: ClassVar[Kind | None] = None
    lasting: ClassVar[bool] = False  # strikes every fitting request unless `when.times` is given
    happens: ClassVar[str] = ""
    when: When = When()

    @property
    def applies(self) -> When:
        """`when` with this fault's own kind and duration filled in where the file is silent."""
        given = self.when.model_fields_set
        more: dict[str, Any] = {}
        if "kind" not in given and not self.when.path:
            more["kind"] = self.about
        if self.lasting and "times" not in given:
            more["times"] = None
        return self.when.model_copy(update=more)

    def says(self) -> str:
        """One sentence for the person who serves the file."""
        details = ", ".join(
            f"{name}={value if not isinstance(value, tuple) else '/'.join(cast('tuple[str, ...]', value))}"
            for name, value in self
            if name not in ("fault", "when") and value not in (None, ())
        )
        return f"{cast('Any', self).fault}: {self.happens}{f' ({details})' if details else ''}; {self.applies.says()}"


class _Records(_Fault):
    """A fault of some of a request's records: those listed (all unless given), each with a chance."""

    records: tuple[str, ...] = ()
    share_of_records: float = Field(default=1.0, gt=0, le=1)

    def chosen(self, ids: Iterable[str], draw: random.Random) -> list[str]:
        """Which of a request's records it strikes, in their order."""
        listed = [one for one in ids if not self.records or one in self.records]
        return [one for one in listed if self.share_of_records >= 1 or draw.random() < self.share_of_records]


class _Property(_Fault):
    object_type: str
    property: str


class _Record(_Fault):
    object_type: str
    record: str


# the CRM does not answer, or not with what was asked ------------------------------------------------------------------


class RateLimit(_Fault):
    """Too many requests. Without `retry_after` the CRM does not say when to come back; `daily` is the day's quota."""

    happens = "refused for the rate"
    fault: Literal["rate_limit"]
    retry_after: float | None = Field(default=None, ge=0)
    daily: bool = False


class ServerError(_Fault):
    """A 5xx; with `committed` the work is done all the same and only its answer is lost."""

    happens = "answered with a server error"
    fault: Literal["server_error"]
    status: Literal[500, 502, 503, 504] = 503
    committed: bool = False


class Drop(_Fault):
    """The connection is closed without an answer, before the work or (`committed`) after it."""

    happens = "connection closed without an answer"
    fault: Literal["drop"]
    committed: bool = True


class Cut(_Fault):
    """The work is done, and the connection breaks after this share of the answer's body."""

    happens = "connection reset in the middle of the answer"
    fault: Literal["cut"]
    keep: float = Field(default=0.5, ge=0, lt=1)


class Delay(_Fault):
    """The work is done late or, with `committed`, at once and answered late. A client that gave up sees neither."""

    happens = "late"
    fault: Literal["delay"]
    seconds: float = Field(gt=0)
    committed: bool = False


class Unauthorised(_Fault):
    """The token is refused: once, or with `when: {times: null}` from there on."""

    happens = "token refused"
    fault: Literal["unauthorised"]


class TokenExpires(_Fault):
    """From the struck request on the token is no longer valid; `renewed` is one that is."""

    happens = "the token expires"
    fault: Literal["token_expires"]
    renewed: str | None = None


class MissingScope(_Fault):
    """The token may not do this; lasting."""

    lasting = True
    happens = "a right is missing"
    fault: Literal["missing_scope"]
    scope: str = ""


# the answer to a write is not what it should be -----------------------------------------------------------------------

Reason = Literal[
    "bad_value", "no_right", "gone", "converted", "stale", "duplicate", "locked", "schema", "automation", "other"
]


class RefuseRecords(_Records):
    """Some records of a batch are refused, the others written. `status` is that of the whole answer."""

    about = "write"
    happens = "some records refused"
    fault: Literal["refuse_records"]
    reason: Reason = "bad_value"
    status: Literal[200, 207] = 207


class RejectBatch(_Records):
    """A batch is refused as a whole because of what these records carry; batches without them pass."""

    about = "write"
    lasting = True
    happens = "the whole batch refused because of some records"
    fault: Literal["reject_batch"]
    reason: Literal["bad_value", "schema", "duplicate"] = "schema"


class EmptyAnswer(_Fault):
    """Success, with neither results nor errors; unless `committed`, nothing was done."""

    about = "write"
    happens = "an empty success"
    fault: Literal["empty_answer"]
    committed: bool = True


class OmitResults(_Records):
    """Everything is done; some records are in neither the results nor the errors."""

    about = "write"
    happens = "some results left out"
    fault: Literal["omit_results"]


class ExtraResults(_Fault):
    """Everything is done; the first result comes twice, or one comes of a record nobody asked about."""

    about = "write"
    happens = "more results than inputs"
    fault: Literal["extra_results"]
    of: Literal["same", "other"] = "same"


class ShuffleResults(_Fault):
    """Everything is done; results and errors come in another order."""

    about = "write"
    lasting = True
    happens = "results in another order"
    fault: Literal["shuffle_results"]


class TraceIds(_Fault):
    """Everything is done; the ids that tie results and errors to inputs are missing, or all the same."""

    about = "write"
    happens = "trace ids not usable"
    fault: Literal["trace_ids"]
    mode: Literal["missing", "duplicated"] = "missing"


# something changes in the CRM, just before the struck request is worked on --------------------------------------------


class PropertyArchived(_Property):
    """A field is archived."""

    happens = "a field is archived"
    fault: Literal["property_archived"]


class PropertyRenamed(_Property):
    """A field gets another name: the old one is gone."""

    happens = "a field is renamed"
    fault: Literal["property_renamed"]
    to: str


class PropertyReadOnly(_Property):
    """A field can no longer be written."""

    happens = "a field becomes read-only"
    fault: Literal["property_read_only"]


class PropertyRetyped(_Property):
    """A field gets another type."""

    happens = "a field gets another type"
    fault: Literal["property_retyped"]
    to: Literal["number", "text", "date", "boolean", "enumeration"]


class OptionRemoved(_Property):
    """A choice disappears from a field."""

    happens = "an option is removed"
    fault: Literal["option_removed"]
    option: str


class FieldHidden(_Property):
    """The user we write as no longer sees a field."""

    happens = "a field is hidden from us"
    fault: Literal["field_hidden"]


class RecordArchived(_Record):
    """A person deletes a record."""

    happens = "a record is archived"
    fault: Literal["record_archived"]


class RecordMerged(_Record):
    """A person merges a record into another; with `new_id` both go into a new one."""

    happens = "a record is merged"
    fault: Literal["record_merged"]
    into: str
    new_id: bool = False


class RecordRecreated(_Record):
    """A person deletes a record and makes it again: the same values under another id."""

    happens = "a record is deleted and made again"
    fault: Literal["record_recreated"]


class PersonEdits(_Record):
    """A person changes a value, just before the struck request is worked on or just after."""

    happens = "a person edits"
    fault: Literal["person_edits"]
    property: str
    value: str
    moment: Literal["before", "after"] = "before"


class Automation(_Fault):
    """The CRM's own code: whenever `field` is written, it sets `sets` (perhaps `field` itself: a rewrite)."""

    about = "write"
    lasting = True
    happens = "a workflow runs"
    fault: Literal["automation"]
    object_type: str
    field: str
    sets: str
    to: str


class Normalise(_Property):
    """The CRM keeps another spelling than the one that was sent."""

    about = "write"
    lasting = True
    happens = "values are normalised"
    fault: Literal["normalise"]
    how: Literal["trim", "squeeze", "lower", "email", "phone"] = "trim"


# time -----------------------------------------------------------------------------------------------------------------


class SearchLag(_Fault):
    """From the struck request on, writes show in search only after this long."""

    happens = "search lags"
    fault: Literal["search_lag"]
    seconds: float = Field(ge=0)


class ClockSkew(_Fault):
    """From the struck request on, the CRM's clock is off by this much; negative is behind."""

    happens = "the CRM's clock is off"
    fault: Literal["clock_skew"]
    seconds: float


# a bulk interface, and keys that several records share ----------------------------------------------------------------


class AmbiguousKey(_Fault):
    """Several records have the key that was asked for."""

    about = "write"
    happens = "several records share the key"
    fault: Literal["ambiguous_key"]


class BulkJobEnds(_Fault):
    """A bulk job ends early: only its first rows were worked on, the rest is unprocessed."""

    about = "write"
    happens = "a bulk job ends early"
    fault: Literal["bulk_job_ends"]
    state: Literal["Failed", "Aborted"] = "Failed"
    processed: int = Field(default=0, ge=0)


class BulkJobWaits(_Fault):
    """The bulk query job asked for stays at work for this many looks at its state; without `looks`, for ever."""

    about = "read"
    happens = "a bulk job takes its time"
    fault: Literal["bulk_job_waits"]
    looks: int | None = Field(default=None, ge=0)


class CursorExpires(_Fault):
    """What leads to the next pages of queries is forgotten, just before the struck request is worked on."""

    about = "read"
    happens = "the next pages are forgotten"
    fault: Literal["cursor_expires"]


AnyFault = (
    RateLimit | ServerError | Drop | Cut | Delay | Unauthorised | TokenExpires | MissingScope
    | RefuseRecords | RejectBatch | EmptyAnswer | OmitResults | ExtraResults | ShuffleResults | TraceIds
    | PropertyArchived | PropertyRenamed | PropertyReadOnly | PropertyRetyped | OptionRemoved | FieldHidden
    | RecordArchived | RecordMerged | RecordRecreated | PersonEdits | Automation | Normalise
    | SearchLag | ClockSkew | AmbiguousKey | BulkJobEnds | BulkJobWaits | CursorExpires
)  # fmt: skip
MODELS: dict[str, type[_Fault]] = {get_args(m.model_fields["fault"].annotation)[0]: m for m in get_args(AnyFault)}
NAMES = frozenset(MODELS)


class FaultFile(_Strict):
    """A whole file: a seed for everything that is left to chance, and the faults in the order they are tried."""

    seed: int = 7
    faults: tuple[Annotated[AnyFault, Field(discriminator="fault")], ...] = ()


def fault(name: str, **parameters: Any) -> AnyFault:
    """One fault by its name, as in a file.

    Raises:
        NightdeskError: There is no such fault, or a parameter does not fit.
    """
    return parse({"faults": [{"fault": name, **parameters}]}).faults[0]


def load(path: Path, supported: Collection[str] = NAMES) -> FaultFile:
    """Read a fault file.

    Args:
        path: A YAML file.
        supported: The faults this CRM's sandbox can do.

    Raises:
        NightdeskError: It cannot be read, or something in it is not known; one message that names the place.
    """
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise NightdeskError(f"The fault file cannot be read: {error.strerror}", where=str(path)) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        raise NightdeskError(
            "The fault file is not YAML", where=f"{path}{'' if line is None else f', line {line + 1}'}"
        ) from error
    return parse(content, supported, where=str(path))


def parse(content: Any, supported: Collection[str] = NAMES, where: str = "fault file") -> FaultFile:
    """A fault file's content, checked.

    Raises:
        NightdeskError: One message that names the first thing that is not known, and what there is.
    """
    try:
        found = FaultFile.model_validate(content)
    except ValidationError as error:
        raise _explained(error, where) from error
    for number, one in enumerate(found.faults, 1):
        if one.fault not in supported:
            raise NightdeskError(
                f"This sandbox cannot do the fault `{one.fault}`",
                where=f"{where}, fault {number}",
                todo=f"It can do: {', '.join(sorted(supported))}.",
            )
    return found


def _explained(error: ValidationError, where: str) -> NightdeskError:
    first = error.errors(include_url=False)[0]
    # pydantic puts the fault's name into the place of an error inside of it; people count from 1
    path = list(first["loc"])
    number = next((part for part in path if isinstance(part, int)), None)
    name = next((part for part in path if part in MODELS), None)
    place = where if number is None else f"{where}, fault {number + 1}{f' ({name})' if name else ''}"
    keys = [str(part) for part in path if not isinstance(part, int) and part not in ("faults", name)]
    key, todo = ".".join(keys), "See docs/faults.md."
    match first["type"]:
        case "union_tag_invalid":
            what = f"There is no fault `{first.get('ctx', {}).get('tag')}`"
            todo = f"There are: {', '.join(sorted(NAMES))}."
        case "union_tag_not_found":
            what = "`fault:` is missing; it names what is to go wrong"
        case "extra_forbidden":
            model: type[BaseModel] = When if keys[:1] == ["when"] else MODELS[str(name)] if name else FaultFile
            what = f"`{key}` is not known there"
            todo = f"There are: {', '.join(sorted(model.model_fields))}."
        case "missing":
            what = f"`{key}` is missing"
        case "model_type" if not keys:
            what = "A fault file holds `seed` and `faults`, a list"
        case "model_type" | "model_attributes_type":
            what = "A fault is `fault: <name>` and what belongs to it"
        case _:
            what = f"`{key}`: {first['msg'].removeprefix('Value error, ')}"
    return NightdeskError(what, where=place, todo=todo)


class Turns:
    """Counts the requests that fit each fault and says which faults strike this one; the same seed, the same answer.

    Args:
        faults: In the order they are tried.
        seed: For every share.
    """

    def __init__(self, faults: Sequence[AnyFault], seed: int = 7) -> None:
        self.draw = random.Random(seed)
        self._faults = tuple((one, one.applies) for one in faults)
        self._fitted = [0] * len(self._faults)
        self._seen: set[str] = set()

    def due(self, request: Seen) -> list[AnyFault]:
        """The faults that strike this request. Call it once per request, as it comes in."""
        found = [one for n, (one, when) in enumerate(self._faults) if self._strikes(n, when, request)]
        self._seen.add(request.kind)
        return found

    def _strikes(self, n: int, when: When, request: Seen) -> bool:
        fits = (
            when.kind in (None, request.kind)
            and (when.method or request.method).upper() == request.method.upper()
            and (when.record is None or when.record in request.records)
            and (when.after is None or when.after in self._seen)
            and re.search(when.path, request.path) is not None
        )
        if not fits:
            return False
        self._fitted[n] += 1
        number, last = self._fitted[n], None if when.times is None else when.kth + when.times - 1
        in_turn = number >= when.kth and (last is None or number <= last)
        return in_turn and (when.share >= 1 or self.draw.random() < when.share)
