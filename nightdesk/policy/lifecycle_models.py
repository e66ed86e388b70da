"""The shape of `policies/lifecycle.yml`: what each CRM's words for how far a record is mean in one vocabulary."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator

Stage = Literal[
    "subscriber",
    "lead",
    "marketingqualifiedlead",
    "salesqualifiedlead",
    "opportunity",
    "customer",
    "evangelist",
    "disqualified",
    "other",
]
STAGES: tuple[str, ...] = get_args(Stage)

# What may speak for a record whose CRM holds no value; their SQL is in models/intermediate/int_lifecycle_stages.sql.
Rule = Literal["won_deal", "customer_account", "open_deal", "converted"]
ObjectName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ObjectLifecycle(_Closed):
    """One kind of record of one CRM.

    Attributes:
        values: The CRM's own value to the stage it means, found whatever its case. A value that does not stand here
            means nothing: the stage is unknown and the value is reported.
        without_value: For records in which the CRM holds no value: the first of these rules that holds decides.
    """

    values: dict[str, Stage]
    without_value: dict[Rule, Stage] = {}

    @field_validator("values")
    @classmethod
    def a_value_means_one_thing(cls, values: dict[str, Stage]) -> dict[str, Stage]:
        seen: dict[str, str] = {}
        for value in values:
            key = value.strip().lower()
            if not key:
                raise ValueError("an empty value cannot mean a stage; that is what `without_value` is for")
            if key in seen:
                raise ValueError(f"`{value}` and `{seen[key]}` are the same value: case and blanks do not count")
            seen[key] = value
        return values


class Lifecycle(_Closed):
    """CRM to kind of record (the CRM's own name of it) to what its values mean."""

    crms: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")], dict[ObjectName, ObjectLifecycle]]
