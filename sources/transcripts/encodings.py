"""Bytes to text: transcripts come with byte order marks, as UTF-16, and from machines that know only Latin-1."""

from __future__ import annotations

import codecs

from sources.transcripts.model import Trouble

_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_TODO = "Export the file again as UTF-8 if letters look wrong."


def decoded(data: bytes) -> tuple[str, list[Trouble]]:
    """The text of a file with `\\n` line ends, and what had to be assumed.

    A byte order mark decides; else UTF-8; else UTF-16 where every other byte is nothing; else Windows' Latin-1, in
    which every byte is a letter, with the first byte that is no UTF-8 named.
    """
    troubles: list[Trouble] = []
    text = _text(data, troubles)
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\ufeff", ""), troubles


def _text(data: bytes, troubles: list[Trouble]) -> str:
    for mark, name in _MARKS:
        if data.startswith(mark):
            try:
                return data.decode(name)
            except UnicodeDecodeError as error:
                line = data[: error.start].decode(name, "replace").count("\n") + 1
                troubles.append(
                    Trouble(line, f"Byte {error.start} is broken {name.removesuffix('-sig').upper()}", _TODO)
                )
                return data.decode(name, "replace")
    wide = _wide(data)
    if wide:
        return data.decode(wide, "replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        if error.start > 0 and error.end == len(data) and error.reason == "unexpected end of data":
            troubles.append(Trouble(line, f"The file ends in the middle of a letter (byte {error.start})", _TODO))
            return data.decode("utf-8", "ignore")
        troubles.append(Trouble(line, f"Byte {error.start} is not UTF-8; the file is read as Windows-1252", _TODO))
        return data.decode("cp1252", "replace") if _has_letters(data) else data.decode("latin-1")


def _wide(data: bytes) -> str | None:
    """UTF-16 without a mark: text whose letters are mostly one byte and a zero."""
    head = data[:2000]
    if len(head) < 4 or b"\0" not in head:
        return None
    even, odd = head[0::2].count(0), head[1::2].count(0)
    half = len(head) // 2
    if odd > half * 0.4 and even < half * 0.1:
        return "utf-16-le"
    if even > half * 0.4 and odd < half * 0.1:
        return "utf-16-be"
    return None


def _has_letters(data: bytes) -> bool:
    """Whether bytes 0x80 to 0x9f, letters and quotes in Windows-1252 only, all have a meaning there."""
    return not set(data) & {0x81, 0x8D, 0x8F, 0x90, 0x9D}
