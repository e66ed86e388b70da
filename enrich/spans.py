"""Cuts a document into the spans an agent may cite: sentences with character offsets, a side and an author.

What was said before is not read again as new: quoted replies and signatures get no span (but for a line that
says how large the firm is). Forwarded text is new to us:
it gets spans of its own author, and of an unknown side unless that author's address says whose colleague it is. Offsets
count characters of the document's text (a context's body), so a quote is always `body[start:end]`.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from enrich.context import Context, Side

ZoneKind = Literal["new", "quoted", "forwarded", "signature"]

MAX_SPAN_CHARS = 600
MAX_BODY_CHARS = (
    200_000  # what lies beyond is not read: nobody writes that much by hand, and one document must not stall a night
)


@dataclass(frozen=True, slots=True)
class Zone:
    """A stretch of whole lines of an email or note with one role."""

    start: int
    end: int
    kind: ZoneKind


@dataclass(frozen=True, slots=True)
class Span:
    """One citable sentence.

    Attributes:
        id: `s1`, `s2`, ... in reading order.
        start: First character, counted in the document's text.
        end: One past the last character.
        text: `body[start:end]`.
        side: Who speaks.
        author: Speaker or address as found; empty when unknown.
        is_forwarded: Whether it stands in text the document's author passed on, and is no word of theirs.
    """

    id: str
    start: int
    end: int
    text: str
    side: Side
    author: str
    is_forwarded: bool = False


# --- which lines are new -------------------------------------------------------------------------------------------

# "On Fri, 31 Jul 2026 at 16:02, Tom wrote:" in five languages. May wrap over two lines.
_REPLY_INTRO = re.compile(
    r"(?:on\b.{4,160}\bwrote|am\b.{4,160}\bschrieb\b.{0,90}|le\b.{4,160}a écrit|el\b.{4,160}escribió|op\b.{4,160}\bschreef\b.{0,90}"  # noqa: E501
    r"|.{2,120}<[^>\s]+@[^>\s]+>\s*(?:wrote|schrieb|a écrit|escribió|schreef))\s*:?\s*",
    re.IGNORECASE,
)
_INTRO_START = re.compile(r"(?:on|am|le|el|op)\b", re.IGNORECASE)
_HISTORY = re.compile(
    r"(?:-{2,}\s*(?:original message|ursprüngliche nachricht|message d'origine|message original|mensaje original|oorspronkelijk bericht)\s*-{2,}.*"  # noqa: E501
    r"|_{10,}|-{5,} ?reply above this line.*)",
    re.IGNORECASE,
)
_FORWARD = re.compile(
    r"(?:-{2,}\s*(?:forwarded message|weitergeleitete nachricht|message transféré|mensaje reenviado|doorgestuurd bericht)\s*-{2,}.*"  # noqa: E501
    r"|begin forwarded message:?|anfang der weitergeleiteten nachricht:?|début du message (?:transféré|réexpédié) ?:?|inicio del mensaje reenviado:?)",  # noqa: E501
    re.IGNORECASE,
)
_HEADER_FROM = re.compile(r"\*?(?:from|von|de|van)\s?:\*? .+", re.IGNORECASE)
_HEADER_NEXT = re.compile(
    r"\*?(?:sent|date|to|subject|cc|gesendet|datum|an|betreff|envoyé|objet|à|enviado|fecha|para|asunto|verzonden|aan|onderwerp)\s?:\*?",
    re.IGNORECASE,
)
_CLOSING = re.compile(
    r"(?:(?:(?:with )?(?:kind|best|warm|warmest|many)?\s*(?:regards|wishes)|all the best|best|cheers|sincerely|yours(?: sincerely| truly| faithfully)?"  # noqa: E501
    r"|thanks|thank you|thx|many thanks|thanks (?:again|a lot|in advance|and regards|and best regards)|kind thanks|rgds|br|take care|talk soon|speak soon"  # noqa: E501
    r"|mit (?:freundlichen|besten|herzlichen|vielen) grü(?:ß|ss)en|(?:viele|beste|liebe|herzliche|schöne|freundliche) grü(?:ß|ss)e|mfg|vg|lg|gru(?:ß|ss)|danke|vielen dank"  # noqa: E501
    r"|(?:bien )?cordialement|bien à vous|salutations|meilleures salutations|merci(?: d'avance| beaucoup)?|bonne (?:journée|soirée)"  # noqa: E501
    r"|(?:un )?(?:cordial )?saludos?(?: cordial(?:es)?)?|atentamente|gracias(?: de antemano)?|un abrazo"
    r"|met vriendelijke groet(?:en)?|(?:vriendelijke|hartelijke) groet(?:en)?|groet(?:en|jes)?|mvg|bedankt|dank)"
    r"(?: (?:und|et|y|en|and) .{2,30}| (?:aus|from) \w+)?)[\s,.!–-]*",
    re.IGNORECASE,
)
_SENT_FROM = re.compile(
    r"(?:sent from my|sent via|get outlook for|von meinem .{2,20} gesendet|gesendet von|envoyé de(?:puis)? mon|enviado desde mi|verzonden (?:vanaf|met) mijn)\b.*",  # noqa: E501
    re.IGNORECASE,
)
_DISCLAIMER = re.compile(
    r".{0,60}\b(?:confidential|intended (?:only|solely)|privileged|vertraulich|confidentiel|confidencial|vertrouwelijk|registered in england|handelsregister|amtsgericht"  # noqa: E501
    r"|think before you print|consider the environment|this e-?mail and any|diese e-?mail)\b.*",
    re.IGNORECASE,
)
_POSTSCRIPT = re.compile(r"p\.? ?s\.?\s?[:.\-–,]|nb\s?:|ps\b", re.IGNORECASE)
_FORWARD_SUBJECT = re.compile(r"\s*(?:(?:re|aw|sv|antw)\s?:\s*)?(?:fwd?|wg|tr|rv|doorst|enc|i)\s?:", re.IGNORECASE)
# "Acme Freight, 320 people moving goods": a signature's line that says how large the firm is.
_TAGLINE = re.compile(
    r"(?<![\d+(])\b\d{1,3}(?:[.,' ]?\d{3})*\b[ -](?:employees|people|colleagues|staff|strong|mitarbeiter\w*"
    r"|beschäftigte|salariés|collaborateurs|employés|empleados|trabajadores|personas|medewerkers|mensen)\b",
    re.IGNORECASE,
)
_MOST_HEADER_LINES = 12
_LONGEST_TAGLINE = 120
# Where everybody has an address, having one there makes nobody a colleague.
_SHARED_DOMAINS = frozenset(
    """
    gmail.com googlemail.com outlook.com hotmail.com live.com msn.com yahoo.com icloud.com me.com aol.com gmx.de gmx.net
    web.de t-online.de freenet.de orange.fr free.fr laposte.net wanadoo.fr yahoo.fr hotmail.fr yahoo.es hotmail.es
    ziggo.nl kpnmail.nl proton.me protonmail.com mail.com
    """.split()  # noqa: SIM905
)
_ADDRESS = re.compile(r"[\w.+'-]+@([\w-]+(?:\.[\w-]+)+)")
_CONTACT_DATA = re.compile(r"\+?\d[\d\s()/.-]{7,}\d|\b\S+@\S+\.\S+|\bwww\.|https?://|\s\|\s", re.IGNORECASE)


def zones(body: str, *, is_forward: bool = False) -> tuple[Zone, ...]:
    """The roles of an email's or note's lines, merged into stretches; they cover the text without gaps.

    Args:
        is_forward: The subject says that the document passes something on, so a bare block of headers opens
            forwarded text, not the history of a reply.
    """
    lines: list[tuple[int, int, str]] = []
    position = 0
    for raw in body.splitlines(keepends=True):
        lines.append((position, position + len(raw), raw.strip()))
        position += len(raw)
    kinds, opened = _kinds(lines, is_forward=is_forward)
    if opened is not None:
        # Forwarded text is an email of its own: its headers, its signature and what it quotes are not its words.
        head = _header_length([line for _, _, line in lines[opened:]])
        inner, _ = _kinds(lines[opened + head :], is_forward=True)
        of_headers: list[ZoneKind] = ["quoted"] * head
        of_text: list[ZoneKind] = ["forwarded" if kind == "new" else kind for kind in inner]
        kinds[opened:] = of_headers + of_text
    return tuple(_merge(lines, kinds))


def _kinds(lines: list[tuple[int, int, str]], *, is_forward: bool) -> tuple[list[ZoneKind], int | None]:
    """Each line's role, and where forwarded text begins (at its separator or first header), if it does."""
    kinds: list[ZoneKind] = []
    rest: ZoneKind | None = None  # once history starts without `>` marks, everything after it is history
    forwarded_at: int | None = None
    signature = False
    is_wrapped = False  # the line before began an introduction that ends on this one
    for index, (_, _, line) in enumerate(lines):
        if rest is not None:
            kinds.append(rest)
            continue
        if is_wrapped:
            is_wrapped = False
            kinds.append("quoted")
            continue
        if line.startswith(">"):
            signature = False
            kinds.append("quoted")
            continue
        kind = _starts_history(lines, index)
        if kind in ("intro", "wrapped"):
            signature = False
            is_wrapped = kind == "wrapped"
            kinds.append("quoted")
            following = next(
                (text for _, _, text in lines[index + 1 : index + 6] if text and not _is_intro_end(text)), ""
            )
            if not following.startswith(">"):
                rest = "quoted"
            continue
        if kind is not None:
            if kind == "headers":
                kind = "forwarded" if is_forward else "quoted"
            if kind == "forwarded":
                forwarded_at = index
            rest = kind
            kinds.append(kind)
            continue
        if signature:
            previous_blank = index > 0 and not lines[index - 1][2]
            words = len(line.split())
            reads_on = words >= 7 or (words >= 4 and line[-1] in ".!?")
            if _POSTSCRIPT.match(line) or (
                previous_blank
                and reads_on
                and not _CONTACT_DATA.search(line)
                and not _DISCLAIMER.match(line)
                and not _SENT_FROM.match(line)
            ):
                signature = False
        elif (
            line == "--"
            or (len(line) <= 60 and index > 0 and _CLOSING.fullmatch(line))
            or (len(line) <= 80 and _SENT_FROM.match(line))
            or (
                line
                and len(line) > 60
                and index > len(lines) * 0.5
                and _DISCLAIMER.match(line)
                and not lines[index - 1][2]
            )
        ):
            signature = True
        kinds.append("signature" if signature else "new")
    return kinds, forwarded_at


