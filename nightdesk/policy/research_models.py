"""The shape of `policies/research.yml`: what research may look up, whom it is worth, and when again."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Tier = Literal["A", "B", "C", "D"]
ResearchOperation = Literal["account_deep_dive", "contact_background"]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ResearchTools(_Closed):
    """Bounds of a loop of look-ups.

    Attributes:
        most_steps: Turns with look-ups before the answer is due.
        tokens_per_result: Most estimated tokens of one result.
        tokens_per_record: Most estimated tokens of all results of one question.
        documents_per_search: Most documents one search quotes from.
    """

    most_steps: int = Field(ge=1, le=12)
    tokens_per_result: int = Field(ge=200, le=20_000)
    tokens_per_record: int = Field(ge=200, le=200_000)
    documents_per_search: int = Field(ge=1, le=50)

    @model_validator(mode="after")
    def one_result_fits(self) -> ResearchTools:
        if self.tokens_per_result > self.tokens_per_record:
            raise ValueError("`tokens_per_result` is more than `tokens_per_record`")
        return self


class WebSearch(_Closed):
    """Operation to most searches of one call; an operation that is not named has none."""

    operations: dict[ResearchOperation, Annotated[int, Field(ge=1, le=10)]] = {}


class AccountDeepDiveRule(_Closed):
    again: dict[Tier, Literal["month", "quarter"]]
    on_signal: tuple[Tier, ...]
    signal_strengths: tuple[Literal["strong", "moderate", "weak", "negative"], ...]

    @model_validator(mode="after")
    def a_tier_has_one_rule(self) -> AccountDeepDiveRule:
        both = sorted(set(self.again) & set(self.on_signal))
        if both:
            raise ValueError(f"tier {both[0]} stands under `again` and under `on_signal`")
        return self


class ContactBackgroundRule(_Closed):
    tiers: tuple[Tier, ...]
    every_days: int = Field(ge=7, le=3650)


class Research(_Closed):
    tools: ResearchTools
    web_search: WebSearch
    account_deep_dive: AccountDeepDiveRule
    contact_background: ContactBackgroundRule
