"""`why RECORD FIELD`: the whole story of one value, from the customer's sentence to the read-back, on one screen."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nightdesk.errors import NightdeskError
from reverse_etl.canonical import lenient
from reverse_etl.records import canonical_id, parse_record
from reverse_etl.store import attached_warehouse, find_table, iso, opened, rows
from reverse_etl.view import plain

if TYPE_CHECKING:
    import duckdb
    from rich.console import RenderableType
    from rich.text import Text

    from nightdesk.policy import Policy
    from reverse_etl.crms.protocol import CrmAdapter

_OPS_SQL = """
select plan_ops.* replace (evidence::varchar as evidence), plans.created_at as planned_at, plans.created_by,
    plans.kind, plans.digest,
    plans.policy_hash
from plan_ops inner join plans using (plan_id)
where object_type = ? and record_id = ? and property = ?
order by plans.created_at desc, plan_id desc
"""


@dataclass(frozen=True, slots=True)
class Story:
    """Everything known about one field of one record. `facts` is JSON-ready; times are UTC text."""

    facts: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        """The story as JSON values."""
        return dict(self.facts)

    def renderable(self) -> RenderableType:
        """The story on one screen."""
        return _render(self.facts)


def story(
    ledger: Path | duckdb.DuckDBPyConnection,
    warehouse: Path | str | None,
    record: str,
    field: str,
    *,
    policy: Policy | None = None,
    adapter: CrmAdapter | None = None,
    base_url: str = "",
) -> Story:
    """Tell why a field holds what it holds.

    Args:
        ledger: The ledger.
        warehouse: dbt's file, to find a record by email address; None if there is none.
        record: `123`, `contact:123`, `hubspot:contact:123` or an email address.
        field: `nightdesk_lead_score`, `ai_lead_score` or `lead_score`.
        policy: For names of published fields and the reasons of rules.
        adapter: Reads the value as it is now; without it the last read-back is told.
        base_url: Put before links that are paths of the CRM.

    Raises:
        NightdeskError: Nothing was ever proposed for that field of that record.
    """
    with opened(ledger) as con:
        names = _properties(con, field, policy)
        records = _records(con, warehouse, record, names)
        # One field goes by another name in each CRM, and one person by another id: the first that a plan knows is told.
        tried = [(object_type, record_id, name) for object_type, record_id in records for name in names]
        for object_type, record_id, name in tried:
            ops = rows(con, _OPS_SQL, [object_type, record_id, name])
            if ops:
                break
        else:
            object_type, record_id, name = tried[0]
            raise NightdeskError(
                f"Nothing was ever proposed for `{name}` of {object_type} {record_id}",
                where="ledger",
                todo="Check the field's name, or look at `nightdesk review --select record:...`.",
            )
        writes = [entry for op in ops for entry in _writes(con, op)]
        wrote = [w for w in writes if w["result"] in ("applied", "altered")]
        last = next(iter(wrote), None) or next((w for w in writes if w["result"] == "already_there"), None)
        # The story is that of the value in the CRM: the newest operation that was written, else the newest proposed.
        told = next(
            (op for op in ops if last and op["plan_id"] == last["plan_id"] and op["op_id"] == last["op_id"]), ops[0]
        )
        facts: dict[str, Any] = {
            "record": canonical_id(told["crm"], object_type, record_id),
            "label": told["record_label"],
            "property": name,
            "now": _now(adapter, told, last),
            "value": told["desired_value"],
            "before": told["before_value"],
            "reason": told["reason"],
            "confidence": None if told["confidence"] is None else float(told["confidence"]),
            "evidence": _linked(told["evidence"], base_url),
            "answer": _answer(con, told["answer_id"]),
            "plan": _plan(told, policy),
            "approval": _approval(con, told),
            "notes": _notes(con, told),
            "write": next(
                (w for w in [*wrote, *writes] if (w["plan_id"], w["op_id"]) == (told["plan_id"], told["op_id"])), None
            ),
            "waiting": _waiting(ops[0], told),
            "history": writes[:5],
        }
        return Story(facts)


def _properties(con: duckdb.DuckDBPyConnection, field: str, policy: Policy | None) -> list[str]:
    """The properties that a field's name may mean, HubSpot's first."""
    names = {str(row[0]) for row in con.execute("select distinct property from plan_ops").fetchall()}
    mapped: dict[str, dict[str, None]] = {}
    for mapping in policy.mappings.values() if policy is not None else ():
        for item in (item for items in mapping.fields.values() for item in items):
            for short in (item.field, item.field.removeprefix("ai_")):
                mapped.setdefault(short, {})[item.property] = None
            names.add(item.property)
    wanted = field.strip()
    if wanted in names:
        return [wanted]
    if wanted in mapped:
        return list(mapped[wanted])
    ending = sorted(
        name
        for name in names
        if name.endswith(f"_{wanted.removeprefix('ai_')}")
        and name.count("_") == wanted.removeprefix("ai_").count("_") + 1
    )
    if len(ending) != 1:
        raise NightdeskError(
            f"There is no field `{field}`",
            todo=f"Fields: {', '.join(sorted(names))}." if names else "Run `nightdesk plan` first.",
        )
    return ending


def _records(
    con: duckdb.DuckDBPyConnection, warehouse: Path | str | None, record: str, names: list[str]
) -> list[tuple[str, str]]:
    """Object type and id of every record that the name may mean; several where a person is in several CRMs."""
    parsed = parse_record(record)
    if parsed.email:
        return _of_address(con, warehouse, parsed.email)
    assert parsed.record_id is not None
    if parsed.object_type:
        return [(parsed.object_type, parsed.record_id)]
    # A bare number: the field says which type it can be.
    types = [
        str(row[0])
        for row in con.execute(
            "select distinct object_type from plan_ops where list_contains(?, property) and record_id = ?",
            [names, parsed.record_id],
        ).fetchall()
    ]
    if len(types) > 1:
        raise NightdeskError(
            f"`{record}` is a record of {' and of '.join(sorted(types))}", todo="Say which, like contact:123."
        )
    return [(types[0] if types else "contacts", parsed.record_id)]


def _of_address(con: duckdb.DuckDBPyConnection, warehouse: Path | str | None, email: str) -> list[tuple[str, str]]:
    with attached_warehouse(con, warehouse) as alias:
        contacts = find_table(con, alias, "contacts") if alias else None
        links = find_table(con, alias, "int_crm_links") if alias else None
        found = (
            con.execute(
                f"select contact_id from {contacts} where lower(email) = ? order by 1 limit 2", [email]
            ).fetchall()
            if contacts
            else []
        )
        linked = (
            con.execute(
                f"select object_type, crm_record_id from {links} where record_id = ? order by all", list(found[0])
            ).fetchall()
            if links and len(found) == 1
            else []
        )
    if not found:
        found = con.execute(
            "select distinct 'contact:' || record_id from plan_ops where object_type = 'contacts' and "
            "contains(lower(record_label), ?) limit 2",
            [email],
        ).fetchall()
    if len(found) != 1:
        raise NightdeskError(
            f"{'Several contacts have' if found else 'No contact has'} the address {email}",
            todo="Name the record by its id, like contact:123.",
        )
    own = parse_record(str(found[0][0]))
    return [(own.object_type or "contacts", own.record_id or ""), *((str(kind), str(key)) for kind, key in linked)]


def _writes(con: duckdb.DuckDBPyConnection, op: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = rows(
        con,
        """
        select apply_runs.apply_run_id, apply_runs.actor, op_results.result, op_results.crm_before,
            op_results.crm_after, op_results.message,
            op_results.recorded_at,
            (select max(recorded_at) from write_attempts as w where w.apply_run_id = apply_runs.apply_run_id
                and w.op_id = op_results.op_id and state = 'sent') as sent_at,
            (select arg_max(trace_id, sequence) from write_attempts as w
                where w.apply_run_id = apply_runs.apply_run_id and w.op_id = op_results.op_id
                    and trace_id is not null) as trace_id,
            (select min(sequence) from audit_events where subject = apply_runs.apply_run_id
                and action = 'write_intent' and contains(body::varchar, op_results.op_id)) as audit_event
        from op_results inner join apply_runs using (apply_run_id)
        where apply_runs.plan_id = ? and op_results.op_id = ?
        order by op_results.recorded_at desc
        """,
        [op["plan_id"], op["op_id"]],
    )
    return [
        {
            **entry,
            "plan_id": op["plan_id"],
            "op_id": op["op_id"],
            "kind": op["kind"],
            "recorded_at": iso(entry["recorded_at"]),
            "sent_at": iso(entry["sent_at"]) if entry["sent_at"] else None,
        }
        for entry in found
    ]


def _now(adapter: CrmAdapter | None, op: Mapping[str, Any], last: Mapping[str, Any] | None) -> dict[str, Any]:
    if adapter is not None:
        read = adapter.read(op["object_type"], [op["record_id"]], [op["property"]], history=True)
        record = read.found.get(op["record_id"])
        if record is None:
            return {
                "value": None,
                "seen": "just now",
                "by": f"the record is {read.missing.get(op['record_id'], 'not in the CRM')}",
            }
        history = record.history.get(op["property"], ())
        newest = history[0] if history else None
        by = f"{newest.source} {newest.user} at {newest.changed_at}" if newest else ""
        return {"value": lenient(op["value_type"], record.values.get(op["property"])), "seen": "just now", "by": by}
    if last is not None:
        return {"value": last["crm_after"], "seen": f"read back at {last['recorded_at']}", "by": "Nightdesk"}
    return {"value": op["before_value"], "seen": f"at the load before {iso(op['planned_at'])}", "by": ""}


def _answer(con: duckdb.DuckDBPyConnection, answer_id: str | None) -> dict[str, Any] | None:
    found = rows(
        con,
        """
        select answers.answer_id, answers.operation, answers.agent, answers.model, answers.run_id, answers.outcome,
            answers.answered_at,
            answers.input_hash, answers.policy_hash, attempts.cost_usd, attempts.input_tokens, attempts.output_tokens
        from answers left join attempts using (attempt_id) where answers.answer_id = ?
        """,
        [answer_id],
    )
    if not found:
        return None
    entry = found[0]
    entry["answered_at"] = iso(entry["answered_at"])
    entry["cost_usd"] = None if entry["cost_usd"] is None else str(entry["cost_usd"])
    entry["judgements"] = rows(
        con, "select component, level from judgements where answer_id = ? order by component", [answer_id]
    )
    entry["sentences"] = [
        r["body"]
        for r in rows(con, "select body from sentences where answer_id = ? order by section, position", [answer_id])
    ]
    return entry


def _linked(evidence: str, base_url: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = json.loads(evidence)
    for item in items:
        if base_url and str(item.get("url") or "").startswith("/"):
            item["url"] = base_url.rstrip("/") + item["url"]
    return items


def view(told: Story) -> RenderableType:
    """The story on one screen (`Story.renderable`)."""
    return told.renderable()


def _plan(op: Mapping[str, Any], policy: Policy | None) -> dict[str, Any]:
    from reverse_etl.staging import builtin_rules

    reasons = dict(builtin_rules())
    if policy is not None:
        reasons |= {rule.id: rule.reason for rule in policy.write_rules.rules}
    return {
        "plan_id": op["plan_id"],
        "kind": op["kind"],
        "op_id": op["op_id"],
        "planned_at": iso(op["planned_at"]),
        "proposed_by": op["created_by"],
        "decision": op["decision"],
        "rule": op["deciding_rule"],
        "rule_reason": reasons.get(op["deciding_rule"]),
        "autonomy_level": op["autonomy_level"],
        "risk": op["risk"],
        "conflict_class": op["conflict_class"],
        "policy_hash": op["policy_hash"],
    }


def _approval(con: duckdb.DuckDBPyConnection, op: Mapping[str, Any]) -> dict[str, Any] | None:
    found = rows(
        con,
        """
        select approval_id, verdict, approver, role, note, approved_at, expires_at, via from approvals
        where plan_id = ? and digest = ? and (op_ids is null or list_contains(from_json(op_ids, '["varchar"]'), ?))
        order by approved_at desc limit 1
        """,
        [op["plan_id"], op["digest"], op["op_id"]],
    )
    if not found or op["decision"] != "require_approval":
        return None
    others = rows(
        con,
        """
        select distinct approver from approvals
        where plan_id = ? and digest = ? and verdict = 'approved' and approver <> ?
            and (op_ids is null or list_contains(from_json(op_ids, '["varchar"]'), ?))
        order by approver
        """,
        [op["plan_id"], op["digest"], found[0]["approver"], op["op_id"]],
    )
    return {
        **found[0],
        "approved_at": iso(found[0]["approved_at"]),
        "expires_at": iso(found[0]["expires_at"]),
        "also_approved_by": [row["approver"] for row in others],
    }


def _notes(con: duckdb.DuckDBPyConnection, op: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Remarks of people on the operation, or on a verdict about its plan."""
    from reverse_etl import reviews

    verdicts = {
        row["approval_id"]
        for row in rows(
            con,
            "select approval_id from approvals where plan_id = ? and "
            "(op_ids is null or list_contains(from_json(op_ids, '[\"varchar\"]'), ?))",
            [op["plan_id"], op["op_id"]],
        )
    }
    found = reviews.notes(con, op["plan_id"])
    return [
        {"author": note.author, "body": note.body, "noted_at": iso(note.noted_at)}
        for target, notes in found.items()
        if target == op["op_id"] or target in verdicts
        for note in notes
    ]


