-- One row per record that was merged into another one: renamed and cast.
select
    object_type,
    {{ record_id_of('object_type', 'merged_id') }} as merged_record_id,
    {{ record_id_of('object_type', 'surviving_id') }} as surviving_record_id,
    'merged' as reason
from {{ source('hubspot', 'merges') }}
