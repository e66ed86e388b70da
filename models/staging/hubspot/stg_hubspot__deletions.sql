-- One row per record that was archived in the CRM: renamed and cast.
select
    object_type,
    {{ record_id_of('object_type', 'object_id') }} as record_id,
    archived_at
from {{ source('hubspot', 'deletions') }}
