"""The small company of the write-back's machine: its people and fields, and the policies it is run under."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from nightdesk.policy import Policy
from nightdesk.policy.models import FieldMapping, Guards, WriteRules
from reverse_etl.crms.protocol import PRESENT, RECORD, PropertySchema
from reverse_etl.digest import sha256
from tests.memory_crm import CONTACTS, OPT_OUT, TASKS, Place
from tests.reverse_kit import project_policy

SCORE, TIER, REASON = "nightdesk_lead_score", "nightdesk_lead_tier", "nightdesk_lead_reason"
ROLE, REPLY = "nightdesk_contact_role", "nightdesk_last_reply"
SUBJECT, HANGS_ON = "hs_task_subject", "@contacts"
PEOPLE = ("1", "2", "3", "4")
KEYS = ("10000001", "10000003")
ABOUT = {KEYS[0]: "1", KEYS[1]: "3"}
# What the warehouse may want, and what people enter: never the same, so that it is always known whose value it is.
WANTED: dict[str, tuple[str, ...]] = {
    SCORE: ("61", "62", "75.5"), TIER: ("A", "B"), REASON: ("Asked for a date", "O'Neill \"signs\"\n🙂"),
    ROLE: ("champion",), REPLY: ("positive",),
}  # fmt: skip
BY_HAND = {SCORE: "7", TIER: "D", REASON: "I know them", ROLE: "user", REPLY: "question", SUBJECT: "Mine", OPT_OUT: ""}
PLACES: list[Place] = [(CONTACTS, one, name) for one in PEOPLE for name in WANTED]

FIELDS = {
    CONTACTS: [
        (SCORE, "number", "owned", ()), (TIER, "enumeration", "owned", ("A", "B", "C", "D")),
        (REASON, "text", "owned", ()),
        (ROLE, "enumeration", "protected", ("champion", "user")),
        (REPLY, "enumeration", "fill_empty", ("positive", "question")),
    ],
    TASKS: [
        (RECORD, "enumeration", "owned", (PRESENT,)), (HANGS_ON, "text", "fill_empty", ()),
        (SUBJECT, "text", "fill_empty", ()),
    ],
}  # fmt: skip
SYNC_NAMES = (
    "object_type", "record_id", "record_label", "property", "crm_value", "last_written_value", "desired_value",
    "answer_id", "reason", "confidence", "evidence", "evidence_count", "is_stale", "is_suppressed", "subject_id",
)  # fmt: skip
_RULES = [
    {"id": "no_suppressed", "effect": "forbid", "when": {"is_suppressed": True}, "reason": "r"},
    {"id": "no_outside", "effect": "forbid", "when": {"is_namespaced": False}, "reason": "r"},
    {"id": "no_protected", "effect": "forbid", "when": {"field_class": "protected"}, "reason": "r"},
    {"id": "ask", "effect": "permit", "decision": "require_approval", "reason": "r",
     "when": {"property": {"not_in": [SCORE]}}},
    {"id": "ask_edited", "effect": "permit", "decision": "require_approval", "reason": "r",
     "when": {"conflict_class": "changed_by_other"}},
]  # fmt: skip
_FREE = {
    "id": "go", "effect": "permit", "decision": "auto", "reason": "r",
    "when": {"property": SCORE, "conflict_class": {"in": ["new", "ours"]}},
}  # fmt: skip
_ASKED = {
    "id": "ask_all",
    "effect": "permit",
    "decision": "require_approval",
    "reason": "r",
    "when": {"crm": "hubspot"},
}


@cache
def policy_of(strict: bool) -> Policy:
    """A policy under which scores go by themselves and the rest asks; the strict one asks about all of it."""
    base = project_policy()
    mapping = FieldMapping.model_validate({
        "namespace": "nightdesk_", "group": {"name": "nightdesk", "label": "Nightdesk"}, "max_text_chars": 60000,
        "fields": {
            object_type: [
                {"field": f"f{n}", "property": name, "label": name, "type": kind, "operation": "lead_quality",
                 "class": owner, "risk": "low", "options": list(options)}
                for n, (name, kind, owner, options) in enumerate(fields)
            ]
            for object_type, fields in FIELDS.items()
        },
    })  # fmt: skip
    rules = WriteRules.model_validate({"rules": [*_RULES, _ASKED if strict else _FREE]})
    loose = Guards.model_validate({
        "score_movement_points": 20,
        "guards": [
            {"guard": guard.guard, "limit": 0 if guard.guard == "min_source_share" else 10**6, "about": "never on"}
            for guard in base.guards.guards
        ],
    })  # fmt: skip
    return replace(
        base, field_mapping=mapping, mappings={"hubspot": mapping}, write_rules=rules, guards=loose,
        hash=sha256(f"machine {strict}"),
    )  # fmt: skip


def crm_schema() -> dict[str, dict[str, PropertySchema]]:
    return {
        object_type: {
            name: PropertySchema(name, name, kind, kind, "nightdesk", tuple(options))
            for name, kind, _, options in fields
            if not name.startswith("@")
        }
        for object_type, fields in FIELDS.items()
    }
