"""The shape of every file in `policies/`. Unknown keys are errors: a misspelt rule must not be a rule that is off."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator


def _yes_stays_a_word(value: object) -> object:
    """YAML reads a bare `yes` as true; in this vocabulary it is the word."""
    return "yes" if value is True else value


def _a_gap_in_a_range(value: tuple[int, int]) -> tuple[int, int]:
    if value[0] > value[1]:
        raise ValueError(f"the range starts at {value[0]} and ends below it, at {value[1]}")
    return value


Share = Annotated[float, Field(ge=0, le=1)]
Word = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Level = Annotated[int, Field(ge=1, le=5)]


class PolicyModel(BaseModel):
    """Frozen and closed, like every model here."""

    model_config = ConfigDict(extra="forbid", frozen=True)


# predicates.yml --------------------------------------------------------------------------------------------------

ValueKind = Literal["enum", "yes", "month", "number", "name", "date"]


class Predicate(PolicyModel):
    """One thing a fact may say."""

    cardinality: Literal["single", "multi"]
    value: Annotated[ValueKind, BeforeValidator(_yes_stays_a_word)]
    values: tuple[Word, ...] = ()
    speaker: Literal["theirs", "ours", "both"]
    subject: Literal["account", "person"] = "account"
    about: str

    @model_validator(mode="after")
    def enum_has_values(self) -> Self:
        if (self.value == "enum") != bool(self.values):
            raise ValueError("`values` goes with `value: enum`, and only with it")
        return self


class Predicates(PolicyModel):
    predicates: dict[Word, Predicate] = Field(min_length=1)


# icp.yml, competitors.yml ----------------------------------------------------------------------------------------


class Industries(PolicyModel):
    core: tuple[str, ...]
    adjacent: tuple[str, ...] = ()
    disqualified: tuple[str, ...] = ()


class Employees(PolicyModel):
    minimum: int = Field(ge=0)
    in_range: tuple[int, int]
    near: tuple[int, int]

    @model_validator(mode="after")
    def near_surrounds_in_range(self) -> Self:
        _a_gap_in_a_range(self.in_range)
        _a_gap_in_a_range(self.near)
        if self.near[0] > self.in_range[0] or self.near[1] < self.in_range[1]:
            raise ValueError("`near` must contain `in_range`")
        return self


class Regions(PolicyModel):
    served: tuple[str, ...]
    partly: tuple[str, ...] = ()


class Functions(PolicyModel):
    core: tuple[str, ...]
    adjacent: tuple[str, ...] = ()


class Icp(PolicyModel):
    company: str
    sells: str
    internal_domains: tuple[str, ...] = Field(min_length=1)
    industries: Industries
    employees: Employees
    regions: Regions
    tech_in_use: tuple[str, ...] = ()
    functions: Functions


class Competitor(PolicyModel):
    name: str
    also: tuple[str, ...] = ()


class Competitors(PolicyModel):
    competitors: tuple[Competitor, ...]


# scoring.yml, signals.yml ----------------------------------------------------------------------------------------


def _weights_add_up(weights: dict[str, float]) -> dict[str, float]:
    if abs(sum(weights.values()) - 100) > 1e-9:
        raise ValueError(f"weights add up to {sum(weights.values()):g}, not 100")
    return weights


class FullAt(PolicyModel):
    full_at_points: float = Field(gt=0)


class Firmographic(PolicyModel):
    split: dict[Literal["industry_fit", "size_fit", "region_fit"], Share]
    industry_fit: dict[Literal["core", "adjacent", "none", "unknown"], Share]
    size_fit: dict[Literal["in_range", "near", "out", "unknown"], Share]
    region_fit: dict[Literal["served", "partly", "not_served", "unknown"], Share]

    @model_validator(mode="after")
    def split_adds_up(self) -> Self:
        if abs(sum(self.split.values()) - 1) > 1e-9:
            raise ValueError(f"`split` adds up to {sum(self.split.values()):g}, not 1")
        return self


class IcpFitScoring(PolicyModel):
    weights: dict[Literal["firmographic", "signals", "engagement", "champion"], float]
    firmographic: Firmographic
    signals: FullAt
    engagement: FullAt
    champion: dict[Literal["active", "possible", "none"], Share]

    @model_validator(mode="after")
    def weights_add_up(self) -> Self:
        _weights_add_up({str(key): value for key, value in self.weights.items()})
        return self


class LeadQualityScoring(PolicyModel):
    weights: dict[Literal["persona", "seniority", "function", "engagement", "account"], float]
    persona: dict[Literal["decision_maker", "champion", "influencer", "gatekeeper", "unknown"], Share]
    seniority: dict[Literal["c_level", "vp", "director", "manager", "individual", "unknown"], Share]
    function: dict[Literal["core", "adjacent", "other", "unknown"], Share]
    engagement: FullAt

    @model_validator(mode="after")
    def weights_add_up(self) -> Self:
        _weights_add_up({str(key): value for key, value in self.weights.items()})
        return self


class Confidence(PolicyModel):
    known_component: Share
    unknown_component: Share
    no_customer_words: Share


class Scoring(PolicyModel):
    icp_fit: IcpFitScoring
    lead_quality: LeadQualityScoring
    tiers: dict[Literal["A", "B", "C", "D"], Annotated[int, Field(ge=0, le=100)]]
    confidence: Confidence

    @model_validator(mode="after")
    def tiers_descend(self) -> Self:
        bounds = [self.tiers.get(tier) for tier in ("A", "B", "C", "D")]
        if None in bounds or bounds != sorted(bounds, key=lambda bound: -(bound or 0)) or bounds[-1] != 0:
            raise ValueError("tiers A, B, C, D need falling lowest scores, D at 0")
        return self


Strength = Literal["strong", "moderate", "weak", "negative"]


class Decay(PolicyModel):
    factor: float = Field(gt=0, le=1)
    per_days: int = Field(gt=0)
    nothing_after_days: int = Field(gt=0)


class Signal(PolicyModel):
    predicate: Word
    value: str | None = None
    strength: Strength


class Engagement(PolicyModel):
    email_received: float = Field(ge=0)
    call_held: float = Field(ge=0)
    meeting_held: float = Field(ge=0)
    email_sent: float = Field(ge=0)


class Trust(PolicyModel):
    max_points_per_document: float = Field(gt=0)
    untrusted_share: Share
    untrusted_max_points: float = Field(ge=0)
    words_must_bear_out: Literal["everywhere", "where_led"] = "everywhere"


class Signals(PolicyModel):
    strengths: dict[Strength, int]
    decay: Decay
    signals: tuple[Signal, ...]
    engagement: Engagement
    trust: Trust

    @model_validator(mode="after")
    def strengths_are_signed(self) -> Self:
        if set(self.strengths) != {"strong", "moderate", "weak", "negative"}:
            raise ValueError("`strengths` needs strong, moderate, weak and negative")
        if self.strengths["negative"] > 0:
            raise ValueError("`negative` must not add points")
        return self


# gates.yml, recall.yml, suppression.yml --------------------------------------------------------------------------

Operation = Literal[
    "extract_facts",
    "reply_class",
    "icp_fit",
    "lead_quality",
    "churn_revisit",
    "meeting_brief",
    "account_deep_dive",
    "contact_background",
]
GateName = Literal[
    "opted_out",
    "objected_to_scoring",
    "invalid_email",
    "freemail",
    "customer_or_disqualified",
    "disqualified_industry",
    "too_small",
]


class Gate(PolicyModel):
    gate: GateName
    applies_to: tuple[Literal["lead_quality", "icp_fit", "account_deep_dive", "contact_background"], ...] = Field(
        min_length=1
    )
    reason: str


class Gates(PolicyModel):
    gates: tuple[Gate, ...]
    lifecycle_gated: tuple[str, ...]
    freemail_domains: tuple[str, ...]

    @model_validator(mode="after")
    def gates_are_unique(self) -> Self:
        names = [gate.gate for gate in self.gates]
        if len(names) != len(set(names)):
            raise ValueError("a gate is listed twice")
        return self


class RecallRule(PolicyModel):
    record: Literal["account", "contact", "meeting", "deal"]
    facts_of: Literal["account", "contact"]
    shows_strangers: bool
    half_life_days: int = Field(gt=0, le=36_500)
    token_budget: int = Field(gt=0)
    quota: int = Field(gt=0)
    quotas: dict[Word, Annotated[int, Field(gt=0)]] = {}
    relevance: dict[Word, Share]

    @model_validator(mode="after")
    def only_contacts_are_one_person(self) -> Self:
        if self.facts_of == "contact" and self.record != "contact":
            raise ValueError(f"`facts_of: contact` needs `record: contact`; a {self.record} is more than one person")
        return self

    @model_validator(mode="after")
    def quotas_are_of_relevant_predicates(self) -> Self:
        for predicate in self.quotas:
            if not self.relevance.get(predicate):
                raise ValueError(f"`quotas` names `{predicate}`, which has no relevance")
        return self


class ChurnRevisitRule(PolicyModel):
    churned_within_days: int = Field(gt=0)
    trigger_values: tuple[Word, ...]


class MeetingBriefRule(PolicyModel):
    window_days: int = Field(ge=0)


class Semantic(PolicyModel):
    """How near a fact's words are to what an operation asks, as one more factor of usefulness.

    Attributes:
        model: Folder of a static embedding model, from the project's folder or absolute. Nothing is ever downloaded.
        weight: What nearness decides; the rest stays. Never all of it: a fact in other words must not become useless.
        queries: What to compare with, per operation, instead of what the operation itself says it asks.
    """

    model: str = Field(min_length=1)
    weight: float = Field(ge=0.01, le=0.99)
    queries: dict[Operation, Annotated[str, Field(min_length=1)]] = {}


class Recall(PolicyModel):
    token_estimate_chars: int = Field(gt=0)
    operations: dict[Operation, RecallRule]
    churn_revisit: ChurnRevisitRule
    meeting_brief: MeetingBriefRule
    semantic: Semantic | None = None

    @model_validator(mode="after")
    def queries_are_of_operations_that_recall(self) -> Self:
        for operation in self.semantic.queries if self.semantic else ():
            if operation not in self.operations:
                raise ValueError(f"`semantic.queries` names `{operation}`, which is not reminded of facts")
        return self


class SuppressionSource(PolicyModel):
    source: Literal["contact_property", "subscription_status", "reply_class", "fact", "lead_status"]
    about: str | None = None
    property: str | None = None
    classes: tuple[str, ...] = ()
    predicate: Word | None = None
    values: tuple[str, ...] = ()


class LiftedOptOut(PolicyModel):
    contact_id: str
    lifted_by: str
    lifted_on: date
    why: str


class Suppression(PolicyModel):
    sources: tuple[SuppressionSource, ...]
    lifted: tuple[LiftedOptOut, ...] = ()


# field_mapping.yml, write_rules.yml, guards.yml, budget.yml ------------------------------------------------------

# The object types of each CRM that a mapping may name. In `KEYED_TYPES` the records are ours: Nightdesk creates them,
# and knows them by a key of its own, so all their fields may be written, and no other record of that type ever is.
CRM_OBJECTS: dict[str, tuple[str, ...]] = {
    "hubspot": ("contacts", "companies", "deals", "meetings", "tasks", "notes"),
    "salesforce": ("Contact", "Lead", "Account", "Opportunity", "Task"),
    "tryton": ("party.party",),
}
KEYED_TYPES: dict[str, frozenset[str]] = {"hubspot": frozenset({"tasks", "notes"}), "salesforce": frozenset({"Task"})}
Crm = Literal["hubspot", "salesforce", "tryton"]
ObjectType = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_.]*$")]
PropertyName = Annotated[str, Field(pattern=r"^@?[A-Za-z][A-Za-z0-9_]*$")]
ValueType = Literal["number", "enumeration", "text", "date", "datetime", "boolean"]
FieldClass = Literal["owned", "fill_empty", "shared", "protected"]
Risk = Literal["low", "medium", "high"]


class MappedField(PolicyModel):
    """One published column and the CRM property it may be written to."""

    field: Word
    property: PropertyName
    label: str = Field(max_length=100)
    type: ValueType
    operation: Operation
    field_class: FieldClass = Field(alias="class")
    risk: Risk
    min_change: float | None = Field(default=None, gt=0)
    options: tuple[str, ...] = ()

    @model_validator(mode="after")
    def options_go_with_enumerations(self) -> Self:
        if (self.type == "enumeration") != bool(self.options):
            raise ValueError(f"`options` goes with `type: enumeration`, and only with it (`{self.property}`)")
        if self.min_change is not None and self.type != "number":
            raise ValueError(f"`min_change` is for numbers (`{self.property}`)")
        return self


class MappingException(PolicyModel):
    """A property outside the namespace that may be written all the same, with who answers for it and until when."""

    property: str
    object_type: ObjectType
    owner: str
    expires_on: date


class PropertyGroup(PolicyModel):
    name: Word
    label: str


class AskedField(PolicyModel):
    """A namespaced property that people fill in and Nightdesk only reads: `crm setup` creates it, nothing writes it.

    Attributes:
        question: The one exception: the text in which Nightdesk asks (`nightdesk ask`). People read it.
    """

    property: PropertyName
    label: str = Field(max_length=100)
    type: ValueType
    options: tuple[str, ...] = ()
    question: bool = False

    @model_validator(mode="after")
    def options_go_with_enumerations(self) -> Self:
        if (self.type == "enumeration") != bool(self.options):
            raise ValueError(f"`options` goes with `type: enumeration`, and only with it (`{self.property}`)")
        if self.question and self.type != "text":
            raise ValueError(f"a question is a text (`{self.property}`)")
        return self


class FieldMapping(PolicyModel):
    """One CRM's part of the write-back: `field_mapping.yml` is HubSpot's, `field_mapping.<crm>.yml` another's.

    Attributes:
        people: Object types that are people, with the properties whose values (lower case) say "leave me alone":
            nothing is written to a person who says so, whatever the plan says.
        asked: Properties that people fill in.
        key_property: Our unique property by which the records we create (`keyed_types`) are known.
    """

    crm: Crm = "hubspot"
    namespace: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*_$")]
    group: PropertyGroup
    fields: dict[ObjectType, tuple[MappedField, ...]]
    asked: dict[ObjectType, tuple[AskedField, ...]] = {}
    people: dict[ObjectType, dict[PropertyName, tuple[str, ...]]] = {}
    exceptions: tuple[MappingException, ...] = ()
    key_property: PropertyName = "nightdesk_op_key"
    max_text_chars: int = Field(gt=0, le=65536)

    @property
    def keyed_types(self) -> frozenset[str]:
        """Object types whose records Nightdesk creates."""
        return KEYED_TYPES.get(self.crm, frozenset())

    @model_validator(mode="after")
    def the_crm_has_these_objects(self) -> Self:
        for object_type in (*self.fields, *self.asked, *self.people):
            if object_type not in CRM_OBJECTS[self.crm]:
                raise ValueError(
                    f"{self.crm} has no object `{object_type}` here; use {', '.join(CRM_OBJECTS[self.crm])}"
                )
        return self

    @model_validator(mode="after")
    def everything_is_namespaced(self) -> Self:
        allowed = {(item.object_type, item.property) for item in self.exceptions}
        for object_type, fields in self.fields.items():
            seen: set[str] = set()
            for item in fields:
                outside = not item.property.startswith(self.namespace) and (object_type, item.property) not in allowed
                if outside and object_type not in self.keyed_types:
                    raise ValueError(
                        f"`{item.property}` is outside the namespace `{self.namespace}` and not among `exceptions`"
                    )
                if item.property in seen:
                    raise ValueError(f"`{item.property}` is mapped twice for {object_type}")
                seen.add(item.property)
        for object_type, asked in self.asked.items():
            written = {item.property for item in self.fields.get(object_type, ())}
            for item in asked:
                if not item.property.startswith(self.namespace):
                    raise ValueError(f"`{item.property}` is outside the namespace `{self.namespace}`")
                if item.property in written:
                    raise ValueError(f"`{item.property}` is both written and asked for; people's answers are theirs")
        return self


Condition = bool | int | float | str | dict[Literal["at_most", "at_least", "in", "not_in"], Any]
# What a rule may look at; `reverse_etl.decide.COLUMNS` says of which kind each is.
OpColumn = Literal[
    "crm", "operation", "object_type", "property", "segment", "conflict_class", "confidence", "evidence_count",
    "is_stale", "is_suppressed", "is_namespaced", "autonomy_level", "risk", "field_class", "value_type",
]  # fmt: skip


class WriteRule(PolicyModel):
    id: Word
    effect: Literal["permit", "forbid"]
    decision: Literal["auto", "require_approval"] | None = None
    when: dict[OpColumn, Condition] = Field(min_length=1)
    reason: str

    @model_validator(mode="after")
    def permits_decide(self) -> Self:
        if (self.effect == "permit") != (self.decision is not None):
            raise ValueError(f"`decision` goes with `effect: permit`, and only with it (`{self.id}`)")
        return self


class WriteRules(PolicyModel):
    rules: tuple[WriteRule, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def ids_are_unique(self) -> Self:
        ids = [rule.id for rule in self.rules]
        if len(ids) != len(set(ids)):
            raise ValueError("a rule id is used twice")
        return self


GuardName = Literal[
    "max_operations", "max_records_share", "max_clears_share", "max_creates_per_owner_week", "min_source_share",
    "max_score_movement_share",
]  # fmt: skip


class Guard(PolicyModel):
    guard: GuardName
    limit: float = Field(ge=0)
    about: str


class Quota(PolicyModel):
    """What of a CRM's quota of requests a day is not ours, whoever used the rest."""

    share_for_people: float = Field(default=0.2, ge=0, lt=1)


