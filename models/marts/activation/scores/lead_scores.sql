-- One row per contact with an answer: how good a lead it is, as a number. The account's part comes from its ICP score,
-- so that a contact need not be asked again when its account changes.
select
    -- ids
    scores.contact_id,
    scores.account_id,
    scores.answer_id,
    scores.run_id,

    -- numerics
    scores.score,
    scores.tier,
    scores.persona_points,
    scores.seniority_points,
    scores.function_points,
    scores.engagement_points,
    scores.account_points,
    scores.confidence,
    coalesce(evidence.citation_count, 0) as evidence_count,

    -- text
    scores.persona,
    scores.seniority,
    scores.function,
    scores.reason,
    evidence.evidence_text,

    -- booleans
    scores.is_stale,

    -- timestamps
    scores.answered_at
from {{ ref('int_lead_scores') }} as scores
left join {{ ref('int_evidence_texts') }} as evidence
    on
        evidence.operation = 'lead_quality'
        and scores.contact_id = evidence.record_id
