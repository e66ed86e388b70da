"""What churned customers wrote after they left: that money is there again, or still is not."""

from __future__ import annotations

from datetime import datetime, timedelta

from sandbox.company.mail import open_thread
from sandbox.company.names import COUNTRIES
from sandbox.company.speech import Fact, fact_for
from sandbox.company.threads import write_ours, write_theirs
from sandbox.company.world import World


def voices_of_the_churned(world: World) -> None:
    """One exchange after the churn for each account whose money story needs one, and for half of the others."""
    rng = world.rng
    for account in world.accounts:
        churned_on = account.churned_on
        if churned_on is None or not account.contacts:
            continue
        people = [c for c in account.contacts if not c.opted_out and not c.bounced] or account.contacts
        contact = max(people, key=lambda c: (c.intent, c.id))
        state = account.budget_on(world.today)
        if state.state == "available":  # approved after the churn: somebody wrote it, once
            day = state.since + timedelta(days=1 + int(rng.random() * 4))
        elif rng.random() < 0.5:
            day = churned_on + timedelta(days=20 + int(rng.random() * 60))
        else:
            continue
        day = min(world.workday(day), world.today - timedelta(days=1))
        at: datetime = world.office_time(day, COUNTRIES[account.country].utc_offset)
        thread = open_thread(
            world,
            contact,
            account.owner,
            world.bank.say("subject.nurture", world.text, {"co": account.short, "our_co": "Harbourline"}),
            language="en",
        )
        if rng.random() < 0.7:
            write_ours(world, thread, "nurture", at - timedelta(days=1, hours=2), first=True)
        facts: list[Fact] = [f for f in [fact_for(world, account, contact, "budget", day)] if f is not None]
        if rng.random() < 0.4:
            facts += [
                f
                for f in [fact_for(world, account, contact, rng.choice(("need", "pain", "timeline")), day)]
                if f is not None
            ]
        write_theirs(world, thread, "nurture", at, first=not thread.message_ids, facts=facts)
