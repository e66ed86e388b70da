"""The shape of `policies/decisions/*.yml`: golden cases, each an operation and what must be decided about it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, StrictBool, StrictFloat, StrictInt, StrictStr

from nightdesk.policy.models import OpColumn, PolicyModel, Word

Given = dict[OpColumn, StrictBool | StrictInt | StrictFloat | StrictStr | None]


class Expected(PolicyModel):
    """The decision and the rule that must be named for it (`default_deny` when none matches)."""

    decision: Literal["auto", "require_approval", "denied"]
    rule: Word


class GoldenCase(PolicyModel):
    """One operation: the table's `base` with these values changed. A null is a value that is missing."""

    case: str = Field(min_length=3)
    given: Given = Field(default_factory=dict[OpColumn, bool | int | float | str | None])
    expect: Expected


class GoldenTable(PolicyModel):
    """One file of cases."""

    about: str
    base: Given
    cases: tuple[GoldenCase, ...] = Field(min_length=1)
