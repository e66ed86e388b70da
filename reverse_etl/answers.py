"""Read what people answered inside the CRM, and count only what a known person said about an open question.

An answer is one choice of an enumeration that people set by hand. No text of the record is ever read for a meaning: a
customer's words cannot approve anything. It counts when the question is still the one we wrote, the choice was made
after it, by a person, whom `approvals.yml` knows by their CRM user and lets decide, and the plan asked about still
stands. It then becomes a verdict like any other, on exactly the changes that the question named.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from nightdesk.errors import NightdeskError
from reverse_etl import audit
from reverse_etl.approve import approve, reject
from reverse_etl.asking import code_of, question_fields
from reverse_etl.canonical import lenient
from reverse_etl.gate import require_sealed, require_valid
from reverse_etl.select import Selection
from reverse_etl.store import Clock, NewId, first_event, insert, new_id, opened, rows, transaction, utc

if TYPE_CHECKING:
    import duckdb

    from nightdesk.policy import Policy
    from nightdesk.policy.models import AskedField
    from reverse_etl.crms.protocol import Change, CrmAdapter, CrmRecord

Outcome = Literal[
    "approved",
    "rejected",
    "not_a_person",
    "unknown_user",
    "wrong_role",
    "request_changed",
    "plan_gone",
    "expired",
    "brake_on",
    "unanswered",
]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
_USER_PREFIX = "userId:"

# Questions that reached the CRM: the newest per record, unless what it asked about is known to be over.
_OPEN_SQL = f"""
with written as (
    select plan_ops.op_id, plan_ops.crm, plan_ops.object_type, plan_ops.record_id, plan_ops.property,
        plan_ops.desired_value, plan_ops.evidence::varchar as evidence, plans.plan_id as review_plan_id,
        plans.rolls_back_run_id as plan_id, plans.kind, {first_event("apply_runs.apply_run_id")} as heard
    from op_results
    inner join apply_runs using (apply_run_id)
    inner join plan_ops on plan_ops.plan_id = apply_runs.plan_id and plan_ops.op_id = op_results.op_id
    inner join plans on plans.plan_id = plan_ops.plan_id
    where not apply_runs.dry_run and op_results.result in ('applied', 'already_there')
        and plan_ops.operation = 'review' and plan_ops.crm = ?
    qualify row_number() over (
        partition by plan_ops.object_type, plan_ops.record_id, plan_ops.property order by heard desc
    ) = 1
)
select * from written
where kind = 'review' and coalesce(desired_value, '') <> '' and not exists (
    select 1 from review_answers
    where review_answers.review_plan_id = written.review_plan_id and review_answers.op_id = written.op_id
        and outcome in ('plan_gone', 'expired')
)
order by object_type, length(record_id), record_id
"""


@dataclass(frozen=True, slots=True)
class Question:
    """A question that stands in the CRM. `op_ids` are the changes it named."""

    review_plan_id: str
    op_id: str
    plan_id: str
    crm: str
    object_type: str
    record_id: str
    property: str
    text: str
    op_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one question."""

    question: Question
    outcome: Outcome
    answer: str | None = None
    crm_user: str | None = None
    answered_at: datetime | None = None
    approver: str | None = None
    role: str | None = None
    approval_id: str | None = None
    message: str | None = None

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What makes it the same answer when it is read again."""
        at = utc(self.answered_at).isoformat() if self.answered_at else ""
        return self.question.review_plan_id, self.question.op_id, self.crm_user or "", at


@dataclass(frozen=True, slots=True)
class AnswersReport:
    """Questions that stood open, by what became of them: `counts` and `known` (counted earlier) add up to them."""

    questions: int
    counts: Mapping[str, int]
    known: int
    answers: tuple[Answer, ...] = field(default=())

    def as_json(self) -> dict[str, Any]:
        """The numbers, and every answer that is not `unanswered`."""
        return {
            "questions": self.questions,
            "counts": dict(self.counts),
            "counted_before": self.known,
            "answers": [
                {
                    "record": f"{one.question.object_type}:{one.question.record_id}",
                    "outcome": one.outcome,
                    "answer": one.answer,
                    "approver": one.approver,
                    "crm_user": one.crm_user,
                    "answered_at": one.answered_at.isoformat() if one.answered_at else None,
                    "changes": len(one.question.op_ids),
                    "plan_id": one.question.plan_id,
                    "message": one.message,
                }
                for one in self.answers
                if one.outcome != "unanswered"
            ],
        }


def read_answers(
    ledger: Path | duckdb.DuckDBPyConnection,
    adapter: CrmAdapter,
    policy: Policy,
    clock: Clock,
    *,
    ids: NewId = new_id,
) -> AnswersReport:
    """Read every open question fresh, with its history, and turn the answers that count into verdicts.

    Args:
        ledger: The ledger.
        adapter: The CRM.
        policy: Who may answer, and the policy the plans asked about must still stand under.
        clock: Now, in UTC.
        ids: New ids.

    Raises:
        NightdeskError: The CRM cannot be read, or the ledger not written. Nothing is half counted: what was not
            recorded is read again.
    """
    with opened(ledger) as con:
        questions, gone = _open_questions(con, adapter.crm)
        standing, over = _by_plan(con, questions, policy, clock)
        answered = [*gone, *over]
        fields = question_fields(policy.mapping(adapter.crm))
        for question, record, missing in _read(standing, adapter, fields):
            pair = fields.get(question[0].object_type)
            answered.append(_judge(question, record, missing, pair[1].property if pair else "", policy))
        heard = _heard(con)
        known = [one for one in answered if one.outcome in ("approved", "rejected") and one.key in heard]
        fresh = [one for one in answered if one not in known]
        told = _verdicts(con, fresh, policy, clock, ids)
        _keep(con, [*told, *known], clock)
        counts = Counter(one.outcome for one in told)
        return AnswersReport(
            len(questions) + len(gone),
            {name: counts[name] for name in OUTCOMES if counts[name]},
            len(known),
            tuple(told),
        )


def _open_questions(con: duckdb.DuckDBPyConnection, crm: str) -> tuple[list[Question], list[Answer]]:
    """Open questions as their sealed plan holds them; those whose plan is no longer what was sealed are gone."""
    sound: dict[str, str | None] = {}
    questions: list[Question] = []
    gone: list[Answer] = []
    for row in rows(con, _OPEN_SQL, [crm]):
        evidence: list[dict[str, Any]] = json.loads(row.pop("evidence"))
        review = str(row["review_plan_id"])
        if review not in sound:
            try:
                require_sealed(con, review)
                sound[review] = None
            except NightdeskError as error:
                sound[review] = error.what
        question = Question(
            review,
            row["op_id"],
            str(row["plan_id"] or ""),
            row["crm"],
            row["object_type"],
            row["record_id"],
            row["property"],
            row["desired_value"],
            tuple(str(item["id"]) for item in evidence),
        )
        problem = sound[review]
        if problem is None:
            questions.append(question)
        else:
            gone.append(Answer(question, "plan_gone", message=problem))
    return questions, gone


def _by_plan(
    con: duckdb.DuckDBPyConnection, questions: Sequence[Question], policy: Policy, clock: Clock
) -> tuple[list[tuple[Question, str]], list[Answer]]:
    """Questions whose plan still stands, with its digest; and the ends of those whose plan does not."""
    plans: dict[str, tuple[str, Answer | None]] = {}
    standing: list[tuple[Question, str]] = []
    over: list[Answer] = []
    for question in questions:
        if question.plan_id not in plans:
            plans[question.plan_id] = _plan(con, question, policy, clock)
        digest, end = plans[question.plan_id]
        if end is None:
            standing.append((question, digest))
        else:
            over.append(replace(end, question=question))
    return standing, over


def _plan(
    con: duckdb.DuckDBPyConnection, question: Question, policy: Policy, clock: Clock
) -> tuple[str, Answer | None]:
    found = con.execute("select digest, expires_at from plans where plan_id = ?", [question.plan_id]).fetchone()
    if found is None:
        return "", Answer(question, "plan_gone", message="there is no such plan")
    if utc(found[1]) <= utc(clock()):
        return "", Answer(question, "expired", message=f"the plan expired at {utc(found[1]):%Y-%m-%d %H:%M} UTC")
    try:
        return require_valid(con, question.plan_id, policy, clock).digest, None
    except NightdeskError as error:
        return "", Answer(question, "plan_gone", message=error.what)


def _read(
    questions: Sequence[tuple[Question, str]],
    adapter: CrmAdapter,
    fields: Mapping[str, tuple[AskedField, AskedField]],
) -> list[tuple[tuple[Question, str], CrmRecord | None, str]]:
    """Every record that was asked about, as it is now, with the history of question and answer."""
    by_type: dict[str, list[tuple[Question, str]]] = {}
    for item in questions:
        by_type.setdefault(item[0].object_type, []).append(item)
    found: list[tuple[tuple[Question, str], CrmRecord | None, str]] = []
    for object_type, items in sorted(by_type.items()):
        if object_type not in fields:
            found += [(item, None, "not asked about any more") for item in items]
            continue
        names = [one.property for one in fields[object_type]]
        for start in range(0, len(items), adapter.batch_size):
            part = items[start : start + adapter.batch_size]
            read = adapter.read(object_type, [item[0].record_id for item in part], names, history=True)
            for item in part:
                name = item[0].record_id
                found.append((item, read.found.get(name), read.missing.get(name, "not in the CRM")))
    return found


def _judge(
    asked: tuple[Question, str],
    record: CrmRecord | None,
    missing: str,
    answer_property: str,
    policy: Policy,
) -> Answer:
    """What one record says about its question. An approval or rejection here still has to pass the gates."""
    question, digest = asked
    if record is None:
        return Answer(question, "request_changed", message=f"the record is {missing}")
    if record.id != question.record_id:
        return Answer(question, "request_changed", message=f"the record was merged into {record.id}")
    asked_at, problem = _asked_at(question, digest, record)
    if asked_at is None:
        return Answer(question, "request_changed", message=problem)
    history = record.history.get(answer_property, ())
    value = record.values.get(answer_property) or ""
    newest = _newest(history)
    if value not in ("approve", "reject") or newest is None or newest.value != value:
        return Answer(question, "unanswered")
    answered_at = _moment(newest.changed_at)
    if answered_at is None or answered_at <= asked_at:
        return Answer(question, "unanswered", message="the answer is to an earlier question")
    user = newest.user.removeprefix(_USER_PREFIX)
    said = Answer(question, "unanswered", value, user, answered_at)
    if not newest.by_person:
        return replace(said, outcome="not_a_person", message=f"set by {newest.source or 'an unknown source'}")
    approver = policy.approvals.of_crm_user(question.crm, user)
    if approver is None:
        return replace(
            said,
            outcome="unknown_user",
            message=f"user {user or '(unnamed)'} of {question.crm} is nobody in approvals.yml",
        )
    role = next((role for role in approver.roles if role in policy.approvals.roles), None)
    said = replace(said, approver=approver.name, role=role)
    if role is None:
        return replace(said, outcome="wrong_role", message=f"{approver.name} has no role that decides")
    return replace(said, outcome="approved" if value == "approve" else "rejected")


def _asked_at(question: Question, digest: str, record: CrmRecord) -> tuple[datetime | None, str]:
    """When our question was set, by the CRM's clock; None and why when it is not our question any more."""
    text = lenient("text", record.values.get(question.property))
    code = code_of(digest, question.object_type, question.record_id, question.op_ids)
    if text != question.text or code not in question.text:
        return None, "the question is not the one we wrote"
    newest = _newest(record.history.get(question.property, ()))
    if newest is None or lenient("text", newest.value) != question.text:
        return None, "the CRM does not say when the question was set"
    if newest.by_person:
        return None, "a person set the question"
    asked_at = _moment(newest.changed_at)
    return (asked_at, "") if asked_at else (None, "the CRM does not say when the question was set")