def _header_length(lines: list[str]) -> int:
    """Lines of separator and headers at the start of forwarded text: up to the first empty line after a header."""
    has_header = False
    for index, line in enumerate(lines[:_MOST_HEADER_LINES]):
        is_header = _HEADER_FROM.fullmatch(line) is not None or _HEADER_NEXT.match(line) is not None
        has_header = has_header or is_header
        if not line and has_header:
            return index
        if line and not is_header and has_header and not lines[index - 1].endswith((",", ";")):
            return index  # no empty line between headers and text
        if line and not is_header and not has_header and index > 0:
            return index  # a separator without headers
    return 1 if not has_header else min(len(lines), _MOST_HEADER_LINES)


def _starts_history(
    lines: list[tuple[int, int, str]], index: int
) -> Literal["intro", "wrapped", "quoted", "forwarded", "headers"] | None:
    line = lines[index][2]
    if not line:
        return None
    first = line[0]
    if first in "-_" or line[:5].lower() in {"begin", "anfan", "début", "inici"}:
        if _FORWARD.fullmatch(line):
            return "forwarded"
        if _HISTORY.fullmatch(line):
            return "quoted"
    if line[-1] == ":" or "wrote" in line or "schrieb" in line or "schreef" in line:
        if _REPLY_INTRO.fullmatch(line):
            return "intro"
    elif len(line) > 12 and _INTRO_START.match(line) and index + 1 < len(lines):
        following = lines[index + 1][2]
        if following.endswith(":") and len(following) < 90 and _REPLY_INTRO.fullmatch(f"{line} {following}"):
            return "wrapped"
    if _HEADER_FROM.fullmatch(line):
        following = [text for _, _, text in lines[index + 1 : index + 4]]
        if sum(1 for text in following if _HEADER_NEXT.match(text)) >= 2:
            return "headers"
    return None


