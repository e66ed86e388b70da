-- One row per CRM property that a published value may be written to. Of the policy in force.
select
    field_map_rows.crm,
    field_map_rows.object_type,
    field_map_rows.field,
    field_map_rows.property,
    field_map_rows.label,
    field_map_rows.value_type,
    field_map_rows.operation,
    field_map_rows.field_class,
    field_map_rows.risk,
    field_map_rows.min_change
from {{ source('ledger', 'policy_field_map') }} as field_map_rows
inner join {{ ref('stg_policy__current') }} as policy_in_force
    on field_map_rows.policy_hash = policy_in_force.policy_hash
