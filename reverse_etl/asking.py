"""Ask inside the CRM: a text on the record says what is proposed, and a person answers beside it.

The question is written like everything else: a plan (kind `review`) of one operation per record, decided by a named
rule, applied, read back, audited and rolled back. Who was asked about what is part of that plan's sealed operations, so
an answer can only ever mean the changes that the question named. `answers.py` reads what people answered.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nightdesk.errors import NightdeskError
from reverse_etl import consent, decide, schema
from reverse_etl.arrow import pyarrow
from reverse_etl.canonical import lenient, strict
from reverse_etl.digest import OP_COLUMNS, OP_ID_COLUMNS, encode, row_hash_sql, sha256
from reverse_etl.gate import VERDICTS_SQL, accepted_guards, require_guards, require_valid
from reverse_etl.plan import PlanSummary, store_plan
from reverse_etl.records import SINGULARS, canonical_id
from reverse_etl.select import Selection
from reverse_etl.staging import conflict_class
from reverse_etl.store import Clock, first_event, opened, rows, transaction, utc

if TYPE_CHECKING:
    import duckdb

    from nightdesk.policy import Policy
    from nightdesk.policy.models import AskedField, FieldMapping
    from reverse_etl.crms.protocol import CrmAdapter, CrmRecord

OPERATION = "review"
RULE_ASK, RULE_CLEAR, RULE_CHANGED = "ask_in_review_field", "question_is_over", "question_was_changed"
RULES: Mapping[str, str] = {
    RULE_ASK: "A question in our own field, which changes nothing until a person answers",
    RULE_CLEAR: "Nobody has to answer this question any more",
    RULE_CHANGED: "Somebody changed our question: a person looks first",
}
_ANSWERS = {"approve", "reject"}
_SHOWN_CHANGES, _SHOWN_CHARS = 12, 200

_WAITING_SQL = f"""
select plan_ops.* replace (evidence::varchar as evidence), coalesce(verdicts.approver_count, 0) as approver_count,
    needed_approvers.approvers as approvers_needed
from plan_ops
inner join needed_approvers using (plan_id, op_id)
left join ({VERDICTS_SQL}) as verdicts using (op_id)
where plan_ops.plan_id = $plan and decision = 'require_approval' and not coalesce(is_approved, false)
    and list_contains($chosen::varchar[], op_id)
order by object_type, length(record_id), record_id, property
"""

# What we last wrote into our question fields, as the CRM held it after our write.
_ASKED_SQL = """
select plan_ops.object_type, plan_ops.record_id, plan_ops.property,
    any_value(plan_ops.record_label) as record_label, any_value(plan_ops.subject_id) as subject_id,
    arg_max(struct_pack(v := op_results.crm_after), op_results.recorded_at)['v'] as asked,
    arg_max(struct_pack(v := plans.rolls_back_run_id), op_results.recorded_at)['v'] as asked_about
from op_results
inner join apply_runs using (apply_run_id)
inner join plan_ops on plan_ops.plan_id = apply_runs.plan_id and plan_ops.op_id = op_results.op_id
inner join plans on plans.plan_id = plan_ops.plan_id
where not apply_runs.dry_run and op_results.result in ('applied', 'already_there') and plan_ops.crm = ?
    and plan_ops.operation = 'review'
