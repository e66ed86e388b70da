"""Names and hashes of pairs of records; the macros of `macros/identity.sql` compute the same in SQL."""

from __future__ import annotations

import hashlib


def ordered(one: str, other: str) -> tuple[str, str]:
    """The two ids, the smaller one first: a pair has no direction."""
    return (one, other) if one < other else (other, one)


def link_id(one: str, other: str) -> str:
    """The id of a pair: the same for good, whichever record is named first and whatever is known about them."""
    left, right = ordered(one, other)
    return "lnk_" + _md5(f"{left}|{right}")[:16]


def inputs_hash(one: str, one_hash: str, other: str, other_hash: str) -> str:
    """What a decision about a pair rests on, from the inputs' hashes of its two records."""
    first, second = (one_hash, other_hash) if one < other else (other_hash, one_hash)
    return _md5(f"{first}|{second}")


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
