-- One row per namespaced property that the CRM holds for a record, as the CRM sends it.
select
    'hubspot' as crm,
    object_type,
    object_id as source_record_id,
    property,
    value as crm_value,
    updated_at
from {{ source('hubspot', 'namespaced_values') }}