def _waiting(newest: Mapping[str, Any], told: Mapping[str, Any]) -> dict[str, Any] | None:
    """A newer proposal than the value the story is about."""
    if newest["plan_id"] == told["plan_id"]:
        return None
    return {
        "plan_id": newest["plan_id"],
        "value": newest["desired_value"],
        "decision": newest["decision"],
        "rule": newest["deciding_rule"],
    }


def _place(approval: Mapping[str, Any]) -> str:
    """Where a verdict was given, when it was not the terminal."""
    return {"file": ", in a file", "crm": ", inside the CRM"}.get(str(approval["via"]), "")


def _render(facts: Mapping[str, Any]) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, padding=(0, 1))
    table.add_column(style="bold", no_wrap=True)
    table.add_column()

    def line(name: str, text: str | Text) -> None:
        table.add_row(name, text if isinstance(text, Text) else Text(text))

    now, plan = facts["now"], facts["plan"]
    line("Record", f"{facts['record']}  {plain(facts['label'] or '')}")
    shown = Text(f"{facts['property']} = ")
    shown.append(plain(now["value"]) if now["value"] else "(empty)", style="bold green")
    shown.append(f"  ({now['seen']}{', by ' + now['by'] if now['by'] else ''})", style="dim")
    line("Now", shown)
    line("Because", plain(facts["reason"] or "", 300))
    for n, item in enumerate(facts["evidence"][:4]):
        quote = Text(f"“{plain(item.get('quote') or '', 200)}” ")
        quote.append(plain(item.get("url") or "", 120), style="cyan")
        quote.append(f" {plain(item.get('id') or '', 60)}", style="dim")
        line("Source" if n == 0 else "", quote)
    if len(facts["evidence"]) > 4:
        line("", f"… and {len(facts['evidence']) - 4} more")
    answer = facts["answer"]
    if answer:
        model = f" ({answer['model']})" if answer["model"] else ""
        cost = f", ${float(answer['cost_usd']):.4f}" if answer["cost_usd"] is not None else ""
        confidence = f", confidence {facts['confidence']:.2f}" if facts["confidence"] is not None else ""
        line(
            "Answer",
            f"{answer['operation']} by {answer['agent']}{model} at {answer['answered_at']}{confidence}{cost}; "
            f"run {answer['run_id']}",
        )
        if answer["judgements"]:
            line("Judged", ", ".join(f"{j['component']}={j['level']}" for j in answer["judgements"]))
    reason = f": {plan['rule_reason']}" if plan["rule_reason"] else ""
    line(
        "Decided",
        f"{plan['decision']} by {plan['rule']}{reason} (L{plan['autonomy_level']}, risk {plan['risk']}, "
        f"{plan['conflict_class']})",
    )
    line("Proposed", f"{plan['plan_id']} at {plan['planned_at']} by {plan['proposed_by']}")
    approval = facts["approval"]
    if approval:
        note = f": {plain(approval['note'], 100)}" if approval["note"] else ""
        line(
            "Approval",
            f"{approval['verdict']} by {approval['approver']} ({approval['role']}{_place(approval)}) at "
            f"{approval['approved_at']}{note}",
        )
        if approval["verdict"] == "approved" and approval["also_approved_by"]:
            line("", f"and approved by {', '.join(approval['also_approved_by'])}")
    elif plan["decision"] == "require_approval":
        line("Approval", Text("none yet", style="yellow"))
    for remark in facts["notes"]:
        line("Remark", f"{plain(remark['body'], 300)} ({remark['author']}, {remark['noted_at']})")
    write = facts["write"]
    if write:
        sent = f"sent at {write['sent_at']} by {write['actor']}, " if write["sent_at"] else ""
        line(
            "Write",
            f"{sent}was {plain(write['crm_before'] or '(empty)', 60)}; audit event {write['audit_event']}, "
            f"{write['apply_run_id']}",
        )
        message = f" ({plain(write['message'], 120)})" if write["message"] else ""
        line(
            "Read back",
            f"{write['result']} at {write['recorded_at']}: {plain(write['crm_after'] or '(empty)', 80)}{message}",
        )
    else:
        line("Write", "not written")
    if facts["waiting"]:
        waiting = facts["waiting"]
        line(
            "Next",
            f"{waiting['plan_id']} proposes {plain(waiting['value'] or '(clear)', 60)}: {waiting['decision']} by "
            f"{waiting['rule']}",
        )
    return table
