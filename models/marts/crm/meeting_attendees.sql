-- One row per meeting and contact who attends it.
with

associations as (

    select distinct
        from_record_id as meeting_id,
        to_record_id as contact_id
    from {{ ref('int_associations') }}
    where from_object_type = 'meetings' and to_object_type = 'contacts'

),

final as (

    select
        associations.meeting_id,
        associations.contact_id
    from associations
    inner join {{ ref('meetings') }} as meetings
        on associations.meeting_id = meetings.meeting_id
    inner join {{ ref('int_contacts') }} as contacts
        on associations.contact_id = contacts.contact_id

)

select * from final
