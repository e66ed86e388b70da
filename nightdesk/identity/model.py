"""What is compared, what each comparison can come out as, and in which words that is told.

The conditions are SQL over two records, `_l` and `_r`; the first that holds decides. How much an outcome weighs is the
policy's (`policies/identity.yml`), so that this module has no numbers but the ones that define "nearly the same".
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from nightdesk.policy.identity_models import Comparing, Identity

ObjectType = Literal["contacts", "companies"]
# A word that so many people have is a name, not a slip of the pen.
_A_REAL_NAME = 3
_BOTH_GIVEN = "given_first_l is not null and given_first_r is not null"
_BOTH_FAMILY = "family_name_l is not null and family_name_r is not null"
_SAME_GIVEN = "(given_first_l = given_first_r or list_has_any(given_roots_l, given_roots_r))"
_INITIAL = (
    "(least(length(given_first_l), length(given_first_r)) = 1 "
    "and left(given_first_l, 1) = left(given_first_r, 1) and given_first_l <> given_first_r)"
)
_SWAPPED = "(given_first_l = family_name_r and family_name_l = given_first_r)"


def _slip(column: str, count: str, longest: int) -> str:
    """One letter is wrong, inside the word, and the two spellings are not both words that others have.

    Names that differ in their ending are mostly two people (Daniel, Daniela; Andrea, Andreas).
    """
    left, right = f"{column}_l", f"{column}_r"
    return (
        f"(damerau_levenshtein({left}, {right}) = 1 and left({left}, 1) = left({right}, 1) "
        f"and right({left}, 1) = right({right}, 1) and least(length({left}), length({right})) >= {longest} "
        f"and least({count}_l, {count}_r) < {_A_REAL_NAME})"
    )


_GIVEN_SLIP = _slip("given_first", "given_count", 5)
_FAMILY_SLIP = (
    "((jaro_winkler_similarity(family_name_l, family_name_r) >= 0.93 "
    "or damerau_levenshtein(family_name_l, family_name_r) = 1) "
    "and least(length(family_name_l), length(family_name_r)) >= 4 and family_name_l <> family_name_r "
    f"and least(family_count_l, family_count_r) < {_A_REAL_NAME})"
)
_NEAR_FAMILY = f"(family_name_l = family_name_r or {_FAMILY_SLIP})"
# Second given names, where both have one: "Hans Peter" is not "Hans Dieter", and may be "Hans P.".
_SECOND_GIVEN_DIFFERS = (
    "(given_first_l = given_first_r and second_given_l is not null and second_given_r is not null "
    "and left(second_given_l, least(length(second_given_l), length(second_given_r))) "
    "<> left(second_given_r, least(length(second_given_l), length(second_given_r))))"
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One way in which a comparison can come out: the condition (empty for "anything else") and how it is told."""

    name: str
    sql: str
    says: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """A comparison: when it says nothing at all, and its outcomes in the order in which they are tried.

    Attributes:
        rare: The column whose rarity counts, where the policy says so.
    """

    field: str
    nothing: str
    outcomes: tuple[Outcome, ...]
    rare: str = ""


@dataclass(frozen=True, slots=True)
class Model:
    """What is compared for one kind of record, and by which keys pairs are found at all.

    Attributes:
        blocks: Name to SQL over one record: records with an equal key are compared; null is no key.
        derived: Further columns the conditions need, as SQL over all records.
    """

    object_type: ObjectType
    comparisons: tuple[Comparison, ...]
    blocks: dict[str, str]
    derived: dict[str, str] = field(default_factory=dict[str, str])

    def comparison(self, field: str) -> Comparison:
        """The comparison of a field."""
        return next(one for one in self.comparisons if one.field == field)

    def says(self, field: str, outcome: str) -> str:
        """An outcome in words."""
        return next(one.says for one in self.comparison(field).outcomes if one.name == outcome)


_PLACE = Comparison(
    "place",
    "not coalesce(city_key_l = city_key_r, false) and (country_key_l is null or country_key_r is null)",
    (
        Outcome("different_country", "country_key_l <> country_key_r", "in different countries"),
        Outcome("same_city", "city_key_l = city_key_r", "in the same city"),
        Outcome("same_country", "", "in the same country"),
    ),
)

