-- One row per Salesforce account, deleted ones included: renamed and cast.
{{ config(materialized='view') }}

select
    -- ids
    {{ salesforce_id('company', 'id') }} as account_id,
    id as source_record_id,
    'Account' as source_object_type,
    {{ salesforce_owner('owner_id') }} as owner_id,
    -- Merges are told one by one: stg_salesforce__merges.
    cast(null as varchar) as merged_source_record_ids,

    -- text
    {{ clean('name') }} as account_name,
    {{ domain_of_url('website') }} as domain,
    {{ clean('industry') }} as industry,
    {{ clean('billing_country') }} as country,
    {{ clean('billing_city') }} as city,
    {{ clean('description') }} as description,
    coalesce({{ clean('lifecycle_stage') }}, {{ clean('type') }}) as lifecycle_stage,

    -- numerics
    number_of_employees as employee_count,
    cast(annual_revenue as decimal(18, 2)) as annual_revenue,

    -- booleans
    coalesce(is_deleted, false) as is_archived,

    -- timestamps
    created_date as created_at,
    coalesce(last_modified_date, system_modstamp) as updated_at
from {{ source('salesforce', 'accounts') }}
