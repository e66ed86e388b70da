"""Every table of the raw dataset `hubspot`, defined once: columns, keys, and which CRM property fills a column.

The DDL of a fresh file, the Arrow schemas of a load, the dlt hints, the properties asked for over HTTP and the type
check all derive from this module.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

from sources.kit.tables import Column, Kind, Table, by_name, columns, table

DATASET: Final = "hubspot"

# Property types of HubSpot that a column of this kind can hold. Text holds any (values travel as strings); a type that
# *changes* stops the load for text too, see `sources.hubspot.contract`.
ACCEPTED_TYPES: Final[dict[Kind, frozenset[str]]] = {
    "bool": frozenset({"bool"}),
    "bigint": frozenset({"number"}),
    "timestamp": frozenset({"datetime", "date"}),
    "money": frozenset({"number"}),
    "probability": frozenset({"number"}),
}


@dataclass(frozen=True)
class ObjectType:
    """One CRM object type: its table, its modified stamp, what it points to, which properties' history is kept."""

    name: str
    table: Table
    stamp: str
    associated: tuple[str, ...] = ()
    history: tuple[str, ...] = ()

    @cached_property
    def properties(self) -> tuple[str, ...]:
        """The CRM properties that fill columns."""
        return tuple(column.name for column in self.table.columns if column.is_property)


def _object(name: str, *properties: tuple[Kind, str], addresses: str = "", texts: str = "") -> Table:
    """An object table: HubSpot's own id and times first, then one column per property."""
    own = (
        Column("id", "text"),
        Column("archived", "bool"),
        Column("created_at", "timestamp"),
        Column("updated_at", "timestamp"),
    )
    filled = tuple(c for kind, names in properties for c in columns(kind, names, is_property=True))
    return Table(DATASET, name, ("id",), own + filled, tuple(addresses.split()), tuple(texts.split()))


def _plain(name: str, key: str, *groups: tuple[Kind, str]) -> Table:
    return table(DATASET, name, key, *groups)


OBJECTS: Final[tuple[ObjectType, ...]] = (
    ObjectType(
        "contacts",
        _object(
            "contacts",
            ("text", "email firstname lastname jobtitle phone company country city lifecyclestage hs_lead_status"),
            ("text", "hubspot_owner_id hs_language hs_merged_object_ids salesforcecontactid salesforceleadid"),
            ("bool", "hs_email_optout"),
            ("bigint", "hs_email_bounce"),
            ("timestamp", "createdate lastmodifieddate"),
            addresses="email",
        ),
        stamp="lastmodifieddate",
        associated=("companies",),
        history=("lifecyclestage", "hs_lead_status", "jobtitle", "hs_email_optout"),
    ),
    ObjectType(
        "companies",
        _object(
            "companies",
            (
                "text",
                "name domain industry country city description lifecyclestage hubspot_owner_id hs_merged_object_ids",
            ),
            ("text", "salesforceaccountid"),
            ("bigint", "numberofemployees"),
            ("money", "annualrevenue"),
            ("timestamp", "createdate hs_lastmodifieddate"),
        ),
        stamp="hs_lastmodifieddate",
        history=("lifecyclestage",),
    ),
    ObjectType(
        "deals",
        _object(
            "deals",
            ("text", "dealname deal_currency_code pipeline dealstage dealtype closed_lost_reason hubspot_owner_id"),
            ("money", "amount"),
            ("timestamp", "closedate createdate hs_lastmodifieddate"),
            ("bool", "hs_is_closed hs_is_closed_won"),
        ),
        stamp="hs_lastmodifieddate",
        associated=("contacts", "companies"),
        history=("dealstage", "amount", "closedate"),
    ),
    ObjectType(
        "emails",
        _object(
            "emails",
            ("timestamp", "hs_timestamp"),
            ("text", "hs_email_subject hs_email_text hs_email_direction hs_email_status hs_email_headers"),
            ("text", "hs_email_from_email hs_email_to_email hs_email_cc_email hs_email_thread_id hubspot_owner_id"),
            ("text", "hs_email_message_id"),
            ("text", "hs_outreach_motion hs_sequence_step"),
            ("timestamp", "hs_lastmodifieddate"),
            addresses="hs_email_from_email hs_email_to_email hs_email_cc_email",
            texts="hs_email_headers hs_email_subject hs_email_text",
        ),
        stamp="hs_lastmodifieddate",
        associated=("contacts", "companies", "deals"),
    ),
    ObjectType(
        "calls",
        _object(
            "calls",
            ("timestamp", "hs_timestamp"),
            (
                "text",
                "hs_call_title hs_call_body hs_call_direction hs_call_disposition hs_call_status hubspot_owner_id",
            ),
            ("bigint", "hs_call_duration"),
            ("bool", "hs_call_has_transcript"),
            ("timestamp", "hs_lastmodifieddate"),
            texts="hs_call_title hs_call_body",
        ),
        stamp="hs_lastmodifieddate",
        associated=("contacts", "companies", "deals"),
    ),
    ObjectType(
        "meetings",
        _object(
            "meetings",
            ("timestamp", "hs_timestamp hs_meeting_start_time hs_meeting_end_time"),
            ("text", "hs_meeting_title hs_meeting_body hs_meeting_outcome hs_meeting_location hubspot_owner_id"),
            ("timestamp", "hs_lastmodifieddate"),
            texts="hs_meeting_title hs_meeting_body",
        ),
        stamp="hs_lastmodifieddate",
        associated=("contacts", "companies", "deals"),
    ),
    ObjectType(
        "notes",
        _object(
            "notes",
            ("timestamp", "hs_timestamp"),
            ("text", "hs_note_body hubspot_owner_id"),
            ("timestamp", "hs_lastmodifieddate"),
            texts="hs_note_body",
        ),
        stamp="hs_lastmodifieddate",
        associated=("contacts", "companies", "deals"),
    ),
    ObjectType(
        "tasks",
        _object(
            "tasks",
            ("timestamp", "hs_timestamp"),
            ("text", "hs_task_subject hs_task_body hs_task_status hs_task_priority hs_task_type hubspot_owner_id"),
            ("timestamp", "hs_lastmodifieddate"),
            texts="hs_task_subject hs_task_body",
        ),
        stamp="hs_lastmodifieddate",
        associated=("contacts", "companies", "deals"),
    ),
)