def _is_intro_end(line: str) -> bool:
    return line.endswith(":") and len(line) < 90


def _merge(lines: list[tuple[int, int, str]], kinds: list[ZoneKind]) -> Iterator[Zone]:
    start = 0
    for index, kind in enumerate(kinds):
        if index + 1 == len(kinds) or kinds[index + 1] != kind:
            yield Zone(start, lines[index][1], kind)
            start = lines[index][1]


# --- sentences -----------------------------------------------------------------------------------------------------

_ABBREVIATIONS = frozenset(
    "e.g i.e etc approx vs incl no nr st mr mrs ms dr prof inc ltd dept est fig ext al resp max min ca z.b bzw usw u.a d.h ggf evtl inkl zzgl abs str hr fr"  # noqa: E501, SIM905
    " ing p.ex env m mme sr sra ud uds p.ej aprox bijv o.a d.w.z t.a.v dhr mevr jan feb mar apr jun jul aug sep sept oct okt nov dec dez q".split()  # noqa: E501
)
_BREAK = re.compile(r"[.!?…]+[\"'”’»)\]]*(?=\s)\s+|\n\s*\n\s*|\n")
_BULLET = re.compile(r"(?:[-*•–]|\d{1,2}[.)])\s")
_LAST_WORD = re.compile(r"([\w.]+)$")
_TRIM = " \t\r\n\u00a0\u200b\u200c\u200d\ufeff"
_SHORT_LINE = 48  # a line ending sooner was not wrapped by a mail client: its end is a break


