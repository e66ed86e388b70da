"""Which properties, options, groups and association types a fresh sandbox CRM knows."""

from __future__ import annotations

from typing import Any

from sandbox.records import ASSOCIATION_TYPES

OBJECT_TYPES = ("contacts", "companies", "deals", "emails", "calls", "meetings", "notes", "tasks")
ENGAGEMENTS = frozenset({"emails", "calls", "meetings", "notes", "tasks"})
SINGULAR = {
    "contacts": "contact", "companies": "company", "deals": "deal", "emails": "email",
    "calls": "call", "meetings": "meeting", "notes": "note", "tasks": "task",
}  # fmt: skip
TYPE_IDS = {
    "contacts": "0-1", "companies": "0-2", "deals": "0-3", "notes": "0-46",
    "meetings": "0-47", "calls": "0-48", "emails": "0-49", "tasks": "0-27",
}  # fmt: skip
ALIASES = {**{v: k for k, v in SINGULAR.items()}, **{v: k for k, v in TYPE_IDS.items()}, **{k: k for k in OBJECT_TYPES}}

# Stamps the CRM itself writes: contacts carry the names without prefix, companies and deals a mixture.
CREATED = {t: "hs_createdate" if t in ENGAGEMENTS else "createdate" for t in OBJECT_TYPES}
MODIFIED = {t: "lastmodifieddate" if t == "contacts" else "hs_lastmodifieddate" for t in OBJECT_TYPES}

# What list, read and search answer when no properties are asked for.
DEFAULT_PROPERTIES: dict[str, tuple[str, ...]] = {
    "contacts": ("createdate", "email", "firstname", "hs_object_id", "lastmodifieddate", "lastname"),
    "companies": ("createdate", "domain", "hs_lastmodifieddate", "hs_object_id", "name"),
    "deals": (
        "amount",
        "closedate",
        "createdate",
        "dealname",
        "dealstage",
        "hs_lastmodifieddate",
        "hs_object_id",
        "pipeline",
    ),
    **{t: ("hs_createdate", "hs_lastmodifieddate", "hs_object_id") for t in sorted(ENGAGEMENTS)},
}
SEARCHABLE: dict[str, tuple[str, ...]] = {
    "contacts": ("firstname", "lastname", "email", "phone", "company"),
    "companies": ("name", "domain", "phone"),
    "deals": ("dealname",),
    "emails": ("hs_email_subject", "hs_email_from_email", "hs_email_to_email"),
    "calls": ("hs_call_title", "hs_call_body"),
    "meetings": ("hs_meeting_title", "hs_meeting_body"),
    "notes": ("hs_note_body",),
    "tasks": ("hs_task_subject", "hs_task_body"),
}

