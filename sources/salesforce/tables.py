"""Every table of the raw dataset `salesforce`, defined once: columns, keys, and which API field fills a column.

Column names are the API names in snake case (`SystemModstamp` is `system_modstamp`). What each org names in its own way
(a contact's language, why a deal was lost) has a column of our own, filled from the field that the setting
`custom_fields` names. Ids are the 18 characters Salesforce shows to programs.

How the tables hang together:

* A deleted record stays in its table with `is_deleted = true` and is in `deletions`; an undeleted one loses that row.
* A record merged away leaves its table and is in `merges` with reason `merged`.
* A converted lead stays in `leads` with `is_converted = true`, is in `merges` with reason `converted` (surviving type
  `Contact`), and is no deletion.
* `object_type` everywhere is the object's API name: Account, Contact, Lead, Opportunity, Task, Event, EmailMessage.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from sources.kit.tables import Column, Kind, Table, by_name, table

DATASET: Final = "salesforce"

_FIRST_OF_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|(?<=[A-Za-z])(?=[0-9])")

# Types of a describe answer that a column of this kind can hold. Text holds any, since values travel as text; a type
# that *changes* stops the load for text too.
ACCEPTED_TYPES: Final[dict[Kind, frozenset[str]]] = {
    "bool": frozenset({"boolean"}),
    "bigint": frozenset({"int", "long", "double"}),
    "double": frozenset({"double", "int", "long", "percent", "currency"}),
    "timestamp": frozenset({"datetime"}),
    "date": frozenset({"date"}),
    "money": frozenset({"currency", "double", "int", "long"}),
    "probability": frozenset({"percent", "double", "int"}),
}


def snake(name: str) -> str:
    """`CurrencyIsoCode` as `currency_iso_code`; a custom field without its `__c`."""
    return _FIRST_OF_WORD.sub("_", name.removesuffix("__c")).replace("__", "_").lower()


@dataclass(frozen=True)
class ObjectType:
    """One Salesforce object: its table and which API field fills each column.

    Attributes:
        name: API name.
        table: Where its records go.
        fields: Column -> API name, for the fields every org has under the same name.
        customs: Column -> API name by default; the setting `custom_fields` may name another.
        stamp: The field a later load asks by; empty where the object is read whole each time.
        optional: Whether an org may lack the object (an edition, a feature that is off) without a word about it.
        archives: Whether old rows are shown only to those who ask for deleted ones as well.
        tracked: The object holding its field history, and the field in it that names the record.
    """

    name: str
    table: Table
    fields: Mapping[str, str]
    customs: Mapping[str, str] = field(default_factory=dict[str, str])
    stamp: str = "SystemModstamp"
    optional: bool = False
    archives: bool = False
    tracked: tuple[str, str] | None = None

    @cached_property
    def can_merge(self) -> bool:
        """Whether a record of this object can be merged into another."""
        return "master_record_id" in self.fields


def _object(
    name: str,
    api_name: str,
    *groups: tuple[Kind, str],
    customs: tuple[tuple[Kind, str], ...] = (),
    texts: str = "",
    addresses: str = "",
    stamp: str = "SystemModstamp",
    optional: bool = False,
    archives: bool = False,
    tracked: tuple[str, str] | None = None,
    system: tuple[tuple[Kind, str], ...] | None = None,
) -> ObjectType:
    """An object from its API names; the columns every record has come first, custom ones (`column=Field__c`) last."""
    own = _SYSTEM if system is None else system
    fields: dict[str, str] = {}
    chosen: dict[str, str] = {}
    all_columns: list[Column] = []
    for kind, names in (*own, *groups):
        for one in names.split():
            fields[snake(one)] = one
            all_columns.append(Column(snake(one), kind, is_property=True))
    for kind, pairs in customs:
        for pair in pairs.split():
            column, _, one = pair.partition("=")
            chosen[column] = one
            all_columns.append(Column(column, kind, is_property=True))
    return ObjectType(
        name=api_name,
        table=Table(DATASET, name, ("id",), tuple(all_columns), tuple(addresses.split()), tuple(texts.split())),
        fields=fields,
        customs=chosen,
        stamp=stamp,
        optional=optional,
        archives=archives,
        tracked=tracked,
    )


_SYSTEM: Final[tuple[tuple[Kind, str], ...]] = (
    ("text", "Id"),
    ("bool", "IsDeleted"),
    ("timestamp", "CreatedDate"),
    ("text", "CreatedById"),
    ("timestamp", "LastModifiedDate"),
    ("text", "LastModifiedById"),
    ("timestamp", "SystemModstamp"),
)
_SETUP: Final[tuple[tuple[Kind, str], ...]] = (("text", "Id"), ("timestamp", "SystemModstamp"))  # cannot be deleted

# What orgs note of a person in fields of their own making.
_PERSON: Final[tuple[tuple[Kind, str], ...]] = (
    ("text", "language=Language__c lifecycle_stage=Lifecycle_Stage__c lead_status=Lead_Status__c"),
    ("bigint", "email_bounce_count=Email_Bounce_Count__c"),
    # An address that said no to all mail, apart from the person's own checkbox: when, and by which way.
    ("timestamp", "email_opted_out_at=Email_Opt_Out_Date_Time__c"),
    ("text", "email_opt_out_source=Email_Opt_Out_Source__c"),
)

ACCOUNT: Final = _object(
    "accounts",
    "Account",
    ("text", "Name ParentId OwnerId RecordTypeId MasterRecordId Type Industry AccountSource Rating Ownership"),
    ("text", "Website Phone Fax Description AccountNumber Site TickerSymbol Sic SicDesc CurrencyIsoCode"),
    ("bigint", "NumberOfEmployees"),
    ("money", "AnnualRevenue"),
    ("text", "BillingStreet BillingCity BillingState BillingStateCode BillingPostalCode BillingCountry"),
    ("text", "BillingCountryCode ShippingStreet ShippingCity ShippingState ShippingStateCode ShippingPostalCode"),
    ("text", "ShippingCountry ShippingCountryCode"),
    ("bool", "IsPersonAccount"),
    ("text", "PersonContactId"),
    ("date", "LastActivityDate"),
    customs=(("text", "lifecycle_stage=Lifecycle_Stage__c"),),
    tracked=("AccountHistory", "AccountId"),
)
CONTACT: Final = _object(
    "contacts",
    "Contact",
    ("text", "AccountId OwnerId RecordTypeId MasterRecordId ReportsToId IndividualId"),
    ("text", "Salutation FirstName MiddleName LastName Suffix Name Email Title Department"),
    ("text", "Phone MobilePhone HomePhone OtherPhone Fax AssistantName AssistantPhone"),
    ("text", "MailingStreet MailingCity MailingState MailingStateCode MailingPostalCode MailingCountry"),
    ("text", "MailingCountryCode LeadSource Description CurrencyIsoCode"),
    ("bool", "HasOptedOutOfEmail HasOptedOutOfFax DoNotCall IsEmailBounced IsPersonAccount"),
    ("text", "EmailBouncedReason"),
    ("timestamp", "EmailBouncedDate"),
    ("date", "LastActivityDate"),
    customs=(*_PERSON, ("text", "company_name=Company_Name__c")),
    addresses="email",
    tracked=("ContactHistory", "ContactId"),
)
LEAD: Final = _object(
    "leads",
    "Lead",
    ("text", "OwnerId RecordTypeId MasterRecordId IndividualId Salutation FirstName MiddleName LastName Suffix Name"),
    ("text", "Email Title Company Website Phone MobilePhone Fax Street City State StateCode PostalCode Country"),
    ("text", "CountryCode Status LeadSource Industry Rating Description CurrencyIsoCode"),
    ("bigint", "NumberOfEmployees"),
    ("money", "AnnualRevenue"),
    ("bool", "HasOptedOutOfEmail HasOptedOutOfFax DoNotCall IsUnreadByOwner"),
    ("text", "EmailBouncedReason"),
    ("timestamp", "EmailBouncedDate"),
    ("bool", "IsConverted"),
    ("date", "ConvertedDate"),
    ("text", "ConvertedAccountId ConvertedContactId ConvertedOpportunityId"),
    ("date", "LastActivityDate"),
    customs=_PERSON,
    addresses="email",
    tracked=("LeadHistory", "LeadId"),
)
OPPORTUNITY: Final = _object(
    "opportunities",
    "Opportunity",
    ("text", "Name AccountId ContactId OwnerId RecordTypeId CampaignId StageName Type NextStep LeadSource Description"),
    ("text", "CurrencyIsoCode ForecastCategory ForecastCategoryName"),
    ("money", "Amount ExpectedRevenue"),
    ("probability", "Probability"),  # per cent, 0 to 100
    ("date", "CloseDate"),
    ("bool", "IsClosed IsWon IsPrivate HasOpportunityLineItem"),
    ("bigint", "FiscalYear FiscalQuarter"),
    ("date", "LastActivityDate"),
    ("timestamp", "LastStageChangeDate"),
    # CloseDate is a day; who needs the moment has a field for it.
    customs=(
        ("text", "closed_lost_reason=Closed_Lost_Reason__c deal_type=Type"),
        ("timestamp", "closed_at=Closed_At__c"),  # CloseDate is a day
    ),
    tracked=("OpportunityFieldHistory", "OpportunityId"),
)
OPPORTUNITY_CONTACT_ROLE: Final = _object(
    "opportunity_contact_roles",
    "OpportunityContactRole",
    ("text", "OpportunityId ContactId Role"),
    ("bool", "IsPrimary"),
)
TASK: Final = _object(
    "tasks",
    "Task",
    ("text", "WhoId WhatId AccountId OwnerId RecordTypeId Subject Description Status Priority Type TaskSubtype"),
    ("date", "ActivityDate"),
    ("timestamp", "CompletedDateTime"),
    ("bool", "IsClosed IsHighPriority IsArchived IsRecurrence"),
    ("text", "RecurrenceActivityId CallType CallDisposition CallObject"),
    ("bigint", "CallDurationInSeconds"),
    customs=(
        ("text", "call_transcript=Call_Transcript__c outreach_motion=Outreach_Motion__c"),
        ("text", "sequence_step=Sequence_Step__c"),
        ("timestamp", "due_at=Due_At__c"),  # ActivityDate is a day
        ("bigint", "call_duration_ms=Call_Duration_Ms__c"),  # CallDurationInSeconds is whole seconds
    ),
    texts="subject description call_transcript",
    archives=True,
)
EVENT: Final = _object(
    "events",
    "Event",
    ("text", "WhoId WhatId AccountId OwnerId RecordTypeId Subject Description Location Type EventSubtype ShowAs"),
    ("timestamp", "ActivityDateTime StartDateTime EndDateTime"),
    ("date", "ActivityDate EndDate"),
    ("bigint", "DurationInMinutes"),
    ("bool", "IsAllDayEvent IsPrivate IsChild IsGroupEvent IsArchived IsRecurrence IsRecurrence2"),
    ("bool", "IsRecurrence2Exception IsRecurrence2Exclusion"),
    ("text", "GroupEventType RecurrenceActivityId Recurrence2PatternText Recurrence2PatternTimeZone"),
    customs=(("text", "outcome=Outcome__c"),),
    texts="subject description location",
    archives=True,
)
EVENT_RELATION: Final = _object(
    "event_relations",
    "EventRelation",
    ("text", "EventId RelationId AccountId Status Response"),
    ("timestamp", "RespondedDate"),
    ("bool", "IsWhat IsParent IsInvitee"),
    optional=True,
)
TASK_RELATION: Final = _object(
    "task_relations",
    "TaskRelation",
    ("text", "TaskId RelationId AccountId"),
    ("bool", "IsWhat"),
    optional=True,
)
EMAIL_MESSAGE: Final = _object(
    "email_messages",
    "EmailMessage",
    ("text", "ParentId ActivityId RelatedToId Subject TextBody HtmlBody Headers FromName FromAddress"),
    ("text", "ValidatedFromAddress ToAddress CcAddress BccAddress MessageIdentifier ThreadIdentifier"),
    ("text", "ReplyToEmailMessageId Status"),  # 0 new, 1 read, 2 replied, 3 sent, 4 forwarded, 5 draft
    ("bool", "Incoming HasAttachment IsExternallyVisible IsClientManaged IsOpened IsBounced"),
    ("timestamp", "MessageDate FirstOpenedDate LastOpenedDate"),
    customs=(("text", "outreach_motion=Outreach_Motion__c sequence_step=Sequence_Step__c"),),
    addresses="from_address validated_from_address to_address cc_address bcc_address",
    texts="subject text_body html_body headers",
    optional=True,
)
# Who an email went to or came from, as records: an EmailMessage itself carries addresses only.
EMAIL_MESSAGE_RELATION: Final = _object(
    "email_message_relations",
    "EmailMessageRelation",
    ("text", "EmailMessageId RelationId RelationType RelationAddress RelationObjectType"),
    addresses="relation_address",
    optional=True,
)
# Classic notes: their whole text comes with the record and they belong to one record. The text of a ContentNote is a
# file that costs a request each, and it hangs on any number of records; those are not loaded.
NOTE: Final = _object(
    "notes",
    "Note",
    ("text", "ParentId OwnerId Title Body"),
    ("bool", "IsPrivate"),
    texts="title body",
    optional=True,
)
USER: Final = _object(
    "users",
    "User",
    ("text", "Username Email FirstName LastName Name Title Department Division CompanyName UserType ManagerId"),
    ("text", "UserRoleId ProfileId TimeZoneSidKey LocaleSidKey LanguageLocaleKey CurrencyIsoCode"),
    ("bool", "IsActive"),
    system=(
        ("text", "Id"),
        ("timestamp", "CreatedDate"),
        ("timestamp", "LastModifiedDate"),
        ("timestamp", "SystemModstamp"),
    ),
    customs=(("text", "team=Department"),),
    stamp="",
)
USER_ROLE: Final = _object(
    "user_roles", "UserRole", ("text", "Name DeveloperName ParentRoleId"), system=_SETUP, stamp="", optional=True
)
OPPORTUNITY_STAGE: Final = _object(
    "opportunity_stages",
    "OpportunityStage",
    ("text", "ApiName MasterLabel ForecastCategory ForecastCategoryName Description"),
    ("bigint", "SortOrder"),
    ("probability", "DefaultProbability"),  # per cent, 0 to 100
    ("bool", "IsActive IsClosed IsWon"),
    system=_SETUP,
    stamp="",
)
# What an opportunity's RecordTypeId points to: the nearest thing to a pipeline.
RECORD_TYPE: Final = _object(
    "record_types",
    "RecordType",
    ("text", "Name DeveloperName SobjectType Description"),
    ("bool", "IsActive"),
    system=_SETUP,
    stamp="",
    optional=True,
)
CURRENCY_TYPE: Final = _object(
    "currencies",
    "CurrencyType",
    ("text", "IsoCode"),
    ("double", "ConversionRate"),  # units of this currency for one of the corporate currency
    ("bigint", "DecimalPlaces"),
    ("bool", "IsActive IsCorporate"),
    system=_SETUP,
    stamp="",
    optional=True,
)
DATED_CONVERSION_RATE: Final = _object(
    "dated_conversion_rates",
    "DatedConversionRate",
    ("text", "IsoCode"),
    ("date", "StartDate NextStartDate"),
    ("double", "ConversionRate"),
    system=_SETUP,
    stamp="",
    optional=True,
)

OBJECTS: Final[tuple[ObjectType, ...]] = (
    CONTACT,
    LEAD,
    ACCOUNT,
    OPPORTUNITY,
    OPPORTUNITY_CONTACT_ROLE,
    TASK,
    EVENT,
    EMAIL_MESSAGE,
    EMAIL_MESSAGE_RELATION,
    EVENT_RELATION,
    TASK_RELATION,
    NOTE,
    USER,
    USER_ROLE,
    OPPORTUNITY_STAGE,
    RECORD_TYPE,
    CURRENCY_TYPE,
    DATED_CONVERSION_RATE,
)

# One row per field that changed. An OpportunityHistory row is a snapshot and gives one row for each of its fields,
# without an old value; the other objects give one row each, with both. `object_type` is whose history it is,
# `source_object` where it was kept.
FIELD_HISTORY: Final = table(
    DATASET,
    "field_history",
    "source_object history_id field",
    ("text", "source_object history_id object_type record_id field old_value new_value"),
    ("timestamp", "changed_at"),
    ("text", "changed_by"),
)
PICKLIST_VALUES: Final = table(
    DATASET,
    "picklist_values",
    "object_type field value",
    ("text", "object_type field value label"),
    ("bool", "is_active is_default"),
    ("bigint", "position"),
)
DELETIONS: Final = table(
    DATASET, "deletions", "object_type object_id", ("text", "object_type object_id"), ("timestamp", "deleted_at")
)
MERGES: Final = table(
    DATASET,
    "merges",
    "object_type merged_id",
    ("text", "object_type merged_id surviving_type surviving_id reason"),  # merged | converted
)
NAMESPACED_VALUES: Final = table(
    DATASET,
    "namespaced_values",
    "object_type object_id property",
    ("text", "object_type object_id property value"),
    ("timestamp", "updated_at"),
)
# What the CRM said of each field when it was last loaded: the memory behind `sources.kit.contract`.
PROPERTY_DEFINITIONS: Final = table(
    DATASET,
    "property_definitions",
    "object_type name",
    ("text", "object_type name label type reference_to"),
    ("bool", "is_custom is_loaded"),
    # options: JSON list of [value, label]. state: `gone` when the CRM no longer has it and the loaded values stay.
    ("json", "options"),
    ("text", "state"),
)
LOAD_WATERMARKS: Final = table(
    DATASET,
    "load_watermarks",
    "stream",
    ("text", "stream"),
    ("timestamp", "watermark"),
    ("bigint", "rows_seen"),
    ("timestamp", "loaded_at"),
)

TABLES: Final[dict[str, Table]] = by_name(
    *(one.table for one in OBJECTS),
    FIELD_HISTORY,
    PICKLIST_VALUES,
    DELETIONS,
    MERGES,
    NAMESPACED_VALUES,
    PROPERTY_DEFINITIONS,
    LOAD_WATERMARKS,
)
