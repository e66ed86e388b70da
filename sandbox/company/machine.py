"""Mail nobody wrote: absence notes and bounces, with the headers that give them away (mostly)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sandbox.company.mail import Thread, base_context, contact_signature, send
from sandbox.company.speech import MONTHS, Draft, Fact
from sandbox.company.world import World

_AWAY_SUBJECT: Final = {
    "en": "Automatic reply: {s}",
    "de": "Automatische Antwort: {s}",
    "fr": "Réponse automatique : {s}",
    "es": "Respuesta automática: {s}",
    "nl": "Automatisch antwoord: {s}",
}


def auto_reply(world: World, thread: Thread, at: datetime) -> str:
    """An absence note; four in five say when the person is back."""
    rng = world.rng
    contact = thread.contact
    language = contact.language if contact.language in _AWAY_SUBJECT and rng.random() < 0.6 else "en"
    prefix = "" if language == "en" else f"{language}:"
    context = base_context(world, thread)
    draft = Draft()
    if rng.random() < 0.8:
        back = world.workday((at + timedelta(days=2 + int(rng.random() * 18))).date())
        month = MONTHS[language][back.month - 1]
        numeric = (
            f"{back.day:02d}.{back.month:02d}.{back.year}" if language in ("de", "fr", "es", "nl") else back.isoformat()
        )
        context |= {
            "back": f"{back.day}. {month}" if language == "de" else f"{back.day} {month}",
            "back_numeric": numeric,
            "back_day": str(back.day),
            "back_month": month,
        }
        fact = Fact("out_of_office", back.isoformat(), "out_of_office.back", context, back)
    else:
        fact = Fact("out_of_office", "unknown", "out_of_office.unknown", context)
    sentence = world.bank.say(prefix + fact.family, world.text, context)
    sentence = sentence[0].upper() + sentence[1:] + ("" if sentence[-1] in ".!" else ".")
    draft.facts.append((fact, sentence))
    parts = [
        world.bank.say(f"{prefix}away.greet", world.text, context),
        sentence,
        world.bank.say(f"{prefix}away.rest", world.text, context),
        contact_signature(world, contact),
    ]
    text = "\n\n".join(part for part in parts if part != "-")
    headers = (
        {"Auto-Submitted": "auto-replied", "X-Auto-Response-Suppress": "All", "Precedence": "bulk"}
        if rng.random() < 0.85
        else {}
    )
    return send(
        world,
        thread,
        text,
        at,
        incoming=True,
        draft=draft,
        reply_class="out_of_office",
        quote=False,
        subject=_AWAY_SUBJECT[language].format(s=thread.subject),
        headers=headers,
        counts_as_touch=False,
    )


def bounce(world: World, thread: Thread, at: datetime) -> str:
    """A mail server's report that the address does not exist, is full, or refuses us."""
    contact = thread.contact
    host = contact.email.partition("@")[2]
    text = world.bank.say("bounce", world.text, {"address": contact.email, "host": host, "subject": thread.subject})
    daemon = (
        ("Mail", "Delivery System", f"mailer-daemon@{host}")
        if world.rng.random() < 0.7
        else ("", "postmaster", f"postmaster@{host}")
    )
    return send(
        world,
        thread,
        text,
        at,
        incoming=True,
        reply_class="bounce",
        quote=world.rng.random() < 0.3,
        subject=world.bank.say("subject.bounce", world.text, {"subject": thread.subject}),
        headers={
            "Auto-Submitted": "auto-generated",
            "Return-Path": "<>",
            "Content-Type": "multipart/report; report-type=delivery-status",
        },
        sender=daemon,
        counts_as_touch=False,
    )
