-- One row per Salesforce event, deleted ones included: renamed and cast. Left out: private ones, which are no business of
-- ours; the copies that invitees have; and the master of a series, which is not itself an appointment.
{{ config(materialized='view') }}

with

events as (

    select
        *,
        coalesce(is_all_day_event, false) as is_all_day
    from {{ source('salesforce', 'events') }}
    where
        not coalesce(is_private, false)
        and not coalesce(is_child, false)
        and not coalesce(is_recurrence, false)

),

final as (

    select
        -- ids
        {{ salesforce_id('meeting', 'id') }} as meeting_id,
        id as source_record_id,
        'Event' as source_object_type,
        {{ salesforce_owner('owner_id') }} as owner_id,
        -- Salesforce shows neither the invitation's id nor, but for a series, the zone it was made in.
        cast(null as varchar) as ical_uid,
        {{ clean('recurrence_2_pattern_time_zone') }} as time_zone,

        -- text
        {{ clean('subject') }} as title,
        {{ clean('description') }} as body,
        {{ code_of_label('outcome') }} as outcome,
        {{ clean('location') }} as location,

        -- booleans
        is_all_day,
        coalesce(is_deleted, false) as is_archived,

        -- timestamps
        -- A whole day is from midnight to midnight, whatever the zone: Salesforce says so with a day, not a moment, and
        -- its last day counts.
        case
            when is_all_day
                then timezone(
                    'UTC',
                    cast(
                        coalesce(activity_date, {{ utc_date('start_date_time') }})
                        as timestamp
                    )
                )
            else coalesce(
                start_date_time,
                activity_date_time,
                timezone('UTC', cast(activity_date as timestamp))
            )
        end as started_at,
        case
            when is_all_day
                then timezone(
                    'UTC',
                    cast(
                        coalesce(
                            end_date,
                            {{ utc_date('end_date_time') }},
                            activity_date,
                            {{ utc_date('start_date_time') }}
                        )
                        + interval 1 day as timestamp
                    )
                )
            else coalesce(
                end_date_time,
                coalesce(start_date_time, activity_date_time)
                + to_minutes(duration_in_minutes)
            )
        end as ended_at,
        coalesce(last_modified_date, system_modstamp) as updated_at
    from events

)

select * from final
