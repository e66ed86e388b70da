-- One row per call with a transcript and person in it: who they are and whose side they are on. By address or CRM record
-- where the transcript has them; else by name among the people of the call, then those of the account and our sellers.
-- Where more than one person fits, or what is known speaks against it, they stay unknown.
with

attachments as (

    select
        transcript_id,
        coalesce(crm_call_id, transcript_id) as call_id,
        crm_call_id,
        meeting_id
    from {{ ref('int_call_speakers_calls') }}

),

people as (

    select
        *,
        {{ plain_name('speaker_name') }} as plain_name
    from {{ ref('int_call_speakers_known') }}

),

contacts as (

    select
        contact_id,
        account_id,
        email,
        {{ plain_name('full_name') }} as plain_name,
        {{ plain_name('first_name') }} as plain_first_name
    from {{ ref('int_contacts') }}

),

-- A seller whom two CRMs know is one seller.
owners as (

    select
        owner_id,
        email,
        {{ plain_name("concat_ws(' ', first_name, last_name)") }} as plain_name,
        {{ plain_name('first_name') }} as plain_first_name
    from {{ ref('int_source_owners') }}
    qualify
        row_number() over (
            partition by coalesce(email, owner_id)
            order by is_archived asc, owner_id asc
        ) = 1

),

owner_twins as (

    select
        owner_ids.owner_id as any_owner_id,
        owners.owner_id
    from {{ ref('int_source_owners') }} as owner_ids
    inner join owners
        on
            coalesce(owner_ids.email, owner_ids.owner_id)
            = coalesce(owners.email, owners.owner_id)

),

event_owners as (

    select
        attachments.transcript_id,
        owner_twins.owner_id
    from attachments
    inner join {{ ref('int_source_calls') }} as calls
        on attachments.crm_call_id = calls.call_id
    inner join owner_twins
        on calls.owner_id = owner_twins.any_owner_id

    union

    select
        attachments.transcript_id,
        owner_twins.owner_id
    from attachments
    inner join {{ ref('meetings') }} as meetings
        on attachments.meeting_id = meetings.meeting_id
    inner join owner_twins
        on meetings.owner_id = owner_twins.any_owner_id

),

event_contacts as (

    select
        attachments.transcript_id,
        associations.to_record_id as contact_id
    from attachments
    inner join {{ ref('int_associations') }} as associations
        on attachments.crm_call_id = associations.from_record_id
    where associations.to_object_type = 'contacts'

    union

    select
        attachments.transcript_id,
        attendees.contact_id
    from attachments
    inner join {{ ref('meeting_attendees') }} as attendees
        on attachments.meeting_id = attendees.meeting_id

),

event_accounts as (

    select
        event_contacts.transcript_id,
        contacts.account_id
    from event_contacts
    inner join contacts
        on event_contacts.contact_id = contacts.contact_id
    where contacts.account_id is not null

    union

    select
        attachments.transcript_id,
        associations.to_record_id as account_id
    from attachments
    inner join {{ ref('int_associations') }} as associations
        on attachments.crm_call_id = associations.from_record_id
    where associations.to_object_type = 'companies'

    union

    select
        attachments.transcript_id,
        meetings.account_id
    from attachments
    inner join {{ ref('meetings') }} as meetings
        on attachments.meeting_id = meetings.meeting_id
    where meetings.account_id is not null

    union

    select
        transcript_id,
        account_id
    from people
    where account_id is not null

),

-- Who is known by name alone, with a name that can be somebody's.
unnamed as (

    select
        people.transcript_id,
        people.speaker_name,
        people.plain_name,
        people.side
    from people
    where
        people.owner_id is null
        and people.contact_id is null
        and people.how_matched is distinct from 'internal_domain'
        and people.how_matched is distinct from 'outside_address'
        and people.plain_name is not null

),

