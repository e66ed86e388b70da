"""What kind of message it is, told by headers and structure alone; what its words mean, reply_class says."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from sources.mailbox.people import canonical

MessageClass = Literal["person", "auto_reply", "bounce", "list", "calendar", "receipt"]
BounceKind = Literal["permanent", "temporary"]
BounceReason = Literal["bad_address", "mailbox_full", "blocked", "other"]

_SERVERS: Final = frozenset({"mailer-daemon", "postmaster", "mail-daemon", "maildaemon"})
_STATUS: Final = re.compile(r"\b([245])\.(\d{1,3})\.(\d{1,3})\b")
_REPLY_CODE: Final = re.compile(r"\b([45])\d\d[ -]")
_DELAYED: Final = re.compile(
    r"\b(?:delay|warning|not yet been delivered|will (?:be )?retr|still being retried|no action is required)",
    re.IGNORECASE,
)
_IN_TEXT: Final = re.compile(r"<?([^\s<>()\[\],;:\"]{1,128}@[^\s<>()\[\],;:\"]{1,255})>?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Bounce:
    """What a server said about a message of ours it could not deliver.

    Attributes:
        address: Who was not reached, several separated by semicolons; empty when the report does not say.
        kind: Whether trying again is pointless.
        status: RFC 3463 code (`5.1.1`); empty when none was given.
        reason: Only `bad_address` says that the address itself is wrong; `blocked` and `mailbox_full` do not.
        message_id: Message-ID of what was sent, without angles; empty when not returned.
    """

    address: str
    kind: BounceKind
    status: str
    reason: BounceReason
    message_id: str


@dataclass(frozen=True, slots=True)
class Shape:
    """What the parts of a message say about its kind.

    Attributes:
        content_type: Of the message itself, lower case.
        report_type: Parameter of multipart/report, lower case.
        reports: Header blocks of message/delivery-status and message/disposition-notification parts.
        returned: Headers of the message a report returns.
        calendar_method: METHOD of a calendar part that is no attachment, upper case.
        text: Start of the readable text; asked only for what a bounce without a report says.
    """

    content_type: str = ""
    report_type: str = ""
    reports: Sequence[Mapping[str, str]] = ()
    returned: Mapping[str, str] | None = None
    calendar_method: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Class:
    """The kind of a message, and the header (with its value) that decided."""

    name: MessageClass
    decided_by: str = ""
    bounce: Bounce | None = None


def classify(headers: Mapping[str, str], from_email: str, shape: Shape) -> Class:
    """The kind of a message.

    Args:
        headers: Lower-case name to the first value, decoded.
        from_email: The sender's address.
        shape: What its parts say.
    """
    report = _report(headers, from_email, shape)
    if report is not None:
        return report
    if shape.calendar_method:
        return Class("calendar", f"Content-Type: text/calendar; method={shape.calendar_method}")
    machine = _machine(headers, from_email)
    if machine:
        return Class("auto_reply", machine)
    return Class("list", listed) if (listed := _list(headers)) else Class("person")


# -- machines --------------------------------------------------------------------------------------------------------


def _said(headers: Mapping[str, str], name: str) -> str:
    return f"{name}: {headers[name.lower()][:80]}"


def _machine(headers: Mapping[str, str], from_email: str) -> str:
    """The header that says a machine answered; empty when none does. RFC 3834 first, then what came before it."""
    auto = headers.get("auto-submitted", "").split(";")[0].strip().lower()
    if auto and auto != "no":
        return _said(headers, "Auto-Submitted")
    for name in ("X-Autoreply", "X-Autorespond", "X-Autoreply-From", "X-Vacation", "X-FC-MachineGenerated"):
        if headers.get(name.lower(), "no").strip().lower() not in {"no", "false", ""}:
            return _said(headers, name)
    if headers.get("precedence", "").strip().lower() in {"auto_reply", "auto-reply"}:
        return _said(headers, "Precedence")
    if "autoresponder" in headers.get("x-post-messageclass", "").lower():
        return _said(headers, "X-POST-MessageClass")
    if "autoresponder" in headers.get("delivered-to", "").lower():
        return _said(headers, "Delivered-To")
    if re.search(r"\bvacation\b|autoresponder", headers.get("x-mailer", "").lower()):
        return _said(headers, "X-Mailer")
    # Exchange marks its automatic replies so, that nobody answers them automatically. Newsletters carry it too, and
    # these have an address to unsubscribe at.
    if headers.get("x-auto-response-suppress", "").strip().lower() not in {"", "none"} and not _list(headers):
        return _said(headers, "X-Auto-Response-Suppress")
    if from_email.partition("@")[0] in _SERVERS:
        return f"From: {from_email}"
    if headers.get("return-path", "").strip() == "<>":
        return _said(headers, "Return-Path")
    return ""


def _list(headers: Mapping[str, str]) -> str:
    for name in ("List-Id", "List-Post", "List-Unsubscribe", "Mailing-List", "Feedback-ID", "X-Mailing-List"):
        if headers.get(name.lower(), "").strip():
            return _said(headers, name)
    if headers.get("precedence", "").strip().lower() in {"list", "bulk", "junk"}:
        return _said(headers, "Precedence")
    return ""


# -- reports ---------------------------------------------------------------------------------------------------------


def _report(headers: Mapping[str, str], from_email: str, shape: Shape) -> Class | None:
    is_server = from_email.partition("@")[0] in _SERVERS or headers.get("return-path", "").strip() == "<>"
    if shape.content_type == "multipart/report" or shape.reports:
        told = f"Content-Type: multipart/report; report-type={shape.report_type}"
        if "disposition" in shape.report_type or any("disposition" in block for block in shape.reports):
            return Class("receipt", told)
        actions = {block.get("action", "").strip().lower() for block in shape.reports} - {""}
        if actions and not actions & {"failed", "delayed"}:
            return Class("receipt", f"Action: {', '.join(sorted(actions))}")
        if shape.report_type == "delivery-status" or actions:
            return Class("bounce", told, _bounce(headers, shape))
    if "x-failed-recipients" in headers:
        return Class("bounce", _said(headers, "X-Failed-Recipients"), _bounce(headers, shape))
    if "x-ms-exchange-message-is-ndr" in headers:
        return Class("bounce", "X-MS-Exchange-Message-Is-Ndr", _bounce(headers, shape))
    # Servers that write no report: the message they return, or the status they quote, tells it from other notices.
    if is_server and (shape.returned is not None or (_STATUS.search(shape.text) and _failed_in(shape.text))):
        told = f"From: {from_email}" if from_email.partition("@")[0] in _SERVERS else "Return-Path: <>"
        return Class("bounce", told, _bounce(headers, shape))
    if "disposition-notification-to" not in headers and headers.get("x-read-receipt", ""):
        return Class("receipt", _said(headers, "X-Read-Receipt"))
    return None


def _bounce(headers: Mapping[str, str], shape: Shape) -> Bounce:
    """Who was not reached. Those that failed come before those that are only delayed; the first of them says why."""
    blocks = [block for block in shape.reports if block.get("final-recipient") or block.get("original-recipient")]
    failed = [block for block in blocks if block.get("action", "").strip().lower() == "failed"] or blocks
    block: Mapping[str, str] = failed[0] if failed else {}
    returned: Mapping[str, str] = shape.returned or {}
    address = ";".join(dict.fromkeys(one for each in failed if (one := _recipient(each))))
    address = address or ";".join(dict.fromkeys(_listed(headers.get("x-failed-recipients", ""))))
    address = address or _failed_in(shape.text) or _only(returned.get("to", ""))
    diagnostic = block.get("diagnostic-code", "") or ("" if block else shape.text[:4_000])
    status = _status(block.get("status", ""), diagnostic)
    action = block.get("action", "").strip().lower()
    kind: BounceKind = "temporary" if _is_temporary(action, status, diagnostic, headers, bool(block)) else "permanent"
    message_id = re.sub(r"\s", "", returned.get("message-id", "")).strip("<>")
    return Bounce(address, kind, status, _reason(status, diagnostic), message_id)


def _is_temporary(action: str, status: str, diagnostic: str, headers: Mapping[str, str], has_block: bool) -> bool:
    if action == "delayed":
        return True
    if action == "failed":
        return False  # the server gave up, whatever the last code was; the code stays in `status`
    if status:
        return status.startswith("4")
    code = _REPLY_CODE.search(diagnostic)
    if code is not None:
        return code[1] == "4"
    return not has_block and _DELAYED.search(headers.get("subject", "") + "\n" + diagnostic) is not None


def _status(stated: str, diagnostic: str) -> str:
    """The more telling of the two codes: reports often state 5.0.0 and quote a real one."""
    first = _STATUS.search(stated)
    second = _STATUS.search(diagnostic)
    if first is not None and not first[0].endswith(".0.0"):
        return first[0]
    found = second or first
    return "" if found is None else found[0]


def _reason(status: str, diagnostic: str) -> BounceReason:
    """RFC 3463: x.1.x and 5.2.1 are the address, x.2.2 its quota, x.7.x a rule of the receiver."""
    if re.fullmatch(r"5\.1\.(?:0|1|2|3|4|6|10)|5\.2\.1|5\.4\.4", status):
        return "bad_address"
    if re.fullmatch(r"[45]\.2\.[23]", status):
        return "mailbox_full"
    if re.fullmatch(r"[45]\.7\.\d+", status):
        return "blocked"
    if not status and re.search(
        r"user unknown|no such user|unknown user|does not exist|invalid recipient", diagnostic, re.I
    ):
        return "bad_address"
    return "other"


def _recipient(block: Mapping[str, str]) -> str:
    """RFC 3464 `rfc822; name@host`. The original recipient is the one we wrote to, and is tried first."""
    for name in ("original-recipient", "final-recipient"):
        found = canonical(block.get(name, "").rpartition(";")[2])
        if found:
            return found
    return ""


def _failed_in(text: str) -> str:
    for found in _IN_TEXT.findall(text[:4_000]):
        address = canonical(found)
        if address and address.partition("@")[0] not in _SERVERS:
            return address
    return ""


def _listed(text: str) -> Iterable[str]:
    return (one for part in re.split(r"[,;\s]+", text) if (one := canonical(part)))


def _only(text: str) -> str:
    found = {one for part in _IN_TEXT.findall(text) if (one := canonical(part))}
    return found.pop() if len(found) == 1 else ""
