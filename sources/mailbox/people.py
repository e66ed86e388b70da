"""Addresses of headers: lower case, without names, groups opened, "undisclosed recipients" nobody."""

from __future__ import annotations

import re
from email.utils import getaddresses
from functools import lru_cache
from typing import Final

from sources.mailbox.words import header_text, unfolded

_MOST: Final = 200_000  # characters of an address header that are read: a few thousand recipients
_ADDRESS: Final = re.compile(r"[^\s@<>()\[\],;:\"\\]{1,128}@[^\s@<>()\[\],;:\"\\]{1,255}")
_IN_ANGLES: Final = re.compile(r"<\s*(?:mailto:)?([^<>\s]{1,128}@[^<>\s]{1,255})\s*>", re.IGNORECASE)
# `boss@ours.example <someone@else.example>`: the name looks like an address, and must not be taken for one.
_NAME_LIKE_ADDRESS: Final = re.compile(r"(^|[,;:])[^\",;:<>@]{0,200}@[^\",;:<>]{0,200}(?=<)")


def addresses(values: list[str], hint: str = "") -> list[tuple[str, str]]:
    """(name, address) of everybody named in header values, in order, each address once.

    Args:
        values: The values of one header (it may stand twice), as parsed.
        hint: Charset of the message's text, for names in 8 bits.
    """
    found: dict[str, str] = {}
    for value in values:
        line = unfolded(value[:_MOST])
        if not line:
            continue
        for name, address in _pairs(line):
            if address not in found:
                found[address] = header_text(name, hint)
    return [(name, address) for address, name in found.items()]


@lru_cache(maxsize=4_096)  # most mail of a mailbox goes to the same few people
def _pairs(line: str) -> list[tuple[str, str]]:
    line = _NAME_LIKE_ADDRESS.sub(r"\1", line)
    if ";" in line and ":" not in line:
        # `a@x; b@y`, as Outlook writes it. Names in quotes stay as they are.
        pieces = line.split('"')
        line = '"'.join(one if number % 2 else one.replace(";", ",") for number, one in enumerate(pieces))
    try:
        parsed = getaddresses([line])
    except (IndexError, ValueError, TypeError, RecursionError):
        parsed = []
    pairs = [(name, address) for name, given in parsed if (address := canonical(given))]
    if pairs:
        return pairs
    # A name in quotes that never close, say: what stands in angles counts, then what looks like an address.
    found = _IN_ANGLES.findall(line) or _ADDRESS.findall(line)
    return [("", one) for text in found if (one := canonical(text))]


def canonical(address: str) -> str:
    """An address in lower case without quotes and `mailto:`; empty when it is none."""
    one = address.strip().strip("<>'\"").strip()
    if one[:7].lower() == "mailto:":
        one = one[7:]
    local, at, domain = one.rpartition("@")
    domain = domain.strip().rstrip(".>").lower()
    if not at or not local or not domain or not _ADDRESS.fullmatch(f"{local}@{domain}"):
        return ""
    if not domain.isascii() or not local.isascii():
        try:
            domain = domain.encode("idna").decode("ascii") if not domain.isascii() else domain
        except UnicodeError:
            return ""
        if any("\ud800" <= character <= "\udfff" for character in local):
            return ""
    return f"{local.lower()}@{domain}"
