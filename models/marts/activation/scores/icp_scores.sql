-- One row per account with an answer: how well it fits, as a number. Levels come from the agent, points from the
-- policy, and what fades with time is counted anew on every build.
select
    -- ids
    scores.account_id,
    scores.answer_id,
    scores.run_id,

    -- numerics
    scores.score,
    scores.tier,
    scores.firmographic_points,
    scores.signals_points,
    scores.engagement_points,
    scores.champion_points,
    scores.confidence,
    coalesce(evidence.citation_count, 0) as evidence_count,

    -- text
    scores.industry_fit,
    scores.size_fit,
    scores.region_fit,
    scores.champion,
    scores.reason,
    evidence.evidence_text,

    -- booleans
    scores.is_stale,

    -- timestamps
    scores.answered_at
from {{ ref('int_icp_scores') }} as scores
left join {{ ref('int_evidence_texts') }} as evidence
    on
        evidence.operation = 'icp_fit'
        and scores.account_id = evidence.record_id
