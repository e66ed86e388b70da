"""The PROV document of one value: a chain without gaps from the CRM back to the sentence, in the shape W3C gives it."""

# Rows are kept whole: a table is read across.
# ruff: noqa: E501

from __future__ import annotations

import importlib
import importlib.util
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from reverse_etl import provenance, why
from reverse_etl.apply import apply
from tests.reverse_kit import Desk, desk, row

SCORE = "nightdesk_lead_score"
QUOTE = 'We said "no" to Über-tools — twice.'
READ = datetime(2026, 11, 17, 3, 5, tzinfo=UTC)

# PROV-JSON: the roles each relation must name, and what kind of element each role points to.
RELATIONS = {
    "wasGeneratedBy": {"prov:entity": "entity", "prov:activity": "activity"},
    "used": {"prov:activity": "activity", "prov:entity": "entity"},
    "wasDerivedFrom": {"prov:generatedEntity": "entity", "prov:usedEntity": "entity"},
    "wasAttributedTo": {"prov:entity": "entity", "prov:agent": "agent"},
    "wasAssociatedWith": {"prov:activity": "activity", "prov:agent": "agent"},
    "actedOnBehalfOf": {"prov:delegate": "agent", "prov:responsible": "agent"},
    "wasInformedBy": {"prov:informed": "activity", "prov:informant": "activity"},
}


def insert(room: Desk, table: str, **values: Any) -> None:
    columns = ", ".join(f"? as {name}" for name in values)
    room.ledger.execute(f"insert into {table} by name select {columns}", list(values.values()))


def call(room: Desk, name: str, operation: str, record: str, status: str = "ok", **more: Any) -> None:
    insert(
        room, "attempts", attempt_id=f"t-{name}", run_id="run-0", operation=operation, record_type="contact",
        record_id=record, input_hash=f"h-{name.partition('.')[0]}", agent="claude", model="claude-haiku-5-5", status=status,
        input_tokens=1_000, output_tokens=50, cost_usd=0.000125, requested_at=READ, responded_at=READ, **more,
    )  # fmt: skip


def answered(room: Desk, name: str, operation: str, record: str) -> None:
    insert(
        room, "answers", answer_id=name, operation=operation, record_type="contact", record_id=record,
        input_hash=f"h-{name}", context_hash="c", agent="claude", model="claude-haiku-5-5", operation_hash="o",
        policy_hash="pol", run_id="run-0", attempt_id=f"t-{name}", outcome="enriched", evidence_count=2, dropped_count=0,
        answered_at=READ,
    )  # fmt: skip


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """Contact 1's score: planned, approved and written; it cites a fact of an email, a span and a field."""
    with desk(tmp_path_factory.mktemp("prov"), contacts=30, companies=30) as made:
        for sequence, (hour, run) in enumerate([(1, "run-early"), (3, "run-0"), (5, "run-late")]):
            for number, event in enumerate(("started", "finished")):
                insert(
                    made, "run_events", run_id=run, sequence=2 * sequence + number, step="load", event=event,
                    occurred_at=datetime(2026, 11, 17, hour, number, tzinfo=UTC),
                )  # fmt: skip
        call(made, "a-1", "lead_quality", "hubspot:contact:1")
        # A question that took two calls, and one try that failed.
        call(made, "read.1", "extract_facts", "hubspot:email:7", call_hash="part 1")
        call(made, "read.2", "extract_facts", "hubspot:email:7", call_hash="part 2")
        call(made, "read.3", "extract_facts", "hubspot:email:7", status="provider_error", call_hash="part 2")
        answered(made, "a-1", "lead_quality", "hubspot:contact:1")
        answered(made, "read", "extract_facts", "hubspot:email:7")
        insert(
            made, "facts", fact_id="f_aaaaaaaaaaaa", answer_id="read", document_id="hubspot:email:7", predicate="competitor",
            fact_value="Über-tools", polarity="negated", author_side="theirs", span_start=4, span_end=40, quote=QUOTE,
        )  # fmt: skip
        cited = [
            ("fact", "f_aaaaaaaaaaaa", QUOTE), ("span", "hubspot:call:9#10-20", "Ja."), ("field", "contact.job_title", "CFO"),
            ("fact", "f_eeeeeeeeeeee", "Its document was erased."),
        ]  # fmt: skip
        for position, (kind, name, quote) in enumerate(cited):
            insert(
                made, "evidence", answer_id="a-1", item_kind="judgement", item_key="persona", position=position,
                evidence_kind=kind, evidence_id=name, quote=quote,
            )  # fmt: skip
        insert(made, "judgements", answer_id="a-1", component="persona", level="champion", evidence_count=1)
        made.plan([row(n, SCORE, str(n)) for n in range(1, 31)])
        yield made


def told(room: Desk, record: str = "contact:1") -> dict[str, Any]:
    story = why.story(room.ledger, room.folder / "warehouse.duckdb", record, SCORE, policy=room.policy)
    found = provenance.document(room.ledger, story)
    assert json.loads(json.dumps(found)) == found
    return found


