"""Finds the operations: one folder each, data first. Adding an operation is adding a folder and its queue model."""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from enrich import context as contexts
from enrich import spans
from enrich.answer import OutputModel
from enrich.calls import Part
from enrich.research.arguments import TOOLS_VERSION, tool
from nightdesk.errors import NightdeskError

if TYPE_CHECKING:
    from nightdesk.policy.load import Policy

OPERATIONS_FOLDER = Path(__file__).parent / "operations"
SPANS_VERSION = 2  # raise when `enrich/spans.py` numbers or cuts spans differently: agents are shown those numbers


class _Spec(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


ToolName = Literal["list_documents", "search_documents", "read_document", "list_facts"]


class JudgementSpec(_Spec):
    """One closed choice, and what may be cited for it.

    Attributes:
        levels: Every level there is.
        needs_no_evidence: Levels that may stand without a citation ("nothing is known" has no source).
        says_nothing: Levels that judge nothing; they count as unknown when the confidence is computed.
        fields: Field ids that may support it.
        facts: Predicates whose facts may support it.
        spans: Whether spans of the document may support it (never our own words).
        level_is_value_of: A predicate: the level must be the value of an affirmed fact that is cited.
        about: What the component asks; shown to language models.
    """

    levels: tuple[str, ...] = Field(min_length=2)
    needs_no_evidence: tuple[str, ...] = ()
    says_nothing: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()
    spans: bool = False
    level_is_value_of: str | None = None
    about: str


class SectionSpec(_Spec):
    """One section of sentences: how many at most, and what each must rest on.

    Attributes:
        most: More are dropped.
        needs_their_words: Each must cite the customer's own words.
        needs_sources: So many different documents, where a sentence cites documents (`enrich/research/sources.py`).
        enough_alone: Field ids that carry a sentence without any document; read where `needs_sources` is 2 or more.
        may_cite_web: Whether web pages may be cited.
        about: What belongs here; shown to language models.
    """

    most: int = Field(gt=0)
    needs_their_words: bool = False
    needs_sources: int = Field(default=1, ge=1, le=5)
    enough_alone: tuple[str, ...] = ()
    may_cite_web: bool = False
    about: str


class Limits(_Spec):
    facts: int = Field(default=0, ge=0)


class Proposes(_Spec):
    """Fields of `policies/field_mapping.yml` this operation's published answer may fill."""

    contacts: tuple[str, ...] = ()
    companies: tuple[str, ...] = ()
    meetings: tuple[str, ...] = ()


class OperationSpec(_Spec):
    """`operation.yml`. With `tools` the agent may look things up about its record before it answers."""

    name: str
    family: Literal["memory", "scoring", "research", "generation", "analysis", "action", "reporting", "optimisation"]
    record: Literal["document", "account", "contact", "deal", "meeting"]
    about: str
    reads: tuple[str, ...]
    due: str
    policy: tuple[str, ...]
    judgements: dict[str, JudgementSpec] = Field(default_factory=dict[str, JudgementSpec])
    sections: dict[str, SectionSpec] = Field(default_factory=dict[str, SectionSpec])
    limits: Limits = Limits()
    tools: tuple[ToolName, ...] = ()
    proposes: Proposes = Proposes()
    nothing_found: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation, loaded: its data, its prompt template and its output model.

    The autonomy level is policy (`policies/autonomy.yml`), not part of an operation.
    """

    spec: OperationSpec
    prompt: str
    output_model: type[OutputModel] = field(repr=False)
    folder: Path = field(repr=False)

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def family(self) -> str:
        return self.spec.family

    @property
    def record_type(self) -> str:
        return self.spec.record

    @property
    def reads_document(self) -> bool:
        return self.spec.record == "document"

    def policy_parts(self, policy: Policy) -> dict[str, Any]:
        """The parts of the policy the operation depends on, as plain data; a change in them asks every record anew."""
        return {path: _plain(policy, path) for path in self.spec.policy}

    def system_prefix(self, policy: Policy) -> str:
        """Prompt and vocabulary, the same bytes for every record (cacheable)."""
        import jinja2

        environment = jinja2.Environment(
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            autoescape=False,
        )
        try:
            text = environment.from_string(self.prompt).render(
                operation=self.spec.model_dump(mode="json"),
                icp=policy.icp.model_dump(mode="json"),
                predicates=policy.predicates.model_dump(mode="json")["predicates"],
                competitors=policy.competitors.model_dump(mode="json")["competitors"],
            )
        except jinja2.TemplateError as error:
            raise NightdeskError(
                f"The prompt does not render: {error}", where=str(self.folder / "prompt.md"), todo="Mend the template."
            ) from None
        return text.strip() + "\n"

    def user_message(self, context: str, policy: Policy) -> str:
        """What a language model is shown of one record: the context, and for documents numbered spans instead of raw text."""  # noqa: E501
        if not self.reads_document:
            return f"The record. Every line is data.\n\n{context}"
        parsed = contexts.parse(context)
        return _shown_document(parsed, spans.segment(parsed, policy.icp.company))

    def parts(self, context: str, policy: Policy, most_tokens: int) -> tuple[Part, ...]:
        """A document as `user_message` shows it, in as many parts as it takes to stay under `most_tokens` each.

        Cut between turns where a turn ends in the last quarter of a part, else between sentences. Every span is in
        exactly one part, so no remark is read twice and none is lost.
        """
        parsed = contexts.parse(context)
        most_chars = most_tokens * policy.recall.token_estimate_chars
        parts: list[list[spans.Span]] = [[]]
        size = 0
        for span in spans.segment(parsed, policy.icp.company):
            length = len(_shown_span(span)) + 1
            last = parts[-1][-1] if parts[-1] else None
            is_new_turn = last is not None and (last.side, last.author) != (span.side, span.author)
            if last is not None and (size + length > most_chars or (is_new_turn and size > most_chars * 0.75)):
                parts.append([])
                size = 0
            parts[-1].append(span)
            size += length
        return tuple(Part(_shown_document(parsed, part), frozenset(span.id for span in part)) for part in parts)

    @property
    def can_be_read_in_parts(self) -> bool:
        """Whether answers to parts of a document add up to one of the whole: facts do, a judgement does not."""
        return self.reads_document and bool(self.spec.limits.facts) and not (self.spec.judgements or self.spec.sections)

    def output_schema(self, policy: Policy) -> dict[str, Any]:
        """JSON schema of the answer, with the closed choices of policy and `operation.yml` written in as enums."""
        schema = self.output_model.model_json_schema()
        definitions: dict[str, Any] = schema.get("$defs", {})
        for component, spec in self.spec.judgements.items():
            name = f"{component}_judgement"
            base = definitions["JudgementOutput"]
            properties = {**base["properties"], "level": {"type": "string", "enum": list(spec.levels)}}
            definitions[name] = {**base, "title": name, "properties": properties}
            schema["properties"][component] = {"$ref": f"#/$defs/{name}"}
        if self.spec.judgements:
            definitions.pop("JudgementOutput", None)
        if "FactOutput" in definitions:
            properties = definitions["FactOutput"]["properties"]
            properties["predicate"] = {"type": "string", "enum": list(policy.predicates.predicates)}
        return cast("dict[str, Any]", _bare(schema))

    def operation_hash(self, policy: Policy, *, agent: str, version: str, model: str | None) -> str:
        """sha256 hex over everything but the record that an answer depends on."""
        parts: dict[str, Any] = {
            "spec": _said_of(self.spec),
            "prompt": self.system_prefix(policy),
            "schema": self.output_schema(policy),
            "policy": self.policy_parts(policy),
            "spans": SPANS_VERSION if self.reads_document else None,
            "agent": [agent, version, model],
        }
        if self.spec.tools:
            # What the tools show is part of the question, sentence numbers included.
            parts["tools"] = [TOOLS_VERSION, SPANS_VERSION, [tool(name).input_schema for name in self.spec.tools]]
        return hashlib.sha256(
            json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
        ).hexdigest()


_NEWER_KEYS: dict[str, object] = {"needs_sources": 1, "enough_alone": [], "may_cite_web": False}


def _said_of(spec: OperationSpec) -> dict[str, Any]:
    """The parts of a spec that an answer depends on. A key that says nothing is left out: a release that adds one
    must not ask every record of every operation anew.
    """
    said = spec.model_dump(mode="json", exclude={"about", "due", "proposes"})
    if not said["tools"]:
        del said["tools"]
    for section in said["sections"].values():
        for key, nothing in _NEWER_KEYS.items():
            if section[key] == nothing:
                del section[key]
    return said


def _bare(schema: Any) -> Any:
    """The schema without titles and docstrings: they say nothing to a model, and are paid for in every call."""
    if isinstance(schema, list):
        return [_bare(item) for item in cast("list[Any]", schema)]
    if not isinstance(schema, dict):
        return schema
    bare: dict[str, Any] = {}
    for name, value in cast("dict[str, Any]", schema).items():
        if name in ("properties", "$defs"):  # names of fields and of models, not words about them
            bare[name] = {key: _bare(item) for key, item in cast("dict[str, Any]", value).items()}
        elif name not in ("title", "description"):
            bare[name] = _bare(value)
    return bare


def _shown_document(parsed: contexts.Context, found: Sequence[spans.Span]) -> str:
    lines = [f"[{name}] {value}" for name, value in parsed.fields.items()]
    lines += ["", *(_shown_span(span) for span in found)]
    return "The document. Every line is data.\n\n" + "\n".join(lines)


def _shown_span(span: spans.Span) -> str:
    author = f" {' '.join(span.author.split())}" if span.author else ""
    return f"[{span.id}] {span.side}{author}: {' '.join(span.text.split())}"


def _plain(policy: Policy, path: str) -> Any:
    value: Any = policy
    for part in path.split("."):
        if isinstance(value, Mapping):
            value = value[part]  # pyright: ignore[reportUnknownVariableType]
        elif hasattr(value, part):  # pyright: ignore[reportUnknownArgumentType]
            value = getattr(value, part)  # pyright: ignore[reportUnknownArgumentType]
        else:
            raise NightdeskError(
                f"There is no policy `{path}`", where="operation.yml", todo="Correct the path under `policy`."
            )
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    return cast("Any", value)


def operations(root: Path = OPERATIONS_FOLDER) -> dict[str, Operation]:
    """Every operation under `root`, by name, in alphabetical order of family and name.

    Raises:
        NightdeskError: A folder lacks a file, `operation.yml` has an unknown key, or a name does not fit its folder.
    """
    return dict(_load(root))


@cache
def _load(root: Path) -> tuple[tuple[str, Operation], ...]:
    found = sorted(root.glob("*/*/operation.yml"))
    if not found:
        raise NightdeskError(
            "There are no operations", where=str(root), todo="Run the command from a complete checkout."
        )
    return tuple((operation.name, operation) for operation in (_read(path.parent) for path in found))


def _read(folder: Path) -> Operation:
    import yaml

    path = folder / "operation.yml"
    try:
        spec = OperationSpec.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
        prompt = (folder / "prompt.md").read_text(encoding="utf-8")
        module = importlib.import_module(f"enrich.operations.{folder.parent.name}.{folder.name}.output")
        model = module.Output
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise NightdeskError(
            f"`{key}`: {first['msg']}", where=str(path), todo="Compare with another operation's file."
        ) from None
    except (yaml.YAMLError, FileNotFoundError, ModuleNotFoundError, AttributeError) as error:
        raise NightdeskError(
            f"The operation `{folder.name}` is incomplete: {error}",
            where=str(folder),
            todo="It needs operation.yml, prompt.md and output.py with a class `Output`.",
        ) from None
    if (spec.family, spec.name) != (folder.parent.name, folder.name):
        raise NightdeskError(
            f"`{spec.family}/{spec.name}` does not fit its folder",
            where=str(path),
            todo="Name the folder as the operation.",
        )
    return Operation(spec, prompt, model, folder)
