"""Bytes and header values to text: wrong charsets, RFC 2047 words, 8-bit headers. Nothing here raises on bad input."""

from __future__ import annotations

import binascii
import codecs
import quopri
import re
from typing import Final

_LONGEST_HEADER: Final = 16_000  # characters of one header value that are looked at; addresses get more
_GUESSED: Final = 20_000  # bytes that are enough to guess a charset from

# What mail says, and what it means: the wider set that mail programs really write under that name.
_WIDER: Final[dict[str, str]] = {
    "us-ascii": "cp1252",
    "ascii": "cp1252",
    "ansi_x3.4-1968": "cp1252",
    "iso-8859-1": "cp1252",
    "iso_8859-1": "cp1252",
    "iso8859-1": "cp1252",
    "latin1": "cp1252",
    "latin-1": "cp1252",
    "iso-8859-9": "cp1254",
    "iso-8859-8-i": "iso-8859-8",
    "gb2312": "gb18030",
    "gb_2312-80": "gb18030",
    "gbk": "gb18030",
    "x-gbk": "gb18030",
    "ks_c_5601-1987": "cp949",
    "ks_c_5601": "cp949",
    "euc-kr": "cp949",
    "shift_jis": "cp932",
    "shift-jis": "cp932",
    "x-sjis": "cp932",
    "windows-31j": "cp932",
    "iso-2022-jp": "iso2022_jp_ext",
    "big5": "big5hkscs",
    "tis-620": "cp874",
    "macintosh": "mac_roman",
    "x-mac-roman": "mac_roman",
    "unicode-1-1-utf-7": "utf-7",
    "unicode-1-1-utf-8": "utf-8",
    "cp-850": "cp850",
}
_SEVEN_BIT: Final = frozenset({"utf-7", "iso2022_jp_ext", "hz", "iso2022_kr"})  # their bytes are all valid UTF-8

# Encoded words; the text may hold blanks (wrong, common) but no `?`, so the search stays linear.
_WORD: Final = re.compile(r"=\?([^?\s*]{1,60})(?:\*[^?\s]{1,20})?\?([bBqQ])\?([^?]*)\?=")
_FOLD: Final = re.compile(r"[\r\n]+")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufeff]")
_META: Final = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_:.-]{1,40})", re.IGNORECASE)


def _as_windows(error: UnicodeError) -> tuple[str, int]:
    """Bytes that are no UTF-8 in a text that otherwise is: pasted from a Windows program."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("cp1252", "replace"), error.end


codecs.register_error("nightdesk-windows", _as_windows)


def codec(name: str) -> str:
    """The Python codec a declared charset is read with; empty when nobody knows the name."""
    wanted = name.strip().strip("\"'").lower()
    wanted = _WIDER.get(wanted, wanted)
    try:
        found = codecs.lookup(wanted)
    except (LookupError, ValueError, UnicodeError):
        return ""
    # rot13, base64 and their like are codecs, but no charsets.
    return wanted if getattr(found, "_is_text_encoding", True) and wanted not in {"idna", "punycode"} else ""


def decoded(data: bytes, charset: str = "") -> tuple[str, str]:
    """Text of bytes, and the charset they were read as.

    UTF-8 is recognised whatever was declared: text in another charset is hardly ever valid UTF-8 by chance. Then the
    declared charset; then, where it does not fit, the best guess.

    Args:
        data: As they stand in the message, transfer encoding undone.
        charset: As declared; empty when nothing was.
    """
    wanted = codec(charset) if charset else ""
    if wanted.startswith(("utf-16", "utf-32", "utf_16", "utf_32")):
        if b"\0" in data[:400] or data[:2] in (b"\xff\xfe", b"\xfe\xff"):
            return data.decode(wanted, "replace"), wanted
        wanted = ""  # a page that names it, in bytes that are none of it
    if wanted in _SEVEN_BIT:
        text = data.decode(wanted, "replace")
        if text.count("\ufffd") * 10 <= len(text):
            return text, wanted
    elif data.isascii():
        return data.decode("ascii"), wanted or "us-ascii"
    try:
        return data.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        pass
    # Text in a Latin alphabet is mostly ASCII; where it is not, the Latin charset was declared by habit.
    if wanted in {"", "cp1252"} and _share_above_ascii(data) > 0.3:
        guess = _guess(data[:_GUESSED])
        if guess:
            return data.decode(guess, "replace"), guess
    if wanted and wanted not in {"utf-8", "utf8", *_SEVEN_BIT}:
        try:
            return data.decode(wanted), wanted
        except (UnicodeError, ValueError):
            if wanted == "cp1252":  # five bytes mean nothing in it
                return data.decode("latin-1"), "iso-8859-1"
    # A torn end or a stray byte in what is UTF-8 otherwise is no reason to guess.
    strange = data.decode("utf-8", "replace").count("\ufffd")
    if strange * 10 <= sum(byte > 127 for byte in data[:_GUESSED]) or strange == 1:
        return data.decode("utf-8", "nightdesk-windows"), "utf-8"
    guess = _guess(data[:_GUESSED])
    if guess:
        return data.decode(guess, "replace"), guess
    if wanted in {"utf-8", "utf8"}:
        return data.decode("utf-8", "nightdesk-windows"), "utf-8"
    return data.decode(wanted or "cp1252", "replace"), wanted or "cp1252"


def _share_above_ascii(data: bytes) -> float:
    some = data[:_GUESSED]
    return sum(byte > 127 for byte in some) / max(1, len(some))


def _guess(data: bytes) -> str:
    from charset_normalizer import from_bytes

    if len(data) < 16:
        return ""
    best = from_bytes(data).best()
    return "" if best is None else best.encoding


def declared_in_html(data: bytes) -> str:
    """The charset a page of HTML names in its head; empty when it names none."""
    found = _META.search(data, 0, 4_000)
    return found[1].decode("ascii") if found else ""


def clean(text: str) -> str:
    """Text without control characters, lone surrogates and byte order marks; line ends are `\\n`."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROL.sub("", text) if _CONTROL.search(text) else text


