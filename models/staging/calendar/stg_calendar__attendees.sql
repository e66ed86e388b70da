-- One row per instance of a calendar's event and person asked to it, the organizer among them: unnested and cast.
{{ config(materialized='view') }}

with

attendees as (

    select
        id as source_record_id,
        unnest(cast(json_extract(attendees, '$[*]') as json[])) as attendee
    from {{ source('calendar', 'events') }}

)

select
    'calendar:meeting:' || source_record_id as meeting_id,
    lower({{ clean("attendee ->> 'email'") }}) as email,
    {{ clean("attendee ->> 'name'") }} as attendee_name,
    attendee ->> 'participation_status' as participation_status,
    coalesce(cast(attendee ->> 'is_organizer' as boolean), false) as is_organizer
from attendees
