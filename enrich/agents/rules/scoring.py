"""`icp_fit`, `lead_quality` and `churn_revisit` by rules: levels from fields, facts and policy lists, and the reason."""  # noqa: E501

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from enrich.agents.rules.tokens import fold
from enrich.agents.rules.wording import Writer, long_date
from enrich.context import Context, FactLine

if TYPE_CHECKING:
    from nightdesk.policy.load import Policy

Answer = dict[str, Any]
_UNKNOWN: Answer = {"level": "unknown", "evidence": []}


def _level(level: str, *ids: str) -> Answer:
    return {"level": level, "evidence": list(ids)}


def _sentences(*items: Answer | None) -> list[Answer]:
    return [item for item in items if item is not None]


def latest(facts: Sequence[FactLine], *predicates: str, affirmed: bool = True) -> FactLine | None:
    """The newest fact of these predicates; of one day, the first shown."""
    fit = [fact for fact in facts if fact.predicate in predicates and (not affirmed or fact.polarity == "affirmed")]
    return max(fit, key=lambda fact: fact.day, default=None)


# --- icp_fit -----------------------------------------------------------------------------------------------------------  # noqa: E501


def icp_fit(context: Context, policy: Policy, titles: Mapping[str, Any], writer: Writer) -> Answer:
    """Levels and reason for one account."""
    industry, industry_name = _industry(context, policy, titles)
    size, employees = _size(context, policy)
    region = _region(context, policy, titles)
    champion, why = _champion(context)
    reason = [_firmographic_sentence(context, industry, industry_name, size, employees, region, writer)]
    strongest = latest([fact for fact in context.facts if fact.side == "theirs"], "pain", "need")
    if strongest is not None:
        reason.append(writer.said(strongest))
    if why is not None:
        key = "gone" if why.predicate == "champion_left" else champion["level"]
        phrase = writer.phrases["icp_fit"].get(f"champion.{key}")
        reason.append(writer.sentence(phrase, writer.about(why), [why.id]) if phrase else None)
    return {
        "industry_fit": industry,
        "size_fit": size,
        "region_fit": region,
        "champion": champion,
        "reason": _sentences(*reason),
    }


def _industry(context: Context, policy: Policy, titles: Mapping[str, Any]) -> tuple[Answer, str]:
    value = context.get("account.industry")
    source = "account.industry"
    if not value:
        source = "account.description"
        description = fold(context.get(source))
        value = next(
            (
                code
                for code, words in titles["industry_words"].items()
                if any(_has(description, word) for word in words)
            ),
            "",
        )
    if not value:
        return _UNKNOWN, ""
    code = re.sub(r"[^A-Z0-9]+", "_", value.upper()).strip("_")
    lists = policy.icp.industries
    level = "core" if code in lists.core else "adjacent" if code in lists.adjacent else "none"
    return _level(level, source), value if source == "account.industry" else ""


def _size(context: Context, policy: Policy) -> tuple[Answer, int | None]:
    text, source = context.get("account.employees"), "account.employees"
    if not text.isdigit():
        fact = latest(context.facts, "headcount")
        if fact is None or not fact.value.isdigit():
            return _UNKNOWN, None
        text, source = fact.value, fact.id
    number = int(text)
    ranges = policy.icp.employees
    if ranges.in_range[0] <= number <= ranges.in_range[1]:
        level = "in_range"
    elif ranges.near[0] <= number <= ranges.near[1]:
        level = "near"
    else:
        level = "out"
    return _level(level, source), number


def country_of(text: str, titles: Mapping[str, Any]) -> str:
    """The country's name as policy spells it; the text itself when it is no known spelling."""
    low = re.sub(r"[^\w]+", " ", text.lower()).strip()
    for name, spellings in titles["countries"].items():
        if low == name.lower() or low in spellings:
            return name
    return text.strip()


def _region(context: Context, policy: Policy, titles: Mapping[str, Any]) -> Answer:
    text = context.get("account.country")
    if not text:
        return _UNKNOWN
    name = country_of(text, titles)
    regions = policy.icp.regions
    level = "served" if name in regions.served else "partly" if name in regions.partly else "not_served"
    return _level(level, "account.country")


