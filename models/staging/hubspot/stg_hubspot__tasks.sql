-- One row per HubSpot task, archived ones included: renamed and cast.
select
    -- ids
    {{ record_id('task', 'id') }} as task_id,
    id as source_record_id,
    'tasks' as source_object_type,
    {{ record_id('owner', clean('hubspot_owner_id')) }} as owner_id,

    -- text
    {{ clean('hs_task_subject') }} as subject,
    {{ clean('hs_task_body') }} as body,
    upper({{ clean('hs_task_status') }}) as task_status,
    upper({{ clean('hs_task_priority') }}) as priority,
    upper({{ clean('hs_task_type') }}) as task_type,

    -- booleans
    coalesce(archived, false) as is_archived,

    -- timestamps
    hs_timestamp as due_at,
    coalesce(hs_lastmodifieddate, updated_at) as updated_at
from {{ source('hubspot', 'tasks') }}
