"""The shape of `policies/identity.yml`: who stands for whom, what many share, and how much an agreement weighs."""

from __future__ import annotations

import math
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

# What each comparison can come out as, best agreement first; `nightdesk.identity.model` has the SQL and the words of
# each. A policy sets the weights of all of them, and of no others.
PEOPLE: dict[str, tuple[str, ...]] = {
    "name": (
        "same", "swapped", "nickname", "first_of_several", "misspelt", "initial", "other_family_name", "unknown",
        "other_given_name", "different",
    ),
    "address": ("same", "same_odd_mailbox", "same_mailbox_name", "other_mailbox_there", "different"),
    "phone": ("same", "same_shared", "different"),
    "company": ("same", "linked", "same_name", "similar_name", "different"),
    "conversation": ("same", "others"),
    "place": ("same_city", "same_country", "different_country"),
    "title": ("same", "different"),
}  # fmt: skip
ACCOUNTS: dict[str, tuple[str, ...]] = {
    "name": ("same", "same_words", "misspelt", "contained", "different"),
    "domain": ("same", "other_ending", "different"),
    "place": ("same_city", "same_country", "different_country"),
}
# Where the rarity of a value may take the place of u: the levels at which both sides have the value.
RARE: dict[str, frozenset[tuple[str, str]]] = {
    "people": frozenset(
        {("name", level) for level in ("same", "swapped", "nickname", "first_of_several", "misspelt")}
        | {("company", "same")}
    ),
    "accounts": frozenset({("name", "same"), ("name", "same_words"), ("name", "misspelt")}),
}
Chance = Annotated[float, Field(gt=0, lt=1)]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Weight(_Closed):
    """How often records of the same one (m) and of different ones (u) come out like this.

    Attributes:
        rarity: u is how often the value at hand occurs in the data instead.
    """

    m: Chance
    u: Chance
    rarity: bool = False

    @property
    def weight(self) -> float:
        """The match weight, log2(m / u), before rarity."""
        return math.log2(self.m / self.u)


class Comparing(_Closed):
    """How two records are weighed.

    Attributes:
        twins_expected: Share of the larger CRM's records that have a twin in the other one.
        at_least_among: The prior assumes at least so many records.
        comparisons: Field to outcome to weight.
    """

    twins_expected: Chance
    at_least_among: int = Field(ge=1)
    comparisons: dict[str, dict[str, Weight]]


class Identity(_Closed):
    """All of the file.

    Attributes:
        standing: `<crm>.<object type as that CRM names it>`, the first stands for the others.
        most_in_one_cluster: Records that may belong together.
        suggest_from: Probability from which a pair is shown as a suggestion.
        caution_from: Probability from which an opt-out of one side holds for the other.
        most_per_block: Records that may share a blocking key.
    """

    standing: tuple[Annotated[str, Field(pattern=r"^[a-z]+\.[A-Za-z]+$")], ...] = Field(min_length=1)
    most_in_one_cluster: int = Field(ge=2, le=100)
    suggest_from: Chance
    caution_from: Chance
    most_per_block: int = Field(ge=2, le=10_000)
    role_mailboxes: tuple[str, ...]
    shared_domains: tuple[str, ...]
    two_part_suffixes: tuple[Annotated[str, Field(pattern=r"^[a-z]+\.[a-z]+$")], ...]
    legal_forms: tuple[str, ...]
    nicknames: dict[str, tuple[str, ...]]
    countries: dict[str, tuple[str, ...]]
    people: Comparing
    accounts: Comparing

    @field_validator("nicknames", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value  # pyright: ignore[reportUnknownVariableType]
        return {key: [one] if isinstance(one, str) else one for key, one in value.items()}  # pyright: ignore

    @field_validator("legal_forms", "role_mailboxes", "standing", "shared_domains", "two_part_suffixes")
    @classmethod
    def _each_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        seen: set[str] = set()
        for one in value:
            if one in seen:
                raise ValueError(f"`{one}` is there twice")
            seen.add(one)
        return value

    @model_validator(mode="after")
    def _caution_comes_first(self) -> Self:
        if self.caution_from > self.suggest_from:
            raise ValueError("`caution_from` is above `suggest_from`: an opt-out would reach fewer than are suggested")
        return self

    @model_validator(mode="after")
    def _every_outcome_has_a_weight(self) -> Self:
        for name, known in (("people", PEOPLE), ("accounts", ACCOUNTS)):
            comparing: Comparing = getattr(self, name)
            if set(comparing.comparisons) != set(known):
                raise ValueError(f"`{name}.comparisons` must be {', '.join(known)}")
            for field, levels in known.items():
                given = comparing.comparisons[field]
                if set(given) != set(levels):
                    raise ValueError(f"`{name}.comparisons.{field}` must be {', '.join(levels)}")
                for level, weight in given.items():
                    if weight.rarity and (field, level) not in RARE[name]:
                        raise ValueError(f"`{name}.comparisons.{field}.{level}` cannot use `rarity`")
        return self

    @model_validator(mode="after")
    def _a_country_has_one_name(self) -> Self:
        seen: dict[str, str] = {}
        for country, others in self.countries.items():
            for alias in (country, *others):
                if seen.setdefault(alias, country) != country:
                    raise ValueError(f"`{alias}` is a name of two countries")
        return self
