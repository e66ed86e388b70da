-- One row per transcript and person in it: who they are by what the transcript itself says of them, address or CRM
-- record. Names are not looked at here: they mean something only among the people of the call (int_call_speakers).
with

people as (

    select
        call_id as transcript_id,
        owner_email,
        unnest(
            from_json(
                cast(participants_json as json),
                '[{"name": "VARCHAR", "email": "VARCHAR", "company": "VARCHAR",'
                || ' "side": "VARCHAR", "crm_id": "VARCHAR", "spoke": "BOOLEAN"}]'
            )
        ) as person
    from {{ ref('stg_transcripts__calls') }}

),

named as (

    select
        transcript_id,
        {{ clean('person.name') }} as speaker_name,
        lower({{ clean('person.email') }}) as email,
        {{ clean('person.company') }} as company,
        {{ clean('person.side') }} as stated_side,
        {{ clean('person.crm_id') }} as crm_record_id,
        coalesce(person.spoke, false) as has_spoken
    from people

    union all

    -- Whose recording it is was there, whether they are listed or not.
    select distinct
        people.transcript_id,
        cast(null as varchar) as speaker_name,
        people.owner_email as email,
        cast(null as varchar) as company,
        cast(null as varchar) as stated_side,
        cast(null as varchar) as crm_record_id,
        false as has_spoken
    from people
    where
        people.owner_email is not null
        and not exists (
            select 1
            from people as listed
            where
                listed.transcript_id = people.transcript_id
                and lower(listed.person.email) = people.owner_email
        )

),

-- A seller whom two CRMs know is one seller.
owners as (

    select
        email,
        owner_id
    from {{ ref('int_source_owners') }}
    where email is not null
    qualify
        row_number() over (
            partition by email
            order by is_archived asc, owner_id asc
        ) = 1

),

internal_domains as (

    select domain from {{ ref('int_internal_domains') }}

),

contacts as (

    select
        contact_id,
        account_id
    from {{ ref('int_contacts') }}

),

merged as (

    select
        merged_record_id,
        surviving_record_id
    from {{ ref('merged_records') }}

),

-- An address that several records carry is one person: one with an account comes first.
addresses as (

    select
        email,
        contact_id,
        account_id
    from {{ ref('int_contact_addresses') }}
    qualify
        row_number() over (
            partition by email
            order by (account_id is not null) desc, contact_id asc
        ) = 1

),

final as (

    select
        named.transcript_id,
        coalesce(named.speaker_name, named.email) as speaker_name,
        named.email,
        named.company,
        named.has_spoken,
        owners.owner_id,
        -- Who writes from our domain is no customer, whatever else lists them.
        case
            when owners.owner_id is null and internal_domains.domain is null
                then coalesce(linked.contact_id, addresses.contact_id)
        end as contact_id,
        case
            when owners.owner_id is null and internal_domains.domain is null
                then coalesce(linked.account_id, addresses.account_id)
        end as account_id,
        case
            when owners.owner_id is not null or internal_domains.domain is not null
                then 'ours'
            when coalesce(linked.contact_id, addresses.contact_id) is not null
                then 'theirs'
            when named.stated_side is not null then named.stated_side
            when named.email is not null then 'theirs'
            else 'unknown'
        end as side,
        case
            when owners.owner_id is not null then 'owner_email'
            when internal_domains.domain is not null then 'internal_domain'
            when linked.contact_id is not null then 'crm_record'
            when addresses.contact_id is not null then 'contact_email'
            when named.stated_side is not null then 'stated_side'
            when named.email is not null then 'outside_address'
        end as how_matched
    from named
    left join owners
        on named.email = owners.email
    left join internal_domains
        on split_part(named.email, '@', 2) = internal_domains.domain
    left join merged
        on named.crm_record_id = merged.merged_record_id
    left join contacts as linked
        on
            coalesce(merged.surviving_record_id, named.crm_record_id)
            = linked.contact_id
    left join addresses
        on named.email = addresses.email
    where coalesce(named.speaker_name, named.email) is not null
    -- One name is one person; a transcript lists nobody twice, but its metadata may.
    qualify
        row_number() over (
            partition by
                named.transcript_id, coalesce(named.speaker_name, named.email)
            order by named.has_spoken desc, named.email asc nulls last
        ) = 1

)

select * from final
