-- One row per live contact: merged-away and archived ones are gone, opt-outs of every kind are in.
with

opted_out as (

    select
        contact_id,
        min(opted_out_at) as opted_out_at
    from {{ ref('opt_outs') }}
    group by contact_id

),

final as (

    select
        -- ids
        contacts.contact_id,
        contacts.source_record_id,
        contacts.account_id,
        contacts.owner_id,

        -- text
        contacts.email,
        contacts.email_domain,
        contacts.first_name,
        contacts.last_name,
        contacts.full_name,
        contacts.job_title,
        contacts.phone,
        contacts.company_name,
        contacts.country,
        contacts.city,
        contacts.language,
        contacts.lifecycle_stage,
        contacts.source_lifecycle_stage,
        contacts.lead_status,

        -- numerics
        contacts.email_bounce_count,

        -- booleans
        contacts.is_freemail,
        contacts.has_valid_email,
        opted_out.contact_id is not null as is_opted_out,

        -- timestamps
        opted_out.opted_out_at,
        contacts.created_at,
        contacts.updated_at
    from {{ ref('int_contacts') }} as contacts
    left join opted_out
        on contacts.contact_id = opted_out.contact_id

)

select * from final
