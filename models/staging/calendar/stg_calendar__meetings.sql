-- One row per instance of a calendar's event, cancelled ones included: renamed and cast.
{{ config(materialized='view') }}

select
    -- ids
    'calendar:meeting:' || events.id as meeting_id,
    events.id as source_record_id,
    'VEVENT' as source_object_type,
    -- A calendar knows addresses, not sellers' records: `meetings` finds the owner by `calendar_owner_email`.
    cast(null as varchar) as owner_id,
    events.uid as ical_uid,
    events.recurrence_id,
    events.calendar as calendar_name,

    -- text
    {{ clean('events.title') }} as title,
    {{ clean('events.description') }} as body,
    case when events.is_cancelled then 'CANCELED' else 'SCHEDULED' end as outcome,
    {{ clean('events.location') }} as location,
    events.conference_url,
    events.event_status,
    coalesce(events.time_zone, calendars.time_zone) as time_zone,
    events.organizer_email,
    calendars.owner_email as calendar_owner_email,
    events.owner_participation,
    events.attendees as attendees_json,

    -- booleans
    false as is_archived,
    events.is_all_day,
    events.is_cancelled,
    events.is_private,
    events.is_free,

    -- timestamps
    events.started_at,
    events.ended_at,
    events.start_date,
    events.updated_at
from {{ source('calendar', 'events') }} as events
left join {{ source('calendar', 'calendars') }} as calendars
    on events.calendar = calendars.name
