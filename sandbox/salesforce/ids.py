"""Salesforce record ids: 15 characters that mean something by their case, and 3 that repeat the case."""

from __future__ import annotations

import re

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CHECK = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_CASE = {ord(letter): "1" if letter.isupper() else "0" for letter in _DIGITS}
_ID = re.compile(r"[A-Za-z0-9]{15}([A-Z0-5]{3})?")


def make(prefix: str, number: int) -> str:
    """The 18-character id of the `number`th record of the object with this key prefix."""
    text = ""
    while number:
        number, digit = divmod(number, len(_DIGITS))
        text = _DIGITS[digit] + text
    return long(f"{prefix}XX{text.rjust(10, '0')}")


def long(record_id: str) -> str:
    """The 18-character form of an id."""
    short = record_id[:15]
    bits = short.translate(_CASE)[::-1]  # 1 for a capital; the first letter of each five is the lowest bit
    return short + _CHECK[int(bits[10:], 2)] + _CHECK[int(bits[5:10], 2)] + _CHECK[int(bits[:5], 2)]


def is_id(text: object) -> bool:
    """Whether this has the form of an id, of either length."""
    return isinstance(text, str) and _ID.fullmatch(text) is not None and (len(text) == 15 or long(text) == text)
