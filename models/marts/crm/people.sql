-- One row per person: the contact that stands for all their records, and what these records hold together.
with

aliases as (

    select
        record_id,
        stands_for_record_id
    from {{ ref('int_record_aliases') }}
    where object_type = 'contacts'

),

contacts as (

    select
        contact_id,
        account_id,
        full_name,
        is_opted_out
    from {{ ref('contacts') }}

),

records as (

    select
        coalesce(aliases.stands_for_record_id, people.record_id) as contact_id,
        people.record_id,
        people.source,
        people.email,
        people.mail_domain
    from {{ ref('int_identity_people') }} as people
    left join aliases
        on people.record_id = aliases.record_id
    where people.record_kind = 'record'

),

-- An address that somebody confirmed to be the person's is theirs, though no record holds it.
further_addresses as (

    select
        clusters.standing_record_id as contact_id,
        people.record_id,
        cast(null as varchar) as source,
        people.email,
        people.mail_domain
    from {{ ref('int_identity_clusters') }} as clusters
    inner join {{ ref('int_identity_people') }} as people
        on clusters.record_id = people.record_id
    where people.record_kind = 'address'

),

everything as (

    select * from records

    union all

    select * from further_addresses

),

opted_out as (

    select
        coalesce(aliases.stands_for_record_id, contacts.contact_id) as contact_id,
        bool_or(contacts.is_opted_out) as is_opted_out
    from contacts
    left join aliases
        on contacts.contact_id = aliases.record_id
    group by coalesce(aliases.stands_for_record_id, contacts.contact_id)

),

waiting as (

    select
        coalesce(aliases.stands_for_record_id, sides.record_id) as contact_id,
        count(distinct sides.link_id) as suggestion_count
    from (
        select
            link_id,
            unnest([left_record_id, right_record_id]) as record_id
        from {{ ref('int_identity_links') }}
        where status = 'suggested' and is_likely and object_type = 'contacts'
    ) as sides
    left join aliases
        on sides.record_id = aliases.record_id
    group by coalesce(aliases.stands_for_record_id, sides.record_id)

),

gathered as (

    select
        contact_id,
        count(*) filter (where source is not null) as record_count,
        list(distinct source order by source) filter (where source is not null)
            as sources,
        list(distinct email order by email) filter (where email is not null)
            as addresses,
        list(distinct mail_domain order by mail_domain) filter (
            where mail_domain is not null
        ) as domains
    from everything
    group by contact_id

),

final as (

    select
        -- ids
        contacts.contact_id,
        contacts.account_id,

        -- text
        contacts.full_name,
        gathered.sources,
        coalesce(gathered.addresses, []) as addresses,
        coalesce(gathered.domains, []) as domains,

        -- numerics
        gathered.record_count,
        coalesce(waiting.suggestion_count, 0) as suggestion_count,

        -- booleans
        opted_out.is_opted_out
    from contacts
    inner join gathered
        on contacts.contact_id = gathered.contact_id
    inner join opted_out
        on contacts.contact_id = opted_out.contact_id
    left join aliases
        on contacts.contact_id = aliases.record_id
    left join waiting
        on contacts.contact_id = waiting.contact_id
    where aliases.record_id is null

)

select * from final
