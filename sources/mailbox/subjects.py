"""Subjects without what mail programs put before them, and Message-IDs out of headers."""

from __future__ import annotations

import re
from typing import Final

from sources.mailbox.words import clean

_REPLY: Final = "re|aw|antw|antwort|sv|vs|rv|ref|réf|odp|ynt|res|rif|回复|回覆|答复|答覆|返信"
_FORWARD: Final = "fw|fwd|wg|tr|enc|doorst|vl|vb|i|pd|rv|转发|轉寄|転送"
_PREFIX: Final = re.compile(
    rf"\s*(?:(?P<reply>{_REPLY})|(?P<forward>{_FORWARD}))\s*(?:\[\d{{1,3}}\]|\(\d{{1,3}}\))?\s*[:：]\s*", re.IGNORECASE
)
_TAG: Final = re.compile(r"\s*\[[^\[\]]{1,60}\]\s*")
_MESSAGE_ID: Final = re.compile(r"<\s*([^<>]{1,900}?)\s*>")
_BARE_ID: Final = re.compile(r"[^\s<>,;]+@[^\s<>,;]+")
_MOST_REFERENCES: Final = 400


def taken_apart(subject: str) -> tuple[str, bool, bool]:
    """(subject without prefixes, lower case; is a reply; is passed on). The outermost prefix says which of the two."""
    rest, first = subject[:1_000], ""
    for _ in range(40):
        prefix = _PREFIX.match(rest)
        if prefix is not None:
            first = first or ("reply" if prefix["reply"] else "forward")
            rest = rest[prefix.end() :]
            continue
        tag = _TAG.match(rest)
        if tag is None or not rest[tag.end() :].strip():
            break
        rest = rest[tag.end() :]
    return " ".join(rest.split()).casefold(), first == "reply", first == "forward"


def message_id(value: str) -> str:
    """The Message-ID of a header: without angles and blanks; empty when there is none."""
    found = _MESSAGE_ID.search(value)
    one = found[1] if found is not None else value
    one = re.sub(r"\s+", "", clean(one)).strip("<>")
    return one[:900] if len(one) > 2 else ""


def message_ids(value: str) -> tuple[str, ...]:
    """Every Message-ID in a References or In-Reply-To header, in order, each once.

    Some programs leave the angles out, some write words around them ("Your message of Friday <...>").
    """
    value = clean(value[:40_000])
    found = _MESSAGE_ID.findall(value) or _BARE_ID.findall(value)
    ids = dict.fromkeys(one for text in found if len(one := re.sub(r"\s+", "", text)) > 2)
    kept = tuple(ids)
    # The first says where the conversation began, the last ones what is answered.
    return kept if len(kept) <= _MOST_REFERENCES else (kept[0], *kept[-_MOST_REFERENCES + 1 :])
