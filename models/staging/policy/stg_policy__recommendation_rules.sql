-- One row per line of the playbook: the signal, and the task it asks for. Of the policy in force.
select
    item as rule_id,
    cast(json_extract(parameter, '$.position') as integer) as rule_position,
    json_extract_string(parameter, '$.when') as signal,
    cast(json_extract(parameter, '$.classes') as varchar[]) as reply_classes,
    json_extract_string(parameter, '$.operation') as operation,
    json_extract_string(parameter, '$.subject') as subject_template,
    json_extract_string(parameter, '$.body') as body_template,
    json_extract_string(parameter, '$.priority') as priority,
    json_extract_string(parameter, '$.type') as task_type,
    cast(json_extract(parameter, '$.due_business_days') as integer)
        as due_business_days,
    cast(json_extract(parameter, '$.within_days') as integer) as within_days,
    try_cast(json_extract_string(parameter, '$.quiet_days') as integer) as quiet_days
from {{ ref('stg_policy__lists') }}
where list_name = 'delivery_rules'
