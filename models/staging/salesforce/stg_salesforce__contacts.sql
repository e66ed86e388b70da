-- One row per Salesforce contact or lead, deleted and converted ones included: renamed and cast.
{{ config(materialized='view') }}

with

contacts as (

    select
        -- ids
        {{ salesforce_id('contact', 'id') }} as contact_id,
        id as source_record_id,
        'Contact' as source_object_type,
        {{ salesforce_owner('owner_id') }} as owner_id,
        -- Merges are told one by one: stg_salesforce__merges.
        cast(null as varchar) as merged_source_record_ids,

        -- text
        {{ clean('lower(email)') }} as email,
        {{ clean('first_name') }} as first_name,
        {{ provided('last_name') }} as last_name,
        {{ clean('title') }} as job_title,
        coalesce({{ clean('phone') }}, {{ clean('mobile_phone') }}) as phone,
        -- Salesforce has no such field on contacts: their account is the association.
        {{ provided('company_name') }} as company_name,
        {{ clean('mailing_country') }} as country,
        {{ clean('mailing_city') }} as city,
        {{ clean('language') }} as language,
        {{ clean('lifecycle_stage') }} as lifecycle_stage,
        {{ clean('lead_status') }} as lead_status,

        -- numerics
        -- Salesforce says that mail came back; how often, only if the org counts.
        coalesce(
            email_bounce_count,
            cast(
                coalesce(is_email_bounced, false)
                or email_bounced_date is not null as bigint
            )
        ) as email_bounce_count,

        -- booleans
        coalesce(has_opted_out_of_email, false) as is_email_opted_out,
        coalesce(do_not_call, false) as is_do_not_call,
        coalesce(is_deleted, false) as is_archived,

        -- timestamps
        created_date as created_at,
        coalesce(last_modified_date, system_modstamp) as updated_at
    from {{ source('salesforce', 'contacts') }}

),

leads as (

    select
        -- ids
        {{ salesforce_id('lead', 'id') }} as contact_id,
        id as source_record_id,
        'Lead' as source_object_type,
        {{ salesforce_owner('owner_id') }} as owner_id,
        cast(null as varchar) as merged_source_record_ids,

        -- text
        {{ clean('lower(email)') }} as email,
        {{ clean('first_name') }} as first_name,
        {{ provided('last_name') }} as last_name,
        {{ clean('title') }} as job_title,
        coalesce({{ clean('phone') }}, {{ clean('mobile_phone') }}) as phone,
        {{ provided('company') }} as company_name,
        {{ clean('country') }} as country,
        {{ clean('city') }} as city,
        {{ clean('language') }} as language,
        coalesce(
            {{ clean('lifecycle_stage') }}, {{ clean('status') }}
        ) as lifecycle_stage,
        coalesce({{ clean('lead_status') }}, {{ clean('status') }}) as lead_status,

        -- numerics
        coalesce(
            email_bounce_count,
            cast(
                email_bounced_date is not null
                or {{ clean('email_bounced_reason') }} is not null as bigint
            )
        ) as email_bounce_count,

        -- booleans
        coalesce(has_opted_out_of_email, false) as is_email_opted_out,
        coalesce(do_not_call, false) as is_do_not_call,
        coalesce(is_deleted, false) as is_archived,

        -- timestamps
        created_date as created_at,
        coalesce(last_modified_date, system_modstamp) as updated_at
    from {{ source('salesforce', 'leads') }}

)

select * from contacts

union all by name

select * from leads
