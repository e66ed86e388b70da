"""Where each fact of the sample company stands in its Salesforce org: standard fields first, custom ones where there is
none. The custom fields are what orgs of this kind really add; the list is complete.

What a Salesforce org cannot hold, and so is not there:

* Fractions of a second: every instant is cut to whole seconds.
* A job title's characters beyond the 128th (`CUT`); somebody wrote instructions for machines into a few.
* Which deal a note belongs to: a classic note hangs on one record, here on its contact.
* Where a change of a field came from (HubSpot's `IMPORT`, `CRM_UI`): only who made it, and Sam Okafor did the imports.
* The first value of a tracked field is in no history row: it is the old value of the first change, or the value the
  field has now, since the record was created.

Conventions of the org, all of them usual:

* A last name is required: `[not provided]` stands for none. An owner is required too: the user Unassigned stands for
  nobody.
* Names of stages, record types and picklist values are kept (`closedwon`); their labels are for people (`Closed won`).
* An outgoing email's `Status` is 3 (sent), a received one's 1 (read), one that a customer forwarded to us 4. `Headers`
  holds every header line, and From, To and Cc with names.
* Each email has a task of subtype `Email` beside it (`ActivityId`), as Enhanced Email makes them. It is no call and no
  task of a seller's.
* A call's start is its task's `CompletedDateTime`, a meeting's outcome `Outcome__c`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NOT_PROVIDED = "[not provided]"
_TEXT: Mapping[str, Any] = {"type": "Text", "length": 255}


def _picklist(label: str, **values: str) -> dict[str, Any]:
    defined = [{"fullName": one, "label": text, "default": False} for one, text in values.items()]
    return {
        "label": label,
        "type": "Picklist",
        "valueSet": {"restricted": False, "valueSetDefinition": {"value": defined}},
    }


LIFECYCLE = _picklist(
    "Lifecycle Stage", subscriber="Subscriber", lead="Lead", marketingqualifiedlead="Marketing qualified",
    salesqualifiedlead="Sales qualified", opportunity="Opportunity", customer="Customer", evangelist="Evangelist",
    other="Other",
)  # fmt: skip
LEAD_STATUS = _picklist(
    "Lead Status", NEW="New", OPEN="Open", IN_PROGRESS="In progress", OPEN_DEAL="Open deal", UNQUALIFIED="Unqualified",
    ATTEMPTED_TO_CONTACT="Attempted to contact", CONNECTED="Connected", BAD_TIMING="Bad timing",
    OBJECTED_TO_PROFILING="Objected to profiling",
)  # fmt: skip
_PERSON: dict[str, Mapping[str, Any]] = {
    "Lifecycle_Stage__c": LIFECYCLE,
    "Lead_Status__c": LEAD_STATUS,
    "Language__c": {"label": "Language", "type": "Text", "length": 10},
    "Email_Bounce_Count__c": {"label": "Email Bounces", "type": "Number", "precision": 4, "scale": 0},
    # An address that said no to all mail, apart from the contact's own checkbox: when, and by which way.
    "Email_Opt_Out_Date_Time__c": {"label": "Email Opt Out Date", "type": "DateTime"},
    "Email_Opt_Out_Source__c": {"label": "Email Opt Out Source", **_TEXT},
}
_OUTREACH: dict[str, Mapping[str, Any]] = {
    "Outreach_Motion__c": {"label": "Outreach Motion", **_TEXT},
    "Sequence_Step__c": {"label": "Sequence Step", **_TEXT},
}
# Every custom field of the sample org: object -> field -> what an administrator would give.
CUSTOM: dict[str, dict[str, Mapping[str, Any]]] = {
    "Account": {"Lifecycle_Stage__c": LIFECYCLE},
    "Contact": {**_PERSON, "Company_Name__c": {"label": "Company Name", **_TEXT}},
    "Lead": _PERSON,
    "Opportunity": {
        "Closed_Lost_Reason__c": {"label": "Closed Lost Reason", **_TEXT},
        "Closed_At__c": {"label": "Closed At", "type": "DateTime"},  # CloseDate is a day
    },
    "Task": {
        **_OUTREACH,
        "Call_Transcript__c": {"label": "Call Transcript", "type": "LongTextArea", "length": 131_072},
        "Call_Duration_Ms__c": {"label": "Call Duration (ms)", "type": "Number", "precision": 12, "scale": 0},
        "Due_At__c": {"label": "Due At", "type": "DateTime"},  # ActivityDate is a day
    },
    "Event": {
        "Outcome__c": _picklist(
            "Outcome", SCHEDULED="Scheduled", COMPLETED="Completed", RESCHEDULED="Rescheduled", NO_SHOW="No show",
            CANCELED="Canceled",
        ),
    },
    "EmailMessage": _OUTREACH,
}  # fmt: skip

# Fields whose values are cut to fit; any other value that does not fit is an error.
CUT = frozenset({"Title"})

# HubSpot property -> Salesforce field, where the value goes over as it is (numbers, dates and checkboxes as such).
CONTACT = {
    "email": "Email", "firstname": "FirstName", "lastname": "LastName", "jobtitle": "Title", "phone": "Phone",
    "company": "Company_Name__c", "country": "MailingCountry", "city": "MailingCity", "hs_language": "Language__c",
    "lifecyclestage": "Lifecycle_Stage__c", "hs_lead_status": "Lead_Status__c",
    "hs_email_optout": "HasOptedOutOfEmail", "hs_email_bounce": "Email_Bounce_Count__c",
}  # fmt: skip
LEAD = CONTACT | {"company": "Company", "country": "Country", "city": "City"}
ACCOUNT = {
    "name": "Name", "domain": "Website", "industry": "Industry", "numberofemployees": "NumberOfEmployees",
    "annualrevenue": "AnnualRevenue", "country": "BillingCountry", "city": "BillingCity", "phone": "Phone",
    "description": "Description", "lifecyclestage": "Lifecycle_Stage__c",
}  # fmt: skip
OPPORTUNITY = {
    "dealname": "Name", "amount": "Amount", "deal_currency_code": "CurrencyIsoCode", "dealstage": "StageName",
    "dealtype": "Type", "closed_lost_reason": "Closed_Lost_Reason__c", "closedate": "Closed_At__c",
    "hs_is_closed": "IsClosed", "hs_is_closed_won": "IsWon",
}  # fmt: skip  # pipeline is RecordType.DeveloperName; CloseDate the day of closedate
EMAIL = {
    "hs_timestamp": "MessageDate", "hs_email_subject": "Subject", "hs_email_text": "TextBody",
    "hs_email_from_email": "FromAddress", "hs_email_thread_id": "ThreadIdentifier",
    "hs_outreach_motion": "Outreach_Motion__c", "hs_sequence_step": "Sequence_Step__c",
}  # fmt: skip
CALL = {
    "hs_call_title": "Subject", "hs_timestamp": "CompletedDateTime", "hs_call_duration": "Call_Duration_Ms__c",
}  # fmt: skip  # the body is Call_Transcript__c if there is a transcript, else Description
MEETING = {
    "hs_meeting_title": "Subject", "hs_meeting_body": "Description", "hs_meeting_start_time": "StartDateTime",
    "hs_meeting_end_time": "EndDateTime", "hs_meeting_location": "Location", "hs_meeting_outcome": "Outcome__c",
}  # fmt: skip
TASK = {"hs_task_subject": "Subject", "hs_task_body": "Description", "hs_timestamp": "Due_At__c"}
# Tracked properties -> tracked fields.
HISTORY = {
    "contacts": {"lifecyclestage": "Lifecycle_Stage__c", "hs_lead_status": "Lead_Status__c", "jobtitle": "Title"},
    "companies": {"lifecyclestage": "Lifecycle_Stage__c"},
    "deals": {"dealstage": "StageName", "amount": "Amount", "closedate": "Closed_At__c"},
}
# HubSpot's own dispositions of a call and what stands in CallDisposition.
DISPOSITIONS = {
    "f240bbac-87c9-4f6e-bf70-924b57d47db7": "Connected",
    "73a0d17f-1163-4015-bdd5-ec830791da20": "No answer",
    "b2cf5968-551e-4856-9783-52b3da59a7d0": "Left voicemail",
    "a4c4c377-d246-4b32-a13b-75a56a4cd0ff": "Left live message",
    "9d9162e7-6cf3-4944-bf63-4dff82258764": "Busy",
    "17b47fee-58de-441e-a44c-c6300d46f273": "Wrong number",
}
TASK_STATUS = {
    "NOT_STARTED": "Not Started", "IN_PROGRESS": "In Progress", "COMPLETED": "Completed",
    "WAITING": "Waiting on someone else", "DEFERRED": "Deferred",
}  # fmt: skip
TASK_PRIORITY = {"HIGH": "High", "MEDIUM": "Normal", "LOW": "Low"}
TASK_TYPE = {"CALL": "Call", "EMAIL": "Email", "TODO": "Other"}
DEAL_TYPES = {"newbusiness": "New business", "existingbusiness": "Existing business", "renewal": "Renewal"}
TIME_ZONES = {
    "North America East": "America/New_York", "North America West": "America/Los_Angeles", "DACH": "Europe/Berlin",
    "UK & Ireland": "Europe/London", "Benelux & Nordics": "Europe/Amsterdam", "France & Iberia": "Europe/Paris",
}  # fmt: skip
RATES = {"EUR": 1.0, "USD": 1.09, "GBP": 0.86}
DATED_RATES = {
    "USD": {"2025-01-01": 1.04, "2026-01-01": 1.09}, "GBP": {"2025-01-01": 0.84, "2026-01-01": 0.86},
}  # fmt: skip
