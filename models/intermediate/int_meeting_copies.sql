-- One row per instance in a calendar: the one meeting it is. That is the CRM's record of it where there is one (by the
-- invitation's id, else by start, people and title where only one fits), else one for all calendars it stands in.
with

calendar_meetings as (

    select
        *,
        -- The same event, in whosever calendar it stands.
        ical_uid || '|' || recurrence_id as event_key,
        date_trunc('minute', started_at) as start_minute,
        regexp_replace(lower(title), '[^\p{L}\p{N}]+', ' ', 'g') as plain_title
    from {{ ref('stg_calendar__meetings') }}

),

-- The organizer's own calendar knows best.
events as (

    select * from calendar_meetings
    qualify
        row_number() over (
            partition by event_key
            order by
                (calendar_owner_email = organizer_email) desc nulls last,
                meeting_id asc
        ) = 1

),

deletions as (

    select record_id from {{ ref('int_gone_records') }}

),

crm_meetings as (

    select
        meetings.meeting_id,
        meetings.owner_id,
        meetings.ical_uid,
        meetings.started_at,
        date_trunc('minute', meetings.started_at) as start_minute,
        regexp_replace(lower(meetings.title), '[^\p{L}\p{N}]+', ' ', 'g') as plain_title
    from {{ ref('int_source_meetings') }} as meetings
    left join deletions
        on meetings.meeting_id = deletions.record_id
    where
        not meetings.is_archived
        and deletions.record_id is null
        and not starts_with(meetings.meeting_id, 'calendar:')

),

crm_people as (

    select
        associations.from_record_id as meeting_id,
        addresses.email
    from {{ ref('int_associations') }} as associations
    inner join {{ ref('int_contact_addresses') }} as addresses
        on associations.to_record_id = addresses.contact_id
    where associations.from_object_type = 'meetings'

    union

    select
        crm_meetings.meeting_id,
        owners.email
    from crm_meetings
    inner join {{ ref('int_source_owners') }} as owners
        on crm_meetings.owner_id = owners.owner_id
    where owners.email is not null

),

event_people as (

    select
        calendar_meetings.event_key,
        attendees.email
    from calendar_meetings
    inner join {{ ref('stg_calendar__attendees') }} as attendees
        on calendar_meetings.meeting_id = attendees.meeting_id

    union

    select
        event_key,
        calendar_owner_email as email
    from calendar_meetings
    where calendar_owner_email is not null

),

by_invitation as (

    select
        events.event_key,
        crm_meetings.meeting_id,
        'ical_uid' as matched_by
    from events
    inner join crm_meetings
        on
            events.ical_uid = crm_meetings.ical_uid
            -- An event that does not repeat may have moved since; of one that repeats the start tells which is meant.
            and (
                events.recurrence_id = ''
                or events.start_minute = crm_meetings.start_minute
                or events.recurrence_id = strftime(
                    timezone('UTC', crm_meetings.started_at), '%Y%m%dT%H%M%SZ'
                )
            )
    qualify
        row_number() over (
            partition by events.event_key
            order by
                (events.start_minute = crm_meetings.start_minute) desc,
                crm_meetings.meeting_id asc
        ) = 1
        and row_number() over (
            partition by crm_meetings.meeting_id
            order by
                (events.start_minute = crm_meetings.start_minute) desc,
                events.event_key asc
        ) = 1

),

alike as (

    select
        events.event_key,
        crm_meetings.meeting_id
    from events
    inner join crm_meetings
        on events.start_minute = crm_meetings.start_minute
    left join by_invitation as matched_events
        on events.event_key = matched_events.event_key
    left join by_invitation as matched_records
        on crm_meetings.meeting_id = matched_records.meeting_id
    where
        matched_events.event_key is null
        and matched_records.meeting_id is null
        and trim(events.plain_title) <> ''
        and trim(crm_meetings.plain_title) <> ''
        and (
            contains(events.plain_title, crm_meetings.plain_title)
            or contains(crm_meetings.plain_title, events.plain_title)
            or jaro_winkler_similarity(
                events.plain_title, crm_meetings.plain_title
            ) >= 0.9
        )
        and exists (
            select 1
            from event_people
            inner join crm_people
                on event_people.email = crm_people.email
            where
                event_people.event_key = events.event_key
                and crm_people.meeting_id = crm_meetings.meeting_id
        )

),

-- Where two could be meant, neither is.
by_likeness as (

    select
        event_key,
        meeting_id,
        'start_people_title' as matched_by
    from alike
    qualify
        count(*) over (partition by event_key) = 1
        and count(*) over (partition by meeting_id) = 1

),

matched as (

    select * from by_invitation

    union all

    select * from by_likeness

),

final as (

    select
        calendar_meetings.meeting_id as copy_meeting_id,
        coalesce(matched.meeting_id, events.meeting_id) as meeting_id,
        coalesce(matched.matched_by, 'same_event') as matched_by,
        -- Which copy the meeting's details are taken from.
        calendar_meetings.meeting_id = events.meeting_id as is_leading
    from calendar_meetings
    inner join events
        on calendar_meetings.event_key = events.event_key
    left join matched
        on calendar_meetings.event_key = matched.event_key

)

select * from final