LIFECYCLE = (
    "subscriber:Subscriber lead:Lead marketingqualifiedlead:Marketing_qualified "
    "salesqualifiedlead:Sales_qualified opportunity:Opportunity customer:Customer evangelist:Evangelist "
    "other:Other"
)
LEAD_STATUS = (
    "NEW:New OPEN:Open IN_PROGRESS:In_progress OPEN_DEAL:Open_deal UNQUALIFIED:Unqualified "
    "ATTEMPTED_TO_CONTACT:Attempted_to_contact CONNECTED:Connected BAD_TIMING:Bad_timing "
    "OBJECTED_TO_PROFILING:Objected_to_profiling"
)
INDUSTRIES = (
    "ACCOUNTING AIRLINES_AVIATION ALTERNATIVE_MEDICINE APPAREL_FASHION ARCHITECTURE_PLANNING AUTOMOTIVE "
    "AVIATION_AEROSPACE BANKING BIOTECHNOLOGY BROADCAST_MEDIA BUILDING_MATERIALS "
    "BUSINESS_SUPPLIES_AND_EQUIPMENT CAPITAL_MARKETS CHEMICALS CIVIL_ENGINEERING COMMERCIAL_REAL_ESTATE "
    "COMPUTER_SOFTWARE COMPUTER_HARDWARE COMPUTER_NETWORK_SECURITY CONSTRUCTION CONSUMER_ELECTRONICS "
    "CONSUMER_GOODS CONSUMER_SERVICES COSMETICS DAIRY DEFENSE_SPACE DESIGN E_LEARNING EDUCATION_MANAGEMENT "
    "ELECTRICAL_ELECTRONIC_MANUFACTURING ENTERTAINMENT ENVIRONMENTAL_SERVICES EVENTS_SERVICES "
    "FACILITIES_SERVICES FARMING FINANCIAL_SERVICES FISHERY FOOD_BEVERAGES FOOD_PRODUCTION FURNITURE "
    "GAMBLING_CASINOS GLASS_CERAMICS_CONCRETE GOVERNMENT_ADMINISTRATION GRAPHIC_DESIGN "
    "HEALTH_WELLNESS_AND_FITNESS HIGHER_EDUCATION HOSPITAL_HEALTH_CARE HOSPITALITY HUMAN_RESOURCES "
    "IMPORT_AND_EXPORT INDUSTRIAL_AUTOMATION INFORMATION_SERVICES INFORMATION_TECHNOLOGY_AND_SERVICES INSURANCE "
    "INTERNATIONAL_TRADE_AND_DEVELOPMENT INTERNET INVESTMENT_BANKING INVESTMENT_MANAGEMENT LAW_PRACTICE "
    "LEGAL_SERVICES LEISURE_TRAVEL_TOURISM LOGISTICS_AND_SUPPLY_CHAIN LUXURY_GOODS_JEWELRY MACHINERY "
    "MANAGEMENT_CONSULTING MARITIME MARKET_RESEARCH MARKETING_AND_ADVERTISING "
    "MECHANICAL_OR_INDUSTRIAL_ENGINEERING MEDIA_PRODUCTION MEDICAL_DEVICES MEDICAL_PRACTICE MINING_METALS "
    "MOTION_PICTURES_AND_FILM MUSIC NEWSPAPERS NON_PROFIT_ORGANIZATION_MANAGEMENT OIL_ENERGY ONLINE_MEDIA "
    "OUTSOURCING_OFFSHORING PACKAGE_FREIGHT_DELIVERY PACKAGING_AND_CONTAINERS PAPER_FOREST_PRODUCTS "
    "PHARMACEUTICALS PHOTOGRAPHY PLASTICS POLITICAL_ORGANIZATION PRINTING PROFESSIONAL_TRAINING_COACHING "
    "PUBLIC_RELATIONS_AND_COMMUNICATIONS PUBLISHING RAILROAD_MANUFACTURE REAL_ESTATE "
    "RECREATIONAL_FACILITIES_AND_SERVICES RENEWABLES_ENVIRONMENT RESEARCH RESTAURANTS RETAIL "
    "SECURITY_AND_INVESTIGATIONS SEMICONDUCTORS SHIPBUILDING SPORTING_GOODS SPORTS STAFFING_AND_RECRUITING "
    "SUPERMARKETS TELECOMMUNICATIONS TEXTILES THINK_TANKS TOBACCO TRANSLATION_AND_LOCALIZATION "
    "TRANSPORTATION_TRUCKING_RAILROAD UTILITIES VENTURE_CAPITAL_PRIVATE_EQUITY VETERINARY WAREHOUSING WHOLESALE "
    "WINE_AND_SPIRITS WIRELESS WRITING_AND_EDITING"
)