class Guards(PolicyModel):
    guards: tuple[Guard, ...]
    score_movement_points: int = Field(gt=0)
    quota: Quota = Quota()

    @model_validator(mode="after")
    def each_brake_is_there_once(self) -> Self:
        names = [guard.guard for guard in self.guards]
        if len(names) != len(set(names)):
            raise ValueError("a guard is listed twice")
        return self


class ClaudeBatches(PolicyModel):
    """Message batches: at most what the API takes, and how long a night may wait for them."""

    most_requests: int = Field(default=100_000, ge=1, le=100_000)
    most_megabytes: int = Field(default=100, ge=1, le=256)
    asked_at_once: int = Field(default=25_000, ge=1)
    longest_wait_hours: float = Field(default=12.0, gt=0, le=48)


class ClaudeBudget(PolicyModel):
    models: dict[Operation, str]
    max_output_tokens: dict[Operation, Annotated[int, Field(gt=0)]]
    effort: Literal["low", "medium", "high"]
    concurrency: int = Field(ge=1, le=64)
    reads_at_once_tokens: int = Field(ge=500)
    batch: ClaudeBatches = ClaudeBatches()


class AgentBudgets(PolicyModel):
    claude: ClaudeBudget


class Budget(PolicyModel):
    night_usd: Decimal = Field(ge=0)
    operation_usd: dict[Operation, Annotated[Decimal, Field(ge=0)]]
    agents: AgentBudgets
