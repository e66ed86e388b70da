"""The shape of `policies/delivery.yml`: which next steps are recommended as tasks, and what becomes a note."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from nightdesk.policy.models import Crm, Operation, Word

Signal = Literal["reply_unanswered", "promise_overdue", "win_back_fired", "meeting_without_brief"]
# What a text may say of each signal; the values are cleaned and cut where it is made (int_recommendation_signals).
PLACEHOLDERS: dict[str, frozenset[str]] = {
    "reply_unanswered": frozenset({"person", "account", "date", "class"}),
    "promise_overdue": frozenset({"person", "account", "date", "due"}),
    "win_back_fired": frozenset({"account", "date", "since"}),
    "meeting_without_brief": frozenset({"account", "date", "meeting"}),
}
_URL_PLACEHOLDERS = frozenset({"objects", "type_id", "id"})
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
ReplyClass = Literal["positive", "question", "referral", "objection", "soft_no"]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _check_placeholders(text: str, allowed: frozenset[str], what: str) -> None:
    for name in _PLACEHOLDER.findall(text):
        if name not in allowed:
            known = ", ".join(f"{{{one}}}" for one in sorted(allowed))
            raise ValueError(f"{what} has no placeholder `{{{name}}}`; use {known}")
    if set(_PLACEHOLDER.sub("", text)) & {"{", "}"}:
        raise ValueError(f"{what} has a brace that belongs to no placeholder")


class Recommendation(_Closed):
    """One line of the playbook: a signal, and the task it asks for.

    Attributes:
        rule: Its name; it stands on the task.
        when: The signal; each is implemented in SQL.
        classes: Classes of a reply that count; only with `reply_unanswered`.
        operation: Whose autonomy decides whether the task may be proposed.
        due_business_days: Working days until the task is due; 0 is today.
        within_days: How old the signal may be.
        quiet_days: Days without a word of ours to the account; only with `win_back_fired`.
    """

    rule: Word
    when: Signal
    classes: tuple[ReplyClass, ...] = ()
    operation: Operation
    subject: str = Field(min_length=1, max_length=120)
    body: str = Field(min_length=1, max_length=1000)
    priority: Literal["HIGH", "MEDIUM", "LOW"]
    type: Literal["EMAIL", "CALL", "OTHER"]
    due_business_days: int = Field(ge=0, le=30)
    within_days: int = Field(ge=0, le=730)
    quiet_days: int | None = Field(default=None, ge=1, le=365)

    @model_validator(mode="after")
    def texts_say_what_the_signal_knows(self) -> Recommendation:
        for name, text in (("subject", self.subject), ("body", self.body)):
            _check_placeholders(text, PLACEHOLDERS[self.when], f"`{name}` of `{self.rule}`")
        return self

    @model_validator(mode="after")
    def classes_go_with_replies(self) -> Recommendation:
        if (self.when == "reply_unanswered") != bool(self.classes):
            raise ValueError(f"`classes` goes with `when: reply_unanswered`, and only with it (`{self.rule}`)")
        return self

    @model_validator(mode="after")
    def quiet_goes_with_win_backs(self) -> Recommendation:
        if (self.when == "win_back_fired") != (self.quiet_days is not None):
            raise ValueError(f"`quiet_days` goes with `when: win_back_fired`, and only with it (`{self.rule}`)")
        return self


class Notes(_Closed):
    """Which published texts become notes."""

    meeting_brief: bool = False


class Delivery(_Closed):
    """What is delivered on the record besides fields.

    Attributes:
        open_per_account: Most recommendations open at once for one account.
        open_per_owner: Most recommendations open at once for one seller.
        quote_chars: Most characters of a customer's words in one place.
        sources_per_task: Most sources listed in one task.
        due_hour_utc: The hour at which tasks are due.
        company_time_zone: IANA name of the zone in which a day begins for sellers whose own zone nobody knows.
        holidays: Days on which nothing falls due, besides weekends.
        record_url: CRM to where a person reads a record.
    """

    open_per_account: int = Field(ge=1, le=20)
    open_per_owner: int = Field(ge=1, le=500)
    quote_chars: int = Field(ge=40, le=2000)
    sources_per_task: int = Field(ge=1, le=10)
    due_hour_utc: int = Field(ge=0, le=23)
    company_time_zone: str = "UTC"
    holidays: tuple[date, ...] = ()
    record_url: dict[Crm, Annotated[str, Field(pattern=r"^(/|https://|http://127\.0\.0\.1[:/])\S*$", max_length=200)]]
    notes: Notes = Notes()
    recommendations: tuple[Recommendation, ...]

    @field_validator("company_time_zone")
    @classmethod
    def zone_exists(cls, value: str) -> str:
        from zoneinfo import available_timezones

        if value not in available_timezones():
            raise ValueError(f"`{value}` is not an IANA time zone, such as Europe/Berlin or UTC")
        return value

    @model_validator(mode="after")
    def rules_are_named_once(self) -> Delivery:
        names = [item.rule for item in self.recommendations]
        if len(names) != len(set(names)):
            raise ValueError("a rule is listed twice")
        return self

    @model_validator(mode="after")
    def addresses_lead_to_a_record(self) -> Delivery:
        if "hubspot" not in self.record_url:
            raise ValueError("`record_url` needs the CRM that records are read from: hubspot")
        for crm, pattern in self.record_url.items():
            _check_placeholders(pattern, _URL_PLACEHOLDERS, f"`record_url.{crm}`")
            if "{id}" not in pattern:
                raise ValueError(f"`record_url.{crm}` leads to no record: it needs {{id}}")
        return self


__all__ = ["PLACEHOLDERS", "Delivery", "Notes", "Recommendation", "Signal"]