def _newest(history: Sequence[Change]) -> Change | None:
    """The last change, whatever order the CRM sends them in; among equal times the first one sent."""
    dated = [(moment, -place, change) for place, change in enumerate(history) if (moment := _moment(change.changed_at))]
    return max(dated, key=lambda item: item[:2])[2] if dated else None


def _moment(text: str) -> datetime | None:
    """A history's time: ISO text or milliseconds since 1970."""
    try:
        if text.isdigit():
            return datetime.fromtimestamp(int(text) / 1000, tz=UTC)
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError):
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


# what counted ---------------------------------------------------------------------------------------------------------


def _heard(con: duckdb.DuckDBPyConnection) -> set[tuple[str, str, str, str]]:
    """Answers that have become verdicts already, as the audit trail has them: a verdict and its answers are one
    event."""
    found = con.execute(
        "select json_extract(body, '$.answers')::varchar from audit_events "
        "where action in ('approved', 'rejected') and json_extract_string(body, '$.via') = 'crm'"
    ).fetchall()
    return {(a[0], a[1], a[2], a[3]) for (text,) in found if text for a in json.loads(text)}


def _verdicts(
    con: duckdb.DuckDBPyConnection, answers: Sequence[Answer], policy: Policy, clock: Clock, ids: NewId
) -> list[Answer]:
    """One verdict per plan, person and word, on exactly the changes of the questions they answered."""
    groups: dict[tuple[str, str, str, str], list[Answer]] = {}
    told: list[Answer] = []
    for one in answers:
        if one.outcome in ("approved", "rejected") and one.approver and one.role:
            groups.setdefault((one.question.plan_id, one.outcome, one.approver, one.role), []).append(one)
        else:
            told.append(one)
    for (plan_id, word, approver, role), group in groups.items():
        ops = Selection.ops(dict.fromkeys(op for one in group for op in one.question.op_ids))
        give = approve if word == "approved" else reject
        try:
            report = give(
                con,
                plan_id,
                ops,
                approver,
                role,
                policy,
                clock,
                ids=ids,
                via="crm",
                answers=[list(one.key) for one in group],
            )
        except NightdeskError as error:
            outcome: Outcome = {3: "brake_on", 5: "wrong_role"}.get(error.exit_code, "plan_gone")  # pyright: ignore[reportAssignmentType]
            told += [replace(one, outcome=outcome, message=error.what) for one in group]
        else:
            told += [replace(one, approval_id=report.approval_id) for one in group]
    return told


