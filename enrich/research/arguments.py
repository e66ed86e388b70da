"""The tools an operation may name in `operation.yml`: what each gives back and which arguments it takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from enrich.agents.protocol import Tool

TOOLS_VERSION = 1
"""Raise when a tool shows something else for the same call: research answers depend on it."""

Kind = Literal["email", "call", "note"]


class _Arguments(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ListDocuments(_Arguments):
    kind: Kind | None = Field(default=None, description="Only documents of this kind.")
    since: date | None = Field(default=None, description="Only documents of this day or later, YYYY-MM-DD.")
    until: date | None = Field(default=None, description="Only documents of this day or earlier, YYYY-MM-DD.")


class SearchDocuments(_Arguments):
    words: Annotated[str, Field(min_length=2, max_length=200)] = Field(
        description="Words to look for, in the language of the documents; any of them counts."
    )


class ReadDocument(_Arguments):
    document_id: Annotated[str, Field(max_length=100)] = Field(description="A document's id as shown, e.g. d7.")
    from_span: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        default=None, description="Number of the sentence to begin with; the result says where to read on."
    )


class ListFacts(_Arguments):
    predicate: Annotated[str, Field(max_length=60)] | None = Field(default=None, description="Only this predicate.")
    include_superseded: bool = Field(default=False, description="Also what a later remark has replaced.")


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """One tool: for a language model its description, for us the model its arguments must fit."""

    description: str
    arguments: type[BaseModel]


TOOLS: Mapping[str, ToolSpec] = {
    "list_documents": ToolSpec(
        "Emails, calls and notes of this record, newest first: id, day, whose words, kind, author, subject.",
        ListDocuments,
    ),
    "search_documents": ToolSpec(
        "Sentences of this record's documents that hold any of the words, the documents with most of the words first.",
        SearchDocuments,
    ),
    "read_document": ToolSpec(
        "A document's sentences, each with the id to cite it by; without quoted replies and signatures.", ReadDocument
    ),
    "list_facts": ToolSpec(
        "What was remembered of this record's documents, newest first: id, day, whose words, meaning, words, document.",
        ListFacts,
    ),
}


@cache
def tool(name: str) -> Tool:
    """The tool as agents see it. Raises `KeyError` for a name that is not in `TOOLS`."""
    spec = TOOLS[name]
    return Tool(name, spec.description, _schema(spec.arguments))


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    """Plain JSON schema: an optional argument is one that may be left out, not one that may be null."""
    properties: dict[str, Any] = {}
    for name, item in model.model_json_schema()["properties"].items():
        kinds = [option for option in item.get("anyOf", []) if option.get("type") != "null"]
        merged = {**(kinds[0] if kinds else item), "description": item["description"]}
        properties[name] = {key: merged[key] for key in ("type", "enum", "description") if key in merged}
    required = [name for name, field in model.model_fields.items() if field.is_required()]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
