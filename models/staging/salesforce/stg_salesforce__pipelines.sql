-- One row once the org's stages are loaded: Salesforce keeps all opportunities in one row of stages.
{{ config(materialized='view') }}

select distinct
    -- ids
    'deals' as object_type,
    'salesforce' as pipeline_id,

    -- text
    'Salesforce' as pipeline_label,

    -- numerics
    cast(0 as bigint) as display_order,

    -- booleans
    false as is_archived
from {{ source('salesforce', 'opportunity_stages') }}
