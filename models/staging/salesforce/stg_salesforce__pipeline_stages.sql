-- One row per stage that an opportunity may be in, retired ones included: renamed and cast.
{{ config(materialized='view') }}

select
    -- ids
    'deals' as object_type,
    'salesforce' as pipeline_id,
    coalesce({{ clean('api_name') }}, {{ clean('master_label') }}) as stage_id,

    -- text
    coalesce({{ clean('master_label') }}, {{ clean('api_name') }}) as stage_label,

    -- numerics
    sort_order as display_order,
    cast(default_probability / 100 as decimal(9, 4)) as probability,

    -- booleans
    coalesce(is_closed, false) as is_closed
from {{ source('salesforce', 'opportunity_stages') }}
-- A stage that was retired and made anew stands twice: the one in use says what it means.
qualify
    row_number() over (
        partition by coalesce({{ clean('api_name') }}, {{ clean('master_label') }})
        order by coalesce(is_active, false) desc, id asc
    ) = 1
