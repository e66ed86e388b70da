-- One row per stage of a pipeline: renamed and cast.
select
    -- ids
    object_type,
    pipeline_id,
    id as stage_id,

    -- text
    {{ clean('label') }} as stage_label,

    -- numerics
    display_order,
    cast(probability as decimal(9, 4)) as probability,

    -- booleans
    coalesce(is_closed, false) as is_closed
from {{ source('hubspot', 'pipeline_stages') }}
