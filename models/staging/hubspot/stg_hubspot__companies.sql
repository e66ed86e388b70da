-- One row per HubSpot company, archived ones included: renamed and cast.
select
    -- ids
    {{ record_id('company', 'id') }} as account_id,
    id as source_record_id,
    'companies' as source_object_type,
    {{ record_id('owner', clean('hubspot_owner_id')) }} as owner_id,
    {{ clean('hs_merged_object_ids') }} as merged_source_record_ids,

    -- text
    {{ clean('name') }} as account_name,
    {{ clean('lower(domain)') }} as domain,
    {{ clean('industry') }} as industry,
    {{ clean('country') }} as country,
    {{ clean('city') }} as city,
    {{ clean('description') }} as description,
    {{ clean('lifecyclestage') }} as lifecycle_stage,

    -- numerics
    numberofemployees as employee_count,
    annualrevenue as annual_revenue,

    -- booleans
    coalesce(archived, false) as is_archived,

    -- timestamps
    coalesce(createdate, created_at) as created_at,
    coalesce(hs_lastmodifieddate, updated_at) as updated_at
from {{ source('hubspot', 'companies') }}
