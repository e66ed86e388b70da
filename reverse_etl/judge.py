"""What to do with one operation, seeing the CRM as it is now; and what became of it, seeing the CRM after the write.
Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from reverse_etl.canonical import lenient, same
from reverse_etl.crms.protocol import TRY_AGAIN, Change, CrmRecord, WriteOutcome
from reverse_etl.journal import IN_FLIGHT, Earlier

Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class ApplyOp:
    """What `apply` needs of an operation. `wire` is sent as it is; `may_write` is what decision and approval allow
    now."""

    op_id: str
    object_type: str
    record_id: str
    property: str
    value_type: str
    before: str | None
    last_written: str | None
    desired: str | None
    wire: str
    conflict_class: str
    subject_id: str | None = None
    may_write: bool = True
    earlier: Earlier | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """`write` to `target`, or an end without a write: its journal `state` and `result`.

    `version` is the record's, as it was read; `refusal` says why a write cannot even be tried.
    """

    action: Literal["write", "end"]
    crm_value: str | None = None
    before: str | None = None
    target: str = ""
    state: str = ""
    result: str = ""
    message: str | None = None
    version: str | None = None
    refusal: str | None = None


def _who(history: tuple[Change, ...]) -> str:
    if not history:
        return "somebody"
    newest = history[0]
    user = f" (user {newest.user})" if newest.user else ""
    return f"{newest.source or 'somebody'}{user} at {newest.changed_at or 'an unknown time'}"


def before_write(
    op: ApplyOp, found: CrmRecord | None, missing: str, native: frozenset[Key] | set[Key], claimed: Mapping[Key, str]
) -> Verdict:
    """Decide one operation against a fresh read: the three-way compare.

    Args:
        op: The operation.
        found: The record as it is now; None when it is gone.
        missing: Why it is gone.
        native: `(object type, record, property)` of every operation of the plan, for records merged into others.
        claimed: Fields of surviving records that an operation of a merged one has taken already.
    """
    earlier = op.earlier.state if op.earlier else ""
    if found is None:
        return Verdict(
            "end",
            state="rejected",
            result="refused",
            message=f"the record is {missing}",
            before=_first(op),
            refusal="converted" if missing.startswith("converted") else "gone",
        )
    current = lenient(op.value_type, found.values.get(op.property))
    first = _first(op) if earlier in IN_FLIGHT else current
    if found.id != op.record_id:
        key = (op.object_type, found.id, op.property)
        taken = key in native or claimed.get(key, op.op_id) != op.op_id
        if taken:
            return Verdict(
                "end",
                current,
                current,
                state="rejected",
                result="refused",
                message=f"merged into {found.id}, which has its own change of this field",
                refusal="gone",
            )
    if same(current, op.desired):
        if earlier in IN_FLIGHT:
            return Verdict(
                "end",
                current,
                first,
                state="verified",
                result="applied",
                message="found written when it was looked at again",
            )
        return Verdict("end", current, current, state="skipped_done", result="already_there")
    if not op.may_write:
        return Verdict(
            "end",
            current,
            first,
            state="skipped_unapproved",
            result="not_approved",
            message="interrupted before it was written; no longer allowed" if earlier else None,
        )
    ours = op.last_written is not None and op.conflict_class != "changed_by_other" and same(current, op.last_written)
    if same(current, op.before) or ours:
        merged = f"merged into {found.id}" if found.id != op.record_id else None
        return Verdict("write", current, first, target=found.id, message=merged, version=found.version)
    return Verdict(
        "end",
        current,
        first,
        state="skipped_conflict",
        result="conflict",
        message=f"changed since the plan by {_who(found.history.get(op.property, ()))}",
    )


def _first(op: ApplyOp) -> str | None:
    return op.earlier.first_crm_value if op.earlier else None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of a write as the read-back shows it; `again`: not there, and worth sending again (nobody knows why, or
    the record was locked or had moved on)."""

    again: bool
    state: str
    result: str
    crm_value: str | None
    message: str | None = None
    refusal: str | None = None
    version: str | None = None


def after_write(
    op: ApplyOp, previous: str | None, answer: WriteOutcome, found: CrmRecord | None, missing: str
) -> Outcome:
    """Classify one field after a write: only what is read back counts, whatever the CRM answered.

    Args:
        op: The operation.
        previous: The field's canonical value just before this write.
        answer: What the CRM answered.
        found: The record read back.
        missing: Why it could not be found.
    """
    said = answer.message or None
    if found is None:
        return Outcome(False, "mismatch", "refused", None, f"the record is {missing} after the write", "gone")
    current = lenient(op.value_type, found.values.get(op.property))
    if same(current, op.desired):
        message = (
            None if answer.state == "acknowledged" else f"the CRM answered {said or answer.state} and holds the value"
        )
        return Outcome(False, "verified", "applied", current, message)
    history = found.history.get(op.property, ())
    if not same(current, previous) and history and history[0].by_person:
        return Outcome(False, "mismatch", "conflict", current, f"changed right after the write by {_who(history)}")
    if not same(current, previous):
        return Outcome(False, "mismatch", "altered", current, "the CRM holds another value than the one sent")
    match answer.state:
        case "acknowledged":
            return Outcome(False, "mismatch", "ignored", current, "the CRM accepted the value and did not keep it")
        case "rejected":
            refusal = answer.refusal or "other"
            again = refusal in TRY_AGAIN
            return Outcome(again, "mismatch", "refused", current, said, refusal, found.version)
        case _:
            return Outcome(True, "unknown", "unknown", current, said, version=found.version)
