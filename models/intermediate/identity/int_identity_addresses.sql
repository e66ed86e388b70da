-- One row per address that wrote, was written to or took part and that no record of a CRM has: the name it goes by, and
-- the records it was in conversations with. Ours are left out.
with

participants as (

    select
        record_id,
        email,
        participant_name
    from {{ ref('int_source_participants') }}
    where email like '%_@_%'

),

threads as (

    select
        email_id,
        thread_id
    from {{ ref('int_source_emails') }}
    where thread_id is not null

),

records as (

    select
        contact_id,
        lower(email) as email
    from {{ ref('int_source_contacts') }}
    where email is not null

),

internal_domains as (

    select domain from {{ ref('int_internal_domains') }}

),

conversations as (

    select distinct
        participants.email,
        coalesce(threads.thread_id, participants.record_id) as conversation_id
    from participants
    left join threads
        on participants.record_id = threads.email_id

),

-- Where many take part, having taken part says nothing.
small_conversations as (

    select
        email,
        conversation_id
    from conversations
    qualify count(*) over (partition by conversation_id) <= 12

),

unknown as (

    select
        participants.email,
        mode(
            participants.participant_name order by participants.participant_name
        ) as participant_name
    from participants
    left join records
        on participants.email = records.email
    left join internal_domains
        on split_part(participants.email, '@', 2) = internal_domains.domain
    where records.contact_id is null and internal_domains.domain is null
    group by participants.email

),

met as (

    select
        unknown.email,
        list_sort(list(distinct records.contact_id))[1:50] as talks_with
    from unknown
    inner join small_conversations as own_conversations
        on unknown.email = own_conversations.email
    inner join small_conversations as other_conversations
        on own_conversations.conversation_id = other_conversations.conversation_id
    inner join records
        on other_conversations.email = records.email
    group by unknown.email

),

final as (

    select
        'address:contact:' || left(md5(unknown.email), 20) as record_id,
        unknown.email,
        -- Without a name, one of the form given.family speaks for itself.
        case
            when unknown.participant_name not like '%@%' then unknown.participant_name
            when
                regexp_full_match(
                    split_part(unknown.email, '@', 1), '[a-z]{2,}[._-][a-z]{2,}'
                )
                then regexp_replace(
                    split_part(unknown.email, '@', 1), '[._-]', ' '
                )
        end as address_name,
        coalesce(met.talks_with, []) as talks_with
    from unknown
    left join met
        on unknown.email = met.email

)

select * from final