def sentences(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Offsets of the sentences in `text[start:end]`, trimmed, never empty, none longer than `MAX_SPAN_CHARS`."""
    begin = start
    line_start = start
    for match in _BREAK.finditer(text, start, end):
        cut = match.start()
        mark = match.group()
        if mark == "\n":
            length, line_start = cut - line_start, match.end()
            following = text[match.end() : match.end() + 4]
            if length >= _SHORT_LINE and not _BULLET.match(following):
                continue
            stop = cut
        elif mark[0] == "\n":
            line_start, stop = match.end(), cut
        else:
            if "\n" in mark:
                line_start = match.end()
            if mark[0] == "." and mark[1:2] != "." and _is_abbreviation(text, begin, cut):
                continue
            stop = cut + len(mark.rstrip())
        yield from _pieces(text, begin, stop)
        begin = match.end()
    yield from _pieces(text, begin, end)


def _is_abbreviation(text: str, begin: int, cut: int) -> bool:
    word = _LAST_WORD.search(text, max(begin, cut - 14), cut)
    if word is None:
        return False
    token = word[1].lower()
    if token.isdigit():
        return len(token) <= 2  # "am 24. November", "1. Juli"
    return token in _ABBREVIATIONS or (len(token) == 1 and token.isalpha() and token != "i")


def _pieces(text: str, begin: int, stop: int) -> Iterator[tuple[int, int]]:
    while begin < stop and text[begin] in _TRIM:
        begin += 1
    while stop > begin and text[stop - 1] in _TRIM:
        stop -= 1
    while stop - begin > MAX_SPAN_CHARS:
        limit = begin + MAX_SPAN_CHARS
        cut = max(text.rfind("; ", begin, limit), text.rfind(", ", begin, limit), text.rfind("\n", begin, limit))
        if cut <= begin:
            cut = text.rfind(" ", begin + 1, limit)
        cut = cut + 1 if cut > begin else limit
        yield from _pieces(text, begin, cut)
        begin = cut
        while begin < stop and text[begin] in _TRIM:
            begin += 1
    if stop > begin:
        yield begin, stop


# --- documents -----------------------------------------------------------------------------------------------------

_TURN = re.compile(
    r"^[ \t]*(?:\[(?:\d{1,2}:)?\d{1,2}:\d{2}\] ?)([^\n:()]{1,80}?) ?(?:\(([^()\n]{0,120})\))? ?: ?", re.MULTILINE
)


def segment(context: Context, company: str) -> tuple[Span, ...]:
    """The readable spans of a document's context.

    Args:
        context: A parsed `extract_facts` or `reply_class` context.
        company: Our own company's name as it stands in transcripts (`icp.company`); its speakers are `ours`.

    Returns:
        Spans in reading order, `s1` first; none for an empty text.
    """
    body = context.body or ""
    if not body.strip():
        return ()
    kind = context.get("document.type")
    side = _side(context.get("document.author_side"))
    author = context.get("document.author")
    limit = min(len(body), MAX_BODY_CHARS)
    found: Iterator[tuple[int, int, Side, str, bool]]
    if kind == "call":
        found = ((*turn, False) for turn in _call(body, limit, company, side, author))
    else:
        found = _mail(body[:limit] if limit < len(body) else body, context, company)
    return tuple(
        Span(f"s{number}", start, end, body[start:end], who, name, forwarded)
        for number, (start, end, who, name, forwarded) in enumerate(found, start=1)
    )


def _mail(body: str, context: Context, company: str) -> Iterator[tuple[int, int, Side, str, bool]]:
    side, author = _side(context.get("document.author_side")), context.get("document.author")
    is_forward = _FORWARD_SUBJECT.match(context.get("document.subject")) is not None
    for zone in zones(body, is_forward=is_forward):
        if zone.kind == "new":
            for start, end in sentences(body, zone.start, zone.end):
                yield start, end, side, author, False
        elif zone.kind == "signature":
            for start, end in _taglines(body, zone):
                yield start, end, side, author, False
        elif zone.kind == "forwarded":
            writer = _forwarded_author(body[max(0, zone.start - 2000) : zone.start])
            whose = _forwarded_side(writer, side, author, company)
            if whose is not None:
                for start, end in sentences(body, zone.start, zone.end):
                    yield start, end, whose, writer, True


def _taglines(body: str, zone: Zone) -> Iterator[tuple[int, int]]:
    """Lines of a signature that state the firm's size; nothing else there is said to anybody."""
    if _TAGLINE.search(body, zone.start, zone.end) is None:
        return
    position = zone.start
    for raw in body[zone.start : zone.end].splitlines(keepends=True):
        line = raw.strip(_TRIM)
        if 0 < len(line) <= _LONGEST_TAGLINE and _TAGLINE.search(line) and not _CONTACT_DATA.search(line):
            start = position + raw.index(line)
            yield start, start + len(line)
        position += len(raw)


def _forwarded_author(above: str) -> str:
    """Who wrote forwarded text, by the last `From:` line above it: the address, else the name, else nothing."""
    written = ""
    for line in above.splitlines():
        if _HEADER_FROM.fullmatch(line.strip()):
            written = line.partition(":")[2].strip(" *\t")
    address = _ADDRESS.search(written)
    return written if address is None else address[0]


def _forwarded_side(writer: str, side: Side, author: str, company: str) -> Side | None:
    """Whose words forwarded text is; None when a customer sends us our own, which is nothing new.

    A colleague of the document's author is on their side. Everybody else is of an unknown side: what a customer says
    somebody said is hearsay, and a header in a body is easily forged, so it never makes a customer's text ours.
    """
    domain = writer.rpartition("@")[2].casefold() if "@" in writer else ""
    if not domain:
        return "unknown"
    if domain == author.rpartition("@")[2].casefold() and domain not in _SHARED_DOMAINS:
        return side
    own = re.sub(r"\W", "", company.casefold())
    return None if side == "theirs" and own and domain.split(".")[-2] == own else "unknown"


def _call(body: str, limit: int, company: str, side: Side, author: str) -> Iterator[tuple[int, int, Side, str]]:
    turns = list(_TURN.finditer(body, 0, limit))
    own = company.casefold().strip()
    first = turns[0].start() if turns else limit
    for start, end in sentences(body, 0, first):
        yield start, end, side, author
    for index, turn in enumerate(turns):
        stop = turns[index + 1].start() if index + 1 < len(turns) else limit
        firm = (turn[2] or "").casefold().strip()
        who: Side = "unknown" if not firm else "ours" if firm == own else "theirs"
        name = turn[1].strip()
        for start, end in sentences(body, turn.end(), stop):
            yield start, end, who, name


def _side(text: str) -> Side:
    return "theirs" if text == "theirs" else "ours" if text == "ours" else "unknown"


def span_at(spans: tuple[Span, ...], offset: int) -> Span | None:
    """The span that holds a character, or None where nothing readable stands."""
    index = bisect_right([span.start for span in spans], offset) - 1
    return spans[index] if index >= 0 and offset < spans[index].end else None
