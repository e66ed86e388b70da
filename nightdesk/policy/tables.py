"""Policy as rows: what dbt reads instead of repeating numbers in SQL."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from nightdesk.policy import caps
from nightdesk.policy.identity_models import Identity
from nightdesk.policy.load import Policy

if TYPE_CHECKING:
    import duckdb

Rows = dict[str, list[tuple[Any, ...]]]


def rows(policy: Policy) -> Rows:
    """Lay the policy out as rows for the ledger's `policy_*` tables, `policy_hash` first in each.

    Pure: the same policy gives the same rows in the same order.
    """
    key = policy.hash
    tables: Rows = {
        "policy_settings": [(key, *row) for row in _settings(policy)],
        "policy_lists": [(key, *row) for row in _lists(policy)],
        "policy_predicates": [
            (key, name, item.cardinality, item.value, item.speaker, item.about, item.subject)
            for name, item in policy.predicates.predicates.items()
        ],
        "policy_signals": [
            (key, position, item.predicate, item.value, item.strength, policy.signals.strengths[item.strength])
            for position, item in enumerate(policy.signals.signals)
        ],
        "policy_weights": [
            (key, operation, component, weight)
            for operation, weights in (
                ("icp_fit", policy.scoring.icp_fit.weights),
                ("lead_quality", policy.scoring.lead_quality.weights),
            )
            for component, weight in weights.items()
        ],
        "policy_levels": [(key, *row) for row in _levels(policy)],
        "policy_tiers": [(key, tier, bound) for tier, bound in policy.scoring.tiers.items()],
        "policy_gates": [
            (key, operation, gate.gate, position, gate.reason)
            for position, gate in enumerate(policy.gates.gates)
            for operation in gate.applies_to
        ],
        "policy_recall": [
            (key, operation, predicate, relevance, rule.quotas.get(predicate, rule.quota), rule.token_budget)
            for operation, rule in policy.recall.operations.items()
            for predicate, relevance in rule.relevance.items()
        ],
        "policy_recall_operations": [
            (
                key,
                operation,
                rule.record,
                rule.facts_of,
                rule.shows_strangers,
                rule.half_life_days,
                rule.token_budget,
            )
            for operation, rule in policy.recall.operations.items()
        ],
        "policy_autonomy": [
            (key, operation, caps.operation_ceiling(policy, operation)) for operation in policy.autonomy.operations
        ],
        "policy_autonomy_properties": [
            (key, operation, name, ceiling)
            for (operation, name), ceiling in sorted(caps.property_ceilings(policy).items())
        ],
        "policy_field_map": [
            (
                key,
                crm,
                object_type,
                item.field,
                item.property,
                item.label,
                item.type,
                item.operation,
                item.field_class,
                item.risk,
                item.min_change,
            )
            for crm, mapping in policy.mappings.items()
            for object_type, fields in mapping.fields.items()
            for item in fields
        ],
        "policy_write_rules": [
            (key, rule.id, rule.effect, rule.decision, json.dumps(rule.when, sort_keys=True), rule.reason)
            for rule in policy.write_rules.rules
        ],
        "policy_guards": [(key, item.guard, item.limit, item.about) for item in policy.guards.guards],
    }
    return tables


def _settings(policy: Policy) -> Iterable[tuple[str, str, str]]:
    """Single numbers and words, as (policy, setting, value as text)."""
    scoring, signals, recall, icp = policy.scoring, policy.signals, policy.recall, policy.icp
    yield from (
        ("icp", "company", icp.company),
        ("icp", "employees_minimum", str(icp.employees.minimum)),
        ("icp", "employees_in_range_from", str(icp.employees.in_range[0])),
        ("icp", "employees_in_range_to", str(icp.employees.in_range[1])),
        ("scoring", "icp_fit.signals.full_at_points", f"{scoring.icp_fit.signals.full_at_points:g}"),
        ("scoring", "icp_fit.engagement.full_at_points", f"{scoring.icp_fit.engagement.full_at_points:g}"),
        ("scoring", "lead_quality.engagement.full_at_points", f"{scoring.lead_quality.engagement.full_at_points:g}"),
        ("signals", "decay.factor", f"{signals.decay.factor:g}"),
        ("signals", "decay.per_days", str(signals.decay.per_days)),
        ("signals", "decay.nothing_after_days", str(signals.decay.nothing_after_days)),
        ("signals", "engagement.email_received", f"{signals.engagement.email_received:g}"),
        ("signals", "engagement.call_held", f"{signals.engagement.call_held:g}"),
        ("signals", "engagement.meeting_held", f"{signals.engagement.meeting_held:g}"),
        ("signals", "engagement.email_sent", f"{signals.engagement.email_sent:g}"),
        ("signals", "trust.max_points_per_document", f"{signals.trust.max_points_per_document:g}"),
        ("signals", "trust.untrusted_share", f"{signals.trust.untrusted_share:g}"),
        ("signals", "trust.untrusted_max_points", f"{signals.trust.untrusted_max_points:g}"),
        ("recall", "token_estimate_chars", str(recall.token_estimate_chars)),
        ("recall", "churn_revisit.churned_within_days", str(recall.churn_revisit.churned_within_days)),
        ("recall", "meeting_brief.window_days", str(recall.meeting_brief.window_days)),
        ("research", "contact_background.every_days", str(policy.research.contact_background.every_days)),
        ("field_mapping", "namespace", policy.field_mapping.namespace),
        ("field_mapping", "max_text_chars", str(policy.field_mapping.max_text_chars)),
        ("guards", "score_movement_points", str(policy.guards.score_movement_points)),
        ("delivery", "open_per_account", str(policy.delivery.open_per_account)),
        ("delivery", "open_per_owner", str(policy.delivery.open_per_owner)),
        ("delivery", "quote_chars", str(policy.delivery.quote_chars)),
        ("delivery", "sources_per_task", str(policy.delivery.sources_per_task)),
        ("delivery", "due_hour_utc", str(policy.delivery.due_hour_utc)),
        ("delivery", "company_time_zone", policy.delivery.company_time_zone),
        ("delivery", "notes.meeting_brief", str(policy.delivery.notes.meeting_brief).lower()),
        *(("delivery", f"record_url.{crm}", pattern) for crm, pattern in policy.delivery.record_url.items()),
        ("identity", "most_in_one_cluster", str(policy.identity.most_in_one_cluster)),
        ("identity", "suggest_from", f"{policy.identity.suggest_from:g}"),
        ("identity", "caution_from", f"{policy.identity.caution_from:g}"),
    )
    if recall.semantic is not None:
        yield "recall", "semantic.weight", f"{recall.semantic.weight:.4f}"


def _lists(policy: Policy) -> Iterable[tuple[str, str, str | None]]:
    """Lists of words, as (list, item, parameter)."""
    yield from (("internal_domains", item.lower(), None) for item in policy.icp.internal_domains)
    yield from (("industries_disqualified", item, None) for item in policy.icp.industries.disqualified)
    yield from (("lifecycle_gated", item, None) for item in policy.gates.lifecycle_gated)
    yield from _lifecycle(policy)
    yield from (("freemail_domains", item.lower(), None) for item in policy.gates.freemail_domains)
    yield from (("revisit_trigger_values", item, None) for item in policy.recall.churn_revisit.trigger_values)
    yield from (
        ("research_account_again", tier, period) for tier, period in policy.research.account_deep_dive.again.items()
    )
    yield from (("research_account_on_signal", tier, None) for tier in policy.research.account_deep_dive.on_signal)
    yield from (
        ("research_signal_strengths", item, None) for item in policy.research.account_deep_dive.signal_strengths
    )
    yield from (("research_contact_tiers", tier, None) for tier in policy.research.contact_background.tiers)
    yield from (("delivery_holidays", day.isoformat(), None) for day in policy.delivery.holidays)
    yield from (
        ("delivery_rules", item.rule, json.dumps({"position": position, **item.model_dump()}, sort_keys=True))
        for position, item in enumerate(policy.delivery.recommendations)
    )
    for source in policy.suppression.sources:
        items = (
            source.classes
            or source.values
            or ((source.property,) if source.property else (source.predicate,) if source.predicate else ("*",))
        )
        for item in items:
            yield f"suppression_{source.source}", item, None
    yield from _identity_lists(policy.identity)
    yield from (("suppression_lifted", item.contact_id, item.lifted_by) for item in policy.suppression.lifted)


def _lifecycle(policy: Policy) -> Iterable[tuple[str, str, str]]:
    """What the CRMs' words for how far a record is mean, as (list with CRM and kind of record, word, stage)."""
    for crm, kinds in policy.lifecycle.crms.items():
        for kind, rules in kinds.items():
            for value, stage in rules.values.items():
                yield f"lifecycle_value:{crm}:{kind}", value.strip().lower(), stage
            for position, (rule, stage) in enumerate(rules.without_value.items()):
                yield f"lifecycle_rule:{crm}:{kind}", f"{position}:{rule}", stage


