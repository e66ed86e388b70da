-- One row per live meeting, with its account and deal.
with

meetings as (

    select * from {{ ref('int_source_meetings') }}
    where not is_archived

),

deletions as (

    select record_id from {{ ref('int_source_deletions') }}

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
        associations.meeting_id,
        min_by(contacts.account_id, contacts.contact_id) as account_id
    from associations
    inner join contacts
        on associations.to_record_id = contacts.contact_id
    where contacts.account_id is not null
    group by associations.meeting_id

),

meeting_deals as (

    select
        meeting_id,
        min(to_record_id) as deal_id
    from associations
    where to_object_type = 'deals'
    group by meeting_id

),

final as (

    select
        -- ids
        meetings.meeting_id,
        meetings.source_record_id,
        coalesce(
            meeting_accounts.account_id, meeting_contacts.account_id
        ) as account_id,
        meeting_deals.deal_id,
        meetings.owner_id,

        -- text
        meetings.title,
        meetings.outcome,
        meetings.location,

        -- booleans
        coalesce(meetings.outcome = 'COMPLETED', false) as is_held,
        coalesce(meetings.outcome = 'SCHEDULED', true) as is_scheduled,

        -- timestamps
        meetings.started_at,
        meetings.ended_at,
        {{ utc_date('meetings.started_at') }} as meeting_date,
        meetings.updated_at
    from meetings
    left join meeting_accounts
        on meetings.meeting_id = meeting_accounts.meeting_id
    left join meeting_contacts
        on meetings.meeting_id = meeting_contacts.meeting_id
    left join meeting_deals
        on meetings.meeting_id = meeting_deals.meeting_id
    left join deletions
        on meetings.meeting_id = deletions.record_id
    where deletions.record_id is null

)

select * from final
