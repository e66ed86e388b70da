-- One row per scheduled meeting from today to the end of the policy's window: who comes, and when we last spoke.
with

numbers as (

    select meeting_window_days from {{ ref('stg_policy__numbers') }}

),

meetings as (

    select meetings.*
    from {{ ref('meetings') }} as meetings
    cross join numbers
    where
        meetings.is_scheduled
        -- Among ourselves, or with people nobody knows, there is nothing to brief about.
        and meetings.has_customer
        -- The seller's own day: 23:30 in Los Angeles is today there, and tomorrow in UTC.
        and meetings.meeting_date between
        {{ as_of() }} and {{ as_of() }} + numbers.meeting_window_days

),

attendees as (

    select
        meeting_attendees.meeting_id,
        string_agg(
            coalesce(contacts.full_name, contacts.email, contacts.contact_id)
            || coalesce(' (' || contacts.job_title || ')', ''),
            '; '
            order by contacts.full_name asc nulls last, contacts.contact_id asc
        ) as attendees,
        count(*) as attendee_count
    from {{ ref('meeting_attendees') }} as meeting_attendees
    inner join {{ ref('int_contacts') }} as contacts
        on meeting_attendees.contact_id = contacts.contact_id
    group by meeting_attendees.meeting_id

),

earlier_documents as (

    select
        account_id,
        occurred_at
    from {{ ref('documents') }}
    where
        account_id in (select meetings.account_id from meetings)
        and document_type in ('email', 'call')

    union all

    select
        account_id,
        started_at as occurred_at
    from {{ ref('meetings') }}
    where is_held

),

last_contacts as (

    select
        meetings.meeting_id,
        max({{ utc_date('earlier_documents.occurred_at') }}) as last_contact_date
    from meetings
    inner join earlier_documents
        on
            meetings.account_id = earlier_documents.account_id
            and meetings.started_at > earlier_documents.occurred_at
    group by meetings.meeting_id

),

open_deals as (

    select
        meetings.meeting_id,
        deals.deal_id,
        deals.deal_name,
        deals.stage_label,
        deals.amount,
        deals.currency_code
    from meetings
    inner join {{ ref('deals') }} as deals
        on meetings.account_id = deals.account_id
    where not deals.is_closed
    qualify
        row_number() over (
            partition by meetings.meeting_id
            -- The deal the meeting is about, else the newest one.
            order by
                (deals.deal_id is not distinct from meetings.deal_id) desc,
                deals.created_at desc,
                deals.deal_id asc
        ) = 1

),

final as (

    select
        meetings.meeting_id,
        meetings.source_record_id,
        meetings.account_id,
        open_deals.deal_id,
        meetings.owner_id,
        meetings.title,
        attendees.attendees,
        coalesce(attendees.attendee_count, 0) as attendee_count,
        owners.full_name as owner_name,
        open_deals.deal_name,
        open_deals.stage_label as deal_stage_label,
        open_deals.amount as deal_amount,
        open_deals.currency_code as deal_currency_code,
        meetings.seller_time_zone,
        meetings.started_at,
        meetings.meeting_date,
        last_contacts.last_contact_date
    from meetings
    left join attendees
        on meetings.meeting_id = attendees.meeting_id
    left join last_contacts
        on meetings.meeting_id = last_contacts.meeting_id
    left join open_deals
        on meetings.meeting_id = open_deals.meeting_id
    left join {{ ref('owners') }} as owners
        on meetings.owner_id = owners.owner_id

)

select * from final
