# This file is part of trytond-nightdesk, GPL-3.0-or-later; see COPYRIGHT and LICENSE one folder up.
"""The fields of Nightdesk on a party: plain columns, no logic.

Their names and types are those of `policies/field_mapping.tryton.yml`; a test of Nightdesk holds the two equal.
"""

from trytond.model import fields
from trytond.pool import PoolMeta

_TIERS = [(None, ""), ("A", "A"), ("B", "B"), ("C", "C"), ("D", "D")]


def _selection(label, *options, help=""):
    choices = [(None, ""), *((option, option.replace("_", " ").capitalize()) for option in options)]
    return fields.Selection(choices, label, help=help, sort=False)


class Party(metaclass=PoolMeta):
    __name__ = "party.party"

    # the person
    nightdesk_lead_score = fields.Numeric("Lead score", digits=(5, 2), help="0 to 100.")
    nightdesk_lead_tier = fields.Selection(_TIERS, "Lead tier", sort=False)
    nightdesk_lead_reason = fields.Text("Lead score reason")
    nightdesk_lead_evidence = fields.Text("Lead score evidence")
    nightdesk_lead_scored_on = fields.Date("Lead scored on")
    nightdesk_last_reply = _selection(
        "Last reply",
        "positive",
        "question",
        "referral",
        "objection",
        "soft_no",
        "hard_no",
        "out_of_office",
        "unsubscribe",
        "bounce",
    )
    nightdesk_contact_role = _selection("Role", "decision_maker", "champion", "influencer", "gatekeeper", "user")
    nightdesk_contact_influence = _selection("Influence", "high", "medium", "low")
    nightdesk_contact_style = _selection("Communication style", "brief", "detailed", "by_numbers")
    nightdesk_contact_background = fields.Text("Background")
    nightdesk_contact_background_evidence = fields.Text("Background evidence")

    # the organisation
    nightdesk_icp_score = fields.Integer("ICP score", help="0 to 100: how well it fits the ideal customer.")
    nightdesk_icp_tier = fields.Selection(_TIERS, "ICP tier", sort=False)
    nightdesk_icp_reason = fields.Text("ICP reason")
    nightdesk_icp_evidence = fields.Text("ICP evidence")
    nightdesk_icp_scored_on = fields.Date("ICP scored on")
    nightdesk_revisit_trigger = _selection("Win-back trigger", "fired", "waiting", "none")
    nightdesk_revisit_reason = fields.Text("Win-back reason")
    nightdesk_account_summary = fields.Text("Account summary")
    nightdesk_account_trigger = fields.Text("Account trigger")
    nightdesk_account_hypothesis = fields.Text("Account hypothesis")
    nightdesk_account_stakeholders = fields.Text("Stakeholders")
    nightdesk_account_unknowns = fields.Text("Open unknowns")
    nightdesk_account_evidence = fields.Text("Account research evidence")

    # what people fill in; Nightdesk asks a question and reads the rest
    nightdesk_leave_alone = fields.Boolean(
        "Leave alone", help="Nightdesk writes nothing on this party while this is ticked."
    )
    nightdesk_review = fields.Text("Nightdesk asks")
    nightdesk_review_answer = _selection("Answer to Nightdesk", "approve", "reject")
    nightdesk_feedback = _selection("Was Nightdesk useful?", "useful", "not_useful")
    nightdesk_feedback_reason = fields.Text("Why (for Nightdesk)")
