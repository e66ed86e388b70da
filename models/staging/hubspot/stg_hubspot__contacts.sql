-- One row per HubSpot contact, archived ones included: renamed and cast.
select
    -- ids
    {{ record_id('contact', 'id') }} as contact_id,
    id as source_record_id,
    'contacts' as source_object_type,
    {{ record_id('owner', clean('hubspot_owner_id')) }} as owner_id,
    {{ clean('hs_merged_object_ids') }} as merged_source_record_ids,

    -- text
    {{ clean('lower(email)') }} as email,
    {{ clean('firstname') }} as first_name,
    {{ clean('lastname') }} as last_name,
    {{ clean('jobtitle') }} as job_title,
    {{ clean('phone') }} as phone,
    {{ clean('company') }} as company_name,
    {{ clean('country') }} as country,
    {{ clean('city') }} as city,
    {{ clean('hs_language') }} as language,
    {{ clean('lifecyclestage') }} as lifecycle_stage,
    {{ clean('hs_lead_status') }} as lead_status,

    -- numerics
    coalesce(hs_email_bounce, 0) as email_bounce_count,

    -- booleans
    coalesce(hs_email_optout, false) as is_email_opted_out,
    coalesce(archived, false) as is_archived,

    -- timestamps
    coalesce(createdate, created_at) as created_at,
    coalesce(lastmodifieddate, updated_at) as updated_at
from {{ source('hubspot', 'contacts') }}
