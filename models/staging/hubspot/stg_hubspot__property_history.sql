-- One row per value that a tracked property has had: renamed and cast.
select
    -- ids
    object_type,
    {{ record_id_of('object_type', 'object_id') }} as record_id,
    property,

    -- text
    value as property_value,
    source_type,
    source_id,
    updated_by_user_id,

    -- timestamps
    changed_at
from {{ source('hubspot', 'property_history') }}
