-- One row per meeting and contact who attends it, as the CRM or a calendar says.
with

final as (

    select
        meeting_people.meeting_id,
        meeting_people.contact_id
    from {{ ref('int_meeting_contacts') }} as meeting_people
    inner join {{ ref('meetings') }} as meetings
        on meeting_people.meeting_id = meetings.meeting_id

)

select * from final