def _keep(con: duckdb.DuckDBPyConnection, answers: Sequence[Answer], clock: Clock) -> None:
    """Append what is news to `review_answers`, and one audit event about it."""
    stored = {
        (row[0], row[1], row[2] or "", utc(row[3]).isoformat() if row[3] else "", row[4])
        for row in con.execute(
            "select review_plan_id, op_id, crm_user, answered_at, outcome from review_answers"
        ).fetchall()
    }
    news = [one for one in answers if one.outcome != "unanswered" and (*one.key, one.outcome) not in stored]
    if not news:
        return
    now = utc(clock())
    counts = Counter(one.outcome for one in news)
    with transaction(con):
        audit.append(
            con,
            clock,
            "nightdesk",
            "answers_read",
            news[0].question.crm,
            {"counts": dict(counts), "answers": [[*one.key, one.outcome] for one in news]},
        )
        insert(
            con,
            "review_answers",
            {
                "review_plan_id": [one.question.review_plan_id for one in news],
                "op_id": [one.question.op_id for one in news],
                "plan_id": [one.question.plan_id for one in news],
                "crm": [one.question.crm for one in news],
                "object_type": [one.question.object_type for one in news],
                "record_id": [one.question.record_id for one in news],
                "answer": [one.answer for one in news],
                "crm_user": [one.crm_user for one in news],
                "answered_at": [one.answered_at for one in news],
                "outcome": [one.outcome for one in news],
                "approval_id": [one.approval_id for one in news],
                "message": [one.message for one in news],
                "recorded_at": [now] * len(news),
            },
        )
    audit.anchor(con, clock)


__all__ = ["OUTCOMES", "Answer", "AnswersReport", "Question", "read_answers"]