def raw_bytes(value: str) -> bytes:
    """The bytes of a header value as `email` parsed it (8-bit bytes are lone surrogates there)."""
    return value.encode("utf-8", "surrogateescape") if _is_wide(value) else value.encode("ascii", "surrogateescape")


def _is_wide(value: str) -> bool:
    return any("\x7f" < character < "\ud800" or character > "\udfff" for character in value)


def unfolded(value: str) -> str:
    """A header value on one line."""
    if "\n" in value or "\r" in value:
        return " ".join(one for part in _FOLD.split(value) if (one := part.strip()))
    return value.strip()


def header_text(value: str, hint: str = "", *, most: int = _LONGEST_HEADER) -> str:
    """A header value as people read it.

    Args:
        value: As parsed, still folded, words still encoded.
        hint: Charset of the message's text, for 8-bit values.
        most: Characters that are looked at.
    """
    value = unfolded(value[:most])
    if not value.isascii():
        data = raw_bytes(value)
        try:
            value = data.decode("utf-8")
        except UnicodeDecodeError:
            wanted = codec(hint) if hint else ""
            value = data.decode(wanted if wanted and wanted not in {"utf-8", "utf8"} else "cp1252", "replace")
    if "=?" in value:
        value = words(value)
    return clean(value).replace("\n", " ").strip()


def words(value: str) -> str:
    """RFC 2047 words decoded. Neighbours in one charset are joined as bytes first: many cut characters in two."""
    pieces: list[str] = []
    waiting: tuple[str, bytes] | None = None  # charset and bytes of words not yet written
    position = 0
    for match in _WORD.finditer(value):
        between = value[position : match.start()]
        position = match.end()
        charset, data = match[1], _word_bytes(match[2], match[3])
        if waiting is not None and not between.strip():
            if waiting[0].lower() == charset.lower():
                waiting = (charset, waiting[1] + data)
                continue
            between = ""  # blanks between two words are not shown
        if waiting is not None:
            pieces.append(decoded(waiting[1], waiting[0])[0])
        pieces.append(between)
        waiting = (charset, data)
    if waiting is not None:
        pieces.append(decoded(waiting[1], waiting[0])[0])
    pieces.append(value[position:])
    return "".join(pieces)


def _word_bytes(encoding: str, text: str) -> bytes:
    data = text.encode("utf-8", "surrogateescape")
    if encoding in "qQ":
        return quopri.decodestring(data, header=True)
    return base64_bytes(data)


def base64_bytes(data: bytes) -> bytes:
    """As much of base64 as can be read: padding may be missing, the last character torn."""
    for end in (b"", b"=", b"==", b"A=="):
        try:
            return binascii.a2b_base64(data + end)
        except binascii.Error:
            continue
    return b""
