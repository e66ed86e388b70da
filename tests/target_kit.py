"""A second CRM in memory, behind the adapter protocol: two kinds of people, one of which may become the other."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from nightdesk.policy import Policy, load
from reverse_etl.crms.protocol import (
    Change,
    CrmRecord,
    ObjectSchema,
    PropertySchema,
    PropertySpec,
    ReadResult,
    RecordWrite,
    Refusal,
    WriteOutcome,
)
from tests.reverse_kit import POLICIES, row

# ruff: noqa: E501
MAPPING = """
crm: salesforce
namespace: Nightdesk_
group: {name: nightdesk, label: Nightdesk}
fields:
  Contact:
    - {field: ai_lead_score, property: Nightdesk_Lead_Score__c, label: Lead score, type: number, operation: lead_quality, class: owned, risk: low}
    - {field: ai_lead_tier, property: Nightdesk_Lead_Tier__c, label: Lead tier, type: enumeration, operation: lead_quality, class: owned, risk: low, options: [A, B, C, D]}
  Lead:
    - {field: ai_lead_score, property: Nightdesk_Lead_Score__c, label: Lead score, type: number, operation: lead_quality, class: owned, risk: low}
    - {field: ai_reply_class, property: Nightdesk_Last_Reply__c, label: Last reply, type: text, operation: reply_class, class: owned, risk: low}
people:
  Contact: {HasOptedOutOfEmail: ["true"]}
  Lead: {HasOptedOutOfEmail: ["true"]}
max_text_chars: 30000
"""
SCORE, TIER, REPLY = "Nightdesk_Lead_Score__c", "Nightdesk_Lead_Tier__c", "Nightdesk_Last_Reply__c"


def two_crms(folder: Path) -> Policy:
    """The project's policies with a mapping for Salesforce of three fields."""
    shutil.copytree(POLICIES, folder)
    (folder / "field_mapping.salesforce.yml").write_text(MAPPING)
    return load(folder)


@dataclass
class MemoryTarget:
    """Records by (object type, id). `versions` grow with every change, `refusing` answers refusals for a record as often as
    told, `converted` maps a lead to the contact it became."""

    policy: Policy
    values: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)
    versions: dict[tuple[str, str], int] = field(default_factory=dict)
    refusing: dict[str, list[Refusal]] = field(default_factory=dict)
    converted: dict[str, str] = field(default_factory=dict)
    before_write: list[Any] = field(default_factory=list)
    written: list[tuple[str, str, str, str]] = field(default_factory=list)
    reads: int = 0
    crm: str = "salesforce"
    batch_size: int = 50
    keyed_types: frozenset[str] = frozenset()

    def add(self, object_type: str, record_id: str, **values: str) -> None:
        self.values[object_type, record_id] = dict(values)
        self.versions[object_type, record_id] = 1

    def edit(self, object_type: str, record_id: str, name: str, value: str) -> None:
        self.values[object_type, record_id][name] = value
        self.versions[object_type, record_id] += 1

    def write_batch(self, records: int) -> int:
        return self.batch_size

    def route(self, object_type: str, ids: Sequence[str]) -> Mapping[str, tuple[str, str]]:
        return {one: ("Contact", self.converted[one]) for one in ids if object_type == "Lead" and one in self.converted}

    def describe(self, object_type: str) -> ObjectSchema:
        known = {
            f.property: PropertySchema(f.property, f.label, f.type, f.type, "nightdesk", f.options)
            for f in self.policy.mapping(self.crm).fields[object_type]
        }
        return ObjectSchema(object_type, known, frozenset({"nightdesk"}))

    def create_group(self, object_type: str, name: str, label: str) -> None: ...
    def create_property(self, object_type: str, spec: PropertySpec) -> None: ...
    def add_options(self, object_type: str, name: str, options: Sequence[str]) -> None: ...

    def read(
        self, object_type: str, ids: Sequence[str], properties: Sequence[str], *, history: bool = False
    ) -> ReadResult:
        self.reads += 1
        found: dict[str, CrmRecord] = {}
        missing: dict[str, str] = {}
        for one in ids:
            if object_type == "Lead" and one in self.converted:
                missing[one] = f"converted to Contact {self.converted[one]}"
            elif (object_type, one) not in self.values:
                missing[one] = "not in the CRM"
            else:
                held = self.values[object_type, one]
                past = {name: (Change("", "2026-11-17T05:00:00Z", "UI", "005", True),) for name in properties}
                found[one] = CrmRecord(
                    one,
                    {name: held.get(name) for name in properties},
                    past if history else {},
                    version=str(self.versions[object_type, one]),
                )
        return ReadResult(found, missing)

    def write(self, object_type: str, writes: Sequence[RecordWrite]) -> Mapping[str, WriteOutcome]:
        if self.before_write:
            self.before_write.pop(0)()
        answers: dict[str, WriteOutcome] = {}
        for write in writes:
            at = (object_type, write.id)
            if self.refusing.get(write.id):
                refusal = self.refusing[write.id].pop(0)
                answers[write.trace_id] = WriteOutcome("rejected", f"said {refusal}", refusal)
            elif write.version != str(self.versions[at]):
                answers[write.trace_id] = WriteOutcome("rejected", "changed since it was read", "stale")
            else:
                for name, value in write.values.items():
                    self.values[at][name] = value
                    self.written.append((object_type, write.id, name, value))
                self.versions[at] += 1
                answers[write.trace_id] = WriteOutcome("acknowledged")
        return answers


def wanted(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """A warehouse with the Salesforce sync models."""
    path.unlink(missing_ok=True)
    kinds = {
        "confidence": pa.float64(),
        "evidence_count": pa.int64(),
        "is_stale": pa.bool_(),
        "is_suppressed": pa.bool_(),
    }
    names = [*row(1, "x", None), "segment", "subject_id"]
    con = duckdb.connect(str(path))
    con.execute("create schema marts")
    for name in ("contacts", "accounts", "meetings"):
        con.execute(f"create table marts.{name} as select range::varchar as {name[:-1]}_id from range(100)")
    for object_type in ("Contact", "Lead"):
        mine = [entry for entry in rows if entry["object_type"] == object_type]
        columns = {n: pa.array([entry.get(n) for entry in mine], kinds.get(n, pa.string())) for n in names}
        con.register("incoming", pa.table(columns))
        con.execute(f"create table marts.sync_salesforce__{object_type.lower()} as select * from incoming")
        con.unregister("incoming")
    con.close()
    return path
