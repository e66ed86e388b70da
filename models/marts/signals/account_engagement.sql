-- One row per account that deals with us: what it did, and what that is worth now. A call with two people counts once.
with

events as (

    select distinct
        event_id,
        account_id,
        event_type,
        event_date,
        age_days,
        points
    from {{ ref('int_engagement_events') }}
    where account_id is not null

),

final as (

    select
        account_id,
        count(*) filter (where event_type = 'email_received') as email_received_count,
        count(*) filter (where event_type = 'email_sent') as email_sent_count,
        count(*) filter (where event_type = 'call_held') as call_held_count,
        count(*) filter (where event_type = 'meeting_held') as meeting_held_count,
        count(*) filter (
            where event_type <> 'email_sent' and age_days <= 30
        ) as engagement_count_30d,
        count(*) filter (
            where event_type <> 'email_sent' and age_days <= 90
        ) as engagement_count_90d,
        cast(sum(points) as decimal(18, 4)) as engagement_points,
        max(event_date) filter (where event_type <> 'email_sent')
            as last_engaged_date,
        max(event_date) as last_contact_date
    from events
    group by account_id

)

select * from final
