"""Puts the sample company together, room by room, in an order that keeps its dates consistent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from sandbox.company.accounts import draw_accounts
from sandbox.company.calls import draw_calls
from sandbox.company.deals import draw_deals, file_deals
from sandbox.company.dirt import copies, draw_consent, odd_mail, spoil
from sandbox.company.grammar import Phrases
from sandbox.company.hostile import hostile_mail, hostile_mails, hostile_rows
from sandbox.company.meetings import coming_meetings, notes_and_tasks, past_meetings
from sandbox.company.outreach import run_outreach
from sandbox.company.people import draw_people
from sandbox.company.rows import decide_who_buys, file_companies, file_contacts
from sandbox.company.sellers import owners, pipelines
from sandbox.company.speech import settle_current
from sandbox.company.threads import deal_threads, other_threads
from sandbox.company.truth import Truth
from sandbox.company.winback import voices_of_the_churned
from sandbox.company.world import World
from sandbox.records import SeedCompany

AS_OF = date(2026, 11, 17)
EMAILS_PER_CONTACT = 3.1


@dataclass(frozen=True, slots=True)
class GeneratedCompany:
    """What fills the CRM, and the truth behind it, apart."""

    crm: SeedCompany
    truth: Truth


def generate(
    contacts: int = 8000, seed: int = 7, as_of: date = AS_OF, phrases: Phrases = "all", *, hostile: bool = True
) -> GeneratedCompany:
    """Draws the whole sample company.

    Args:
        contacts: How many live contacts; all else scales (companies 0.15, deals 0.19, emails 3.1, calls 0.19 each).
        seed: The same seed, size and phrases give the same company, byte for byte.
        as_of: The sample's today.
        phrases: Which half of the phrase families to speak with: `open`, `held_out` or `all`.
        hostile: False gives the twin: the same records with the same ids, without the words that try to steer.
    """
    world = World(contacts, seed, as_of, phrases)
    world.is_hostile = hostile
    world.sellers = list(owners())
    draw_accounts(world)
    own_copies = max(2, round(contacts * 0.014))
    draw_people(world, contacts - own_copies)
    deals = draw_deals(world)
    draw_consent(world)
    run_outreach(world)
    wanted = round(contacts * EMAILS_PER_CONTACT) - hostile_mails(world)
    for deal in deals:
        if world.emails_made < wanted:  # only a tiny sample has more deals than mail
            deal_threads(world, deal)
    voices_of_the_churned(world)
    odd_mail(world)
    draw_calls(world, deals)
    past_meetings(world, deals)
    notes_and_tasks(world, deals)
    other_threads(world, wanted)
    coming_meetings(world, deals)
    hostile_mail(world)
    spoil(world)
    file_deals(world, deals)
    decide_who_buys(world, deals)
    file_contacts(world, deals)
    file_companies(world, deals)
    copies(world, own_copies)
    hostile_rows(world)
    settle_current(world)
    crm = SeedCompany(
        world.as_of,
        tuple(world.sellers),
        pipelines(),
        tuple(world.objects),
        tuple(world.associations),
        tuple(world.unsubscribes),
    )
    return GeneratedCompany(crm, world.truth)
