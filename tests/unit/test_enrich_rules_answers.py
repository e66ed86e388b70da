"""The rules agent's other answers: replies, scores, briefs. Each goes through the same check as any agent's."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest

from enrich import answer, registry
from enrich.agents import rules
from enrich.agents.protocol import Agent, AgentRequest
from enrich.agents.rules.agent import RulesAgent
from nightdesk.errors import NightdeskError
from nightdesk.policy.load import load

ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "tests" / "fixtures" / "contexts"
POLICY = load(ROOT / "policies")
OPERATIONS = registry.operations()


@dataclass(frozen=True)
class Asked:
    operation: str
    context: str


def example(name: str) -> str:
    return (FIXTURES / f"{name}.txt").read_bytes().decode()


def ask(operation: str, context: str) -> answer.CheckedAnswer:
    raw = rules.answer(Asked(operation, context), POLICY)
    return answer.check(OPERATIONS[operation], raw, context, POLICY, record_id="hubspot:x:1")


def levels(checked: answer.CheckedAnswer) -> dict[str, str]:
    return {item.component: item.level for item in checked.judgements}


def section(checked: answer.CheckedAnswer, name: str) -> list[str]:
    return [item.body for item in checked.sentences if item.section == name]


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("*.txt")), ids=lambda path: path.stem)
def test_nothing_the_rules_agent_says_fails_the_check(path: Path) -> None:
    operation = next(name for name in OPERATIONS if path.stem.startswith(name))
    checked = ask(operation, example(path.stem))
    assert checked.is_valid and checked.rejections == ()


# --- replies ---------------------------------------------------------------------------------------------------------


def reply(
    text: str, *, subject: str = "Re: hello", machine: bool = False, auto: str = "", author: str = "dana@acme.example"
) -> str | None:
    header = [
        "[document.type] email", "[document.date] 2026-10-12", f"[document.author] {author}", "[document.author_side] theirs", "[document.direction] inbound",  # noqa: E501
        f"[document.subject] {subject}", f"[document.is_machine] {str(machine).lower()}", *([f"[document.auto_submitted] {auto}"] if auto else []),  # noqa: E501
    ]  # fmt: skip
    return levels(ask("reply_class", "\n".join(header) + "\n\n" + text)).get("reply_class")


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("Yes, let's talk on Thursday.", "positive"),
        ("Sounds interesting, could we set up a call next week?", "positive"),
        ("Gerne, passt Ihnen Dienstag für einen Termin?", "positive"),
        ("Does it run on tablets?", "question"),
        ("What does it cost per seat?", "question"),
        ("Not my area, please talk to Priya Nair.", "referral"),
        ("I've forwarded your note to our head of logistics.", "referral"),
        ("It's far too expensive for a firm of our size.", "objection"),
        ("We already use Portview and are under contract until 2028.", "objection"),
        ("No thank you, not at this time. Please check back next year.", "soft_no"),
        ("We're not interested, thanks.", "soft_no"),
        ("Leider haben wir derzeit keinen Bedarf.", "soft_no"),
        ("Absolutely not. We will never buy from you.", "hard_no"),
        ("The answer is no, full stop.", "hard_no"),
        ("Unsubscribe", "unsubscribe"),
        ("Please remove me from your mailing list.", "unsubscribe"),
        ("Bitte löschen Sie meine Daten.", "unsubscribe"),
        ("I'm on annual leave until 26 October.", "out_of_office"),
    ],
)
def test_replies_are_sorted_by_what_they_want(text: str, level: str) -> None:
    assert reply(text) == level


def test_headers_come_before_text() -> None:
    assert reply("Yes, call me!", subject="Automatic reply: hello") == "out_of_office"
    assert reply("Yes, call me!", machine=True, auto="auto-replied") == "out_of_office"
    assert (
        reply("Delivery to the following recipient failed.", author="mailer-daemon@mail.example", machine=True)
        == "bounce"
    )
    assert reply("x y z", subject="Undeliverable: hello") == "bounce"


def test_only_the_new_part_of_a_reply_counts() -> None:
    quoted = "\n\nOn Fri, Tom wrote:\n> Unsubscribe by replying. We will never write again.\n"
    assert reply(f"Yes, let's talk on Thursday.{quoted}") == "positive"
    assert reply(f"Please remove me from your list.{quoted}") == "unsubscribe"


def test_absence_with_an_answer_is_the_answer() -> None:
    assert reply("I'm on holiday until Monday. Please remove me from your list.") == "unsubscribe"


def test_a_reply_without_new_text_is_not_judged() -> None:
    assert reply("> only quoted\n") is None


# --- icp_fit ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "component", "level"),
    [
        ("[account.industry] RETAIL", "industry_fit", "core"),
        ("[account.industry] MACHINERY", "industry_fit", "adjacent"),
        ("[account.industry] HOSPITAL_HEALTH_CARE", "industry_fit", "none"),
        ("[account.description] A family-run haulage firm.", "industry_fit", "core"),
        ("[account.description] We make the world a better place.", "industry_fit", "unknown"),
        ("[account.employees] 100", "size_fit", "in_range"),
        ("[account.employees] 5000", "size_fit", "in_range"),
        ("[account.employees] 99", "size_fit", "near"),
        ("[account.employees] 10001", "size_fit", "out"),
        (
            '[f_ab12cd34ef56] 2026-08-03 theirs email headcount=420 affirmed "We are 420 people."',
            "size_fit",
            "in_range",
        ),
        ("[account.country] Deutschland", "region_fit", "served"),
        ("[account.country] UK", "region_fit", "served"),
        ("[account.country] Sweden", "region_fit", "partly"),
        ("[account.country] Brazil", "region_fit", "not_served"),
    ],
)
def test_firmographic_levels_come_from_policy(fields: str, component: str, level: str) -> None:
    assert levels(ask("icp_fit", f"[account.name] Acme\n{fields}"))[component] == level


def test_a_supporter_who_left_later_is_no_champion() -> None:
    yes = '[f_ab12cd34ef56] 2026-05-19 theirs call champion=self affirmed "I push for this."'
    left = '[f_ab12cd34ef57] 2026-0{}-19 theirs call champion_left=Dana affirmed "Dana has left."'
    assert levels(ask("icp_fit", f"[account.name] Acme\n{yes}"))["champion"] == "active"
    assert levels(ask("icp_fit", f"[account.name] Acme\n{yes}\n{left.format(8)}"))["champion"] == "none"
    assert levels(ask("icp_fit", f"[account.name] Acme\n{yes}\n{left.format(2)}"))["champion"] == "active"
    denied = yes.replace("affirmed", "negated")
    assert levels(ask("icp_fit", f"[account.name] Acme\n{denied}"))["champion"] == "none"


def test_nothing_on_record_is_insufficient() -> None:
    assert ask("icp_fit", "[account.name] Acme").outcome == "insufficient_data"
    assert ask("lead_quality", "[account.name] Acme").outcome == "insufficient_data"
    assert (
        ask("churn_revisit", "[account.name] Acme\n[account.churned_on] 2026-02-28\n[revisit.month] 2026-11").outcome
        == "insufficient_data"
    )


# --- lead_quality ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("title", "seniority", "function", "persona"),
    [
        ("Chief Operating Officer", "c_level", "core", "decision_maker"),
        ("VP Operations", "vp", "core", "decision_maker"),
        ("Director of Supply Chain", "director", "core", "champion"),
        ("Head of Logistics", "director", "core", "champion"),
        ("Logistikleiter", "manager", "core", "champion"),
        ("Leiter Einkauf", "director", "core", "champion"),
        ("Warehouse Manager", "manager", "core", "champion"),
        ("Responsable logistique", "manager", "core", "champion"),
        ("Jefe de almacén", "manager", "core", "champion"),
        ("Inkoper", "individual", "core", "influencer"),
        ("IT Manager", "manager", "adjacent", "influencer"),
        ("CFO", "c_level", "adjacent", "decision_maker"),
        ("Executive Assistant to the COO", "individual", "core", "gatekeeper"),
        ("Marketing Manager", "manager", "other", "unknown"),
        ("Geschäftsführer", "c_level", "core", "decision_maker"),
        ("Zauberer", "unknown", "other", "unknown"),
    ],
)
def test_titles_in_several_languages(title: str, seniority: str, function: str, persona: str) -> None:
    assert levels(ask("lead_quality", f"[contact.job_title] {title}")) == {
        "persona": persona,
        "seniority": seniority,
        "function": function,
    }


def test_what_they_say_of_their_power_outweighs_the_title() -> None:
    title = "[contact.job_title] Warehouse Manager\n"
    line = '[f_ab12cd34ef56] 2026-08-03 theirs email authority={} affirmed "Words."'
    assert levels(ask("lead_quality", title + line.format("decision_maker")))["persona"] == "decision_maker"
    assert levels(ask("lead_quality", title + line.format("not_involved")))["persona"] == "gatekeeper"
    ours = line.format("decision_maker").replace("theirs", "ours")
    assert levels(ask("lead_quality", title + ours))["persona"] == "champion"


# --- churn_revisit and meeting_brief ---------------------------------------------------------------------------------


def test_the_latest_word_on_money_counts() -> None:
    checked = ask("churn_revisit", example("churn_revisit"))
    assert levels(checked) == {"budget": "available"}
    assert "21 October 2026" in section(checked, "reason")[0]
    older_first = example("churn_revisit").replace("2026-10-21", "2026-01-01")
    assert levels(ask("churn_revisit", older_first)) == {"budget": "frozen"}


def test_a_seller_does_not_open_the_customers_budget() -> None:
    ours = example("churn_revisit").replace("2026-10-21 theirs", "2026-10-21 ours")
    assert levels(ask("churn_revisit", ours)) == {"budget": "frozen"}


def test_a_brief_reads_well_and_is_dated() -> None:
    checked = ask("meeting_brief", example("meeting_brief"))
    assert (
        section(checked, "agenda")[0]
        == "Meeting with Dana Reyes (VP Operations), Priya Nair (Transport Manager) and Omar Haddad of Acme Freight."
    )
    assert any(
        "3 August 2026" in body and "We cannot move before July." in body for body in section(checked, "they_said")
    )
    assert any("due 12 October 2026" in body for body in section(checked, "commitments"))
    assert "Has the money come back since 1 July 2026?" in section(checked, "questions")
    assert all("=" not in item.body and "_" not in item.body for item in checked.sentences)
    assert all(body[-1] in ".?!”" for body in (item.body for item in checked.sentences))


def test_what_is_older_than_the_last_contact_is_not_new() -> None:
    checked = ask("meeting_brief", example("meeting_brief"))
    changed = section(checked, "changed_since")
    assert changed and not any("August" in body or "September" in body for body in changed)
    later = example("meeting_brief").replace("[contact.last_contact] 2026-10-05", "[contact.last_contact] 2026-11-16")
    assert section(ask("meeting_brief", later), "changed_since") == []


def test_a_rival_the_customer_did_not_name_stays_out_of_the_brief() -> None:
    ours = example("meeting_brief").replace("2026-09-02 theirs email competitor", "2026-09-02 ours email competitor")
    assert not any("Portview" in item.body for item in ask("meeting_brief", ours).sentences)


def test_links_in_customer_words_do_not_reach_the_brief() -> None:
    context = example("meeting_brief").replace(
        "We cannot move before July.", "We cannot move before July, see https://evil.example/x"
    )
    checked = ask("meeting_brief", context)
    assert checked.rejections == ()
    assert not any("evil" in item.body for item in checked.sentences)
    assert any("on hold until 1 July 2026" in item.body for item in checked.sentences)


def test_an_empty_record_gives_an_empty_brief() -> None:
    checked = ask("meeting_brief", "[meeting.start] 2026-11-17 09:30")
    assert checked.outcome == "insufficient_data" and checked.sentences == ()


# --- the agent -------------------------------------------------------------------------------------------------------


def requests(count: int) -> list[AgentRequest]:
    context = example("extract_facts_email")
    return [
        AgentRequest(
            "extract_facts",
            "document",
            f"hubspot:email:{n}",
            f"hash{n}",
            "",
            "",
            context.replace("40 seats", f"{n + 2} seats"),
        )
        for n in range(count)
    ]


def test_the_agent_keeps_the_protocol() -> None:
    agent: Agent = RulesAgent(POLICY)
    assert isinstance(agent, Agent)
    assert (agent.name, agent.model_for("icp_fit"), agent.max_output_tokens_for("icp_fit")) == ("rules", None, 0)
    assert agent.version == rules.version(POLICY)


def test_worker_processes_answer_as_one_process_does() -> None:
    async def run(agent: RulesAgent) -> list[str]:
        try:
            await agent.prepare("extract_facts")
            return [response.text for response in await agent.ask(requests(12))]
        finally:
            await agent.aclose()
            await agent.aclose()

    alone = anyio.run(run, RulesAgent(POLICY, workers=0))
    assert anyio.run(run, RulesAgent(POLICY, workers=1, in_process_records=0)) == alone
    assert len(alone) == 12 and all(json.loads(text)["facts"] for text in alone)


def test_one_broken_record_does_not_cost_the_others() -> None:
    good, bad = requests(2)
    bad = AgentRequest("extract_facts", "document", "x", "bad", "", "", "no context at all")

    async def run() -> list[str]:
        responses = await RulesAgent(POLICY, workers=0).ask([good, bad])
        return [response.status for response in responses]

    assert anyio.run(run) == ["ok", "provider_error"]


def test_an_unknown_operation_is_refused_before_any_record() -> None:
    with pytest.raises(NightdeskError, match="does not know"):
        anyio.run(RulesAgent(POLICY).prepare, "make_coffee")


def test_every_phrase_passes_its_own_check() -> None:
    """A phrase that begins with an uncommon word, or holds a number, would silently cost every brief a sentence."""
    lexicon = rules.lexicons.load(POLICY)
    values = {
        "budget": ("available", "frozen", "none"), "timeline": ("2027-01",), "competitor": ("Portview",), "referral": ("Priya Nair",), "champion_left": ("Priya Nair",),  # noqa: E501
        "headcount": ("420",), "tech_in_use": ("SAP",), "commitment": ("ours", "theirs"),
    }  # fmt: skip
    missing: list[str] = []
    for name, predicate in POLICY.predicates.predicates.items():
        if name in ("commitment", "next_step", "opt_out", "out_of_office"):
            continue
        for value in values.get(name, predicate.values or ("yes",)):
            for until in ("", " until=2027-02-01"):
                line = (
                    f"[f_ab12cd34ef56] 2026-10-05 theirs email {name}={value}{until} affirmed "
                    f'"Priya Nair, Portview, SAP, 420, January."'
                )
                context = (
                    f"[meeting.start] 2026-11-17 09:30\n[account.name] Acme\n[contact.last_contact] 2026-09-01\n{line}"
                )
                checked = ask("meeting_brief", context)
                if not section(checked, "they_said") or not section(checked, "changed_since") or checked.rejections:
                    missing.append(f"{name}={value}{until}")
    assert missing == []
    assert {key.partition(".")[0].partition("-")[0] for key in lexicon.phrases["said"]} <= set(
        POLICY.predicates.predicates
    )
