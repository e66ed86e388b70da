"""`meeting_brief` by rules: what a seller should know ten minutes before a meeting, each sentence with its source."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

from enrich.agents.rules.scoring import latest
from enrich.agents.rules.wording import Writer, enumerate_names, long_date, quoted
from enrich.context import Context, FactLine

Answer = dict[str, Any]
_SINGLE = frozenset({"budget", "timeline", "authority", "champion", "renewal_risk", "headcount"})
_MOST = {
    "agenda": 6,
    "they_said": 8,
    "changed_since": 6,
    "lead_with": 3,
    "objections": 4,
    "commitments": 6,
    "questions": 5,
}


def meeting_brief(context: Context, writer: Writer) -> Answer:
    """All seven sections; a section with nothing to say stays empty."""
    brief = _Brief(context, writer)
    sections = {
        "agenda": brief.agenda(),
        "they_said": brief.they_said(),
        "changed_since": brief.changed_since(),
        "lead_with": brief.lead_with(),
        "objections": brief.objections(),
        "commitments": brief.commitments(),
        "questions": brief.questions(),
    }
    return {name: _distinct(items)[: _MOST[name]] for name, items in sections.items()}


def _distinct(items: Iterable[Answer | None]) -> list[Answer]:
    found: dict[str, Answer] = {}
    for item in items:
        if item is not None:
            found.setdefault(item["text"], item)
    return list(found.values())


class _Brief:
    def __init__(self, context: Context, writer: Writer) -> None:
        self.context = context
        self.write = writer
        self.facts = context.facts
        self.theirs = [fact for fact in context.facts if fact.side == "theirs"]
        self.current = _current(self.theirs)
        self.meeting_day = _day(context.get("meeting.start")[:10])
        self.last_contact = _day(context.get("contact.last_contact")[:10])
        order = {predicate: position for position, predicate in enumerate(writer.phrases["order"])}
        self.ranked = sorted(self.current, key=lambda fact: (order.get(fact.predicate, 99), -fact.day.toordinal()))
        self.open = self._open_commitments()

    def _phrase(self, section: str, key: str) -> str:
        return self.write.phrases[section][key]

    def _of(self, *predicates: str, value: str | None = None) -> FactLine | None:
        fit = [fact for fact in self.current if value is None or fact.value == value]
        return latest(fit, *predicates)

    def _open_commitments(self) -> list[FactLine]:
        """Promises, newest first. Whether one was kept is not on record, so none is called broken."""
        fit = [fact for fact in self.facts if fact.predicate == "commitment" and fact.polarity == "affirmed"]
        return sorted(fit, key=lambda fact: fact.day, reverse=True)

    # --- sections ------------------------------------------------------------------------------------------------------  # noqa: E501

    def agenda(self) -> list[Answer | None]:
        context, write = self.context, self.write
        items: list[Answer | None] = []
        people = [part.strip() for part in context.get("meeting.attendees").split(";") if part.strip()]
        if people:
            name = context.get("account.name")
            phrase = self._phrase("agenda", "meeting_of" if name else "meeting")
            ids = ["meeting.attendees", *(["account.name"] if name else [])]
            items.append(write.sentence(phrase, {"attendees": enumerate_names(people[:6]), "name": name}, ids))
        title = context.get("meeting.title")
        if title:
            items.append(write.sentence(self._phrase("agenda", "title"), {"title": title}, ["meeting.title"]))
        deal, stage, amount = (context.get(f"deal.{part}") for part in ("name", "stage", "amount"))
        if deal and stage:
            ids = ["deal.name", "deal.stage", *(["deal.amount"] if amount else [])]
            phrase = self._phrase("agenda", "deal" if amount else "deal_no_amount")
            items.append(write.sentence(phrase, {"deal": deal, "stage": stage.lower(), "amount": _money(amount)}, ids))
        for value, key in (("ours", "ours_open"), ("theirs", "theirs_open")):
            promise = next((fact for fact in self.open if fact.value == value), None)
            if promise is not None:
                items.append(write.sentence(self._phrase("agenda", key), write.about(promise), [promise.id]))
        step = latest(self.facts, "next_step")
        if step is not None:
            items.append(write.sentence(self._phrase("agenda", "next_step"), write.about(step), [step.id]))
        for key, fact in (
            ("asked", self._of("pricing_asked", "security_asked", "legal_asked")),
            ("budget", self._of("budget")),
            ("timeline", self._of("timeline")),
            ("objection", self._of("objection")),
        ):
            if fact is not None:
                items.append(write.sentence(self._phrase("agenda", key), write.about(fact), [fact.id]))
        return items

    def they_said(self) -> list[Answer | None]:
        return [
            self.write.said(fact)
            for fact in _spread(self.ranked, most_of_one=2)
            if fact.predicate not in ("commitment", "next_step")
        ]

    def changed_since(self) -> list[Answer | None]:
        items: list[Answer | None] = []
        since = self.last_contact
        if since is None:
            return items
        write = self.write
        items += self._budget_turned()
        new = sorted(
            (fact for fact in self.facts if fact.day >= since and fact.predicate not in ("commitment",)),
            key=lambda fact: fact.day,
            reverse=True,
        )
        for document in sorted(self.context.documents, key=lambda item: item.day, reverse=True)[:6]:
            if document.day < since or not document.subject:
                continue
            is_written = document.document_type == "email" and document.side != "unknown"
            key = f"document_{document.side}" if is_written else "document_spoken"
            values = {
                "day": long_date(document.day),
                "type": document.document_type,
                "subject": quoted(document.subject),
            }
            items.append(write.sentence(self._phrase("changed", key), values, [document.id]))
        for fact in _spread(new, most_of_one=1):
            if fact.polarity == "affirmed":
                items.append(write.sentence(self._phrase("changed", "fact"), write.about(fact), [fact.id]))
        return items

    def _budget_turned(self) -> list[Answer | None]:
        budgets = sorted(
            (fact for fact in self.theirs if fact.predicate == "budget" and fact.polarity == "affirmed"),
            key=lambda fact: fact.day,
        )
        if len(budgets) < 2 or budgets[-1].value == budgets[-2].value:
            return []
        before, now = budgets[-2], budgets[-1]
        values = {
            "before": self.write.topic(before),
            "before_day": long_date(before.day),
            "day": long_date(now.day),
            "value": self.write.topic(now),
        }
        if now.value == "available":
            return [self.write.sentence(self._phrase("changed", "budget_opened"), values, [before.id, now.id])]
        if before.value == "available":
            return [self.write.sentence(self._phrase("changed", "budget_closed"), values, [before.id, now.id])]
        return []

    def lead_with(self) -> list[Answer | None]:
        items: list[Answer | None] = []
        for key, fact in (
            ("renewal_risk.high", self._of("renewal_risk", value="high")),
            ("budget.available", self._of("budget", value="available")),
            ("pain", self._of("pain")),
            ("need", self._of("need")),
            ("champion", self._of("champion")),
            ("timeline", self._ahead(self._of("timeline"))),
            ("product_feedback.positive", self._of("product_feedback", value="positive")),
            ("referral", self._of("referral")),
        ):
            if fact is not None:
                items.append(self.write.sentence(self._phrase("lead_with", key), self.write.about(fact), [fact.id]))
        return items

    def objections(self) -> list[Answer | None]:
        items: list[Answer | None] = []
        wanted = ("objection", "budget", "competitor", "authority", "product_feedback")
        for fact in sorted(
            self.current,
            key=lambda item: (wanted.index(item.predicate) if item.predicate in wanted else 9, -item.day.toordinal()),
        ):
            if fact.predicate not in wanted or fact.polarity == "negated":
                continue
            phrase = self.write.phrase_for("objections", fact)
            if phrase is not None:
                items.append(self.write.sentence(phrase, self.write.about(fact), [fact.id]))
        return items

    def commitments(self) -> list[Answer | None]:
        items: list[Answer | None] = []
        for fact in self.open:
            key = f"{fact.value}-until" if fact.until else fact.value
            items.append(self.write.sentence(self._phrase("commitments", key), self.write.about(fact), [fact.id]))
        for fact in sorted(
            (fact for fact in self.facts if fact.predicate == "next_step" and fact.polarity == "affirmed"),
            key=lambda item: item.day,
            reverse=True,
        )[:2]:
            key = "next_step-until" if fact.until else "next_step"
            items.append(self.write.sentence(self._phrase("commitments", key), self.write.about(fact), [fact.id]))
        return items

    def questions(self) -> list[Answer | None]:
        items: list[Answer | None] = []
        account = self.context.get("account.name")

        def ask(key: str, fact: FactLine | None = None) -> None:
            phrase = self._phrase("questions", key)
            if fact is not None:
                items.append(self.write.sentence(phrase, self.write.about(fact), [fact.id]))
            elif account:
                items.append(self.write.sentence(phrase, {"name": account}, ["account.name"]))

        budget = self._of("budget")
        if budget is None:
            ask("budget_unknown")
        elif budget.value == "frozen" and budget.until is not None and self.meeting_day is not None:
            ask("budget_reopened" if budget.until <= self.meeting_day else "budget_waiting", budget)
        authority = self._of("authority")
        if authority is None or authority.value == "not_involved":
            ask("authority_unknown")
        elif authority.value in ("needs_approval", "committee"):
            ask(authority.value, authority)
        timeline = self._of("timeline")
        if timeline is None:
            ask("timeline_unknown")
        else:
            ask("timeline_known" if self._ahead(timeline) is not None else "timeline_past", timeline)
        for key in ("champion_left", "competitor", "objection", "pain"):
            fact = self._of(key) if key != "champion_left" else latest(self.facts, "champion_left")
            if fact is not None:
                ask(key, fact)
        return items

    def _ahead(self, timeline: FactLine | None) -> FactLine | None:
        """The timeline, unless its month lies before the meeting's."""
        if timeline is None or self.meeting_day is None:
            return timeline
        return timeline if timeline.value >= self.meeting_day.isoformat()[:7] else None


def _current(facts: Sequence[FactLine]) -> list[FactLine]:
    """Without what a later remark replaced: one fact per single-valued predicate, one per value of the others."""
    newest: dict[str, FactLine] = {}
    for fact in facts:
        key = fact.predicate if fact.predicate in _SINGLE else f"{fact.predicate}={fact.value}"
        if key not in newest or fact.day > newest[key].day:
            newest[key] = fact
    kept = set(id(fact) for fact in newest.values())
    return [fact for fact in facts if id(fact) in kept]


def _spread(facts: Sequence[FactLine], most_of_one: int) -> list[FactLine]:
    """At most so many facts of one predicate, in the order given."""
    counts: dict[str, int] = {}
    kept: list[FactLine] = []
    for fact in facts:
        counts[fact.predicate] = counts.get(fact.predicate, 0) + 1
        if counts[fact.predicate] <= most_of_one:
            kept.append(fact)
    return kept


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _money(text: str) -> str:
    """`48000 EUR` as `48,000 EUR`."""
    digits, _, rest = text.partition(" ")
    return f"{int(digits):,} {rest}".strip() if digits.isdigit() else text
