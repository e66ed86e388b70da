-- One row per live account: what the CRM knows and, next to it, what was found out; gated ones carry no score.
select
    -- ids
    accounts.account_id,
    accounts.source_record_id,
    accounts.owner_id,

    -- text
    accounts.account_name,
    accounts.domain,
    accounts.industry,
    accounts.country,
    accounts.lifecycle_stage,

    -- numerics
    accounts.employee_count,

    -- icp fit
    icp_scores.score as ai_icp_score,
    icp_scores.tier as ai_icp_tier,
    icp_scores.reason as ai_icp_reason,
    icp_scores.evidence_text as ai_icp_evidence,
    answered.as_of as ai_icp_answered_date,
    icp_scores.confidence as ai_icp_confidence,
    icp_scores.run_id as ai_icp_fit_run_id,
    icp_scores.answered_at as ai_icp_fit_answered_at,
    icp_scores.is_stale as ai_icp_fit_is_stale,
    gates.gate as icp_gate,
    gates.gate_reason as icp_gate_reason,

    -- churn revisit
    revisit_triggers.state as ai_revisit_trigger,
    revisit_triggers.reason as ai_revisit_reason,
    revisit_triggers.run_id as ai_churn_revisit_run_id,
    revisit_triggers.answered_at as ai_churn_revisit_answered_at,
    revisit_triggers.is_stale as ai_churn_revisit_is_stale,
    churned_customers.churned_on,

    -- account deep dive
    research.summary as ai_account_summary,
    research.trigger as ai_account_trigger,
    research.hypothesis as ai_account_hypothesis,
    research.stakeholders as ai_account_stakeholders,
    research.unknowns as ai_account_unknowns,
    research_evidence.evidence_text as ai_account_research_evidence,
    researched.as_of as ai_account_researched_date,
    research.run_id as ai_account_deep_dive_run_id,
    research.answered_at as ai_account_deep_dive_answered_at,
    research.is_stale as ai_account_deep_dive_is_stale
from {{ ref('accounts') }} as accounts
left join {{ ref('icp_scores') }} as icp_scores
    on accounts.account_id = icp_scores.account_id
left join {{ ref('stg_ledger__runs') }} as answered
    on icp_scores.run_id = answered.run_id
left join {{ ref('account_gates') }} as gates
    on
        gates.operation = 'icp_fit'
        and accounts.account_id = gates.account_id
left join {{ ref('revisit_triggers') }} as revisit_triggers
    on accounts.account_id = revisit_triggers.account_id
left join {{ ref('churned_customers') }} as churned_customers
    on accounts.account_id = churned_customers.account_id
left join {{ ref('published_account_deep_dive') }} as research
    on accounts.account_id = research.account_id
left join {{ ref('stg_ledger__runs') }} as researched
    on research.run_id = researched.run_id
left join {{ ref('int_evidence_texts') }} as research_evidence
    on
        research_evidence.operation = 'account_deep_dive'
        and research.account_id = research_evidence.record_id
