"""Two sources make a fact, one makes a hypothesis, and a web page is never more than a hypothesis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from enrich.evidence import Shown, normalise

if TYPE_CHECKING:
    from enrich.registry import SectionSpec

WEB = "web."
"""How the evidence id of a web page begins."""
_UNNAMED = "?"


def source_of(item: Shown) -> str | None:
    """What an item's words stand in; None for a field of the CRM. Copies of one text are one source."""
    if item.source:
        return item.source
    if item.kind == "span":
        return item.evidence_id.partition("#")[0]
    if item.evidence_id.startswith("document."):
        return item.evidence_id.removeprefix("document.")
    # Facts whose document was not shown may all stand in the same one.
    return _UNNAMED if item.kind == "fact" else None


def problem_of(cited: Sequence[Shown], section: SectionSpec) -> str | None:
    """Why a sentence may not stand in its section for want of sources, or None when it may.

    A sentence that cites documents needs `needs_sources` of them, with different words, from people whose side is
    known. One that cites none needs a field of `enough_alone`: a name alone supports nothing.
    """
    if not section.may_cite_web and any(item.evidence_id.startswith(WEB) for item in cited):
        return "rests on a web page, which is never more than a hypothesis"
    if section.needs_sources < 2 or not cited:
        return None
    sourced = [(source, item) for item in cited if (source := source_of(item)) is not None]
    if not sourced:
        if any(item.id in section.enough_alone for item in cited):
            return None
        return "cites nothing of the CRM that says anything by itself"
    known = [(source, item) for source, item in sourced if item.side != "unknown"]
    count = min(len({source for source, _ in known}), len({normalise(item.quote) for _, item in known}))
    if count >= section.needs_sources:
        return None
    return f"rests on {count} of the {section.needs_sources} sources a fact needs: it is a hypothesis"
