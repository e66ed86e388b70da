-- One row per instance of a calendar's event and person asked to it, the organizer among them: unnested and cast.
{{ config(materialized='view') }}

with

attendees as (

    select
        id as source_record_id,
        unnest(
            from_json(
                cast(attendees as json),
                '[{"email": "VARCHAR", "name": "VARCHAR", "participation_status": "VARCHAR", "is_organizer": "BOOLEAN"}]'
            )
        ) as attendee
    from {{ source('calendar', 'events') }}

)

select
    'calendar:meeting:' || source_record_id as meeting_id,
    lower({{ clean('attendee.email') }}) as email,
    {{ clean('attendee.name') }} as attendee_name,
    attendee.participation_status,
    coalesce(attendee.is_organizer, false) as is_organizer
from attendees
