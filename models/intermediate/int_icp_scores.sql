-- One row per account with an answer: how well it fits, as a number. Levels come from the agent, points from the
-- policy, and what fades with time is counted anew on every build. Without the citations, so that what reads a tier
-- need not wait for every operation's evidence.
with

published as (

    select * from {{ ref('published_icp_fit') }}

),

weights as (

    select
        coalesce(max(weight) filter (where component = 'firmographic'), 0)
            as firmographic_weight,
        coalesce(max(weight) filter (where component = 'signals'), 0) as signals_weight,
        coalesce(max(weight) filter (where component = 'engagement'), 0)
            as engagement_weight,
        coalesce(max(weight) filter (where component = 'champion'), 0)
            as champion_weight
    from {{ ref('stg_policy__weights') }}
    where operation = 'icp_fit'

),

judged as (

    select
        published.account_id,
        coalesce(
            sum(levels.share) filter (
                where levels.component in ('industry_fit', 'size_fit', 'region_fit')
            ),
            0
        ) as firmographic_share,
        coalesce(
            sum(levels.share) filter (where levels.component = 'champion'), 0
        ) as champion_share
    from published
    inner join {{ ref('stg_ledger__judgements') }} as judgements
        on published.answer_id = judgements.answer_id
    inner join {{ ref('stg_policy__levels') }} as levels
        on
            levels.operation = 'icp_fit'
            and judgements.component = levels.component
            and judgements.level = levels.level
    group by published.account_id

),

numbers as (

    select
        icp_signals_full_at,
        icp_engagement_full_at
    from {{ ref('stg_policy__numbers') }}

),

components as (

    select
        published.account_id,
        cast(
            weights.firmographic_weight * coalesce(judged.firmographic_share, 0)
            as decimal(9, 2)
        ) as firmographic_points,
        cast(
            weights.signals_weight
            * coalesce(
                {{ clamp(
                    'signals.signal_points / numbers.icp_signals_full_at', '0', '1'
                ) }},
                0
            ) as decimal(9, 2)
        ) as signals_points,
        cast(
            weights.engagement_weight
            * coalesce(
                {{ clamp(
                    'signals.engagement_points / numbers.icp_engagement_full_at', '0', '1'
                ) }},
                0
            ) as decimal(9, 2)
        ) as engagement_points,
        cast(
            weights.champion_weight * coalesce(judged.champion_share, 0)
            as decimal(9, 2)
        ) as champion_points
    from published
    cross join weights
    cross join numbers
    left join judged
        on published.account_id = judged.account_id
    left join {{ ref('account_signals') }} as signals
        on published.account_id = signals.account_id

),

scored as (

    select
        *,
        cast(
            round(
                firmographic_points
                + signals_points
                + engagement_points
                + champion_points
            ) as integer
        ) as score
    from components

),

final as (

    select
        -- ids
        scored.account_id,
        published.answer_id,
        published.run_id,

        -- numerics
        scored.score,
        (
            select max_by(tiers.tier, tiers.min_score)
            from {{ ref('stg_policy__tiers') }} as tiers
            where tiers.min_score <= scored.score
        ) as tier,
        scored.firmographic_points,
        scored.signals_points,
        scored.engagement_points,
        scored.champion_points,
        published.confidence,

        -- text
        published.industry_fit,
        published.size_fit,
        published.region_fit,
        published.champion,
        published.reason,

        -- booleans
        published.is_stale,

        -- timestamps
        published.answered_at
    from scored
    inner join published
        on scored.account_id = published.account_id

)

select * from final
