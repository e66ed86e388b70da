-- One row per association between two records and its type: renamed and cast.
select
    -- ids
    from_object_type,
    {{ record_id_of('from_object_type', 'from_id') }} as from_record_id,
    to_object_type,
    {{ record_id_of('to_object_type', 'to_id') }} as to_record_id,
    association_type_id,

    -- text
    category as association_category,
    label as association_label
from {{ source('hubspot', 'associations') }}
