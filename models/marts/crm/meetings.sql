-- One row per live meeting, with its account and deal. One that stands in the CRM and in calendars is the CRM's record,
-- completed by them; what stands in calendars alone counts where somebody besides the calendar's owner is asked.
with

source_meetings as (

    select * from {{ ref('int_source_meetings') }}
    where not is_archived

),

deletions as (

    select record_id from {{ ref('int_gone_records') }}

),

contacts as (

    select
        contact_id,
        account_id
    from {{ ref('int_contacts') }}

),

accounts as (

    select account_id from {{ ref('accounts') }}

),

owners as (

    select
        owner_id,
        email
    from {{ ref('int_source_owners') }}
    where not is_archived

),

time_zones as (

    select
        owner_id,
        time_zone
    from {{ ref('int_seller_time_zones') }}

),

company as (

    select coalesce(company_time_zone, 'UTC') as time_zone
    from {{ ref('stg_policy__delivery') }}

),

internal_domains as (

    select domain from {{ ref('int_internal_domains') }}

),

copies as (

    select * from {{ ref('int_meeting_copies') }}

),

calendar_copies as (

    select
        copies.meeting_id as standing_meeting_id,
        copies.is_leading,
        calendar_meetings.*,
        calendar_meetings.calendar_owner_email
        = calendar_meetings.organizer_email as is_of_organizer
    from copies
    inner join {{ ref('stg_calendar__meetings') }} as calendar_meetings
        on copies.copy_meeting_id = calendar_meetings.meeting_id

),

calendar_people as (

    select
        calendar_copies.standing_meeting_id as meeting_id,
        bool_or(
            attendees.email is distinct from calendar_copies.calendar_owner_email
        ) as has_others,
        -- A seller who keeps a calendar under another domain is no guest.
        bool_or(
            internal_domains.domain is null
            and owners.owner_id is null
            and attendees.participation_status = 'ACCEPTED'
        ) as has_outside_acceptance
    from calendar_copies
    inner join {{ ref('stg_calendar__attendees') }} as attendees
        on calendar_copies.meeting_id = attendees.meeting_id
    left join internal_domains
        on split_part(attendees.email, '@', 2) = internal_domains.domain
    left join owners
        on attendees.email = owners.email
    group by calendar_copies.standing_meeting_id

),

calendar_states as (

    select
        standing_meeting_id as meeting_id,
        -- The organizer's own calendar has the last word, wherever it is known.
        coalesce(
            bool_or(is_cancelled) filter (where is_of_organizer),
            bool_or(is_cancelled)
        ) as is_cancelled,
        max(ended_at) filter (where is_leading) as ended_at,
        max(start_date) filter (where is_leading and is_all_day) as all_day_date,
        bool_or(is_free) filter (where is_leading) as is_free,
        bool_or(event_status = 'TENTATIVE') filter (where is_leading) as is_tentative
    from calendar_copies
    group by standing_meeting_id

),

-- Whose meeting it is that no CRM knows: a seller in whose calendar it stands, rather one who comes.
calendar_owners as (

    select
        calendar_copies.standing_meeting_id as meeting_id,
        owners.owner_id,
        coalesce(calendar_copies.owner_participation = 'DECLINED', false) as is_declined
    from calendar_copies
    inner join owners
        on calendar_copies.calendar_owner_email = owners.email
    qualify
        row_number() over (
            partition by calendar_copies.standing_meeting_id
            order by
                coalesce(calendar_copies.owner_participation = 'DECLINED', false) asc,
                coalesce(calendar_copies.is_of_organizer, false) desc,
                owners.owner_id asc
        ) = 1

),

associations as (

    select
        from_record_id as meeting_id,
        to_object_type,
        to_record_id,
        association_rank
    from {{ ref('int_associations') }}
    where from_object_type = 'meetings'

),

meeting_accounts as (

    select
        associations.meeting_id,
        min_by(
            accounts.account_id,
            row(associations.association_rank, accounts.account_id)
        ) as account_id
    from associations
    inner join accounts
        on associations.to_record_id = accounts.account_id
    group by associations.meeting_id

),

meeting_contacts as (

    select
        meeting_people.meeting_id,
        min_by(contacts.account_id, contacts.contact_id) as account_id
    from {{ ref('int_meeting_contacts') }} as meeting_people
    inner join contacts
        on meeting_people.contact_id = contacts.contact_id
    group by meeting_people.meeting_id

),