def _champion(context: Context) -> tuple[Answer, FactLine | None]:
    facts = context.facts
    active = latest([fact for fact in facts if fact.side != "ours"], "champion")
    left = latest(facts, "champion_left")
    if active is not None and (left is None or left.day < active.day):
        return _level("active", active.id), active
    if left is not None:
        return _level("none", left.id), left
    liked = [
        fact
        for fact in facts
        if fact.predicate == "product_feedback" and fact.value == "positive" and fact.polarity == "affirmed"
    ]
    hint = latest(liked, "product_feedback") or latest([fact for fact in facts if fact.side != "ours"], "referral")
    if hint is not None:
        return _level("possible", hint.id), hint
    return _level("none"), None


def _firmographic_sentence(
    context: Context,
    industry: Answer,
    industry_name: str,
    size: Answer,
    employees: int | None,
    region: Answer,
    writer: Writer,
) -> Answer | None:
    phrases = writer.phrases["icp_fit"]
    parts: list[str] = []
    ids: list[str] = []
    if industry_name and context.get("account.name"):
        parts.append(phrases[f"industry.{industry['level']}"])
        ids += ["account.name", "account.industry"]
    if employees is not None:
        parts.append(phrases[f"size.{size['level']}"])
        ids += size["evidence"]
    if region["level"] != "unknown":
        parts.append(phrases[f"region.{region['level']}"])
        ids.append("account.country")
    if not parts:
        return None
    text = "; ".join(parts)
    values = {
        "name": context.get("account.name"),
        "industry": industry_name.replace("_", " ").lower(),
        "employees": f"{employees}",
        "country": context.get("account.country"),
    }
    if text.startswith("we "):
        text = "We " + text[3:]
    # A name that starts with a small letter or a digit is fine: it stands in account.name.
    return writer.sentence(text, values, ids)


# --- lead_quality ------------------------------------------------------------------------------------------------------  # noqa: E501


def lead_quality(context: Context, policy: Policy, titles: Mapping[str, Any], writer: Writer) -> Answer:
    """Levels and reason for one contact."""
    title = context.get("contact.job_title")
    words = _title_words(title)
    seniority = _seniority(words, titles) if title else "unknown"
    function = _function(words, policy, titles) if title else "unknown"
    persona, why = _persona(context, words, seniority, function, titles)
    reason = [_title_sentence(title, function, writer)]
    phrases = writer.phrases["lead_quality"]
    if why is not None:
        key = "champion" if why.predicate == "champion" else why.value
        reason.append(writer.sentence(phrases[key], writer.about(why), [why.id]) if key in phrases else None)
    if len(_sentences(*reason)) < 2:
        asked = latest(
            [fact for fact in context.facts if fact.side == "theirs" and fact is not why],
            "meeting_asked",
            "pricing_asked",
            "budget",
            "timeline",
        )
        reason.append(writer.said(asked) if asked is not None else None)
    return {
        "persona": persona,
        "seniority": _level(seniority, "contact.job_title") if seniority != "unknown" else _UNKNOWN,
        "function": _level(function, "contact.job_title") if function != "unknown" else _UNKNOWN,
        "reason": _sentences(*reason),
    }


def _title_words(title: str) -> str:
    return " ".join(re.findall(r"[^\W_]+(?:&[^\W_]+)?", fold(title)))


def _has(text: str, entry: str) -> bool:
    """Whether a word or phrase (`*` for any ending) stands in text."""
    pattern = re.escape(entry).replace(r"\*", r"\w*")
    return re.search(rf"(?<!\w){pattern}(?!\w)", text) is not None


def _seniority(words: str, titles: Mapping[str, Any]) -> str:
    for entry in titles["seniority"]:
        if any(_has(words, word) for word in entry["words"]):
            return entry["level"]
    return "unknown"


def _function(words: str, policy: Policy, titles: Mapping[str, Any]) -> str:
    found = {name for name, entries in titles["functions"].items() if any(_has(words, entry) for entry in entries)}
    found |= {name for name in (*policy.icp.functions.core, *policy.icp.functions.adjacent) if _has(words, name)}
    if found & set(policy.icp.functions.core):
        return "core"
    return "adjacent" if found & set(policy.icp.functions.adjacent) else "other"


