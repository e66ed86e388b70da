"""The parts of a message: which of them is its text, which are attachments, reports, invitations, or locked."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email.message import Message as Mail
from typing import Any, Final, cast

from sources.mailbox.message import Attachment, Invitation
from sources.mailbox.text import MAX_TEXT, html_text, is_stub, tidy, unflowed
from sources.mailbox.words import clean, declared_in_html, decoded, header_text

_MOST_PARTS: Final = 500
_DEEPEST: Final = 25
_MOST_FORWARDED: Final = 3  # attached messages whose text is read
_MAX_ICS: Final = 100_000
_DEFECTS: Final = {
    "StartBoundaryNotFoundDefect": "its parts cannot be told apart: the boundary its headers name does not occur",
    "CloseBoundaryNotFoundDefect": "it is cut short: a part does not end",
}
_FIELD: Final = re.compile(r"^(METHOD|UID|SEQUENCE|RECURRENCE-ID)(?:;[^:\n]*)?:(.*)$", re.MULTILINE | re.IGNORECASE)
_ARMOUR: Final = re.compile(
    r"-----BEGIN PGP SIGNED MESSAGE-----\n(?:Hash:[^\n]*\n)*\n?"
    r"|-----BEGIN PGP SIGNATURE-----.*?(?:-----END PGP SIGNATURE-----|\Z)",
    re.DOTALL,
)
Block = dict[str, str]


@dataclass
class Content:
    """What the parts of a message hold.

    Attributes:
        text: The readable text.
        source: plain, html, calendar or none.
        content_type: Of the message, lower case.
        report_type: Of multipart/report.
        reports: Header blocks of delivery and read reports.
        returned: Headers of the message a report returns.
        calendar_method: Of a calendar part that is no attachment.
        attachments, invitations: As found.
        protection: See `Message.protection`.
        problems: What could not be read.
    """

    text: str = ""
    source: str = "none"
    content_type: str = ""
    report_type: str = ""
    reports: list[Block] = field(default_factory=list[Block])
    returned: Mapping[str, str] | None = None
    calendar_method: str = ""
    attachments: list[Attachment] = field(default_factory=list[Attachment])
    invitations: list[Invitation] = field(default_factory=list[Invitation])
    protection: str = ""
    problems: list[str] = field(default_factory=list[str])
    parts: int = 0
    forwarded: int = 0


@dataclass(frozen=True, slots=True)
class _Text:
    text: str
    source: str


_NOTHING: Final = _Text("", "none")


def read_parts(mail: Mail) -> Content:
    """Everything the parts of a message hold."""
    content = Content(content_type=mail.get_content_type(), report_type=parameter(mail, "report-type").lower())
    found = _read(mail, content, depth=0, is_root=True)
    text = found.text
    if "-----BEGIN PGP" in text:
        if "-----BEGIN PGP MESSAGE-----" in text:
            content.protection = content.protection or "pgp-encrypted"
        else:
            content.protection = content.protection or "pgp-signed"
            text = tidy(_ARMOUR.sub("", text))
    content.text, content.source = text, found.source if text else "none"
    if content.parts >= _MOST_PARTS:
        content.problems.append(f"it has more than {_MOST_PARTS} parts; the rest was not read")
    content.problems = list(dict.fromkeys(content.problems))
    return content


def children(mail: Mail) -> list[Mail]:
    """The parts of a multipart, or the message inside message/rfc822."""
    payload: Any = mail.get_payload()
    return [one for one in cast("list[Any]", payload) if isinstance(one, Mail)] if isinstance(payload, list) else []


def parameter(part: Mail, name: str, header: str = "content-type") -> str:
    """A parameter of a header as text; empty when missing or unreadable."""
    value: Any = part.get(header)
    if value is None or name not in str(value).lower():
        return ""  # the usual case, and ten times as fast
    try:
        found: Any = part.get_param(name, "", header)
    except (ValueError, TypeError, IndexError, LookupError):
        return ""
    if isinstance(found, tuple):  # RFC 2231: charset, language, value
        charset, _, value = cast("tuple[str | None, str | None, str]", found)
        return decoded(value.encode("latin-1", "replace"), charset or "")[0]
    return str(found or "")


def _read(part: Mail, content: Content, depth: int, *, is_root: bool = False) -> _Text:
    content.parts += 1
    if content.parts > _MOST_PARTS:
        return _NOTHING
    if depth > _DEEPEST:
        content.problems.append("its parts are nested too deeply; the inner ones were not read")
        return _NOTHING
    defects = {type(one).__name__ for one in part.defects}
    # Where no part begins, that none ends says nothing more.
    if "StartBoundaryNotFoundDefect" in defects:
        defects.discard("CloseBoundaryNotFoundDefect")
    content.problems += [said for name, said in _DEFECTS.items() if name in defects]
    kind = part.get_content_type()
    main = part.get_content_maintype()
    if main == "multipart" and children(part):
        return _multipart(part, kind, content, depth)
    if main == "multipart":
        # The boundary never comes: the lines are all there is.
        return _plain(part, content)
    if kind in {"message/delivery-status", "message/disposition-notification"}:
        content.reports += _blocks(part)
        return _NOTHING
    if kind == "message/rfc822" or kind == "message/global":
        return _attached_message(part, content, depth)
    if kind == "text/rfc822-headers":
        if content.returned is None:
            content.returned = _block(clean(_bytes(part, content).decode("utf-8", "replace")))
        return _NOTHING
    _note_protection(part, kind, content)
    if kind == "text/calendar":
        _invitation(part, content)
        return _NOTHING
    if _is_attachment(part, main, is_root=is_root):
        content.attachments.append(_listed(part, kind))
        return _NOTHING
    if kind == "text/html":
        return _Text(html_text(_decoded(part, content, is_html=True)), "html")
    if main == "text" or is_root:
        return _plain(part, content)
    content.attachments.append(_listed(part, kind))
    return _NOTHING


def _multipart(part: Mail, kind: str, content: Content, depth: int) -> _Text:
    inner = children(part)
    if kind == "multipart/alternative":
        return _alternative([(_read(one, content, depth + 1), one.get_content_type()) for one in inner])
    if kind == "multipart/signed":
        protocol = parameter(part, "protocol").lower()
        content.protection = "pgp-signed" if "pgp" in protocol else "smime-signed"
        inner = inner[:1]  # the second part is the signature
    elif kind == "multipart/encrypted":
        content.protection = "pgp-encrypted"
        content.attachments += [_listed(one, one.get_content_type()) for one in inner]
        return _NOTHING
    elif kind == "multipart/report":
        return _report(inner, content, depth)
    found = [one for one in (_read(each, content, depth + 1) for each in inner) if one.text]
    if not found:
        return _NOTHING
    text = "\n\n".join(one.text for one in found)
    return _Text(text[:MAX_TEXT], found[0].source)


def _alternative(found: Sequence[tuple[_Text, str]]) -> _Text:
    """The plain text, unless it only says that there is HTML; then whatever has words."""
    plain = [text for text, _ in found if text.source == "plain" and not is_stub(text.text)]
    if plain:
        return plain[0]
    rest = [text for text, kind in found if text.text and text.source != "plain" and kind != "text/x-amp-html"]
    rest = rest or [text for text, _ in found if text.text]
    return rest[-1] if rest else _NOTHING


def _report(inner: Sequence[Mail], content: Content, depth: int) -> _Text:
    """The first part tells people what happened; the last returns the message, which is not read again as new."""
    text = _NOTHING
    for number, one in enumerate(inner):
        if one.get_content_type() in {"message/rfc822", "message/global"}:
            for returned in children(one)[:1]:
                content.returned = _header_block(returned)
        elif number == 0 or one.get_content_type() in {
            "message/delivery-status",
            "message/disposition-notification",
            "text/rfc822-headers",
        }:
            read = _read(one, content, depth + 1)
            text = text if text.text else read
    return text


def _attached_message(part: Mail, content: Content, depth: int) -> _Text:
    """An attached message is listed; its text follows as forwarded, under the headers that say whose it is."""
    inner = children(part)[:1]
    if not inner:
        content.attachments.append(_listed(part, "message/rfc822"))
        return _NOTHING
    mail = inner[0]
    head = _header_block(mail)
    payload: Any = mail.get_payload()
    size = len(payload) if isinstance(payload, str) else 0
    content.attachments.append(Attachment(head.get("subject", ""), "message/rfc822", size, False, ""))
    if content.returned is None:
        content.returned = head
    content.forwarded += 1
    if content.forwarded > _MOST_FORWARDED:
        return _NOTHING
    read = _read(mail, content, depth + 1, is_root=True)
    if not read.text:
        return _NOTHING
    lines = [f"{shown}: {head[name]}" for name, shown in _FORWARD_HEAD if head.get(name)]
    return _Text("\n".join(["---------- Forwarded message ----------", *lines, "", read.text]), read.source)


_FORWARD_HEAD: Final = (("from", "From"), ("date", "Date"), ("subject", "Subject"), ("to", "To"))


# -- leaves ----------------------------------------------------------------------------------------------------------


def _bytes(part: Mail, content: Content) -> bytes:
    before = len(part.defects)
    data: Any = part.get_payload(decode=True)
    if len(part.defects) > before:
        content.problems.append("the transfer encoding of a part is broken; what could be decoded was kept")
    return data if isinstance(data, bytes) else b""


def _decoded(part: Mail, content: Content, *, is_html: bool = False) -> str:
    data = _bytes(part, content)[: 4 * MAX_TEXT if not is_html else None]
    charset = parameter(part, "charset")
    if not charset and is_html:
        charset = declared_in_html(data)
    text, used = decoded(data, charset)
    if "\ufffd" in text and "\ufffd".encode() not in data:
        content.problems.append(f"some characters cannot be read (declared {charset or 'nothing'}, read as {used})")
    return clean(text)


def _plain(part: Mail, content: Content) -> _Text:
    text = _decoded(part, content)
    if parameter(part, "format").lower() == "flowed":
        text = unflowed(text, joins_without_blank=parameter(part, "delsp").lower() == "yes")
    if part.get_content_type() in {"text/enriched", "text/richtext"}:
        text = re.sub(r"<[^<>]{0,60}>", "", text)
    return _Text(tidy(text), "plain")


def _is_attachment(part: Mail, main: str, *, is_root: bool) -> bool:
    if is_root and main == "text":
        return False
    disposition = str(part.get("content-disposition", "")).split(";")[0].strip().lower()
    return disposition == "attachment" or main != "text" or bool(_name(part))


def _name(part: Mail) -> str:
    name = parameter(part, "filename", "content-disposition") or parameter(part, "name")
    return header_text(name, most=1_000).replace("/", "_").replace("\\", "_")[:255] if name else ""


def _listed(part: Mail, kind: str) -> Attachment:
    payload: Any = part.get_payload()
    size = len(payload) if isinstance(payload, str) else 0
    if str(part.get("content-transfer-encoding", "")).strip().lower() == "base64":
        size = size * 3 // 4
    disposition = str(part.get("content-disposition", "")).split(";")[0].strip().lower()
    content_id = header_text(str(part.get("content-id", "")), most=500).strip("<> ")
    is_inline = disposition == "inline" or (disposition != "attachment" and bool(content_id))
    return Attachment(_name(part), clean(kind)[:120], size, is_inline, content_id)


def _note_protection(part: Mail, kind: str, content: Content) -> None:
    if kind in {"application/pkcs7-mime", "application/x-pkcs7-mime"}:
        is_signed = parameter(part, "smime-type").lower() == "signed-data"
        content.protection = "smime-signed" if is_signed else "smime-encrypted"
    elif kind in {"application/ms-tnef", "application/vnd.ms-tnef"} or _name(part).lower() == "winmail.dat":
        content.protection = content.protection or "tnef"


def _invitation(part: Mail, content: Content) -> None:
    ics = _decoded(part, content)[:_MAX_ICS]
    fields: dict[str, str] = {}
    start = ics.upper().find("BEGIN:VEVENT")
    unfolded = ics[: max(start, 0)] + re.sub(r"\n[ \t]", "", ics[max(start, 0) :])
    for name, value in _FIELD.findall(unfolded):
        fields.setdefault(str(name).upper(), str(value).strip())
    method = parameter(part, "method").upper() or fields.get("METHOD", "").upper()
    content.invitations.append(
        Invitation(method, fields.get("UID", ""), fields.get("SEQUENCE", ""), fields.get("RECURRENCE-ID", ""), ics)
    )
    disposition = str(part.get("content-disposition", "")).split(";")[0].strip().lower()
    if disposition == "attachment":
        content.attachments.append(_listed(part, "text/calendar"))
    elif method:
        content.calendar_method = content.calendar_method or method


# -- reports ---------------------------------------------------------------------------------------------------------


def _blocks(part: Mail) -> list[Block]:
    """The header blocks of a report: as `email` split them, or from the text when a server declared it otherwise."""
    inner = children(part)
    if inner:
        return [block for one in inner if (block := _header_block(one))]
    payload: Any = part.get_payload()
    text = clean(payload) if isinstance(payload, str) else ""
    return [block for piece in re.split(r"\n\s*\n", text) if (block := _block(piece))]


def _header_block(mail: Mail) -> Block:
    raw: Any = mail
    block: Block = {}
    for name, value in list(raw.raw_items())[:200]:
        block.setdefault(str(name).lower(), header_text(str(value), most=2_000))
    return block


def _block(text: str) -> Block:
    block: Block = {}
    for line in re.sub(r"\n[ \t]+", " ", text[:20_000]).split("\n"):
        name, colon, value = line.partition(":")
        if colon and name and " " not in name.strip():
            block.setdefault(name.strip().lower(), header_text(value))
    return block