def check_shape(found: dict[str, Any]) -> None:
    """PROV-JSON's rules: known sections, qualified names with a known prefix, relations between elements that exist."""
    assert set(found) <= {"prefix", "entity", "activity", "agent", *RELATIONS}
    for kind in ("entity", "activity", "agent"):
        for name, attributes in found[kind].items():
            prefix, _, local = name.partition(":")
            assert prefix in found["prefix"] and local and " " not in local
            for key, value in attributes.items():
                assert key.partition(":")[0] in {*found["prefix"], "prov"}
                assert isinstance(value, str) or (set(value) == {"$", "type"} and isinstance(value["$"], str))
            for key in ("prov:startTime", "prov:endTime"):
                if key in attributes:
                    assert datetime.fromisoformat(attributes[key].replace("Z", "+00:00")).tzinfo is not None
    seen: set[str] = set()
    for relation, roles in RELATIONS.items():
        for name, ends in found.get(relation, {}).items():
            assert name.startswith("_:") and name not in seen
            seen.add(name)
            assert set(ends) == set(roles), relation
            for role, kind in roles.items():
                assert ends[role] in found[kind], f"{relation}: {ends[role]} is no {kind}"


def derived(found: dict[str, Any], name: str) -> set[str]:
    """Everything an entity was made from, at any distance."""
    direct = {
        ends["prov:usedEntity"] for ends in found["wasDerivedFrom"].values() if ends["prov:generatedEntity"] == name
    }
    return direct | {far for each in direct for far in derived(found, each)}


def ends_of(found: dict[str, Any], relation: str, **given: str) -> set[tuple[str, ...]]:
    return {
        tuple(ends.values())
        for ends in found.get(relation, {}).values()
        if all(ends[f"prov:{role}"] == end for role, end in given.items())
    }


def test_a_value_that_was_never_written_ends_at_its_plan(room: Desk) -> None:
    found = told(room, "contact:30")
    check_shape(found)
    assert not any(name.startswith(("nd:write/", "nd:approval/")) for name in found["activity"])
    # Its answer is not in the ledger: nothing is made up.
    assert not any(name.startswith("nd:answer/") for name in found["entity"]) and "wasDerivedFrom" not in found


def test_the_chain_leads_from_the_crm_back_to_the_document(room: Desk) -> None:
    room.approve(None, "record:contact:1")
    assert apply(room.ledger, None, room.adapter, room.policy, "Kim", False, room.clock).counts["applied"] == 1
    found = told(room)
    check_shape(found)
    (value,) = [name for name in found["entity"] if name.startswith("nd:crm/")]
    assert found["entity"][value]["prov:value"] == "1"
    sources = derived(found, value)
    assert {
        "nd:answer/a-1", "nd:fact/f_aaaaaaaaaaaa", "nd:document/hubspot%3Aemail%3A7/4-40", "nd:document/hubspot%3Aemail%3A7",
        "nd:document/hubspot%3Acall%3A9/10-20", "nd:field/hubspot%3Acontact%3A1/contact.job_title",
    } <= sources  # fmt: skip
    assert found["entity"]["nd:document/hubspot%3Aemail%3A7/4-40"]["prov:value"] == QUOTE
    # What was erased is named and not told.
    assert found["entity"]["nd:fact/f_eeeeeeeeeeee"]["nd:isKnown"] == {"$": "false", "type": "xsd:boolean"}


def test_every_step_names_who_took_it(room: Desk) -> None:
    found = told(room)
    model, desk_itself = "nd:software/claude/claude-haiku-5-5", "nd:software/nightdesk"
    assert ends_of(found, "wasAttributedTo", entity="nd:answer/a-1") == {("nd:answer/a-1", model)}
    assert (model, desk_itself) in ends_of(found, "actedOnBehalfOf")
    (approval,) = [name for name in found["activity"] if name.startswith("nd:approval/")]
    assert ends_of(found, "wasAssociatedWith", activity=approval) == {(approval, "nd:person/Dana")}
    assert found["agent"]["nd:person/Dana"]["nd:role"] == "revops"
    (write,) = [name for name in found["activity"] if name.startswith("nd:write/")]
    assert ends_of(found, "wasAssociatedWith", activity=write) == {(write, desk_itself), (write, "nd:person/Kim")}
    assert ends_of(found, "wasInformedBy") == {(write, approval)}
    assert found["agent"][desk_itself]["nd:version"]


def test_all_calls_of_a_question_are_told_and_failed_ones_are_not(room: Desk) -> None:
    found = told(room)
    assert {name for name in found["activity"] if name.startswith("nd:call/")} == {
        "nd:call/t-a-1", "nd:call/t-read.1", "nd:call/t-read.2",
    }  # fmt: skip
    generated = ends_of(found, "wasGeneratedBy", entity="nd:fact/f_aaaaaaaaaaaa")
    assert {end[1] for end in generated} == {"nd:call/t-read.1", "nd:call/t-read.2"}
    assert found["activity"]["nd:call/t-a-1"]["nd:costUsd"] == {"$": "0.000125", "type": "xsd:double"}
    assert ("nd:call/t-a-1", "nd:policy/pol") in ends_of(found, "used")


def test_a_document_came_with_the_load_before_it_was_read(room: Desk) -> None:
    found = told(room)
    document = "nd:document/hubspot%3Aemail%3A7"
    assert ends_of(found, "wasGeneratedBy", entity=document) == {(document, "nd:load/run-0")}
    # Nobody read the call before: the ledger does not know what brought it.
    assert ends_of(found, "wasGeneratedBy", entity="nd:document/hubspot%3Acall%3A9") == set()


@pytest.mark.skipif(importlib.util.find_spec("prov") is None, reason="the package prov is not installed")
def test_the_prov_library_reads_it(room: Desk) -> None:
    model: Any = importlib.import_module("prov.model")
    found = told(room)
    read = model.ProvDocument.deserialize(content=json.dumps(found), format="json")
    assert len(read.get_records()) == sum(len(found[section]) for section in found if section != "prefix")
