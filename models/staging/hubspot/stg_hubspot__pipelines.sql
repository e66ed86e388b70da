-- One row per pipeline and object type: renamed and cast.
select
    -- ids
    object_type,
    id as pipeline_id,

    -- text
    {{ clean('label') }} as pipeline_label,

    -- numerics
    display_order,

    -- booleans
    coalesce(archived, false) as is_archived
from {{ source('hubspot', 'pipelines') }}
