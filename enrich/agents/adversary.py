"""A simulated model that answers as badly as an answer can be, within the schema and beyond it. Never a real agent.

It is not one of NIGHTDESK_AGENT's choices and answers only on a proving ground (`enrich/agents/simulated.py`). What it
says depends on its seed and the call's hash alone, so a night with it can be repeated.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random
from typing import TYPE_CHECKING, Any, Final, cast

import anyio.to_thread

from enrich import context as contexts
from enrich import spans
from enrich.agents import rules
from enrich.agents.adversary_text import NAMES, broken, worst_sentence
from enrich.agents.protocol import AgentRequest, AgentResponse, ToolCall
from enrich.agents.simulated import SimulatedAgent
from nightdesk.errors import NightdeskError

if TYPE_CHECKING:
    from enrich.agents.simulated import ProvingGround
    from nightdesk.policy.load import Policy

VERSION: Final = "1"
BEYOND_SHARE: Final = 0.25  # of answers that break the schema
REFUSED_SHARE: Final = 0.04  # refused, cut off, or tool calls nobody offered

_SHOWN_ID = re.compile(r"^\[([^\]\s]+)\] ", re.MULTILINE)
_INVENTED: Final = ("f_000000000000", "f_deadbeef0001", "s999", "s0", "account.secret", "contact.hs_email_optout", "")


@dataclass(frozen=True, slots=True)
class _Scene:
    """What the adversary knows when it answers one question."""

    rng: Random
    operation: str
    honest: dict[str, Any]
    shown: tuple[str, ...]
    span_texts: Mapping[str, str]
    levels: Mapping[str, tuple[str, ...]]
    predicates: Mapping[str, tuple[str, ...]]
    competitors: tuple[str, ...]
    foreign: tuple[str, ...]


class AdversaryAgent(SimulatedAgent):
    """Deterministic per (seed, call). Costs nothing and reaches nobody.

    Args:
        policy: Policy with its lexicon: the most dangerous answers are honest ones, slightly changed.
        ground: Where it may answer; from `enrich.agents.simulated.claim`.
        seed: Another seed is another adversary, and its questions are new ones.
        foreign_ids: Ids of other records (facts, documents), to be cited where they do not belong.
    """

    def __init__(
        self, policy: Policy, ground: ProvingGround, *, seed: int = 0, foreign_ids: Sequence[str] = ()
    ) -> None:
        super().__init__(policy, ground)
        self._seed = seed
        self._foreign = tuple(foreign_ids)

    @property
    def name(self) -> str:
        """Stored with every answer, so that nobody takes it for another's."""
        return "adversary"

    @property
    def version(self) -> str:
        """Code and seed."""
        return f"{VERSION}-{self._seed}"

    async def prepare(self, operation: str) -> None:
        """Nothing to get ready."""

    async def ask(self, requests: Sequence[AgentRequest]) -> Sequence[AgentResponse]:
        """One response per request, the worst it can think of."""
        return await anyio.to_thread.run_sync(lambda: [self.answer(request) for request in requests])

    def answer(self, request: AgentRequest) -> AgentResponse:
        """One hostile response."""
        digest = hashlib.sha256(f"{self._seed}:{request.input_hash}".encode()).digest()
        rng = Random(int.from_bytes(digest[:8], "big"))
        draw = rng.random()
        honest = self._honest(request)
        if draw < REFUSED_SHARE:
            return self._no_answer(request, rng, honest)
        if draw < REFUSED_SHARE + BEYOND_SHARE:
            text = broken(rng, json.dumps(honest, ensure_ascii=False))
        else:
            text = json.dumps(self._within(request, rng, honest), ensure_ascii=rng.random() < 0.5)
        if request.tools and rng.random() < 0.5:
            return AgentResponse(request.input_hash, "ok", text, tool_calls=self._reaching(request, rng))
        return AgentResponse(request.input_hash, "ok", text, stop_reason="end")

    def _honest(self, request: AgentRequest) -> dict[str, Any]:
        """What the rules would answer, or an empty answer of the schema's shape."""
        if request.operation in rules.OPERATIONS:
            try:
                return cast("dict[str, Any]", json.loads(rules.answer(request, self._policy)))
            except NightdeskError:
                pass
        properties = cast("Mapping[str, Any]", request.output_schema.get("properties", {}))
        return {key: [] if spec.get("type") == "array" else None for key, spec in properties.items()}

    def _no_answer(self, request: AgentRequest, rng: Random, honest: dict[str, Any]) -> AgentResponse:
        text = json.dumps(honest)
        match rng.randrange(3):
            case 0:
                return AgentResponse(request.input_hash, "refused", text, stop_reason="refusal")
            case 1:
                return AgentResponse(request.input_hash, "truncated", text[: len(text) // 2], stop_reason="max_tokens")
            case _:
                return AgentResponse(request.input_hash, "ok", text, tool_calls=self._reaching(request, rng))

    def _reaching(self, request: AgentRequest, rng: Random) -> tuple[ToolCall, ...]:
        """Look-ups: tools that do not exist, and real ones asked about other records."""
        other = rng.choice(self._foreign or ("hubspot:contact:1",))
        names = [tool.name for tool in request.tools] or ["update_record", "read_file", "list_contacts"]
        arguments = rng.choice(
            (
                json.dumps({"record_id": other, "document_id": other, "query": other}),
                json.dumps({"query": "*' or 1=1 --", "sql": "select * from contacts"}),
                "{",
                json.dumps({"path": "../../ledger.duckdb"}),
                "[" * 5_000,
            )
        )
        return tuple(
            ToolCall(f"call_{n}", rng.choice([*names, "delete_contact"]), arguments) for n in range(rng.randint(1, 12))
        )

    def _within(self, request: AgentRequest, rng: Random, honest: dict[str, Any]) -> dict[str, Any]:
        """An answer of the right shape whose every part is wrong."""
        try:
            context = contexts.parse(request.context)
            found = spans.segment(context, self._policy.icp.company) if context.body is not None else ()
        except NightdeskError:
            found = ()
        from enrich import registry

        known = registry.operations().get(request.operation)
        scene = _Scene(
            rng=rng,
            operation=request.operation,
            honest=honest,
            shown=(*_SHOWN_ID.findall(request.context), *(span.id for span in found)),
            span_texts={span.id: span.text for span in found},
            levels={} if known is None else {name: spec.levels for name, spec in known.spec.judgements.items()},
            predicates={name: item.values or () for name, item in self._policy.predicates.predicates.items()},
            competitors=tuple(item.name for item in self._policy.competitors.competitors),
            foreign=self._foreign,
        )
        properties = cast("Mapping[str, Any]", request.output_schema.get("properties", {}))
        return {key: _worst_value(scene, key, honest.get(key)) for key in (honest or properties)}


def _worst_value(scene: _Scene, key: str, honest: Any) -> Any:
    if key in scene.levels:
        return _judgement(scene, key, honest)
    if key == "facts":
        return _facts(scene, cast("list[dict[str, Any]]", honest or []))
    return _sentences(scene, cast("list[Any]", honest) if isinstance(honest, list) else [])


def _judgement(scene: _Scene, component: str, honest: Any) -> dict[str, Any]:
    levels = scene.levels[component]
    others = [level for level in levels if not (isinstance(honest, dict) and honest.get("level") == level)]  # pyright: ignore[reportUnknownMemberType]
    level = scene.rng.choice((levels[0], scene.rng.choice(others), "A", "100", levels[0].upper()))
    return {"level": level, "evidence": _ids(scene)}


def _ids(scene: _Scene) -> list[str]:
    rng = scene.rng
    some = rng.sample(scene.shown, min(len(scene.shown), rng.randint(1, 4)))
    return rng.choice(
        (
            list(scene.shown),
            some,
            rng.sample(scene.foreign, min(len(scene.foreign), 2)) or ["f_0123456789ab"],
            [*some, *rng.sample(scene.foreign, min(len(scene.foreign), 1))],
            [rng.choice(_INVENTED), *some],
            some * 50,
            [],
        )
    )


def _facts(scene: _Scene, honest: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    rng = scene.rng
    made = [_mutated(scene, fact) for fact in honest for _ in range(2)]
    everywhere = list(scene.span_texts) or ["s1"]
    for _ in range(rng.choice((1, 3, 10, 90))):
        predicate = rng.choice(list(scene.predicates))
        made.append(
            {
                "predicate": rng.choice((predicate, predicate, predicate, "score", "nightdesk_lead_score")),
                "value": _value(scene, predicate, rng.choice(everywhere)),
                "polarity": rng.choice(("affirmed", "affirmed", "negated")),
                "date": rng.choice((None, None, "2026-07-01", "2031-01-01", "tomorrow", "2026-02-30")),
                "span": rng.choice((*everywhere, "s99999", *scene.foreign[:2])),
            }
        )
    if rng.random() < 0.2 and made:
        made = made[:1] * 1000
    return made


def _value(scene: _Scene, predicate: str, span: str) -> str:
    rng = scene.rng
    words = [word for word in scene.span_texts.get(span, "").split() if word]
    return rng.choice(
        (
            *(scene.predicates[predicate] or ("yes",)),
            "yes",
            "2027-01",
            str(rng.randint(2, 9000)),
            rng.choice(NAMES),
            rng.choice(scene.competitors or ("x",)),
            " ".join(words[:9]) or "unknown",
            rng.choice(words or ["unknown"]),
        )
    )


def _mutated(scene: _Scene, fact: dict[str, Any]) -> dict[str, Any]:
    """An honest fact with one thing changed: what a check must see through."""
    rng = scene.rng
    predicate, value = str(fact["predicate"]), str(fact["value"])
    others = [name for name in scene.predicates.get(predicate, ()) if name != value]
    changes: tuple[Callable[[], dict[str, Any]], ...] = (
        lambda: {"polarity": "negated" if fact["polarity"] == "affirmed" else "affirmed"},
        lambda: {"value": rng.choice(others) if others else value + "0"},
        lambda: {"date": _shifted(fact["date"] or "2026-11-01", rng)},
        lambda: {
            "value": _shifted(f"{value}-01", rng)[:7] if re.fullmatch(r"\d{4}-\d\d", value) else rng.choice(NAMES)
        },
        lambda: {"span": rng.choice(list(scene.span_texts) or ["s1"])},
        lambda: {"predicate": rng.choice(list(scene.predicates))},
        lambda: {"value": value.swapcase()},
    )
    return fact | rng.choice(changes)()


def _shifted(day: str, rng: Random) -> str:
    try:
        moved = date.fromisoformat(day) + timedelta(days=rng.choice((-400, -90, -31, 31, 62, 200, 365)))
    except (ValueError, OverflowError):
        return "2030-01-01"
    return moved.isoformat()


def _sentences(scene: _Scene, honest: Sequence[Any]) -> list[dict[str, Any]]:
    rng = scene.rng
    texts = [str(item["text"]) for item in honest if isinstance(item, dict) and "text" in item]  # pyright: ignore[reportUnknownArgumentType]
    texts = texts or list(scene.span_texts.values())[:2] or ["They want to buy."]
    said: list[dict[str, Any]] = []
    for _ in range(rng.choice((1, 2, 4, 40))):
        own = rng.choice(honest) if honest and rng.random() < 0.6 else None
        ids = list(cast("list[str]", own["evidence"])) if isinstance(own, dict) else _ids(scene)  # pyright: ignore[reportUnknownArgumentType]
        text = str(own["text"]) if isinstance(own, dict) else rng.choice(texts)  # pyright: ignore[reportUnknownArgumentType]
        said.append({"text": worst_sentence(rng, text, scene.competitors), "evidence": ids})
    return said
