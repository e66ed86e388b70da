"""A CRM as small as one can be, for the worked example of docs/adapters.md: cards on a shelf, one function each.

It does what real ones do: it trims, formats numbers its own way, refuses in its own words, keeps a log of who changed
what, gives cards a revision, and may lose an answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


class ShelfError(Exception):
    """Refused; `code` is one of `no card`, `no field`, `locked field`, `bad value`, `other revision`."""

    def __init__(self, code: str, text: str) -> None:
        self.code = code
        super().__init__(text)


class ShelfSilence(Exception):
    """No answer came."""


@dataclass
class Card:
    """One record."""

    fields: dict[str, str] = field(default_factory=dict)
    revision: int = 1
    moved_to: str | None = None


@dataclass
class Shelf:
    """The CRM. `kinds` says of each field what it holds: `text`, `number`, `day`, `tick` or `one of a/b/c`."""

    kinds: dict[str, str]
    cards: dict[str, Card] = field(default_factory=dict)
    log: list[tuple[str, str, str, str]] = field(default_factory=list)  # (who, card, field, value)
    locked: set[str] = field(default_factory=set)
    requests: int = 0
    loses: bool | None = None  # lose the next answer: after the work (True) or before it (False)

    def get(self, number: str) -> Card | None:
        return self.cards.get(number)

    def put(self, who: str, number: str, values: Mapping[str, str], revision: int | None = None) -> None:
        """Set fields of one card, all or none; an empty value empties the field."""
        self.requests += 1
        loses, self.loses = self.loses, None
        if loses is False:
            raise ShelfSilence
        card = self.cards.get(number)
        if card is None:
            raise ShelfError("no card", f"There is no card {number}")
        if revision is not None and revision != card.revision:
            raise ShelfError("other revision", f"Card {number} is at revision {card.revision}")
        kept = {name: self._kept(name, value) for name, value in values.items()}
        card.fields.update(kept)
        card.revision += 1
        self.log += [(who, number, name, value) for name, value in kept.items()]
        if loses:
            raise ShelfSilence

    def _kept(self, name: str, value: str) -> str:
        kind = self.kinds.get(name)
        if kind is None:
            raise ShelfError("no field", f"There is no field {name}")
        if name in self.locked:
            raise ShelfError("locked field", f"{name} is locked")
        if value == "":
            return ""
        try:
            if kind == "number":
                return f"{float(value):.6f}"
        except ValueError as error:
            raise ShelfError("bad value", f"{name} takes numbers") from error
        if kind.startswith("one of ") and value not in kind.removeprefix("one of ").split("/"):
            raise ShelfError("bad value", f"{name} takes {kind}")
        return value.strip()