def _persona(
    context: Context, words: str, seniority: str, function: str, titles: Mapping[str, Any]
) -> tuple[Answer, FactLine | None]:
    own = [fact for fact in context.facts if fact.side != "ours"]
    authority = latest(own, "authority")
    champion = latest(own, "champion")
    title = ("contact.job_title",) if words else ()
    if authority is not None:
        if authority.value == "decision_maker":
            return _level("decision_maker", authority.id, *title), authority
        if authority.value == "not_involved":
            return _level("gatekeeper", authority.id, *title), authority
        level = (
            "champion"
            if champion is not None or (function == "core" and seniority in ("director", "vp", "c_level"))
            else "influencer"
        )
        return _level(level, authority.id, *title), authority
    if champion is not None and champion.value == "self":
        level = "decision_maker" if seniority in ("c_level", "vp") and function == "core" else "champion"
        return _level(level, champion.id, *title), champion
    if not words:
        return _UNKNOWN, None
    if any(_has(words, entry) for entry in titles["gatekeepers"]):
        return _level("gatekeeper", *title), None
    by_title = {
        "core": {
            "c_level": "decision_maker",
            "vp": "decision_maker",
            "director": "champion",
            "manager": "champion",
            "individual": "influencer",
        },
        "adjacent": {
            "c_level": "decision_maker",
            "vp": "influencer",
            "director": "influencer",
            "manager": "influencer",
            "individual": "influencer",
        },
        "other": {"c_level": "influencer", "vp": "influencer", "director": "influencer"},
    }
    level = by_title.get(function, {}).get(seniority)
    return (_level(level, *title), None) if level else (_UNKNOWN, None)


def _title_sentence(title: str, function: str, writer: Writer) -> Answer | None:
    phrase = writer.phrases["lead_quality"].get(f"title.{function}")
    return writer.sentence(phrase, {"title": title}, ["contact.job_title"]) if title and phrase else None


# --- churn_revisit -----------------------------------------------------------------------------------------------------  # noqa: E501


def churn_revisit(context: Context, writer: Writer) -> Answer:
    """The state of a lost customer's budget, and what else to know before going back."""
    theirs = [fact for fact in context.facts if fact.side == "theirs"] or [
        fact for fact in context.facts if fact.side == "unknown"
    ]
    budgets = sorted(
        (fact for fact in theirs if fact.predicate == "budget" and fact.polarity == "affirmed"),
        key=lambda fact: fact.day,
        reverse=True,
    )
    phrases = writer.phrases["churn_revisit"]
    reason: list[Answer | None] = []
    budget = _UNKNOWN
    if budgets:
        now = budgets[0]
        budget = _level(now.value, now.id)
        phrase = writer.phrase_for("churn_revisit", now)
        reason.append(writer.sentence(phrase, writer.about(now), [now.id]) if phrase else None)
        earlier = next((fact for fact in budgets[1:] if fact.value != now.value and fact.day < now.day), None)
        if earlier is not None:
            values = {"before_day": long_date(earlier.day), "topic": writer.topic(earlier)}
            reason.append(writer.sentence(phrases["before"], values, [earlier.id]))
    other = latest(
        theirs, "renewal_risk", "champion", "champion_left", "product_feedback", "competitor", "timeline", "objection"
    )
    left = _left_sentence(context, writer) if context.facts else None
    reason += [left, writer.said(other) if other is not None else None]
    return {"budget": budget, "reason": _sentences(*reason)[:3]}


def _left_sentence(context: Context, writer: Writer) -> Answer | None:
    text = context.get("account.churned_on")
    try:
        day = long_date(date.fromisoformat(text[:10]))
    except ValueError:
        return None
    phrases = writer.phrases["churn_revisit"]
    why = context.get("account.churn_reason")
    if why:
        found = writer.sentence(
            phrases["left"], {"churned_on": day, "reason": why}, ["account.churned_on", "account.churn_reason"]
        )
        if found is not None:
            return found
    return writer.sentence(phrases["left_no_reason"], {"churned_on": day}, ["account.churned_on"])