CALL_STATUS = (
    "COMPLETED:Completed BUSY:Busy CANCELED:Canceled FAILED:Failed NO_ANSWER:No_answer QUEUED:Queued "
    "RINGING:Ringing IN_PROGRESS:In_progress MISSED:Missed"
)
# HubSpot's default call outcomes travel as these ids.
CALL_OUTCOME = (
    "9d9162e7-6cf3-4944-bf63-4dff82258764:Busy f240bbac-87c9-4f6e-bf70-924b57d47db7:Connected "
    "a4c4c377-d246-4b32-a13b-75a56a4cd0ff:Left_live_message b2cf5968-551e-4856-9783-52b3da59a7d0:Left_voicemail "
    "73a0d17f-1163-4015-bdd5-ec830791da20:No_answer 17b47fee-58de-441e-a44c-c6300d46f273:Wrong_number"
)
MEETING_OUTCOME = "SCHEDULED:Scheduled COMPLETED:Completed CANCELED:Canceled NO_SHOW:No_show RESCHEDULED:Rescheduled"
TASK_STATUS = "NOT_STARTED:Not_started IN_PROGRESS:In_progress WAITING:Waiting COMPLETED:Completed DEFERRED:Deferred"
# One property per line: name | label | type | options (value:Label, `external` for owners, pipelines, stages) | flags.
# type: string text number date datetime bool enumeration.  flags: ro (the CRM writes it), unique.
_COMMON = """
hs_object_id|Record ID|number||ro
hs_merged_object_ids|Merged record IDs|string||ro
hubspot_owner_id|Owner|enumeration|external|
"""
_PROPERTIES: dict[str, str] = {
    "contacts": """
email|Email|string||
hs_additional_emails|Additional emails|string||
firstname|First name|string||
lastname|Last name|string||
jobtitle|Job title|string||
phone|Phone number|string||
company|Company name|string||
country|Country|string||
city|City|string||
lifecyclestage|Lifecycle stage|enumeration|LIFECYCLE|
hs_lead_status|Lead status|enumeration|LEAD_STATUS|
hs_email_optout|Unsubscribed from all email|bool||
hs_email_bounce|Emails bounced|number||
hs_language|Preferred language|string||
createdate|Create date|datetime||ro
lastmodifieddate|Last modified|datetime||ro
""",
    "companies": """
name|Company name|string||
domain|Company domain|string||
industry|Industry|enumeration|INDUSTRIES|
numberofemployees|Employees|number||
annualrevenue|Annual revenue|number||
phone|Phone number|string||
country|Country|string||
city|City|string||
description|Description|text||
lifecyclestage|Lifecycle stage|enumeration|LIFECYCLE|
createdate|Create date|datetime||ro
hs_lastmodifieddate|Last modified|datetime||ro
""",
    "deals": """
dealname|Deal name|string||
amount|Amount|number||
deal_currency_code|Currency|string||
pipeline|Pipeline|enumeration|external|
dealstage|Deal stage|enumeration|external|
closedate|Close date|datetime||
dealtype|Deal type|enumeration|newbusiness:New_business existingbusiness:Existing_business renewal:Renewal|
closed_lost_reason|Closed lost reason|text||
hs_is_closed|Is closed|bool||ro
hs_is_closed_won|Is closed won|bool||ro
createdate|Create date|datetime||ro
hs_lastmodifieddate|Last modified|datetime||ro
""",
    "emails": """
hs_timestamp|Activity date|datetime||
hs_email_subject|Subject|string||
hs_email_text|Text|text||
hs_email_direction|Direction|enumeration|EMAIL:Outgoing INCOMING_EMAIL:Incoming FORWARDED_EMAIL:Forwarded|
hs_email_status|Status|enumeration|SENT:Sent BOUNCED:Bounced FAILED:Failed SCHEDULED:Scheduled SENDING:Sending|
hs_email_headers|Headers|text||
hs_email_from_email|From|string||
hs_email_to_email|To|string||
hs_email_cc_email|Cc|string||
hs_email_thread_id|Thread|string||
hs_outreach_motion|Outreach motion|enumeration|net_new:Net_new win_back:Win-back|
hs_sequence_step|Sequence step|number||
""",
    "calls": """
hs_timestamp|Activity date|datetime||
hs_call_title|Title|string||
hs_call_body|Notes and transcript|text||
hs_call_direction|Direction|enumeration|INBOUND:Inbound OUTBOUND:Outbound|
hs_call_disposition|Outcome|enumeration|CALL_OUTCOME|
hs_call_duration|Duration (ms)|number||
hs_call_status|Status|enumeration|CALL_STATUS|
hs_call_has_transcript|Has transcript|bool||
""",
    "meetings": """
hs_timestamp|Activity date|datetime||
hs_meeting_title|Title|string||
hs_meeting_body|Description|text||
hs_meeting_start_time|Start|datetime||
hs_meeting_end_time|End|datetime||
hs_meeting_outcome|Outcome|enumeration|MEETING_OUTCOME|
hs_meeting_location|Location|string||
""",
    "notes": """
hs_timestamp|Activity date|datetime||
hs_note_body|Note|text||
""",
    "tasks": """
hs_timestamp|Due date|datetime||
hs_task_subject|Subject|string||
hs_task_body|Body|text||
hs_task_status|Status|enumeration|TASK_STATUS|
hs_task_priority|Priority|enumeration|NONE:None LOW:Low MEDIUM:Medium HIGH:High|
hs_task_type|Type|enumeration|EMAIL:Email CALL:Call TODO:To-do|
""",
}
_STAMPS = "hs_createdate|Create date|datetime||ro\nhs_lastmodifieddate|Last modified|datetime||ro\n"
_OPTIONS = {
    "LIFECYCLE": LIFECYCLE, "LEAD_STATUS": LEAD_STATUS, "INDUSTRIES": INDUSTRIES,
    "CALL_STATUS": CALL_STATUS, "CALL_OUTCOME": CALL_OUTCOME,
    "MEETING_OUTCOME": MEETING_OUTCOME, "TASK_STATUS": TASK_STATUS,
}  # fmt: skip
_FIELD_TYPES = {
    "string": "text", "text": "textarea", "number": "number", "date": "date",
    "datetime": "date", "bool": "booleancheckbox", "enumeration": "select",
}  # fmt: skip
_EXTERNAL = {"hubspot_owner_id": "OWNER", "pipeline": "PIPELINE", "dealstage": "PIPELINE_STAGE"}


