-- One row per meeting and contact who is asked to it: those the CRM names, and those a calendar knows by address.
with

associated as (

    select
        from_record_id as meeting_id,
        to_record_id as contact_id
    from {{ ref('int_associations') }}
    where from_object_type = 'meetings' and to_object_type = 'contacts'

),

asked as (

    select distinct
        copies.meeting_id,
        attendees.email
    from {{ ref('stg_calendar__attendees') }} as attendees
    inner join {{ ref('int_meeting_copies') }} as copies
        on attendees.meeting_id = copies.copy_meeting_id
    left join {{ ref('int_internal_domains') }} as internal_domains
        on split_part(attendees.email, '@', 2) = internal_domains.domain
    where
        internal_domains.domain is null
        -- Who said no does not come.
        and attendees.participation_status is distinct from 'DECLINED'

),

recognised as (

    select
        asked.meeting_id,
        addresses.contact_id
    from asked
    inner join {{ ref('int_contact_addresses') }} as addresses
        on asked.email = addresses.email
    -- An address that several records carry is one person: the record of the meeting's own CRM, else the first.
    qualify
        row_number() over (
            partition by asked.meeting_id, asked.email
            order by
                (
                    split_part(asked.meeting_id, ':', 1)
                    = split_part(addresses.contact_id, ':', 1)
                ) desc,
                (addresses.account_id is not null) desc,
                addresses.contact_id asc
        ) = 1

),

final as (

    select
        people.meeting_id,
        people.contact_id
    from (
        select * from associated

        union

        select * from recognised
    ) as people
    inner join {{ ref('int_contacts') }} as contacts
        on people.contact_id = contacts.contact_id

)

select * from final