-- People of the call who are not there under an address already, each under the name to compare.
present as (

    select
        event_owners.transcript_id,
        coalesce(owners.email, owners.owner_id) as person,
        owners.owner_id,
        cast(null as varchar) as contact_id,
        owners.plain_name,
        owners.plain_first_name
    from event_owners
    inner join owners
        on event_owners.owner_id = owners.owner_id

    union all

    select
        event_contacts.transcript_id,
        coalesce(contacts.email, contacts.contact_id) as person,
        cast(null as varchar) as owner_id,
        contacts.contact_id,
        contacts.plain_name,
        contacts.plain_first_name
    from event_contacts
    inner join contacts
        on event_contacts.contact_id = contacts.contact_id

),

around as (

    select
        event_accounts.transcript_id,
        coalesce(contacts.email, contacts.contact_id) as person,
        cast(null as varchar) as owner_id,
        contacts.contact_id,
        contacts.plain_name
    from event_accounts
    inner join contacts
        on event_accounts.account_id = contacts.account_id

    union all

    select
        attachments.transcript_id,
        coalesce(owners.email, owners.owner_id) as person,
        owners.owner_id,
        cast(null as varchar) as contact_id,
        owners.plain_name
    from attachments
    cross join owners

),

fits as (

    select
        unnamed.transcript_id,
        unnamed.speaker_name,
        unnamed.side,
        present.person,
        present.owner_id,
        present.contact_id,
        1 as rank
    from unnamed
    inner join present
        on
            unnamed.transcript_id = present.transcript_id
            and unnamed.plain_name = present.plain_name

    union all

    select
        unnamed.transcript_id,
        unnamed.speaker_name,
        unnamed.side,
        present.person,
        present.owner_id,
        present.contact_id,
        2 as rank
    from unnamed
    inner join present
        on
            unnamed.transcript_id = present.transcript_id
            and unnamed.plain_name = present.plain_first_name

    union all

    select
        unnamed.transcript_id,
        unnamed.speaker_name,
        unnamed.side,
        around.person,
        around.owner_id,
        around.contact_id,
        3 as rank
    from unnamed
    inner join around
        on
            unnamed.transcript_id = around.transcript_id
            and unnamed.plain_name = around.plain_name
    -- One word is no full name: too many people have it.
    where contains(unnamed.plain_name, ' ')

),

-- The nearest circle in which the name is found decides, if it finds one person there.
matched as (

    select
        transcript_id,
        speaker_name,
        side,
        max(owner_id) as owner_id,
        min(contact_id) as contact_id,
        rank
    from fits
    group by transcript_id, speaker_name, side, rank
    having count(distinct person) = 1
    qualify
        rank
        = min(rank) over (partition by transcript_id, speaker_name)

),

nearest as (

    select
        transcript_id,
        speaker_name,
        min(rank) as rank
    from fits
    group by transcript_id, speaker_name

),

-- What a vendor says of the side is better known than a name.
by_name as (

    select
        matched.transcript_id,
        matched.speaker_name,
        matched.owner_id,
        case when matched.owner_id is null then matched.contact_id end as contact_id,
        case when matched.owner_id is null then 'theirs' else 'ours' end as side,
        case matched.rank
            when 1 then 'name_in_call'
            when 2 then 'first_name_in_call'
            else 'name_known_to_us'
        end as how_matched
    from matched
    inner join nearest
        on
            matched.transcript_id = nearest.transcript_id
            and matched.speaker_name = nearest.speaker_name
            and matched.rank = nearest.rank
    where
        matched.side = 'unknown'
        or matched.side
        = case when matched.owner_id is null then 'theirs' else 'ours' end

),

final as (

    select
        -- ids
        attachments.call_id,
        people.transcript_id,
        people.speaker_name,
        coalesce(people.owner_id, by_name.owner_id) as owner_id,
        coalesce(people.contact_id, by_name.contact_id) as contact_id,
        coalesce(people.account_id, contacts.account_id) as account_id,

        -- text
        people.email,
        people.company,
        coalesce(by_name.side, people.side) as side,
        coalesce(by_name.how_matched, people.how_matched, 'unknown') as how_matched,

        -- booleans
        people.has_spoken
    from people
    inner join attachments
        on people.transcript_id = attachments.transcript_id
    left join by_name
        on
            people.transcript_id = by_name.transcript_id
            and people.speaker_name = by_name.speaker_name
    left join contacts
        on by_name.contact_id = contacts.contact_id

)

select * from final
