-- One row per account and registered domain: its own, and those its contacts write from. Related accounts may share one.
with

aliases as (

    select
        record_id,
        stands_for_record_id
    from {{ ref('int_record_aliases') }}

),

accounts as (

    select
        record_id,
        domain_key
    from {{ ref('int_identity_accounts') }}

),

people as (

    select
        record_id,
        mail_domain
    from {{ ref('int_identity_people') }}
    where is_live and record_kind = 'record' and mail_domain is not null

),

own_domains as (

    select
        coalesce(aliases.stands_for_record_id, accounts.record_id) as account_id,
        accounts.domain_key as domain,
        true as is_own,
        cast(null as varchar) as contact_id
    from accounts
    left join aliases
        on accounts.record_id = aliases.record_id
    where accounts.domain_key is not null

),

mail_domains as (

    select
        coalesce(
            account_aliases.stands_for_record_id, associations.to_record_id
        ) as account_id,
        people.mail_domain as domain,
        false as is_own,
        coalesce(people_aliases.stands_for_record_id, people.record_id) as contact_id
    from {{ ref('int_source_associations') }} as associations
    inner join people
        on associations.from_record_id = people.record_id
    left join aliases as account_aliases
        on associations.to_record_id = account_aliases.record_id
    left join aliases as people_aliases
        on people.record_id = people_aliases.record_id
    where
        associations.from_object_type = 'contacts'
        and associations.to_object_type = 'companies'

),

everything as (

    select * from own_domains

    union all

    select * from mail_domains

),

final as (

    select
        account_id,
        domain,
        bool_or(is_own) as is_own,
        count(distinct contact_id) as contact_count
    from everything
    group by account_id, domain

)

select * from final