meeting_deals as (

    select
        meeting_id,
        min(to_record_id) as deal_id
    from associations
    where to_object_type = 'deals'
    group by meeting_id

),

placed as (

    select
        meetings.*,
        starts_with(meetings.meeting_id, 'calendar:') as is_calendar_only,
        coalesce(meetings.owner_id, calendar_owners.owner_id) as seller_id,
        coalesce(calendar_owners.is_declined, false) as is_declined,
        calendar_states.ended_at as calendar_ended_at,
        calendar_states.all_day_date,
        coalesce(calendar_states.is_free, false) as is_free_block,
        coalesce(calendar_states.is_tentative, false) as is_tentative,
        coalesce(calendar_people.has_outside_acceptance, false)
            as has_outside_acceptance,
        -- What the CRM says took place was not cancelled.
        coalesce(meetings.outcome = 'CANCELED', false)
        or (
            coalesce(calendar_states.is_cancelled, false)
            and coalesce(meetings.outcome <> 'COMPLETED', true)
        ) as has_been_cancelled
    from source_meetings as meetings
    left join copies
        on meetings.meeting_id = copies.copy_meeting_id
    left join calendar_states
        on meetings.meeting_id = calendar_states.meeting_id
    left join calendar_people
        on meetings.meeting_id = calendar_people.meeting_id
    left join calendar_owners
        on meetings.meeting_id = calendar_owners.meeting_id
    left join deletions
        on meetings.meeting_id = deletions.record_id
    where
        deletions.record_id is null
        and (
            not starts_with(meetings.meeting_id, 'calendar:')
            or (
                meetings.meeting_id = copies.meeting_id
                and calendar_people.has_others
                and not coalesce(meetings.is_private, false)
            )
        )

),

zoned as (

    select
        placed.*,
        coalesce(time_zones.time_zone, known_zones.name, 'UTC') as seller_time_zone
    from placed
    cross join company
    left join time_zones
        on placed.seller_id = time_zones.owner_id
    left join pg_timezone_names() as known_zones
        on company.time_zone = known_zones.name

),

final as (

    select
        -- ids
        zoned.meeting_id,
        zoned.source_record_id,
        coalesce(
            meeting_accounts.account_id, meeting_contacts.account_id
        ) as account_id,
        meeting_deals.deal_id,
        zoned.seller_id as owner_id,

        -- text
        zoned.title,
        zoned.outcome,
        zoned.location,
        zoned.seller_time_zone,

        -- booleans
        case
            when not zoned.is_calendar_only
                then coalesce(zoned.outcome = 'COMPLETED', false)
            -- A calendar keeps no outcome: past, not called off, and somebody from outside had said yes.
            else
                zoned.has_outside_acceptance
                and not zoned.has_been_cancelled
                and not zoned.is_declined
                and not zoned.is_tentative
                and not zoned.is_free_block
                and coalesce(
                    cast(timezone(zoned.seller_time_zone, zoned.ended_at) as date)
                    < {{ as_of() }},
                    false
                )
        end as is_held,
        coalesce(zoned.outcome = 'SCHEDULED', true)
        and not zoned.has_been_cancelled
        and not (zoned.is_calendar_only and zoned.is_declined) as is_scheduled,
        zoned.has_been_cancelled as is_cancelled,
        not zoned.is_calendar_only
        or meeting_contacts.meeting_id is not null as has_customer,

        -- timestamps
        zoned.started_at,
        coalesce(zoned.ended_at, zoned.calendar_ended_at) as ended_at,
        coalesce(
            -- A whole day is the same day everywhere: a calendar names it, a CRM gives its midnight in UTC.
            case
                when zoned.is_calendar_only then zoned.all_day_date
                when zoned.is_all_day then {{ utc_date('zoned.started_at') }}
            end,
            cast(timezone(zoned.seller_time_zone, zoned.started_at) as date)
        ) as meeting_date,
        zoned.updated_at
    from zoned
    left join meeting_accounts
        on zoned.meeting_id = meeting_accounts.meeting_id
    left join meeting_contacts
        on zoned.meeting_id = meeting_contacts.meeting_id
    left join meeting_deals
        on zoned.meeting_id = meeting_deals.meeting_id

)

select * from final
