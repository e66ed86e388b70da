"""The shape of `policies/approvals.yml`: who may decide about a plan, for how long, and what needs two people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from pydantic import Field, model_validator

from nightdesk.policy.models import Crm, ObjectType, PolicyModel, Risk, Word


class Approver(PolicyModel):
    """A person who decides.

    Attributes:
        name: How verdicts record them, whichever of their names they use.
        roles: The roles they may decide in. A role that `roles` does not list may not decide anything.
        email: Another way to name them on the command line.
        crm_users: CRM to the id of their user there; without it their answers inside that CRM do not count.
    """

    name: str = Field(min_length=1)
    roles: tuple[Word, ...] = Field(min_length=1)
    email: str | None = None
    crm_users: Mapping[Crm, str] = Field(default_factory=dict[Crm, str])

    def is_called(self, name: str) -> bool:
        """Whether `name` is this person's name or address, in any case."""
        wanted = name.strip().casefold()
        return wanted in {self.name.strip().casefold(), (self.email or self.name).strip().casefold()}


class FourEyes(PolicyModel):
    """Which changes need two people: all lines given must hold, and one line at least must be given."""

    risk: tuple[Risk, ...] = ()
    operation: tuple[str, ...] = ()
    object_type: tuple[ObjectType, ...] = ()
    property: tuple[str, ...] = ()

    @model_validator(mode="after")
    def says_something(self) -> Self:
        if not (self.risk or self.operation or self.object_type or self.property):
            raise ValueError(
                "an empty entry would match nothing; name a risk, an operation, an object_type, a property"
            )
        return self


class Approvals(PolicyModel):
    """Who decides.

    Attributes:
        expires_after_hours: How long a plan, and a verdict on it, holds.
        roles: The roles that may decide.
        approvers: Who may; empty means anybody who can run the command, in one of the roles.
        four_eyes: Changes that need two different approvers, neither of them the proposer.
    """

    expires_after_hours: int = Field(gt=0)
    roles: tuple[Word, ...] = Field(min_length=1)
    approvers: tuple[Approver, ...] = ()
    four_eyes: tuple[FourEyes, ...] = ()

    @model_validator(mode="after")
    def nobody_is_two_people(self) -> Self:
        """Two entries that one person could use would make four eyes of two."""
        names: set[str] = set()
        users: set[tuple[str, str]] = set()
        for approver in self.approvers:
            for name in {approver.name.strip().casefold(), (approver.email or approver.name).strip().casefold()}:
                if name in names:
                    raise ValueError(f"`{name}` is the name or address of two approvers")
                names.add(name)
            for pair in approver.crm_users.items():
                if pair in users:
                    raise ValueError(f"the {pair[0]} user {pair[1]} is two approvers")
                users.add(pair)
        return self

    def find(self, name: str) -> Approver | None:
        """The approver of that name or address."""
        return next((one for one in self.approvers if one.is_called(name)), None)

    def of_crm_user(self, crm: str, user: str) -> Approver | None:
        """The approver who is this user of a CRM; nobody for an empty id."""
        if not user:
            return None
        return next((one for one in self.approvers if (crm, user) in one.crm_users.items()), None)
