"""The answer of `extract_facts`: facts, each bound to one span."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from enrich.answer import OutputModel, ParsedAnswer, ParsedFact


class FactOutput(BaseModel):
    """One fact; `date` is the day the remark speaks of (YYYY-MM-DD), null when it names none."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    predicate: str
    value: str
    polarity: Literal["affirmed", "negated"]
    date: str | None
    span: str


class Output(OutputModel):
    facts: list[FactOutput]

    def to_answer(self) -> ParsedAnswer:
        return ParsedAnswer(
            facts=tuple(
                ParsedFact(item.predicate, item.value, item.polarity, item.date, item.span) for item in self.facts
            )
        )
