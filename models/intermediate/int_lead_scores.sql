-- One row per contact with an answer: how good a lead it is, as a number. The account's part comes from its ICP score,
-- so that a contact need not be asked again when its account changes. Without the citations, so that what reads a tier
-- need not wait for every operation's evidence.
with

published as (

    select
        published_lead_quality.*,
        contacts.account_id
    from {{ ref('published_lead_quality') }} as published_lead_quality
    inner join {{ ref('int_contacts') }} as contacts
        on published_lead_quality.contact_id = contacts.contact_id

),

weights as (

    select
        coalesce(max(weight) filter (where component = 'persona'), 0) as persona_weight,
        coalesce(max(weight) filter (where component = 'seniority'), 0)
            as seniority_weight,
        coalesce(max(weight) filter (where component = 'function'), 0)
            as function_weight,
        coalesce(max(weight) filter (where component = 'engagement'), 0)
            as engagement_weight,
        coalesce(max(weight) filter (where component = 'account'), 0) as account_weight
    from {{ ref('stg_policy__weights') }}
    where operation = 'lead_quality'

),

judged as (

    select
        published.contact_id,
        coalesce(max(levels.share) filter (where levels.component = 'persona'), 0)
            as persona_share,
        coalesce(max(levels.share) filter (where levels.component = 'seniority'), 0)
            as seniority_share,
        coalesce(max(levels.share) filter (where levels.component = 'function'), 0)
            as function_share
    from published
    inner join {{ ref('stg_ledger__judgements') }} as judgements
        on published.answer_id = judgements.answer_id
    inner join {{ ref('stg_policy__levels') }} as levels
        on
            levels.operation = 'lead_quality'
            and judgements.component = levels.component
            and judgements.level = levels.level
    group by published.contact_id

),

numbers as (

    select lead_engagement_full_at from {{ ref('stg_policy__numbers') }}

),

components as (

    select
        published.contact_id,
        cast(
            weights.persona_weight * coalesce(judged.persona_share, 0) as decimal(9, 2)
        ) as persona_points,
        cast(
            weights.seniority_weight * coalesce(judged.seniority_share, 0)
            as decimal(9, 2)
        ) as seniority_points,
        cast(
            weights.function_weight * coalesce(judged.function_share, 0)
            as decimal(9, 2)
        ) as function_points,
        cast(
            weights.engagement_weight
            * coalesce(
                {{ clamp(
                    'engagement.engagement_points / numbers.lead_engagement_full_at',
                    '0',
                    '1',
                ) }},
                0
            ) as decimal(9, 2)
        ) as engagement_points,
        cast(
            weights.account_weight * coalesce(icp_scores.score, 0) / 100.0
            as decimal(9, 2)
        ) as account_points
    from published
    cross join weights
    cross join numbers
    left join judged
        on published.contact_id = judged.contact_id
    left join {{ ref('contact_engagement') }} as engagement
        on published.contact_id = engagement.contact_id
    left join {{ ref('int_icp_scores') }} as icp_scores
        on published.account_id = icp_scores.account_id

),

scored as (

    select
        *,
        cast(
            round(
                persona_points
                + seniority_points
                + function_points
                + engagement_points
                + account_points
            ) as integer
        ) as score
    from components

),

final as (

    select
        -- ids
        scored.contact_id,
        published.account_id,
        published.answer_id,
        published.run_id,

        -- numerics
        scored.score,
        (
            select max_by(tiers.tier, tiers.min_score)
            from {{ ref('stg_policy__tiers') }} as tiers
            where tiers.min_score <= scored.score
        ) as tier,
        scored.persona_points,
        scored.seniority_points,
        scored.function_points,
        scored.engagement_points,
        scored.account_points,
        published.confidence,

        -- text
        published.persona,
        published.seniority,
        published.function,
        published.reason,

        -- booleans
        published.is_stale,

        -- timestamps
        published.answered_at
    from scored
    inner join published
        on scored.contact_id = published.contact_id

)

select * from final
