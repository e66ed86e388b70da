-- One row per motion and tier of the account (and `all`): how many were written to, and which share did what.
with

outcomes as (

    select * from {{ ref('outreach_outcomes') }}

),

segmented as (

    select
        motion,
        icp_tier as segment,
        has_replied,
        has_replied_positively,
        has_met_30d,
        has_deal_90d,
        has_won_90d
    from outcomes

    union all

    select
        motion,
        'all' as segment,
        has_replied,
        has_replied_positively,
        has_met_30d,
        has_deal_90d,
        has_won_90d
    from outcomes

),

final as (

    select
        motion,
        segment,
        count(*) as contact_count,
        count(*) filter (where has_replied) as replied_count,
        count(*) filter (where has_replied_positively) as positive_count,
        count(*) filter (where has_met_30d) as met_count,
        count(*) filter (where has_deal_90d) as deal_count,
        count(*) filter (where has_won_90d) as won_count,
        cast(count(*) filter (where has_replied) as double) / count(*) as replied_share,
        cast(count(*) filter (where has_replied_positively) as double) / count(*)
            as positive_share,
        cast(count(*) filter (where has_met_30d) as double) / count(*) as met_share,
        cast(count(*) filter (where has_deal_90d) as double) / count(*) as deal_share
    from segmented
    group by motion, segment

)

select * from final
