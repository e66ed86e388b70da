-- One row per live contact with its account: identity only, before anything that depends on what was said.
with

-- What people typed into a CRM, or a form did, is shown in many places: from here on it is plain text.
contacts as (

    select
        * replace (
            {{ plain_field('first_name') }} as first_name,
            {{ plain_field('last_name') }} as last_name,
            {{ plain_field('job_title') }} as job_title,
            {{ plain_field('company_name') }} as company_name,
            {{ plain_field('country') }} as country,
            {{ plain_field('city') }} as city
        )
    from {{ ref('int_source_contacts') }}

),

merged as (

    select merged_record_id from {{ ref('merged_records') }}

),

lifecycle_stages as (

    select
        record_id,
        lifecycle_stage
    from {{ ref('int_lifecycle_stages') }}
    where object_type = 'contacts'

),

deletions as (

    select record_id from {{ ref('int_source_deletions') }}

),

accounts as (

    select account_id from {{ ref('accounts') }}

),

freemail_domains as (

    select item as domain
    from {{ ref('stg_policy__lists') }}
    where list_name = 'freemail_domains'

),

contact_accounts as (

    select
        associations.from_record_id as contact_id,
        min_by(
            accounts.account_id,
            row(associations.association_rank, accounts.account_id)
        ) as account_id
    from {{ ref('int_associations') }} as associations
    inner join accounts
        on associations.to_record_id = accounts.account_id
    where associations.from_object_type = 'contacts'
    group by associations.from_record_id

),

final as (

    select
        -- ids
        contacts.contact_id,
        contacts.source_record_id,
        contact_accounts.account_id,
        contacts.owner_id,

        -- text
        contacts.email,
        nullif(split_part(contacts.email, '@', 2), '') as email_domain,
        contacts.first_name,
        contacts.last_name,
        nullif(
            concat_ws(' ', contacts.first_name, contacts.last_name), ''
        ) as full_name,
        contacts.job_title,
        contacts.phone,
        contacts.company_name,
        contacts.country,
        contacts.city,
        contacts.language,
        lifecycle_stages.lifecycle_stage,
        contacts.lifecycle_stage as source_lifecycle_stage,
        contacts.lead_status,

        -- numerics
        contacts.email_bounce_count,

        -- booleans
        freemail_domains.domain is not null as is_freemail,
        coalesce(
            regexp_full_match(
                contacts.email, '[^@\s]+@[^@\s.]+(\.[^@\s.]+)*\.[a-z]{2,}'
            ),
            false
        )
        and contacts.email_bounce_count = 0 as has_valid_email,

        -- timestamps
        contacts.created_at,
        contacts.updated_at
    from contacts
    left join lifecycle_stages
        on contacts.contact_id = lifecycle_stages.record_id
    left join contact_accounts
        on contacts.contact_id = contact_accounts.contact_id
    left join freemail_domains
        on split_part(contacts.email, '@', 2) = freemail_domains.domain
    left join merged
        on contacts.contact_id = merged.merged_record_id
    left join deletions
        on contacts.contact_id = deletions.record_id
    where
        not contacts.is_archived
        and merged.merged_record_id is null
        and deletions.record_id is null

)

select * from final
