"""The story of one value as W3C PROV (PROV-JSON): what it was made from, by whom, under which policy.

The chain runs backwards from the value in the CRM: value, planned operation, answer, fact, span, document. Nothing is
told that the ledger does not hold: a value without an answer (a rollback) has a shorter chain.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reverse_etl.store import iso, opened, rows

if TYPE_CHECKING:
    import duckdb

    from reverse_etl.why import Story

PREFIXES = {"nd": "urn:nightdesk:", "xsd": "http://www.w3.org/2001/XMLSchema#"}
_UNSAFE = re.compile(r"[^A-Za-z0-9_.\-/]")
_OURS = "software/nightdesk"

Document = dict[str, Any]


@dataclass(slots=True)
class _Builder:
    """Collects elements once each and relations in order; `as_json` is PROV-JSON."""

    elements: dict[str, dict[str, dict[str, Any]]] = field(
        default_factory=lambda: {"entity": {}, "activity": {}, "agent": {}}
    )
    relations: dict[str, dict[str, dict[str, str]]] = field(default_factory=dict[str, dict[str, dict[str, str]]])
    _seen: set[tuple[str, ...]] = field(default_factory=set[tuple[str, ...]])

    def element(self, kind: str, name: str, kind_of: str, attributes: Mapping[str, Any]) -> str:
        """Add an element; attributes without a value are left out."""
        given = {f"nd:{key}" if ":" not in key else key: _typed(value) for key, value in attributes.items()}
        kept = {key: value for key, value in given.items() if value is not None}
        self.elements[kind].setdefault(
            _name(name), {"prov:type": {"$": kind_of, "type": "prov:QUALIFIED_NAME"}, **kept}
        )
        return name

    def relate(self, relation: str, **ends: str) -> None:
        """Add a relation between elements that exist; the same one twice is one."""
        key = (relation, *(f"{role}={end}" for role, end in sorted(ends.items())))
        if key in self._seen:
            return
        self._seen.add(key)
        found = self.relations.setdefault(relation, {})
        number = sum(len(each) for each in self.relations.values()) + 1
        found[f"_:r{number}"] = {f"prov:{role}": _name(end) for role, end in ends.items()}

    def as_json(self) -> Document:
        """The document; kinds that are empty are left out."""
        filled = {kind: found for kind, found in self.elements.items() if found}
        return {"prefix": dict(PREFIXES), **filled, **self.relations}


def document(ledger: Path | duckdb.DuckDBPyConnection, story: Story) -> Document:
    """PROV-JSON of a story (`reverse_etl.why.story`).

    Args:
        ledger: The ledger the story was read from.
        story: What `why` tells of the value.

    Returns:
        JSON values: `prefix`, `entity`, `activity`, `agent` and the relations.
    """
    facts = story.facts
    built = _Builder()
    built.element("agent", _OURS, "prov:SoftwareAgent", {"version": version("nightdesk")})
    with opened(ledger) as con:
        operation = _planned(built, facts)
        if facts["answer"] is not None:
            answer = _answered(built, con, facts["record"], facts["answer"])
            built.relate("wasDerivedFrom", generatedEntity=operation, usedEntity=answer)
            built.relate("used", activity=_planning(facts), entity=answer)
        approval = _approved(built, facts, operation)
        _written(built, facts, operation, approval)
    return built.as_json()


def _planning(facts: Mapping[str, Any]) -> str:
    return f"planning/{facts['plan']['plan_id']}"


def _planned(built: _Builder, facts: Mapping[str, Any]) -> str:
    plan = facts["plan"]
    operation = built.element(
        "entity",
        f"operation/{plan['plan_id']}/{plan['op_id']}",
        "nd:PlannedOperation",
        {
            "record": facts["record"],
            "property": facts["property"],
            "prov:value": facts["value"],
            "before": facts["before"],
            "reason": facts["reason"],
            "decision": plan["decision"],
            "decidingRule": plan["rule"],
            "autonomyLevel": plan["autonomy_level"],
            "risk": plan["risk"],
        },
    )
    activity = built.element(
        "activity", _planning(facts), "nd:Planning", {"prov:endTime": plan["planned_at"], "kind": plan["kind"]}
    )
    policy = _policy(built, plan["policy_hash"])
    built.relate("wasGeneratedBy", entity=operation, activity=activity)
    built.relate("used", activity=activity, entity=policy)
    built.relate("wasAssociatedWith", activity=activity, agent=_OURS)
    built.relate("wasAttributedTo", entity=operation, agent=_OURS)
    return operation


def _policy(built: _Builder, policy_hash: str) -> str:
    return built.element("entity", f"policy/{policy_hash}", "nd:Policy", {"sha256": policy_hash})


def _answered(built: _Builder, con: duckdb.DuckDBPyConnection, record: str, told: Mapping[str, Any]) -> str:
    """The answer, the calls that gave it, and everything it cites."""
    answer = built.element(
        "entity",
        f"answer/{told['answer_id']}",
        "nd:Answer",
        {
            "operation": told["operation"],
            "outcome": told["outcome"],
            "inputHash": told["input_hash"],
            **{f"judged_{each['component']}": each["level"] for each in told["judgements"]},
        },
    )
    calls = _calls(built, con, answer, told["operation"], told["input_hash"])
    policy = _policy(built, told["policy_hash"])
    for call in calls:
        built.relate("used", activity=call, entity=policy)
    cited = rows(
        con,
        "select distinct evidence_kind, evidence_id, quote from evidence where answer_id = ? order by 1, 2, 3",
        [told["answer_id"]],
    )
    for item in cited:
        source = _source(built, con, record, item)
        built.relate("wasDerivedFrom", generatedEntity=answer, usedEntity=source)
        for call in calls:
            built.relate("used", activity=call, entity=source)
    return answer


def _calls(
    built: _Builder, con: duckdb.DuckDBPyConnection, entity: str, operation: str, input_hash: str
) -> Sequence[str]:
    """The calls that answered a question, each by its agent; a failed try led to nothing and is left out."""
    found: list[str] = []
    for attempt in rows(
        con,
        """
        select attempt_id, run_id, operation, agent, model, input_tokens + cache_read_tokens + cache_write_tokens as read_tokens,
            output_tokens, cost_usd, requested_at, responded_at
        from attempts where operation = ? and input_hash = ? and status = 'ok' order by requested_at, attempt_id
        """,  # noqa: E501
        [operation, input_hash],
    ):
        call = built.element(
            "activity",
            f"call/{attempt['attempt_id']}",
            "nd:ExtractionCall" if attempt["operation"] == "extract_facts" else "nd:AgentCall",
            {
                "prov:startTime": iso(attempt["requested_at"]),
                "prov:endTime": iso(attempt["responded_at"]) if attempt["responded_at"] else None,
                "operation": attempt["operation"],
                "run": attempt["run_id"],
                "readTokens": attempt["read_tokens"],
                "writtenTokens": attempt["output_tokens"],
                "costUsd": float(attempt["cost_usd"]),
            },
        )
        agent = built.element(
            "agent",
            f"software/{attempt['agent']}{'/' + attempt['model'] if attempt['model'] else ''}",
            "prov:SoftwareAgent",
            {"model": attempt["model"], "agent": attempt["agent"]},
        )
        built.relate("wasAssociatedWith", activity=call, agent=agent)
        built.relate("actedOnBehalfOf", delegate=agent, responsible=_OURS)
        built.relate("wasAttributedTo", entity=entity, agent=agent)
        built.relate("wasGeneratedBy", entity=entity, activity=call)
        found.append(call)
    return found


def _source(built: _Builder, con: duckdb.DuckDBPyConnection, record: str, item: Mapping[str, Any]) -> str:
    """What one citation points to: a fact and its span, a span itself, or a field of the record."""
    if item["evidence_kind"] == "fact":
        return _fact(built, con, item)
    if item["evidence_kind"] == "span":
        document_id, _, place = str(item["evidence_id"]).partition("#")
        start, _, end = place.partition("-")
        return _span(built, con, document_id, start, end, item["quote"], None)
    return built.element(
        "entity",
        f"field/{record}/{item['evidence_id']}",
        "nd:CrmField",
        {"record": record, "field": item["evidence_id"], "prov:value": item["quote"]},
    )


def _fact(built: _Builder, con: duckdb.DuckDBPyConnection, item: Mapping[str, Any]) -> str:
    found = rows(
        con,
        """
        select facts.*, answers.input_hash, answers.operation
        from facts inner join answers using (answer_id)
        where fact_id = ? order by answers.answered_at desc, answer_id limit 1
        """,
        [item["evidence_id"]],
    )
    if not found:  # the reading it came from was erased; the quote in the answer is all that is left
        return built.element(
            "entity", f"fact/{item['evidence_id']}", "nd:Fact", {"prov:value": item["quote"], "isKnown": False}
        )
    told = found[0]
    fact = built.element(
        "entity",
        f"fact/{told['fact_id']}",
        "nd:Fact",
        {
            "predicate": told["predicate"],
            "prov:value": told["fact_value"],
            "polarity": told["polarity"],
            "authorSide": told["author_side"],
            "factDate": str(told["fact_date"]) if told["fact_date"] else None,
        },
    )
    span = _span(
        built,
        con,
        told["document_id"],
        str(told["span_start"]),
        str(told["span_end"]),
        told["quote"],
        told["author_side"],
    )
    built.relate("wasDerivedFrom", generatedEntity=fact, usedEntity=span)
    for call in _calls(built, con, fact, told["operation"], told["input_hash"]):
        built.relate("used", activity=call, entity=f"document/{told['document_id']}")
    return fact


def _span(
    built: _Builder,
    con: duckdb.DuckDBPyConnection,
    document_id: str,
    start: str,
    end: str,
    quote: str,
    side: str | None,
) -> str:
    source = built.element("entity", f"document/{document_id}", "nd:Document", {"record": document_id})
    _loaded(built, con, source, document_id)
    span = built.element(
        "entity",
        f"document/{document_id}/{start}-{end}",
        "nd:Span",
        {"prov:value": quote, "start": _number(start), "end": _number(end), "authorSide": side},
    )
    built.relate("wasDerivedFrom", generatedEntity=span, usedEntity=source)
    return span


def _loaded(built: _Builder, con: duckdb.DuckDBPyConnection, source: str, document_id: str) -> None:
    """The load that brought a document: the last one that ended before an agent first read it.

    A document is read in the night it arrives. One of which no reading is known (a copy of another) has no load here.
    """
    found = rows(
        con,
        """
        select run_id, min(occurred_at) filter (where event = 'started') as started_at,
            max(occurred_at) filter (where event = 'finished') as ended_at
        from run_events where step = 'load'
        group by run_id
        having ended_at <= (select min(requested_at) from attempts where record_id = ?)
        order by ended_at desc limit 1
        """,
        [document_id],
    )
    if not found:
        return
    load = built.element(
        "activity",
        f"load/{found[0]['run_id']}",
        "nd:Load",
        {"prov:startTime": iso(found[0]["started_at"]), "prov:endTime": iso(found[0]["ended_at"])},
    )
    built.relate("wasGeneratedBy", entity=source, activity=load)
    built.relate("wasAssociatedWith", activity=load, agent=_OURS)


def _approved(built: _Builder, facts: Mapping[str, Any], operation: str) -> str | None:
    told = facts["approval"]
    if told is None:
        return None
    approval = built.element(
        "activity",
        f"approval/{told['approval_id']}",
        "nd:Approval",
        {"prov:endTime": told["approved_at"], "verdict": told["verdict"], "note": told["note"]},
    )
    person = built.element("agent", f"person/{told['approver']}", "prov:Person", {"role": told["role"]})
    built.relate("used", activity=approval, entity=operation)
    built.relate("wasAssociatedWith", activity=approval, agent=person)
    return approval


def _written(built: _Builder, facts: Mapping[str, Any], operation: str, approval: str | None) -> None:
    told = facts["write"]
    if told is None:
        return
    write = built.element(
        "activity",
        f"write/{told['apply_run_id']}/{told['op_id']}",
        "nd:Write",
        {
            "prov:startTime": told["sent_at"],
            "prov:endTime": told["recorded_at"],
            "result": told["result"],
            "traceId": told["trace_id"],
            "auditEvent": told["audit_event"],
            "message": told["message"],
        },
    )
    person = built.element("agent", f"person/{told['actor']}", "prov:Person", {})
    built.relate("used", activity=write, entity=operation)
    built.relate("wasAssociatedWith", activity=write, agent=_OURS)
    built.relate("wasAssociatedWith", activity=write, agent=person)
    if approval is not None:
        built.relate("wasInformedBy", informed=write, informant=approval)
    if told["result"] not in ("applied", "altered"):
        return
    value = built.element(
        "entity",
        f"crm/{facts['record']}/{facts['property']}/{told['apply_run_id']}",
        "nd:CrmValue",
        {
            "record": facts["record"],
            "property": facts["property"],
            "prov:value": told["crm_after"],
            "before": told["crm_before"],
        },
    )
    built.relate("wasGeneratedBy", entity=value, activity=write)
    built.relate("wasDerivedFrom", generatedEntity=value, usedEntity=operation)
    built.relate("wasAttributedTo", entity=value, agent=_OURS)


def _name(name: str) -> str:
    """A qualified name in our namespace; characters that a local name may not have are percent-encoded."""
    return "nd:" + _UNSAFE.sub(lambda match: "".join(f"%{byte:02X}" for byte in match[0].encode()), name)


def _number(text: str) -> int | None:
    return int(text) if text.isdigit() else None


def _typed(value: Any) -> Any:
    """A value as PROV-JSON has it: text as it is, numbers and booleans with their XSD type."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return {"$": "true" if value else "false", "type": "xsd:boolean"}
    if isinstance(value, int):
        return {"$": str(value), "type": "xsd:integer"}
    if isinstance(value, float):
        return {"$": repr(value), "type": "xsd:double"}
    if isinstance(value, datetime):
        return iso(value)
    return str(value)