group by plan_ops.object_type, plan_ops.record_id, plan_ops.property
"""


def question_fields(mapping: FieldMapping) -> dict[str, tuple[AskedField, AskedField]]:
    """Object types on which people can be asked: the property of the question and that of the answer."""
    found: dict[str, tuple[AskedField, AskedField]] = {}
    for object_type, fields in mapping.asked.items():
        question = next((item for item in fields if item.question), None)
        answer = next((item for item in fields if set(item.options) == _ANSWERS), None)
        if question and answer:
            found[object_type] = question, answer
    return found


def code_of(digest: str, object_type: str, record_id: str, op_ids: Iterable[str]) -> str:
    """The code in a question: it stands for exactly these changes of exactly this plan on this record."""
    parts = (digest, object_type, record_id, *sorted(op_ids))
    return "ND-" + sha256("".join(encode(part) for part in parts))[:12].upper()


def ask(
    ledger: Path | duckdb.DuckDBPyConnection,
    plan_id: str | None,
    select: Selection,
    adapter: CrmAdapter,
    policy: Policy,
    run_id: str,
    as_of: date,
    created_by: str,
    clock: Clock,
) -> PlanSummary:
    """Make the plan that asks about changes waiting for approval; nothing is written before it is applied.

    Questions of earlier plans that nobody has to answer any more are cleared by the same plan.

    Args:
        ledger: The ledger.
        plan_id: The plan to ask about; the newest of this CRM when None.
        select: Which of its waiting changes.
        adapter: The CRM; every record is read now.
        policy: The policy; its forbids hold for questions too, and `approvals.yml` says who can answer.
        run_id: The run this belongs to.
        as_of: The day the plan is for.
        created_by: Who asks; recorded.
        clock: Now, in UTC.

    Returns:
        The review plan. `left_out` counts what was not asked, by reason.

    Raises:
        NightdeskError: Exit 4 for a plan no longer valid, 3 while its brakes are on, 5 when nobody could answer, 1 when
            nothing selected waits.
    """
    with opened(ledger) as con:
        plan_id = newest_for_people(con, adapter.crm) if plan_id is None else plan_id
        header = require_valid(con, _resolve(con, plan_id), policy, clock, adapter)
        require_guards(header, accepted_guards(con, header, clock))
        fields = question_fields(policy.mapping(adapter.crm))
        people = _who_can_answer(policy, adapter.crm)
        expires = con.execute("select expires_at from plans where plan_id = ?", [header.plan_id]).fetchone()
        waiting, left_out = _waiting(con, header.plan_id, header.digest, select, fields, clock)
        if not waiting:
            raise NightdeskError(
                "No change that waits for approval is selected, or none on a record that can be asked about",
                where=header.plan_id,
                todo="Look at `nightdesk review`; `asked:` in the field mapping says where people can be asked.",
            )
        said_no = consent.of_now(con, adapter.crm, policy)
        asked = rows(con, _ASKED_SQL, [adapter.crm])
        until = utc(expires[0]) if expires else utc(clock())
        staged = _stage(waiting, header.plan_id, header.digest, until, people, fields, policy)
        staged += _over(asked, staged, header.plan_id, adapter.crm, fields)
        _compare(staged, asked, adapter, said_no, left_out)
        staged = [op for op in staged if op["desired_value"] != op["before_value"]]
        _load(con, staged)
        schemas = schema.take(adapter, policy)
        lacking = sorted({o for o, *_ in fields.items() if fields[o][0].property not in schemas.get(o, {})})
        if lacking:
            raise NightdeskError(
                f"{lacking[0]}.{fields[lacking[0]][0].property} does not exist in the CRM",
                where="CRM properties",
                todo="Run `nightdesk crm setup`, then `crm setup --apply`.",
            )
        with transaction(con):
            snapshot = schema.save(con, adapter.crm, schemas, clock)
        return store_plan(
            con,
            _decided(policy),
            crm=adapter.crm,
            kind="review",
            policy=policy,
            schema_hash=snapshot,
            run_id=run_id,
            as_of=as_of,
            created_by=created_by,
            clock=clock,
            source_rows=None,
            left_out=left_out,
            rolls_back=header.plan_id,
        )


def newest_for_people(con: duckdb.DuckDBPyConnection, crm: str | None = None) -> str:
    """The newest plan that people decide about: questions to people are no such plan.

    Raises:
        NightdeskError: There is none.
    """
    found = con.execute(
        "select plan_id from plans where kind <> 'review' and ($crm is null or crm = $crm) "
        f"order by {first_event('plans.plan_id')} desc, plan_id desc limit 1",
        {"crm": crm},
    ).fetchone()
    if found is None:
        raise NightdeskError("There is no such plan", where="ledger", todo="Run `nightdesk plan` first.")
    return str(found[0])


def _resolve(con: duckdb.DuckDBPyConnection, plan_id: str) -> str:
    from reverse_etl.plan import resolve

    return resolve(con, plan_id)


def _who_can_answer(policy: Policy, crm: str) -> list[str]:
    people = [
        one.name
        for one in policy.approvals.approvers
        if crm in one.crm_users and any(role in policy.approvals.roles for role in one.roles)
    ]
    if not people:
        raise NightdeskError(
            f"Nobody could answer: no approver is known by a user of {crm}",
            where="policies/approvals.yml",
            todo=f"Add `crm_users: {{{crm}: <user id>}}` to the people who may approve.",
            exit_code=5,
        )
    return people


def _waiting(
    con: duckdb.DuckDBPyConnection,
    plan_id: str,
    digest: str,
    select: Selection,
    fields: Mapping[str, Any],
    clock: Clock,
) -> tuple[dict[tuple[str, str], list[dict[str, Any]]], dict[str, int]]:
    where, parameters = select.where()
    chosen = [
        str(row[0])
        for row in con.execute(f"select op_id from plan_ops where plan_id = ? and {where}", [plan_id, *parameters])
        .fetchall()
    ]  # fmt: skip
    found = rows(con, _WAITING_SQL, {"plan": plan_id, "digest": digest, "now": utc(clock()), "chosen": chosen})
    left_out: Counter[str] = Counter()
    records: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for op in found:
        if op["object_type"] in fields:
            records.setdefault((op["object_type"], op["record_id"]), []).append(op)
        else:
            left_out[f"nobody can be asked on {op['object_type']}"] += 1
    return records, dict(left_out)


def _stage(
    records: Mapping[tuple[str, str], Sequence[Mapping[str, Any]]],
    plan_id: str,
    digest: str,
    until: datetime,
    people: Sequence[str],
    fields: Mapping[str, tuple[AskedField, AskedField]],
    policy: Policy,
) -> list[dict[str, Any]]:
    """One operation per record: the question, with the changes it stands for as its evidence."""
    staged: list[dict[str, Any]] = []
    for (object_type, record_id), ops in records.items():
        crm = str(ops[0]["crm"])
        code = code_of(digest, object_type, record_id, (str(op["op_id"]) for op in ops))
        labels = {item.property: item.label for item in policy.mapping(crm).fields.get(object_type, ())}
        text = question_text(object_type, ops, code, plan_id, until, people, fields[object_type][1].label, labels)
        entry = _blank(crm, object_type, record_id, ops[0]["record_label"])
        entry |= {
            "property": fields[object_type][0].property,
            "desired_value": strict("text", text, max_chars=policy.mapping(crm).max_text_chars),
            "reason": f"Asks about {len(ops)} changes of {plan_id}",
            "evidence": json.dumps([{"id": op["op_id"], "quote": op["property"], "url": None} for op in ops]),
            "evidence_count": len(ops),
            "subject_id": ops[0].get("subject_id") or canonical_id(crm, object_type, record_id),
            "builtin": RULE_ASK,
        }
        staged.append(entry)
    return staged


def question_text(
    object_type: str,
    ops: Sequence[Mapping[str, Any]],
    code: str,
    plan_id: str,
    until: datetime,
    people: Sequence[str],
    answer_label: str,
    labels: Mapping[str, str],
) -> str:
    """What a person reads on the record: what is proposed, why, who may answer, until when."""
    kind = SINGULARS.get(object_type, object_type)
    lines = [f"Nightdesk asks: may it change {len(ops)} field{'s' if len(ops) > 1 else ''} of this {kind}?"]
    for op in ops[:_SHOWN_CHANGES]:
        name = labels.get(str(op["property"]), str(op["property"]))
        lines.append(
            f"- {name}: {_short(op['before_value']) or '(empty)'} -> {_short(op['desired_value']) or '(empty)'}"
        )
    if len(ops) > _SHOWN_CHANGES:
        lines.append(f"- and {len(ops) - _SHOWN_CHANGES} more (nightdesk review --select record:{ops[0]['record_id']})")
    for reason in dict.fromkeys(_short(op["reason"]) for op in ops):
        if reason:
            lines.append(f"Why: {reason}")
    if any(int(op["approvers_needed"]) > 1 for op in ops):
        lines.append("Two people must approve: the second empties the answer after the next night and gives their own.")
    lines.append(f"For: {', '.join(people)}. Answer in “{answer_label}” before {until:%Y-%m-%d %H:%M} UTC.")
    lines.append("To give the same answer as to an earlier question, empty it first.")
    lines.append(f"{code}, {plan_id}. Please leave this text as it is; the answer counts for nothing else.")
    return "\n".join(lines)


def _short(value: object) -> str:
    text = " ".join("".join(c if c.isprintable() or c == " " else " " for c in str(value or "")).split())
    return text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 1] + "…"


def _blank(crm: str, object_type: str, record_id: str, label: str | None) -> dict[str, Any]:
    return dict.fromkeys(OP_COLUMNS) | {
        "crm": crm,
        "object_type": object_type,
        "record_id": record_id,
        "record_label": label,
        "value_type": "text",
        "evidence": "[]",
        "evidence_count": 0,
        "operation": OPERATION,
        "field_class": "owned",
        "risk": "low",
        "autonomy_level": 2,  # a question is what an operation at level 2 does: it proposes
        "is_stale": False,
        "is_suppressed": False,
        "is_namespaced": True,
    }


def _over(
    asked: Sequence[Mapping[str, Any]],
    staged: Sequence[Mapping[str, Any]],
    plan_id: str,
    crm: str,
    fields: Mapping[str, tuple[AskedField, AskedField]],
) -> list[dict[str, Any]]:
    """Clear what was asked about other plans and is not asked anew."""
    anew = {(op["object_type"], op["record_id"]) for op in staged}
    cleared: list[dict[str, Any]] = []
    for question in asked:
        where = (question["object_type"], question["record_id"])
        ours = where[0] in fields and fields[where[0]][0].property == question["property"]
        if not ours or not question["asked"] or question["asked_about"] == plan_id or where in anew:
            continue
        entry = _blank(crm, *where, question["record_label"])
        cleared.append(
            entry
            | {
                "property": question["property"],
                "desired_value": None,
                "reason": f"The question about {question['asked_about']} is over",
                "subject_id": question["subject_id"],
                "builtin": RULE_CLEAR,
            }
        )
    return cleared


def _compare(
    staged: list[dict[str, Any]],
    asked: Sequence[Mapping[str, Any]],
    adapter: CrmAdapter,
    said_no: consent.Consent,
    left_out: dict[str, int],
) -> None:
    """Compare with the CRM as it is now; records that are gone, changed or merged are left out and counted."""
    ours = {(q["object_type"], q["record_id"], q["property"]): q["asked"] for q in asked}
    count: Counter[str] = Counter(left_out)
    kept: list[dict[str, Any]] = []
    for op, record in _read(staged, adapter, said_no):
        if record is None:
            count["record gone"] += 1
            continue
        if record.id != op["record_id"]:
            count["merged into another record"] += 1
            continue
        before = lenient("text", record.values.get(op["property"])) or None
        written = ours.get((op["object_type"], op["record_id"], op["property"])) or None
        op["before_value"], op["last_written_value"] = before, written
        op["wire_value"] = op["desired_value"] or ""
        op["conflict_class"] = "new" if before is None else conflict_class(before, written)
        if op["builtin"] == RULE_CLEAR and op["conflict_class"] != "ours":
            continue  # already empty, or somebody's own words by now
        op["is_suppressed"] = said_no.refusal(op["object_type"], op["record_id"], record, op["subject_id"]) is not None
        if op["desired_value"] == before:
            count["asked already"] += 1
        kept.append(op)
    staged[:] = kept
    left_out.clear()
    left_out.update(count)


def _read(
    staged: Sequence[dict[str, Any]], adapter: CrmAdapter, said_no: consent.Consent
) -> list[tuple[dict[str, Any], CrmRecord | None]]:
    found: list[tuple[dict[str, Any], CrmRecord | None]] = []
    by_type: dict[str, list[dict[str, Any]]] = {}
    for op in staged:
        by_type.setdefault(op["object_type"], []).append(op)
    for object_type, ops in sorted(by_type.items()):
        names = sorted({op["property"] for op in ops})
        for start in range(0, len(ops), adapter.batch_size):
            part = ops[start : start + adapter.batch_size]
            read = adapter.read(
                object_type, [op["record_id"] for op in part], [*names, *said_no.properties(object_type)]
            )
            found += [(op, read.found.get(op["record_id"])) for op in part]
    return found


def _load(con: duckdb.DuckDBPyConnection, staged: Sequence[Mapping[str, Any]]) -> None:
    """Fill the temporary table `staged` with the types of `plan_ops`."""
    kinds = {
        str(name): str(kind) for name, kind, *_ in con.execute("describe plan_ops").fetchall() if name in OP_COLUMNS
    }
    kinds["evidence"] = "varchar"
    names = [name for name in OP_COLUMNS if name not in ("op_id", "decision", "deciding_rule")]
    pa = pyarrow()
    columns = {
        name: pa.array([None if op[name] is None else str(op[name]) for op in staged], pa.string()) for name in names
    }
    con.register("_asked", pa.table(columns | {"builtin": pa.array([op["builtin"] for op in staged], pa.string())}))
    try:
        con.execute(
            f"create or replace temp table staged as select {row_hash_sql(OP_ID_COLUMNS)} as op_id, * from "
            f"(select {', '.join(f'{name}::{kinds[name]} as {name}' for name in names)}, builtin from _asked)"
        )
    finally:
        con.unregister("_asked")


def _decided(policy: Policy) -> str:
    """Every forbid of the policy holds; what none forbids is our own low-risk field and asks by itself."""
    rules = [rule for rule in decide.rules_from_policy(policy.write_rules.rules) if rule.effect == "forbid"]
    return f"""
        select * exclude (builtin) replace (
            case
                when deciding_rule <> '{decide.DEFAULT_DENY}' then deciding_rule
                when conflict_class = 'changed_by_other' then '{RULE_CHANGED}'
                else builtin
            end as deciding_rule,
            case
                when deciding_rule <> '{decide.DEFAULT_DENY}' then 'denied'
                when conflict_class = 'changed_by_other' then 'require_approval'
                else 'auto'
            end as decision
        )
        from ({decide.statement(rules, "staged")})
    """


__all__ = ["OPERATION", "RULES", "ask", "code_of", "newest_for_people", "question_fields", "question_text"]
