-- One row per object, field and value that a picklist offers: renamed and cast.
{{ config(materialized='view') }}

select
    object_type as source_object_type,
    field as field_name,
    value as picklist_value,
    {{ clean('label') }} as picklist_label,
    position as display_order,
    coalesce(is_active, false) as is_active,
    coalesce(is_default, false) as is_default
from {{ source('salesforce', 'picklist_values') }}