PEOPLE = Model(
    "contacts",
    (
        Comparison(
            "name",
            "",
            (
                # First of all: who can't be the same person whatever else agrees (father and son, sisters, spouses).
                Outcome(
                    "other_given_name",
                    f"({_BOTH_FAMILY} and generation_l is distinct from generation_r) "
                    f"or {_SECOND_GIVEN_DIFFERS} "
                    f"or ({_BOTH_GIVEN} and {_BOTH_FAMILY} and {_NEAR_FAMILY} and not {_SAME_GIVEN} "
                    f"and not {_GIVEN_SLIP} and not {_INITIAL})",
                    "the same family name and another given name or generation",
                ),
                Outcome("same", "given_name_l = given_name_r and family_name_l = family_name_r", "the same name"),
                Outcome("swapped", _SWAPPED, "the same name with given and family name swapped"),
                Outcome(
                    "first_of_several",
                    "given_first_l = given_first_r and family_name_l = family_name_r",
                    "the same name, one of them with more given names",
                ),
                Outcome(
                    "nickname",
                    "list_has_any(given_roots_l, given_roots_r) and family_name_l = family_name_r",
                    "the same name, one of them short",
                ),
                Outcome(
                    "misspelt",
                    f"({_SAME_GIVEN} and {_FAMILY_SLIP}) or (family_name_l = family_name_r and {_GIVEN_SLIP})",
                    "nearly the same name, as if misspelt",
                ),
                Outcome(
                    "initial",
                    f"family_name_l = family_name_r and {_INITIAL}",
                    "the same family name and an initial that fits",
                ),
                Outcome(
                    "other_family_name",
                    f"{_BOTH_GIVEN} and {_BOTH_FAMILY} and {_SAME_GIVEN}",
                    "the same given name and another family name",
                ),
                Outcome(
                    "unknown",
                    "(given_first_l is null or given_first_r is null or family_name_l is null or family_name_r is null)"
                    " and coalesce(family_name_l = family_name_r, true)"
                    " and coalesce(given_first_l = given_first_r, true)",
                    "a name is missing or not whole",
                ),
                Outcome("different", "", "different names"),
            ),
            rare="full_name_key",
        ),
        Comparison(
            "address",
            "email_l is null or email_r is null or is_shared_address_l or is_shared_address_r",
            (
                Outcome("same", "mailbox_key_l = mailbox_key_r", "the same mailbox"),
                Outcome(
                    "same_odd_mailbox",
                    "mailbox_name_l = mailbox_name_r and length(mailbox_name_l) >= 5 "
                    "and not coalesce(contains(mailbox_name_l, family_name_l), false) "
                    "and not coalesce(contains(mailbox_name_l, given_first_l), false)",
                    "the same unusual mailbox name at different domains",
                ),
                Outcome(
                    "same_mailbox_name",
                    "mailbox_name_l = mailbox_name_r and length(mailbox_name_l) >= 4",
                    "the same mailbox name at different domains",
                ),
                Outcome(
                    "other_mailbox_there",
                    "mail_domain_l = mail_domain_r",
                    "different mailboxes at the same company domain",
                ),
                Outcome("different", "", "different addresses"),
            ),
        ),
        Comparison(
            "phone",
            "phone_key_l is null or phone_key_r is null",
            (
                Outcome(
                    "same",
                    "phone_key_l = phone_key_r and not is_shared_phone_l and not is_shared_phone_r",
                    "the same telephone number",
                ),
                Outcome("same_shared", "phone_key_l = phone_key_r", "a telephone number that others have too"),
                Outcome("different", "", "different telephone numbers"),
            ),
        ),
        Comparison(
            "company",
            "(company_domain_l is null or company_domain_r is null) "
            "and (company_name_key_l is null or company_name_key_r is null)",
            (
                Outcome("same", "company_domain_l = company_domain_r", "the same company domain"),
                Outcome("linked", "list_has_any(company_domains_l, company_domains_r)", "a company domain in common"),
                Outcome("same_name", "company_name_key_l = company_name_key_r", "a company of the same name"),
                Outcome(
                    "similar_name",
                    "jaro_winkler_similarity(company_name_key_l, company_name_key_r) >= 0.93",
                    "companies of nearly the same name",
                ),
                Outcome("different", "", "different companies"),
            ),
            rare="company_domain",
        ),
        Comparison(
            "conversation",
            "len(talks_with_l) + len(talks_with_r) = 0",
            (
                Outcome(
                    "same",
                    "list_contains(talks_with_l, record_id_r) or list_contains(talks_with_r, record_id_l)",
                    "in the same conversations",
                ),
                Outcome("others", "", "in conversations with others"),
            ),
        ),
        _PLACE,
        Comparison(
            "title",
            "title_key_l is null or title_key_r is null",
            (
                Outcome("same", "title_key_l = title_key_r", "the same job title"),
                Outcome("different", "", "different job titles"),
            ),
        ),
    ),
    {
        "name": "case when given_first < family_name then given_first || ' ' || family_name "
        "else family_name || ' ' || given_first end",
        "start_of_name": "left(given_first, 3) || ' ' || left(family_name, 4)",
        "end_of_name": "left(given_first, 1) || ' ' || right(family_name, 5)",
        "family_and_company": "family_name || ' ' || coalesce(company_domain, company_name_key)",
        "given_and_company": "given_roots[1] || ' ' || coalesce(company_domain, company_name_key)",
        "family_and_place": "family_name || ' ' || coalesce(city_key, country_key)",
        "phone": "phone_key",
        "mailbox": "mailbox_key",
        "mailbox_name": "case when length(mailbox_name) >= 5 then mailbox_name end",
    },
    {
        "given_count": "count(distinct family_name) over (partition by given_first)",
        "family_count": "count(distinct given_first) over (partition by family_name)",
        "second_given": "nullif(split_part(given_name, ' ', 2), '')",
    },
)

