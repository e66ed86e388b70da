"""The generated company: determinism, sizes, dates, truth that stands in the documents and nowhere else."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.company import GeneratedCompany, generate
from sandbox.company.hostile import hostile_wanted
from sandbox.records import ASSOCIATION_TYPES, SeedObject

TODAY = datetime(2026, 11, 17, tzinfo=UTC)
MODIFIED = defaultdict(lambda: "hs_lastmodifieddate", contacts="lastmodifieddate")
TEXT = {
    "email": ("emails", "hs_email_text"),
    "call": ("calls", "hs_call_body"),
    "note": ("notes", "hs_note_body"),
    "meeting": ("meetings", "hs_meeting_body"),
}
Rows = dict[str, dict[str, SeedObject]]


@pytest.fixture(scope="module")
def company() -> GeneratedCompany:
    return generate(400)


@pytest.fixture(scope="module")
def rows(company: GeneratedCompany) -> Rows:
    found: Rows = defaultdict(dict)
    for row in company.crm.objects:
        assert row.id not in found[row.object_type], "an id is used twice"
        found[row.object_type][row.id] = row
    return found


def policy(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((Path(__file__).parents[2] / "policies" / f"{name}.yml").read_text("utf-8"))
    return found


def test_the_same_seed_gives_the_same_company_and_another_seed_another() -> None:
    first, second, other = generate(60, seed=3), generate(60, seed=3), generate(60, seed=4)
    assert first == second
    assert first.crm.objects != other.crm.objects


def test_other_phrases_keep_the_same_company_and_say_it_in_other_words() -> None:
    open_half, held_half = generate(150, phrases="open"), generate(150, phrases="held_out")
    for table in ("contacts", "companies", "deals", "emails", "calls", "meetings"):
        ours = [r.id for r in open_half.crm.objects if r.object_type == table]
        theirs = [r.id for r in held_half.crm.objects if r.object_type == table]
        assert ours == theirs, table
    said, said_otherwise = ({f.quote for f in made.truth.facts} for made in (open_half, held_half))
    shared = said & said_otherwise  # families of one variant (some in other languages) can't be split
    assert len(shared) < 0.05 * len(said)


@pytest.mark.parametrize("contacts", [60, 200, 400])
def test_sizes_scale_with_contacts(contacts: int) -> None:
    made = generate(contacts)
    live = Counter(r.object_type for r in made.crm.objects if r.archived_at is None and r.merged_into is None)
    assert live["contacts"] == contacts
    assert live["companies"] == pytest.approx(0.15 * contacts, rel=0.2, abs=4)
    assert live["deals"] == pytest.approx(0.19 * contacts, rel=0.4)
    assert live["emails"] == pytest.approx(3.1 * contacts, rel=0.15, abs=45)
    assert live["calls"] == pytest.approx(0.19 * contacts, rel=0.25)
    scheduled = [r for r in made.crm.objects if r.properties.get("hs_meeting_outcome") == "SCHEDULED"]
    assert len(scheduled) == max(6, contacts // 200)
    assert {r.properties["hs_meeting_start_time"][:10] for r in scheduled} == {"2026-11-17", "2026-11-18"}


@pytest.mark.parametrize("seed", [7, 8])
def test_no_two_live_contacts_share_an_address(seed: int) -> None:
    made = generate(2400, seed)
    seen = Counter(
        r.properties["email"].lower()
        for r in made.crm.objects
        if r.object_type == "contacts" and "email" in r.properties and r.archived_at is None and r.merged_into is None
    )
    assert max(seen.values()) == 1


def test_every_quote_stands_in_its_document(company: GeneratedCompany, rows: Rows) -> None:
    assert len(company.truth.facts) > 500
    for fact in company.truth.facts:
        table, prop = TEXT[fact.document_type]
        assert fact.quote in rows[table][fact.document_id].properties[prop]
    for trap in company.truth.traps:
        table, prop = TEXT[trap.document_type]
        assert trap.quote in rows[table][trap.document_id].properties[prop]


def test_truth_uses_only_words_of_the_policy(company: GeneratedCompany) -> None:
    predicates = policy("predicates")["predicates"]
    competitors = {c["name"] for c in policy("competitors")["competitors"]}
    techs = set(policy("icp")["tech_in_use"])
    for fact in company.truth.facts:
        rule = predicates[fact.predicate]
        value = fact.fact_value
        assert fact.polarity in ("affirmed", "negated")
        assert fact.author_side in ("theirs", "ours")
        if rule["value"] == "enum":
            assert value in rule["values"], fact
        elif rule["value"] is True or rule["value"] == "yes":  # YAML reads a bare yes as true
            assert value == "yes", fact
        elif rule["value"] == "month":
            datetime.strptime(value, "%Y-%m")
        elif rule["value"] == "number":
            assert value.isdigit()
        elif rule["value"] == "date":
            assert value == "unknown" or date.fromisoformat(value)
        if fact.predicate == "competitor":
            assert value in competitors
        if fact.predicate == "tech_in_use":
            assert value in techs
        if rule["speaker"] == "theirs":
            assert fact.author_side == "theirs"
    said = {fact.predicate for fact in generate(1200).truth.facts}
    assert said == set(predicates), "a predicate nobody ever speaks of"


def test_of_a_single_valued_predicate_one_remark_is_current(company: GeneratedCompany) -> None:
    current = Counter(
        (f.predicate, f.company_id)
        for f in company.truth.facts
        if f.predicate in ("budget", "timeline", "headcount", "renewal_risk") and f.is_current and f.company_id
    )
    assert current
    assert set(current.values()) == {1}
    assert any(not f.is_current for f in company.truth.facts)


def test_nothing_of_the_truth_is_in_the_crm(company: GeneratedCompany, rows: Rows) -> None:
    often = {"hs_timestamp", "hubspot_owner_id", "hs_createdate", "hs_lastmodifieddate", "hs_object_id"}
    allowed = {
        "contacts": set(
            [
                "email",
                "firstname",
                "lastname",
                "jobtitle",
                "phone",
                "company",
                "country",
                "city",
                "lifecyclestage",
                "hs_lead_status",
                "hubspot_owner_id",
                "hs_email_optout",
                "hs_email_bounce",
                "hs_language",
                "hs_merged_object_ids",
                "createdate",
                "lastmodifieddate",
                "hs_object_id",
            ]
        ),
        "companies": often
        | set(
            [
                "name",
                "domain",
                "industry",
                "numberofemployees",
                "annualrevenue",
                "country",
                "city",
                "description",
                "lifecyclestage",
                "hs_merged_object_ids",
                "createdate",
            ]
        ),
        "deals": often
        | set(
            [
                "dealname",
                "amount",
                "deal_currency_code",
                "pipeline",
                "dealstage",
                "closedate",
                "dealtype",
                "closed_lost_reason",
                "hs_is_closed",
                "hs_is_closed_won",
                "createdate",
            ]
        ),
        "emails": often
        | {
            f"hs_email_{name}"
            for name in [
                "subject",
                "text",
                "direction",
                "status",
                "headers",
                "from_email",
                "to_email",
                "cc_email",
                "thread_id",
            ]
        }
        | {"hs_outreach_motion", "hs_sequence_step"},
        "calls": often
        | {
            f"hs_call_{name}"
            for name in ["title", "body", "direction", "disposition", "duration", "status", "has_transcript"]
        },
        "meetings": often
        | {f"hs_meeting_{name}" for name in ["title", "body", "start_time", "end_time", "outcome", "location"]},
        "notes": often | {"hs_note_body"},
        "tasks": often | {f"hs_task_{name}" for name in ["subject", "body", "status", "priority", "type"]},
    }
    for table, found in rows.items():
        names = set().union(*(r.properties for r in found.values()))
        assert names <= allowed[table], table
    hostile = {h.document_id for h in company.truth.hostile}
    for row in company.crm.objects:
        if row.id in hostile:
            continue
        words = " ".join(row.properties.values())
        assert (
            "will_buy" not in words
            and "decision_maker" not in words.replace("decisionmakerboughtin", "")
            and "truth_" not in words
        )


def test_hostile_texts_are_many_of_many_kinds_in_many_places(company: GeneratedCompany, rows: Rows) -> None:
    hostile = company.truth.hostile
    assert hostile_wanted(399) == 20 and hostile_wanted(400) >= 64 and hostile_wanted(8000) >= 90
    assert len(hostile) == hostile_wanted(400)
    assert len({h.kind.split("/")[0] for h in hostile}) >= 20
    assert {h.kind.split("/")[1] for h in hostile} == {
        "body",
        "signature",
        "quoted",
        "subject",
        "transcript",
        "meeting",
        "note",
        "title",
        "company",
        "description",
    }
    assert len(generate(80).truth.hostile) == 20
    planted = {(h.document_type, h.document_id) for h in hostile}
    assert not planted & {
        (f.document_type, f.document_id) for f in company.truth.facts if f.document_type == "email"
    }, "a hostile email carries no planted fact"


def test_dates_are_consistent(company: GeneratedCompany, rows: Rows) -> None:
    latest = TODAY + timedelta(hours=5)
    for row in company.crm.objects:
        assert row.created_at <= row.updated_at, row
        assert row.updated_at <= latest, row
        stated = row.properties[MODIFIED[row.object_type]]
        assert abs(datetime.fromisoformat(stated.replace("Z", "+00:00")) - row.updated_at) < timedelta(seconds=1)
        for entries in row.history.values():
            moments = [e.changed_at for e in entries]
            assert moments == sorted(moments, reverse=True)
            assert row.created_at <= moments[-1] and moments[0] <= row.updated_at, row
        for name, entries in row.history.items():
            assert entries[0].value == row.properties.get(name), (row.id, name)
    contacts = rows["contacts"]
    for link in company.crm.associations:
        assert (link.from_type, link.to_type) in ASSOCIATION_TYPES
        row, other = rows[link.from_type][link.from_id], rows[link.to_type][link.to_id]
        if link.to_type == "contacts" and link.from_type in ("emails", "calls", "notes"):
            assert other.created_at <= row.created_at, "nobody is written to before they exist"
            headers = row.properties.get("hs_email_headers", "")
            if "auto-" not in headers:
                assert other.updated_at >= row.created_at or contacts[link.to_id].properties.get(
                    "email"
                ) == row.properties.get("hs_email_cc_email")


def test_mails_of_a_thread_follow_each_other_and_refer_to_each_other(rows: Rows) -> None:
    threads: dict[str, list[SeedObject]] = defaultdict(list)
    for row in rows["emails"].values():
        threads[row.properties["hs_email_thread_id"]].append(row)
    answered = 0
    for mails in threads.values():
        moments = [m.properties["hs_timestamp"] for m in mails]
        assert moments == sorted(moments)
        known: list[str] = []
        for mail in mails:
            headers = json.loads(mail.properties["hs_email_headers"])["headers"]
            if known:
                assert headers["In-Reply-To"] == known[-1]
                answered += 1
            known.append(headers["Message-ID"])
    assert answered > 200


def test_machine_mail_is_recognisable_and_classed(company: GeneratedCompany, rows: Rows) -> None:
    classes = {r.email_id: r.reply_class for r in company.truth.replies}
    for email_id, found in classes.items():
        mail = rows["emails"][email_id].properties
        assert mail["hs_email_direction"] != "EMAIL"
        if found == "bounce":
            assert "auto-generated" in mail["hs_email_headers"]
    assert {"positive", "question", "objection", "out_of_office", "referral", "unsubscribe"} <= set(classes.values())


def test_consent_is_written_in_several_places(company: GeneratedCompany, rows: Rows) -> None:
    contacts = rows["contacts"].values()
    assert any(c.properties.get("hs_email_optout") == "true" for c in contacts)
    assert company.crm.unsubscribes
    assert any(c.properties.get("hs_lead_status") == "OBJECTED_TO_PROFILING" for c in contacts)
    assert any(f.predicate == "opt_out" for f in company.truth.facts)
    flagged = {c.id for c in contacts if c.properties.get("hs_email_optout") == "true"}
    assert {f.contact_id for f in company.truth.facts if f.predicate == "opt_out"} - flagged, (
        "some only ever asked by mail"
    )


def test_churned_accounts_left_a_history_and_a_reason(company: GeneratedCompany, rows: Rows) -> None:
    deals_of: dict[str, list[SeedObject]] = defaultdict(list)
    for link in company.crm.associations:
        if (link.from_type, link.to_type) == ("deals", "companies"):
            deals_of[link.to_id].append(rows["deals"][link.from_id])
    churned = [c for c in company.truth.companies if c.churned_on]
    assert len(churned) >= 3
    assert any(c.budget_opened_after_churn for c in churned)
    for known in churned:
        row = rows["companies"][known.company_id]
        assert row.properties["lifecyclestage"] in ("lead", "opportunity")
        assert any(e.value == "customer" for e in row.history["lifecyclestage"])
        lost = [
            d
            for d in deals_of[known.company_id]
            if d.properties["dealtype"] == "renewal" and d.properties["dealstage"] == "renewal_lost"
        ]
        assert len(lost) == 1 and lost[0].properties["closed_lost_reason"]
        assert known.churned_on is not None and lost[0].properties["closedate"][:10] == known.churned_on.isoformat()


def test_win_back_books_about_half_as_often_and_the_mix_is_part_of_it() -> None:
    made = generate(2400)
    people = {c.contact_id: c for c in made.truth.contacts}
    booked: dict[str, float] = {}
    deciders: dict[str, float] = {}
    for motion in ("net_new", "win_back"):
        sent = [o for o in made.truth.outreach if o.motion == motion]
        booked[motion] = sum(o.meeting_booked for o in sent) / len(sent)
        deciders[motion] = sum(people[o.contact_id].persona == "decision_maker" for o in sent) / len(sent)
    assert 0.25 < booked["win_back"] / booked["net_new"] < 0.75
    assert deciders["win_back"] < 0.75 * deciders["net_new"]


def test_buyers_are_drawn_from_what_is_latent_but_not_given_away() -> None:
    made = generate(1200)
    today = date(2026, 11, 17)
    coming = [c for c in made.truth.contacts if c.will_buy and c.converted_at and c.converted_at >= today]
    rest = [c for c in made.truth.contacts if not c.will_buy]
    assert 0.02 < len(coming) / len(made.truth.contacts) < 0.12
    ahead = sum(a.latent_score > b.latent_score for a in coming[:60] for b in rest[:400]) / (
        len(coming[:60]) * len(rest[:400])
    )
    assert 0.7 < ahead < 0.97
    assert any(c.converted_at and c.converted_at < today for c in made.truth.contacts)


def test_sentences_do_not_repeat_much(company: GeneratedCompany) -> None:
    quotes = [f.quote for f in company.truth.facts]
    assert len(set(quotes)) / len(quotes) > 0.9