def default_group(object_type: str) -> str:
    """Name of the property group HubSpot's own properties of this type sit in."""
    return f"{SINGULAR[object_type]}information"


def default_definitions(object_type: str, created_iso: str) -> list[dict[str, Any]]:
    """Property definitions, in HubSpot's shape, that every portal has for `object_type`."""
    text = _PROPERTIES[object_type] + (_STAMPS if object_type in ENGAGEMENTS else "") + _COMMON
    return [_definition(object_type, line, created_iso) for line in text.strip().splitlines() if line]


def _definition(object_type: str, line: str, created_iso: str) -> dict[str, Any]:
    name, label, kind, option_text, flags = line.split("|")
    external = option_text == "external"
    pairs = [] if external else [o.partition(":") for o in _OPTIONS.get(option_text, option_text).split()]
    if kind == "bool":
        pairs = [("true", ":", "Yes"), ("false", ":", "No")]
    read_only = flags == "ro"
    found: dict[str, Any] = {
        "name": name,
        "label": label,
        "type": "string" if kind == "text" else kind,
        "fieldType": _FIELD_TYPES[kind],
        "description": "",
        "groupName": default_group(object_type),
        "options": [
            {"label": (text or value.title()).replace("_", " "), "value": value, "displayOrder": n, "hidden": False}
            for n, (value, _, text) in enumerate(pairs)
        ],
        "displayOrder": -1,
        "calculated": False,
        "externalOptions": external,
        "hasUniqueValue": name == "hs_object_id",
        "hidden": False,
        "hubspotDefined": True,
        "formField": False,
        "dataSensitivity": "non_sensitive",
        "modificationMetadata": {"archivable": False, "readOnlyDefinition": True, "readOnlyValue": read_only},
        "createdAt": created_iso,
        "updatedAt": created_iso,
        "archived": False,
    }
    if external:
        found["referencedObjectType"] = _EXTERNAL[name]
    return found


def default_association_types() -> list[tuple[str, str, int, str, int]]:
    """Rows (from_type, to_type, type_id, name, inverse_id) of HubSpot's unlabelled association types, both ways."""
    pairs = dict(ASSOCIATION_TYPES)
    for (source, target), type_id in ASSOCIATION_TYPES.items():
        # The reverse of an activity's association is the number before it (email to contact 198, back 197).
        pairs.setdefault((target, source), type_id - 1)
    pairs[("contacts", "contacts")] = 449
    pairs[("companies", "companies")] = 450
    unlabelled = {279, 280, 341, 342}  # these pairs also have a separate "primary" type
    return [
        (a, b, n, f"{SINGULAR[a]}_to_{SINGULAR[b]}" + ("_unlabeled" if n in unlabelled else ""), pairs[(b, a)])
        for (a, b), n in sorted(pairs.items())
    ]
