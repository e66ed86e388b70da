"""The text of a message: HTML read as people see it, flowed lines joined, what is new told from what is quoted."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from sources.mailbox.words import clean

if TYPE_CHECKING:
    from inscriptis.model.config import ParserConfig

MAX_TEXT: Final = 400_000  # characters of a body that are kept; nobody writes that much by hand
_MAX_HTML: Final = 2_000_000

_BLANKS: Final = " \t\u00a0\u200b"
_GAPS: Final = re.compile(r"\n{4,}")
_TAG: Final = re.compile(r"<[^<>]{0,2000}>")
_DECLARATION: Final = re.compile(r"^\s*<\?xml[^>]{0,200}\?>", re.IGNORECASE)
_TABLE: Final = frozenset({"table", "thead", "tbody", "tfoot", "tr", "td", "th"})
_HIDDEN: Final = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*hidden|mso-hide\s*:\s*all|font-size\s*:\s*0(?:\.0+)?(?:px|pt|em|rem|%)?\s*(?:;|$|!)"
    r"|opacity\s*:\s*0(?:\.0+)?\s*(?:;|$|!)|max-height\s*:\s*0(?:px)?\s*(?:;|$|!)",
    re.IGNORECASE,
)
_FORWARD_LINE: Final = re.compile(
    r"forwarded message|weitergeleitete|transféré|réexpédié|reenviado|doorgestuurd", re.IGNORECASE
)
_STUB: Final = re.compile(
    r"(?:mail|message|nachricht|client|program\w*)\b.{0,80}\bhtml\b|\bhtml\b.{0,80}\b(?:mail|message|nachricht|client|version|view\w*)\b"
    r"|view (?:this|it) (?:e-?mail |message )?(?:in|online)|im browser (?:an|öffnen)",
    re.IGNORECASE | re.DOTALL,
)


def tidy(text: str) -> str:
    """Line ends as `\\n`, no blanks before them, no control characters, at most two empty lines in a row."""
    # Line by line: a pattern for blanks before line ends takes forever on a line of nothing but blanks.
    text = "\n".join(line.rstrip(_BLANKS) for line in clean(text[:MAX_TEXT]).split("\n"))
    return _GAPS.sub("\n\n\n", text).strip("\n").rstrip()


def is_stub(text: str) -> bool:
    """Whether a plain text only says that the message has to be read as HTML, or says nothing."""
    text = text.strip()
    return not text or (len(text) < 300 and _STUB.search(text) is not None)


def unflowed(text: str, *, joins_without_blank: bool = False) -> str:
    """RFC 3676 `format=flowed`: soft line ends joined, stuffed blanks removed, quote depth kept as `> `.

    Args:
        text: Line ends are `\\n`.
        joins_without_blank: The parameter DelSp=yes.
    """
    lines: list[str] = []
    flowing: tuple[int, str] | None = None  # quote depth and text of a paragraph whose line ended softly
    for raw in text.split("\n"):
        line = raw.lstrip(">")
        depth = len(raw) - len(line)
        line = line.removeprefix(" ")
        is_soft = line.endswith(" ") and line != "-- "
        if flowing is not None and (flowing[0] != depth or line == "-- "):
            lines.append(_quoted(*flowing))
            flowing = None
        joined = line if flowing is None else flowing[1] + line
        if is_soft:
            flowing = (depth, joined[:-1] if joins_without_blank else joined)
        else:
            lines.append(_quoted(depth, joined))
            flowing = None
    if flowing is not None:
        lines.append(_quoted(*flowing))
    return "\n".join(lines)


def _quoted(depth: int, line: str) -> str:
    return f"{'>' * depth} {line}".rstrip(" ") if depth else line


# -- HTML ------------------------------------------------------------------------------------------------------------


def html_text(page: str) -> str:
    """HTML as text: what is hidden from readers is left out, quoted mails are marked with `> `.

    Hidden text is no word to anybody, and the usual place for words that are meant for machines only.
    """
    page = clean(_DECLARATION.sub("", page[:_MAX_HTML]))
    if not page.strip():
        return ""
    try:
        text = _rendered(page)
        # Beyond some depth the parser drops what is nested, without a word.
        return text if text or page.count("<") < 250 else tidy(_TAG.sub(" ", page))
    except (ValueError, RecursionError, AttributeError, TypeError, IndexError, AssertionError, MemoryError):
        # A page that breaks the renderer is still worth its words.
        return tidy(_TAG.sub(" ", page))


def _rendered(page: str) -> str:
    from inscriptis.html_engine import Inscriptis

    lxml: Any = import_module("lxml.html")  # ships no types
    try:
        tree = lxml.document_fromstring(page)
    except import_module("lxml.etree").ParserError:
        return ""
    _without_hidden(tree)
    engine = Inscriptis(tree, _config())
    text = engine.get_text()
    spans = [(one.start, one.end) for one in engine.get_annotations()]
    return tidy((_marked(text, spans) if spans else text).replace("\u00a0", " "))


def _without_hidden(tree: Any) -> None:
    """Drops hidden elements and comments; style attributes too, whose margins could ask for any number of blanks."""
    for element in list(tree.iter()):
        if not isinstance(element.tag, str):
            if element.getparent() is not None:
                element.drop_tree()
            continue
        style = element.attrib.pop("style", "")
        is_hidden = "hidden" in element.attrib or element.tag in {"script", "style", "template"}
        if (is_hidden or (style and _HIDDEN.search(style))) and element.getparent() is not None:
            element.drop_tree()
            continue
        if element.tag in _TABLE:
            # Tables of mails are layout, nested and wide; drawn as tables they take quadratic time and pages of blanks.
            if element.tag in {"td", "th"}:
                element.tag = "span"
                if element.getnext() is not None:
                    element.tail = " " + (element.tail or "")
            else:
                element.tag = "div"
            element.attrib.clear()
        if element.tag == "blockquote" and element.get("type", "").lower() != "cite":
            kinds = element.get("class", "")
            if "quote" in kinds:
                element.set("type", "cite")


_CONFIG: list[ParserConfig] = []


def _config() -> ParserConfig:
    """Made once: it holds no state of a page."""
    if not _CONFIG:
        from inscriptis.css_profiles import CSS_PROFILES
        from inscriptis.model.config import ParserConfig

        _CONFIG.append(
            ParserConfig(css=CSS_PROFILES["strict"].copy(), annotation_rules={"blockquote#type=cite": ["quoted"]})
        )
    return _CONFIG[0]


def _marked(text: str, spans: list[tuple[int, int]]) -> str:
    """Lines of quoted stretches begin with one `>` per level. A stretch that a forward line announces is not quoted."""
    spans = [span for span in spans if span[1] > span[0] and not _is_announced(text, span[0])]
    starts, ends = sorted(start for start, _ in spans), sorted(end for _, end in spans)
    lines: list[str] = []
    position = 0
    for line in text.split("\n"):
        # Of an empty line: what is open before it and not over with it.
        middle = position + len(line) // 2
        depth = (bisect_right(starts, middle) if line else bisect_left(starts, middle)) - bisect_right(ends, middle)
        lines.append(f"{'>' * min(depth, 20)} {line}".rstrip() if depth > 0 else line)
        position += len(line) + 1
    return "\n".join(lines)


def _is_announced(text: str, start: int) -> bool:
    before = text[max(0, start - 200) : start].rstrip().rpartition("\n")[2]
    return _FORWARD_LINE.search(before) is not None


# -- new, quoted, signature ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Zones:
    """A body taken apart. The whole body stays beside it: the memory zones it itself, by the same rules.

    Attributes:
        new: What the author wrote for this message.
        quoted: Earlier and forwarded mail.
        signature: Closing, contact data, disclaimer.
    """

    new: str
    quoted: str
    signature: str


def taken_apart(body: str, *, is_forward: bool) -> Zones:
    """New text, quoted text and signature of a body, by the rules the memory reads it with."""
    from enrich.spans import MAX_BODY_CHARS, zones

    body = body[:MAX_BODY_CHARS]
    found: dict[str, list[str]] = {"new": [], "quoted": [], "signature": []}
    for zone in zones(body, is_forward=is_forward):
        found["quoted" if zone.kind == "forwarded" else zone.kind].append(body[zone.start : zone.end])
    return Zones(*("".join(found[kind]).strip() for kind in ("new", "quoted", "signature")))