ACCOUNTS = Model(
    "companies",
    (
        Comparison(
            "name",
            "name_key_l is null or name_key_r is null",
            (
                Outcome("same", "name_key_l = name_key_r", "the same name"),
                Outcome("same_words", "name_words_l = name_words_r", "the same words in the name"),
                Outcome(
                    "misspelt",
                    "jaro_winkler_similarity(name_key_l, name_key_r) >= 0.94 "
                    "and damerau_levenshtein(name_key_l, name_key_r) <= 2 "
                    "and least(length(name_key_l), length(name_key_r)) >= 6",
                    "nearly the same name, as if misspelt",
                ),
                Outcome(
                    "contained",
                    "list_has_all(name_words_l, name_words_r) or list_has_all(name_words_r, name_words_l)",
                    "one name is part of the other",
                ),
                Outcome("different", "", "different names"),
            ),
            rare="name_key",
        ),
        Comparison(
            "domain",
            "domain_key_l is null or domain_key_r is null",
            (
                Outcome("same", "domain_key_l = domain_key_r", "the same domain"),
                Outcome(
                    "other_ending",
                    "domain_label_l = domain_label_r and length(domain_label_l) >= 3",
                    "the same domain but for its ending",
                ),
                Outcome("different", "", "different domains"),
            ),
        ),
        _PLACE,
    ),
    {
        "name": "array_to_string(name_words, ' ')",
        "start_of_name": "left(name_key, 8)",
        "end_of_name": "right(name_key, 8)",
        "first_word_and_city": "split_part(name_key, ' ', 1) || ' ' || city_key",
        "domain": "domain_key",
        "domain_label": "case when length(domain_label) >= 3 then domain_label end",
    },
)

MODELS: tuple[Model, ...] = (PEOPLE, ACCOUNTS)


def comparing(identity: Identity, model: Model) -> Comparing:
    """The policy's weights for a model."""
    return identity.people if model.object_type == "contacts" else identity.accounts


def kind_of(model: Model, outcomes: dict[str, str]) -> str:
    """What a suggested link says: the same person, the same account, or accounts that belong together.

    Another ending of the domain, another country, or a longer name under another domain is how a subsidiary looks.
    """
    if model.object_type == "contacts":
        return "same_person"
    related = (
        outcomes.get("domain") == "other_ending"
        or outcomes.get("place") == "different_country"
        or (outcomes.get("name") == "contained" and outcomes.get("domain") != "same")
    )
    return "related_account" if related else "same_account"


def model_hash(identity: Identity, models: Sequence[Model] = MODELS) -> str:
    """Hash of everything that decides a weight or whether a pair is kept: other code or policy, other hash."""
    told = [
        {
            "object_type": model.object_type,
            "comparisons": [
                [one.field, one.nothing, one.rare, [[o.name, o.sql, o.says] for o in one.outcomes]]
                for one in model.comparisons
            ],
            "blocks": model.blocks,
            "derived": model.derived,
            "weights": comparing(identity, model).model_dump(mode="json"),
        }
        for model in models
    ]
    limits = [identity.suggest_from, identity.caution_from, identity.most_per_block]
    return hashlib.sha256(json.dumps([told, limits], sort_keys=True).encode()).hexdigest()
