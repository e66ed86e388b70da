"""Which standard fields each object has, one line per field; `catalog` reads them.

A line is name, type, size (length, or precision.scale of a number), marks. Marks: U updateable, C createable,
N nillable, R restricted picklist. A reference names what it points to behind `>`.
"""

from __future__ import annotations

# The fields most objects share; those that lack some are in `WITHOUT`.
SYSTEM = """
Id id 18
IsDeleted boolean 0
OwnerId reference 18 UC >User
CreatedDate datetime 0
CreatedById reference 18 >User
LastModifiedDate datetime 0
LastModifiedById reference 18 >User
SystemModstamp datetime 0
"""
_ANYTHING = ">Account >Contact >Lead >Opportunity"
_ACTIVITY = """
WhoId reference 18 UCN >Contact >Lead
WhatId reference 18 UCN >Account >Opportunity
AccountId reference 18 N >Account
Subject combobox 255 UCN
ActivityDate date 0 UCN
Description textarea 32000 UCN
IsArchived boolean 0
IsReminderSet boolean 0 UC
ReminderDateTime datetime 0 UCN
IsRecurrence boolean 0 C
"""
FIELDS: dict[str, str] = {
    "Account": """
MasterRecordId reference 18 N >Account
Name string 255 UC
Type picklist 40 UCN
RecordTypeId reference 18 UCN >RecordType
ParentId reference 18 UCN >Account
BillingStreet textarea 255 UCN
BillingCity string 40 UCN
BillingState string 80 UCN
BillingPostalCode string 20 UCN
BillingCountry string 80 UCN
ShippingCity string 40 UCN
ShippingCountry string 80 UCN
Phone phone 40 UCN
Fax phone 40 UCN
AccountNumber string 40 UCN
Website url 255 UCN
Sic string 20 UCN
Industry picklist 40 UCN
AnnualRevenue currency 18.0 UCN
NumberOfEmployees int 0 UCN
Ownership picklist 40 UCN
TickerSymbol string 20 UCN
Description textarea 32000 UCN
Rating picklist 40 UCN
Site string 80 UCN
CleanStatus picklist 40 UCNR
AccountSource picklist 40 UCN
LastActivityDate date 0 N
""",
    "Contact": """
MasterRecordId reference 18 N >Contact
AccountId reference 18 UCN >Account
LastName string 80 UC
FirstName string 40 UCN
Salutation picklist 40 UCN
Name string 121
MailingStreet textarea 255 UCN
MailingCity string 40 UCN
MailingState string 80 UCN
MailingPostalCode string 20 UCN
MailingCountry string 80 UCN
MailingLatitude double 18.15 UCN
Phone phone 40 UCN
Fax phone 40 UCN
MobilePhone phone 40 UCN
HomePhone phone 40 UCN
ReportsToId reference 18 UCN >Contact
Email email 80 UCN
Title string 128 UCN
Department string 80 UCN
AssistantName string 40 UCN
LeadSource picklist 255 UCN
Birthdate date 0 UCN
HasOptedOutOfEmail boolean 0 UC
HasOptedOutOfFax boolean 0 UC
DoNotCall boolean 0 UC
Description textarea 32000 UCN
CleanStatus picklist 40 UCNR
EmailBouncedReason string 255 UCN
EmailBouncedDate datetime 0 UCN
IsEmailBounced boolean 0
LastActivityDate date 0 N
""",
    "Lead": """
MasterRecordId reference 18 N >Lead
LastName string 80 UC
FirstName string 40 UCN
Salutation picklist 40 UCN
Name string 121
Title string 128 UCN
Company string 255 UC
Street textarea 255 UCN
City string 40 UCN
State string 80 UCN
PostalCode string 20 UCN
Country string 80 UCN
Phone phone 40 UCN
MobilePhone phone 40 UCN
Fax phone 40 UCN
Email email 80 UCN
Website url 255 UCN
Description textarea 32000 UCN
HasOptedOutOfEmail boolean 0 UC
HasOptedOutOfFax boolean 0 UC
DoNotCall boolean 0 UC
LeadSource picklist 255 UCN
Status picklist 255 UC
Industry picklist 255 UCN
Rating picklist 255 UCN
AnnualRevenue currency 18.0 UCN
NumberOfEmployees int 0 UCN
CleanStatus picklist 40 UCNR
IsConverted boolean 0 C
ConvertedDate date 0 N
ConvertedAccountId reference 18 N >Account
ConvertedContactId reference 18 N >Contact
ConvertedOpportunityId reference 18 N >Opportunity
IsUnreadByOwner boolean 0 UC
EmailBouncedReason string 255 UN
EmailBouncedDate datetime 0 UN
LastActivityDate date 0 N
""",
    "Opportunity": """
AccountId reference 18 UCN >Account
RecordTypeId reference 18 UCN >RecordType
IsPrivate boolean 0 UC
Name string 120 UC
Description textarea 32000 UCN
StageName picklist 255 UC
Amount currency 18.2 UCN
Probability percent 3.0 UCN
ExpectedRevenue currency 18.2 N
CloseDate date 0 UC
Type picklist 255 UCN
NextStep string 255 UCN
LeadSource picklist 255 UCN
IsClosed boolean 0
IsWon boolean 0
ForecastCategory picklist 40 R
ForecastCategoryName picklist 255 UCNR
HasOpportunityLineItem boolean 0
LastActivityDate date 0 N
LastStageChangeDate datetime 0 N
FiscalQuarter int 0 N
FiscalYear int 0 N
ContactId reference 18 CN >Contact
""",
    "OpportunityContactRole": """
OpportunityId reference 18 C >Opportunity
ContactId reference 18 UC >Contact
Role picklist 40 UCN
IsPrimary boolean 0 UC
""",
    "OpportunityHistory": """
OpportunityId reference 18 >Opportunity
StageName picklist 255
Amount currency 18.2 N
ExpectedRevenue currency 18.2 N
CloseDate date 0 N
Probability percent 3.0 N
ForecastCategory picklist 40 R
""",
    "Task": _ACTIVITY
    + """
Status picklist 255 UC
Priority picklist 255 UC
IsHighPriority boolean 0
Type picklist 40 UCN
TaskSubtype picklist 40 CNR
IsClosed boolean 0
CompletedDateTime datetime 0 N
CallType picklist 40 UCNR
CallDurationInSeconds int 0 UCN
CallDisposition string 255 UCN
CallObject string 255 UCN
RecurrenceActivityId reference 18 N >Task
""",
    "Event": _ACTIVITY
    + """
Location string 255 UCN
IsAllDayEvent boolean 0 UC
ActivityDateTime datetime 0 UCN
DurationInMinutes int 0 UCN
StartDateTime datetime 0 UCN
EndDateTime datetime 0 UCN
EndDate date 0 N
IsPrivate boolean 0 UC
ShowAs picklist 40 UCNR
IsChild boolean 0
IsGroupEvent boolean 0
GroupEventType picklist 40 NR
EventSubtype picklist 40 CNR
RecurrenceActivityId reference 18 N >Event
RecurrenceStartDateTime datetime 0 UCN
RecurrenceEndDateOnly date 0 UCN
RecurrenceTimeZoneSidKey picklist 40 UCNR
RecurrenceType picklist 40 UCNR
RecurrenceInterval int 0 UCN
RecurrenceDayOfWeekMask int 0 UCN
RecurrenceDayOfMonth int 0 UCN
IsRecurrence2 boolean 0
IsRecurrence2Exception boolean 0
IsRecurrence2Exclusion boolean 0
Recurrence2PatternText textarea 512 CN
Recurrence2PatternStartDate datetime 0 N
Recurrence2PatternTimeZone string 255 N
""",
    "TaskRelation": """
TaskId reference 18 C >Task
RelationId reference 18 C >Account >Contact >Lead >Opportunity
AccountId reference 18 N >Account
IsWhat boolean 0 C
""",
    "EventRelation": """
EventId reference 18 C >Event
RelationId reference 18 C >Account >Contact >Lead >Opportunity >User
AccountId reference 18 N >Account
IsWhat boolean 0 C
IsParent boolean 0 C
IsInvitee boolean 0 C
Status picklist 40 UCNR
Response string 255 UCN
RespondedDate datetime 0 UCN
""",
    "EmailMessage": f"""
ParentId reference 18 CN {_ANYTHING}
ActivityId reference 18 CN >Task
RelatedToId reference 18 UCN {_ANYTHING}
Subject string 3000 UCN
TextBody textarea 131072 UCN
HtmlBody textarea 131072 UCN
Headers textarea 32000 UCN
FromName string 1000 UCN
FromAddress email 1000 UCN
ToAddress string 4000 UCN
CcAddress string 4000 UCN
BccAddress string 4000 UCN
Incoming boolean 0 UC
HasAttachment boolean 0
Status picklist 40 UCR
MessageDate datetime 0 UCN
MessageIdentifier string 765 UCN
ThreadIdentifier string 765 UCN
ReplyToEmailMessageId reference 18 CN >EmailMessage
IsExternallyVisible boolean 0 UC
IsClientManaged boolean 0 C
IsOpened boolean 0
FirstOpenedDate datetime 0 N
LastOpenedDate datetime 0 N
IsBounced boolean 0
""",
    "EmailMessageRelation": """
EmailMessageId reference 18 C >EmailMessage
RelationId reference 18 CN >Contact >Lead >User
RelationType picklist 40 CR
RelationAddress string 1000 CN
RelationObjectType picklist 40 R
""",
    "Note": f"""
ParentId reference 18 C {_ANYTHING}
Title string 80 UC
IsPrivate boolean 0 UC
Body textarea 32000 UCN
""",
    "User": """
Username string 80 UC
LastName string 80 UC
FirstName string 40 UCN
Name string 121
CompanyName string 80 UCN
Division string 80 UCN
Department string 80 UCN
Title string 80 UCN
Email email 128 UC
IsActive boolean 0 UC
TimeZoneSidKey picklist 40 UCR
UserRoleId reference 18 UCN >UserRole
LocaleSidKey picklist 40 UCR
LanguageLocaleKey picklist 40 UCR
UserType picklist 40 R
ManagerId reference 18 UCN >User
""",
    "UserRole": """
Name string 80 UC
DeveloperName string 80 UC
ParentRoleId reference 18 UCN >UserRole
""",
    "RecordType": """
Name string 80 UC
DeveloperName string 80 UC
SobjectType picklist 40 CR
Description string 255 UCN
IsActive boolean 0 UC
""",
    "OpportunityStage": """
MasterLabel string 255 N
ApiName string 255 N
IsActive boolean 0
SortOrder int 0 N
IsClosed boolean 0
IsWon boolean 0
ForecastCategory picklist 40 R
ForecastCategoryName picklist 255 R
DefaultProbability percent 3.0 N
Description string 255 N
""",
    "LeadStatus": """
MasterLabel string 255 N
ApiName string 255 N
SortOrder int 0 N
IsDefault boolean 0
IsConverted boolean 0
""",
    "CurrencyType": """
IsoCode picklist 40 UCR
ConversionRate double 18.6 UC
DecimalPlaces int 0 UC
IsActive boolean 0 UC
IsCorporate boolean 0
""",
    "DatedConversionRate": """
IsoCode picklist 40 CR
StartDate date 0 UC
NextStartDate date 0 N
ConversionRate double 18.6 UC
""",
    "PermissionSet": """
Name string 80 UC
Label string 80 UC
""",
    "PermissionSetAssignment": """
AssigneeId reference 18 C >User
PermissionSetId reference 18 C >PermissionSet
""",
    "FieldPermissions": """
ParentId reference 18 C >PermissionSet
SobjectType picklist 40 C
Field picklist 240 C
PermissionsRead boolean 0 UC
PermissionsEdit boolean 0 UC
""",
}
# Shared fields that an object lacks. Records of what is set up cannot be deleted softly.
_SETUP = frozenset({"OwnerId", "IsDeleted"})
WITHOUT: dict[str, frozenset[str]] = {
    "OpportunityContactRole": frozenset({"OwnerId"}),
    "OpportunityHistory": frozenset({"OwnerId", "LastModifiedDate", "LastModifiedById"}),
    "TaskRelation": frozenset({"OwnerId"}),
    "EventRelation": frozenset({"OwnerId"}),
    "EmailMessage": frozenset({"OwnerId"}),
    "EmailMessageRelation": frozenset({"OwnerId", "LastModifiedDate", "LastModifiedById"}),
    "User": _SETUP,
    "UserRole": _SETUP | {"CreatedDate", "CreatedById"},
    "RecordType": _SETUP,
    "OpportunityStage": _SETUP,
    "LeadStatus": _SETUP,
    "CurrencyType": _SETUP,
    "DatedConversionRate": _SETUP,
    "PermissionSet": frozenset({"OwnerId"}),
    "PermissionSetAssignment": frozenset({"OwnerId"}),
    "FieldPermissions": frozenset({"OwnerId"}),
}
KEY_PREFIXES = {
    "Account": "001",
    "Note": "002",
    "Contact": "003",
    "User": "005",
    "Opportunity": "006",
    "OpportunityHistory": "008",
    "OpportunityContactRole": "00K",
    "UserRole": "00E",
    "Lead": "00Q",
    "Task": "00T",
    "Event": "00U",
    "RecordType": "012",
    "OpportunityStage": "01J",
    "CurrencyType": "01L",
    "LeadStatus": "01Q",
    "FieldPermissions": "01k",
    "EmailMessage": "02s",
    "DatedConversionRate": "04w",
    "EmailMessageRelation": "0dY",  # not documented; any prefix of its own will do
    "PermissionSet": "0PS",
    "PermissionSetAssignment": "0Pa",
    "EventRelation": "0RE",
    "TaskRelation": "0RT",
}
PICKLISTS: dict[str, tuple[str, ...]] = {
    "Lead.Status": ("Open - Not Contacted", "Working - Contacted", "Closed - Converted", "Closed - Not Converted"),
    "Rating": ("Hot", "Warm", "Cold"),
    "Salutation": ("Mr.", "Ms.", "Mrs.", "Dr.", "Prof."),
    "LeadSource": ("Web", "Phone Inquiry", "Partner Referral", "Purchased List", "Other"),
    "AccountSource": ("Web", "Phone Inquiry", "Partner Referral", "Purchased List", "Other"),
    "Industry": ("Banking", "Biotechnology", "Consulting", "Manufacturing", "Retail", "Technology", "Other"),
    "Account.Type": ("Prospect", "Customer - Direct", "Customer - Channel", "Competitor", "Other"),
    "Ownership": ("Public", "Private", "Subsidiary", "Other"),
    "CleanStatus": (
        "Matched", "Different", "Acknowledged", "NotFound", "Inactive", "Pending", "SelectMatch", "Skipped",
    ),
    "Opportunity.StageName": (
        "Prospecting", "Qualification", "Needs Analysis", "Value Proposition", "Id. Decision Makers",
        "Perception Analysis", "Proposal/Price Quote", "Negotiation/Review", "Closed Won", "Closed Lost",
    ),
    "Opportunity.Type": ("New Customer", "Existing Customer - Upgrade", "Existing Customer - Renewal"),
    "ForecastCategory": ("Omitted", "Pipeline", "BestCase", "MostLikely", "Forecast", "Closed"),
    "ForecastCategoryName": ("Omitted", "Pipeline", "Best Case", "Commit", "Closed"),
    "OpportunityContactRole.Role": (
        "Business User", "Decision Maker", "Economic Buyer", "Economic Decision Maker", "Evaluator",
        "Executive Sponsor", "Influencer", "Technical Buyer", "Other",
    ),
    "Task.Status": ("Not Started", "In Progress", "Completed", "Waiting on someone else", "Deferred"),
    "Task.Priority": ("High", "Normal", "Low"),
    "Task.Type": ("Call", "Email", "Meeting", "Other"),
    "Task.TaskSubtype": ("Task", "Email", "ListEmail", "Cadence", "Call", "LinkedIn"),
    "Task.CallType": ("Internal", "Inbound", "Outbound"),
    "Subject": ("Call", "Email", "Meeting", "Send Letter/Quote", "Other"),
    "Event.ShowAs": ("Busy", "OutOfOffice", "Free"),
    "Event.EventSubtype": ("Event",),
    "Event.GroupEventType": ("0", "1", "2", "3"),
    "Event.RecurrenceType": (
        "RecursDaily", "RecursEveryWeekday", "RecursMonthly", "RecursMonthlyNth", "RecursWeekly", "RecursYearly",
        "RecursYearlyNth",
    ),
    "EventRelation.Status": ("New", "Declined", "Accepted", "Uninvited", "Maybe"),
    "EmailMessage.Status": ("0", "1", "2", "3", "4", "5"),
    "RelationType": ("ToAddress", "CcAddress", "BccAddress", "FromAddress", "OtherAddress"),
    "RelationObjectType": ("Contact", "Lead", "User"),
    "User.UserType": ("Standard", "AutomatedProcess"),
    "TimeZoneSidKey": (
        "GMT", "Europe/London", "Europe/Dublin", "Europe/Paris", "Europe/Berlin", "Europe/Amsterdam",
        "America/New_York", "America/Chicago", "America/Denver", "America/Los_Angeles", "America/Halifax",
        "Asia/Kolkata", "Asia/Tokyo", "Australia/Sydney", "Australia/Lord_Howe", "Pacific/Auckland",
    ),
    "RecurrenceTimeZoneSidKey": ("GMT", "Europe/London", "Europe/Paris", "America/New_York", "America/Los_Angeles"),
    "LocaleSidKey": ("en_US", "en_GB", "de_DE", "fr_FR", "nl_NL"),
    "LanguageLocaleKey": ("en_US", "de", "fr", "nl_NL"),
}  # fmt: skip
# Labels that differ from the value.
LABELS: dict[str, dict[str, str]] = {
    "EmailMessage.Status": {"0": "New", "1": "Read", "2": "Replied", "3": "Sent", "4": "Forwarded", "5": "Draft"},
}
DEFAULTS: dict[str, str] = {
    "Lead.Status": "Open - Not Contacted",
    "Task.Status": "Not Started",
    "Task.Priority": "Normal",
    "Task.TaskSubtype": "Task",
    "Event.EventSubtype": "Event",
    "Event.ShowAs": "Busy",
    "EmailMessage.Status": "3",
    "User.TimeZoneSidKey": "GMT",
    "User.LocaleSidKey": "en_US",
    "User.LanguageLocaleKey": "en_US",
}
# Label, closed, won, forecast category, probability of the stages a new org has.
STAGES: tuple[tuple[str, bool, bool, str, int], ...] = (
    ("Prospecting", False, False, "Pipeline", 10),
    ("Qualification", False, False, "Pipeline", 10),
    ("Needs Analysis", False, False, "Pipeline", 20),
    ("Value Proposition", False, False, "Pipeline", 50),
    ("Id. Decision Makers", False, False, "Pipeline", 60),
    ("Perception Analysis", False, False, "Pipeline", 70),
    ("Proposal/Price Quote", False, False, "Pipeline", 75),
    ("Negotiation/Review", False, False, "Pipeline", 90),
    ("Closed Won", True, True, "Closed", 100),
    ("Closed Lost", True, False, "Omitted", 0),
)