def _identity_lists(identity: Identity) -> Iterable[tuple[str, str, str | None]]:
    """Who is shared by many, who stands for whom, and which words mean the same, as (list, item, parameter)."""
    for position, item in enumerate(identity.standing):
        yield "identity_standing", item, f"{position:03d}"
    for name in ("role_mailboxes", "shared_domains", "two_part_suffixes", "legal_forms"):
        yield from ((f"identity_{name}", item.lower(), None) for item in getattr(identity, name))
    for word, names in identity.nicknames.items():
        yield "identity_nicknames", word.lower(), " ".join(sorted(names))
    for country, others in identity.countries.items():
        yield from (("identity_countries", item.lower(), country.lower()) for item in dict.fromkeys((country, *others)))


def _levels(policy: Policy) -> Iterable[tuple[str, str, str, float]]:
    """(operation, component, level, share of the component's weight)."""
    icp, lead = policy.scoring.icp_fit, policy.scoring.lead_quality
    for component, share in icp.firmographic.split.items():
        levels: dict[str, float] = {str(k): v for k, v in getattr(icp.firmographic, component).items()}
        for level, level_share in levels.items():
            # The three firmographic judgements share one weight: the split is folded in here, once.
            yield "icp_fit", component, level, share * level_share
    yield from (("icp_fit", "champion", level, share) for level, share in icp.champion.items())
    for component in ("persona", "seniority", "function"):
        levels = {str(k): v for k, v in getattr(lead, component).items()}
        yield from (("lead_quality", component, level, share) for level, share in levels.items())


def load_into(connection: duckdb.DuckDBPyConnection, policy: Policy, loaded_at: datetime) -> bool:
    """Append the policy's rows to the ledger unless its newest load is the same policy.

    Returns:
        Whether anything was written. Rows of one hash are written once; going back to an earlier policy only adds a
        row to `policy_loads`, so the newest load always names the policy in force.
    """
    newest = connection.execute("select policy_hash from policy_loads order by loaded_at desc limit 1").fetchone()
    if newest is not None and newest[0] == policy.hash:
        return False
    known = connection.execute("select count(*) from policy_loads where policy_hash = ?", [policy.hash]).fetchone()
    connection.execute("begin")
    try:
        if known is not None and known[0] == 0:
            for table, values in rows(policy).items():
                if values:
                    marks = ", ".join("?" for _ in values[0])
                    connection.executemany(f"insert into {table} values ({marks})", values)
        connection.execute(
            "insert into policy_loads values (?, ?, ?)",
            [policy.hash, loaded_at, json.dumps(policy.file_hashes, sort_keys=True)],
        )
        connection.execute("commit")
    except BaseException:
        connection.execute("rollback")
        raise
    return True
