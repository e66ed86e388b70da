"""Which parts of a message on a server are worth fetching, and the message put together from them.

Attachments are told from the BODYSTRUCTURE and never fetched; texts, invitations and reports are, up to a limit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from sources.mailbox.message import Attachment
from sources.mailbox.words import header_text

_MOST_FORWARDED: Final = 3
_READ_MESSAGE_TYPES: Final = frozenset({"delivery-status", "disposition-notification", "global-delivery-status"})


@dataclass(frozen=True, slots=True)
class Part:
    """One node of a BODYSTRUCTURE.

    Attributes:
        path: As FETCH names it: `1.2`; empty for the message itself.
        type: `text/plain`, lower case.
        parameters: Of Content-Type, lower-case names.
        size: Bytes as encoded.
        encoding: Content-Transfer-Encoding, lower case.
        disposition: attachment, inline or empty.
        name: File name.
        content_id: Without angles.
        parts: Of a multipart; for message/rfc822 the body of the message inside.
        subject: Of a message inside.
    """

    path: str
    type: str
    parameters: Mapping[str, str]
    size: int = 0
    encoding: str = ""
    disposition: str = ""
    name: str = ""
    content_id: str = ""
    parts: tuple[Part, ...] = ()
    subject: str = ""

    @property
    def is_multipart(self) -> bool:
        """Whether it only holds other parts."""
        return self.type.startswith("multipart/")


def structure(data: Any) -> Part:
    """A BODYSTRUCTURE as parts.

    Args:
        data: As imapclient gives it: nested tuples.

    Raises:
        ValueError, IndexError, TypeError: The server wrote something else; fetch the message whole then.
    """
    return _node(data, "", is_message=True)


def _node(data: Any, path: str, *, is_message: bool = False) -> Part:
    if isinstance(data[0], (tuple, list)):
        inner: list[Any] = (
            list(data[0]) if isinstance(data[0], list) else [one for one in data if isinstance(one, tuple)]
        )
        rest = list(data[1:]) if isinstance(data[0], list) else [one for one in data if not isinstance(one, tuple)]
        if not isinstance(data[0], list):
            # Raw tuples (inside message/rfc822): the parts come first, then the subtype.
            first = next(number for number, one in enumerate(data) if isinstance(one, bytes))
            inner, rest = list(data[:first]), list(data[first:])
        parts = tuple(_node(one, f"{path}.{number}" if path else str(number)) for number, one in enumerate(inner, 1))
        kind = f"multipart/{_text(rest[0]).lower()}"
        return Part(path, kind, _pairs(rest[1] if len(rest) > 1 else None), parts=parts)
    if is_message:
        path = f"{path}.1" if path else "1"
    kind = f"{_text(data[0])}/{_text(data[1])}".lower()
    parameters = _pairs(data[2])
    inside: tuple[Part, ...] = ()
    subject = ""
    place = 8
    if kind == "message/rfc822" and len(data) > 9:
        envelope = data[7]
        subject = header_text(_text(envelope[1])) if envelope else ""
        inside = (_node(data[8], path, is_message=True),)
        place = 11
    elif kind.startswith("text/"):
        place = 9
    disposition, named = _disposition(data[place] if len(data) > place else None)
    return Part(
        path=path,
        type=kind,
        parameters=parameters,
        size=int(data[6] or 0),
        encoding=_text(data[5]).lower(),
        disposition=disposition,
        name=header_text(named or parameters.get("name", ""))[:255],
        content_id=_text(data[3]).strip("<> "),
        parts=inside,
        subject=subject,
    )


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return "" if value is None else str(value)


def _pairs(value: Any) -> dict[str, str]:
    if not isinstance(value, (tuple, list)):
        return {}
    flat = cast("list[Any]", list(value))  # pyright: ignore[reportUnknownArgumentType]
    return {_text(name).lower().rstrip("*"): _text(given) for name, given in zip(flat[::2], flat[1::2], strict=False)}


def _disposition(value: Any) -> tuple[str, str]:
    if not isinstance(value, (tuple, list)) or not value:
        return "", ""
    both = cast("list[Any]", list(value))  # pyright: ignore[reportUnknownArgumentType]
    return _text(both[0]).lower(), _pairs(both[1] if len(both) > 1 else None).get("filename", "")


# -- what to fetch ---------------------------------------------------------------------------------------------------


def _leaves(part: Part, root: Part) -> Iterator[tuple[Part, bool]]:
    """(part, whether its text is fetched), in order."""
    if part.is_multipart:
        for one in part.parts:
            yield from _leaves(one, root)
        return
    is_text = part.type.startswith("text/") and part.disposition != "attachment" and not part.name
    if part is root and part.type.startswith("text/"):
        is_text = True
    is_report = part.type.startswith("message/") and part.type.partition("/")[2] in _READ_MESSAGE_TYPES
    yield part, is_text or is_report or part.type == "text/calendar" or part.type == "message/rfc822"


def attachments(root: Part) -> list[Attachment]:
    """The attachments of a message, as its server lists them."""
    found: list[Attachment] = []
    for part, is_fetched in _leaves(root, root):
        size = part.size * 3 // 4 if part.encoding == "base64" else part.size
        if part.type == "message/rfc822":
            found.append(Attachment(part.subject, part.type, size, False, ""))
        elif not is_fetched or (part.type == "text/calendar" and part.disposition == "attachment"):
            is_inline = part.disposition == "inline" or (part.disposition != "attachment" and bool(part.content_id))
            found.append(Attachment(part.name, part.type, size, is_inline, part.content_id))
    return found


def is_fetched_whole(root: Part) -> bool:
    """Whether a message has nothing in it that is not read."""
    return all(is_fetched and part.type != "message/rfc822" for part, is_fetched in _leaves(root, root))


def wanted(root: Part, most: int) -> tuple[str, ...]:
    """The sections to fetch of a message that has attachments, as FETCH names them."""
    sections = ["BODY.PEEK[HEADER]"]
    for part in _read_parts(root):
        if part.type == "message/rfc822":
            sections.append(f"BODY.PEEK[{part.path}.HEADER]")
        else:
            if part.path != "1" or root.is_multipart:
                sections.append(f"BODY.PEEK[{part.path}.MIME]")
            sections.append(f"BODY.PEEK[{part.path}]<0.{most}>")
    return tuple(sections)


def _read_parts(root: Part) -> Iterator[Part]:
    """Parts whose bytes (of an attached message: whose headers) are fetched, those inside attached messages too."""
    is_report = root.type == "multipart/report"
    forwarded = 0
    for part, is_fetched in _leaves(root, root):
        if not is_fetched:
            continue
        yield part
        if part.type == "message/rfc822" and not is_report:
            forwarded += 1
            if forwarded <= _MOST_FORWARDED:
                for inner in part.parts:
                    yield from (one for one, read in _leaves(inner, inner) if read and one.type != "message/rfc822")


# -- the message from its parts --------------------------------------------------------------------------------------


def assembled(root: Part, fetched: Mapping[bytes, Any]) -> bytes:
    """A message with its headers and the fetched parts, and nothing in place of the others.

    Args:
        root: Its structure.
        fetched: The server's answer to `wanted`.
    """
    head = _section(fetched, "HEADER")
    if not root.is_multipart:
        return head.rstrip(b"\r\n") + b"\r\n\r\n" + _content(root, fetched)
    return _without_content_headers(head) + _entity(root, fetched, 0)


def _section(fetched: Mapping[bytes, Any], name: str) -> bytes:
    for key in (f"BODY[{name}]", f"BODY[{name}]<0>"):
        value = fetched.get(key.encode())
        if value is not None:
            return bytes(value)
    return b""


def _entity(part: Part, fetched: Mapping[bytes, Any], depth: int) -> bytes:
    """The MIME headers of a part, an empty line, its content."""
    if part.is_multipart:
        boundary = f"nightdesk-part-{part.path or '0'}-{depth}"
        kept = "".join(
            f'; {name}="{value}"'
            for name, value in part.parameters.items()
            if name in {"report-type", "protocol"} and '"' not in value
        )
        pieces = [f'Content-Type: {part.type}{kept}; boundary="{boundary}"\r\n\r\n'.encode("utf-8", "replace")]
        for one in part.parts:
            inner = _entity(one, fetched, depth + 1)
            if inner:
                pieces.append(f"--{boundary}\r\n".encode() + inner + b"\r\n")
        pieces.append(f"--{boundary}--\r\n".encode())
        return b"".join(pieces)
    if part.type == "message/rfc822":
        head = _section(fetched, f"{part.path}.HEADER")
        if not head:
            return b""
        inside = part.parts[0] if part.parts else None
        begin = b"Content-Type: message/rfc822\r\n\r\n"
        if inside is None or not inside.is_multipart:
            text = b"" if inside is None else _content(inside, fetched)
            return begin + head.rstrip(b"\r\n") + b"\r\n\r\n" + text
        return begin + _without_content_headers(head) + _entity(inside, fetched, depth + 1)
    content = _content(part, fetched)
    head = _section(fetched, f"{part.path}.MIME")
    return head.rstrip(b"\r\n") + b"\r\n\r\n" + content if head or content else b""


def _content(part: Part, fetched: Mapping[bytes, Any]) -> bytes:
    return _section(fetched, part.path)


def _without_content_headers(head: bytes) -> bytes:
    """Headers without those that describe the content: their boundary is not ours."""
    kept: list[bytes] = []
    is_content = False
    for line in head.replace(b"\r\n", b"\n").split(b"\n"):
        if line[:1] not in (b" ", b"\t"):
            is_content = line[:8].lower() == b"content-"
        if line and not is_content:
            kept.append(line)
    return b"\r\n".join(kept) + b"\r\n"
