-- One row per contact and event that shows they deal with us: a mail of theirs, a call or a meeting that took place.
with

emails as (

    select
        document_id as event_id,
        'email_received' as event_type,
        contact_id,
        account_id,
        occurred_at
    from {{ ref('documents') }}
    -- Machines and strangers do not engage.
    where
        document_type = 'email'
        and direction = 'inbound'
        and not is_machine_reply
        and author_is_known_contact

),

calls as (

    select
        calls.call_id as event_id,
        'call_held' as event_type,
        document_contacts.contact_id,
        document_contacts.account_id,
        calls.occurred_at
    from {{ ref('calls') }} as calls
    inner join {{ ref('document_contacts') }} as document_contacts
        on calls.call_id = document_contacts.document_id
    where calls.is_held

),

meetings as (

    select
        meetings.meeting_id as event_id,
        'meeting_held' as event_type,
        meeting_attendees.contact_id,
        contacts.account_id,
        meetings.started_at as occurred_at
    from {{ ref('meetings') }} as meetings
    inner join {{ ref('meeting_attendees') }} as meeting_attendees
        on meetings.meeting_id = meeting_attendees.meeting_id
    inner join {{ ref('int_contacts') }} as contacts
        on meeting_attendees.contact_id = contacts.contact_id
    where meetings.is_held

),

sent as (

    select
        document_id as event_id,
        'email_sent' as event_type,
        contact_id,
        account_id,
        occurred_at
    from {{ ref('documents') }}
    where
        document_type = 'email'
        and direction = 'outbound'
        and contact_id is not null

),

events as (

    select * from emails

    union all by name

    select * from calls

    union all by name

    select * from meetings

    union all by name

    select * from sent

),

numbers as (

    select * from {{ ref('stg_policy__numbers') }}

),

final as (

    select
        events.event_id,
        events.contact_id,
        events.account_id,
        events.event_type,
        events.occurred_at,
        {{ utc_date('events.occurred_at') }} as event_date,
        date_diff('day', {{ utc_date('events.occurred_at') }}, {{ as_of() }})
            as age_days,
        cast(
            coalesce(
                case events.event_type
                    when 'email_received' then numbers.email_received_points
                    when 'email_sent' then numbers.email_sent_points
                    when 'call_held' then numbers.call_held_points
                    when 'meeting_held' then numbers.meeting_held_points
                end
                * {{ decay_share(
                    "date_diff('day', " ~ utc_date('events.occurred_at') ~ ", " ~ as_of() ~ ")",
                    'numbers'
                ) }},
                0
            ) as decimal(18, 4)
        ) as points
    from events
    cross join numbers
    -- What is still to come has not happened.
    where {{ utc_date('events.occurred_at') }} <= {{ as_of() }}

)

select * from final
