"""The shape of `autonomy.yml`: how far each operation may ever go, and what it takes to get there or to lose it."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from nightdesk.policy.models import Level, Operation, PolicyModel, PropertyName, Share, Word

Days = Annotated[int, Field(ge=1, le=3650)]


class OperationAutonomy(PolicyModel):
    """The highest level an operation may ever have, and single properties that may have another one."""

    ceiling: Level
    properties: dict[PropertyName, Level] = Field(default_factory=dict[str, int])

    @model_validator(mode="before")
    @classmethod
    def a_level_is_not_set_here(cls, data: Any) -> Any:
        if isinstance(data, dict) and "level" in data:
            raise ValueError(
                "levels are earned and kept in the ledger (`nightdesk autonomy`); this file only says the highest "
                "one there may be: write `ceiling` for `level`"
            )
        return data  # pyright: ignore[reportUnknownVariableType]


class Promotion(PolicyModel):
    """What must be in the ledger before a person may raise a level by one.

    Attributes:
        decisions_at_least: Different changes that people approved or rejected at the level it stands at now.
        counted_per_verdict: Of one approval at most so many count: nobody looks at thousands of changes at once.
        acceptance_at_least: Lower end of Wilson's interval of the share of them that was approved.
        confidence: Of that interval.
        window_days: What is older does not count.
        rehearsal_within_days: So long ago at most must a rollback have been rehearsed.
        proposal_valid_days: So long may a proposal be taken.
    """

    decisions_at_least: int = Field(ge=1)
    counted_per_verdict: int = Field(ge=1)
    acceptance_at_least: Share
    confidence: float = Field(ge=0.5, lt=1)
    window_days: Days
    rehearsal_within_days: Days
    proposal_valid_days: Days


class Demotion(PolicyModel):
    """What lowers a level without anybody being asked.

    Attributes:
        floor: The lowest level an automatic demotion leads to. A write outside the namespace leads to 1 all the same.
        rolled_back_at_least: Fields of the operation that one rollback put back.
        overwritten_share_above: Of the fields we wrote, those that hold somebody else's value by now.
        not_kept_share_above: Of the fields of one apply, those that the CRM accepted and did not keep as they were.
        fields_at_least: Below so many fields a share says nothing.
        acceptance_below: A review proposes to demote when even the upper end of the interval is below this.
    """

    floor: Literal[1, 2]
    rolled_back_at_least: int = Field(ge=1)
    overwritten_share_above: Share
    not_kept_share_above: Share
    fields_at_least: int = Field(ge=1)
    acceptance_below: Share


class Autonomy(PolicyModel):
    """All of the file. `review_every_days`: how often a night weighs the evidence by itself."""

    operations: dict[Operation, OperationAutonomy]
    roles: tuple[Word, ...] = Field(min_length=1)
    review_every_days: Days
    promotion: Promotion
    demotion: Demotion

    @model_validator(mode="after")
    def nothing_is_both_good_and_bad(self) -> Self:
        if self.demotion.acceptance_below > self.promotion.acceptance_at_least:
            raise ValueError("`demotion.acceptance_below` is above `promotion.acceptance_at_least`")
        return self
