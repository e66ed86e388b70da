-- One row per account: what its people said, in points and counts. All strangers together move it no further than the
-- policy lets one of them.
with

numbers as (

    select untrusted_max_points from {{ ref('stg_policy__numbers') }}

),

points as (

    select
        account_id,
        coalesce(sum(counted_points) filter (where is_trusted), 0) as trusted_points,
        coalesce(sum(counted_points) filter (where not is_trusted), 0)
            as untrusted_points,
        count(*) filter (where is_current) as current_fact_count,
        count(*) filter (where is_current and is_trusted) as trusted_fact_count,
        max(valid_date) as last_fact_date
    from {{ ref('facts') }}
    where account_id is not null
    group by account_id

),

held as (

    select
        points.account_id,
        points.trusted_points,
        coalesce(
            {{ clamp(
                'points.untrusted_points',
                '-numbers.untrusted_max_points',
                'numbers.untrusted_max_points',
            ) }},
            0
        ) as untrusted_points,
        points.current_fact_count,
        points.trusted_fact_count,
        points.last_fact_date
    from points
    cross join numbers

),

final as (

    select
        accounts.account_id,
        cast(
            coalesce(held.trusted_points + held.untrusted_points, 0) as decimal(18, 4)
        ) as signal_points,
        cast(coalesce(held.untrusted_points, 0) as decimal(18, 4)) as untrusted_points,
        coalesce(held.current_fact_count, 0) as current_fact_count,
        coalesce(held.trusted_fact_count, 0) as trusted_fact_count,
        coalesce(engagement.engagement_points, 0) as engagement_points,
        held.last_fact_date,
        engagement.last_engaged_date,
        engagement.last_contact_date
    from {{ ref('accounts') }} as accounts
    left join held
        on accounts.account_id = held.account_id
    left join {{ ref('account_engagement') }} as engagement
        on accounts.account_id = engagement.account_id

)

select * from final