OWNERS: Final = _plain(
    "owners",
    "id",
    ("text", "id email first_name last_name user_id team"),
    ("bool", "archived"),
    ("timestamp", "created_at updated_at"),
)
PIPELINES: Final = _plain(
    "pipelines", "object_type id", ("text", "object_type id label"), ("bigint", "display_order"), ("bool", "archived")
)
PIPELINE_STAGES: Final = _plain(
    "pipeline_stages",
    "object_type pipeline_id id",
    ("text", "object_type pipeline_id id label"),
    ("bigint", "display_order"),
    ("probability", "probability"),
    ("bool", "is_closed"),
)
ASSOCIATIONS: Final = _plain(
    "associations",
    "from_object_type from_id to_object_type to_id association_type_id",
    ("text", "from_object_type from_id to_object_type to_id"),
    ("bigint", "association_type_id"),
    ("text", "category label"),
)
PROPERTY_HISTORY: Final = _plain(
    "property_history",
    "object_type object_id property changed_at value",
    ("text", "object_type object_id property"),
    ("timestamp", "changed_at"),
    ("text", "value source_type source_id updated_by_user_id"),
)
MERGES: Final = _plain("merges", "object_type merged_id", ("text", "object_type merged_id surviving_id"))
DELETIONS: Final = _plain(
    "deletions", "object_type object_id", ("text", "object_type object_id"), ("timestamp", "archived_at")
)
UNSUBSCRIBES: Final = _plain(
    "unsubscribes",
    "email",
    ("text", "email"),
    ("timestamp", "changed_at"),
    ("text", "source"),
    ("bool", "is_unsubscribed"),
)
NAMESPACED_VALUES: Final = _plain(
    "namespaced_values",
    "object_type object_id property",
    ("text", "object_type object_id property value"),
    ("timestamp", "updated_at"),
)
# What the CRM said of its properties at the last load: the memory behind `sources.kit.contract`.
PROPERTY_DEFINITIONS: Final = _plain(
    "property_definitions",
    "object_type name",
    ("text", "object_type name label type field_type"),
    ("bool", "is_loaded"),
    # options: JSON list of [value, label]. state: `gone` when the CRM no longer has it and the loaded values stay.
    ("json", "options"),
    ("text", "state"),
)
LOAD_WATERMARKS: Final = _plain(
    "load_watermarks",
    "stream",
    ("text", "stream"),
    ("timestamp", "watermark"),
    ("bigint", "rows_seen"),
    ("timestamp", "loaded_at"),
)

TABLES: Final[dict[str, Table]] = by_name(
    *(object_type.table for object_type in OBJECTS),
    OWNERS,
    PIPELINES,
    PIPELINE_STAGES,
    ASSOCIATIONS,
    PROPERTY_HISTORY,
    MERGES,
    DELETIONS,
    UNSUBSCRIBES,
    NAMESPACED_VALUES,
    PROPERTY_DEFINITIONS,
    LOAD_WATERMARKS,
)
