"""What a sentence may say only where its evidence says it too: quotes, promises, gifts, access, smears. Pure.

Words are looked for, not meanings. The lists are short on purpose: each holds words that cost money, consent or trust
when a model makes them up, and that a seller's note can do without.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from typing import Final

from enrich.normal import normalise

_GIVEN_AWAY: Final = re.compile(
    r"\b(?:refund|discount|rebate|voucher|guarantee|warrant|compensat|waive|cashback|gift"
    r"|free of charge|for free|money back|at no cost)\w*",
    re.IGNORECASE,
)
_ACCESS: Final = re.compile(
    r"\b(?:passwords?|credentials?|log-?ins?|api[- ]keys?|access codes?|iban|bank accounts?|wire transfers?"
    r"|gift cards?)\b",
    re.IGNORECASE,
)
_CONSENT: Final = re.compile(r"\b(?:opt(?:ed)?[- ]?(?:in|out)s?|unsubscri\w+|suppression list)\b", re.IGNORECASE)
_SMEARS: Final = re.compile(
    r"\b(?:scam|fraud|wors(?:e|t)|lost|breach|leak|unreliable|terrible|awful|useless|avoid|trust|bankrupt|lawsuit"
    r"|illegal|liar|lie[sd]?|cheat|inferior|superior|better|best|beats?|fail)\w*",
    re.IGNORECASE,
)
_ABSOLUTE: Final = re.compile(
    r"\b(?:never|always|certainly|definitely|undoubtedly|gladly|unlimited|at any price|whatever it costs"
    r"|without exception)\b",
    re.IGNORECASE,
)
# No sentence of ours tells anybody to change what Nightdesk or the CRM holds, or to pass over a rule.
_ORDER: Final = re.compile(
    r"\b(?:ignore|disregard|override|bypass|forget|skip|set|reset|change|raise|lower|remove|clear|delete|erase|lift|void"
    r"|disable|approve|apply)\b(?:\s+[\w'-]+){0,3}?\s+(?:scores?|tiers?|opt[- ]?outs?|suppression\w*|instructions?"
    r"|prompts?|guidelines|polic(?:y|ies)|plans?|write rules|autonomy|approvals?|records?|fields?)\b",
    re.IGNORECASE,
)
# Said as done. What is merely asked or planned ("have to agree") claims nothing.
_DONE: Final = re.compile(
    r"\b(approv|agre|sign|confirm|commit|accept|allocat|releas|secur|renew|guarante|cancel)t?l?ed\b", re.IGNORECASE
)
# What such a word may rest on beside itself: the code that kept such a fact has read it in the words.
_HEARD_AS: Final = {
    "approv": {"authority", "budget"},
    "agre": {"next_step", "commitment"},
    "sign": {"authority"},
    "commit": {"commitment"},
    "confirm": {"next_step", "commitment"},
    "renew": {"renewal_risk"},
    "cancel": {"renewal_risk"},
    "allocat": {"budget"},
    "releas": {"budget"},
    "secur": {"budget"},
}
_QUOTED: Final = re.compile(r"“([^“”]*)”|„([^„“”]*)[“”]|«([^«»]*)»|\"([^\"]*)\"")
_MARKS: Final = re.compile(r"[“”„«»\"]")
_LATIN_ENDS: Final = 0x250
_MORE_LATIN: Final = range(0x1E00, 0x1F00)


MOST_NAME_CHARS: Final = 70
MOST_NAME_WORDS: Final = 9


def holds_more(name: str) -> bool:
    """Whether what should be a name or a title is longer than names and titles are."""
    return len(name) > MOST_NAME_CHARS or len(name.split()) > MOST_NAME_WORDS


def repeats(text: str, name: str) -> bool:
    """Whether a sentence repeats what stands behind a name that holds more than one."""
    words = normalise(name).split()
    said = normalise(text)
    return holds_more(name) and any(" ".join(words[at : at + 3]) in said for at in range(3, len(words) - 2))


def promise_problem(text: str, evidence: str, theirs: str, heard: Collection[str], *, is_open: bool) -> str | None:
    """Why a sentence gives away, orders, or reports as done what it must not.

    Args:
        text: The sentence.
        evidence: All that it cites, normalised.
        theirs: What of it the customer or a field said, normalised.
        heard: Predicates of the facts it cites.
        is_open: It asks or supposes, and so reports nothing as done.
    """
    if _ORDER.search(text):
        return "tells the reader to change what is on record"
    for words in (_GIVEN_AWAY, _ABSOLUTE):
        if (word := _unsaid(words, text, evidence)) is not None:
            return f"says `{word}`, which the evidence does not"
    for words in (_ACCESS, _CONSENT):
        if (word := _unsaid(words, text, theirs)) is not None:
            return f"says `{word}`, which the customer did not"
    if is_open:
        return None
    for match in _DONE.finditer(_QUOTED.sub(" ", text)):
        stem = match[1].lower()
        if not re.search(rf"(?<!\w){stem}", evidence) and not _HEARD_AS.get(stem, set[str]()) & set(heard):
            return f"says `{match.group()}`, which the evidence does not"
    return None


def smear(text: str, theirs: str) -> str | None:
    """The first word that speaks ill or well of a competitor and that the customer did not use."""
    return _unsaid(_SMEARS, text, theirs)


def _unsaid(words: re.Pattern[str], text: str, evidence: str) -> str | None:
    """The first of these words that the evidence does not hold, by its first four letters."""
    for match in words.finditer(text):
        if not re.search(rf"(?<!\w){re.escape(normalise(match.group())[:4])}", evidence):
            return match.group()
    return None


def quote_problem(text: str, evidence: str) -> str | None:
    """What stands in quotation marks is what somebody said, word for word, or it is no quote."""
    for match in _QUOTED.finditer(text):
        said = normalise(next(group for group in match.groups() if group is not None))
        said = said.removesuffix("…").removesuffix("...").strip(" .,;:!?'-")
        if said and said not in evidence:
            return "quotes words that are not in the evidence"
    if _MARKS.search(_QUOTED.sub(" ", text)):
        return "quotation marks that do not pair"
    return None


def strange_word(text: str, evidence: str) -> str | None:
    """A word with letters of another script, or a picture, that the evidence does not hold as it stands."""
    if text.isascii():
        return None
    for token in text.split():
        odd = any(
            ord(char) >= _LATIN_ENDS
            and ord(char) not in _MORE_LATIN
            and unicodedata.category(char)[0] in "LS"
            and char != "€"
            for char in token
        )
        if odd and normalise(token).strip(".,;:!?'()") not in evidence:
            return token[:40]
    return None
