{#- One object type of one CRM out of int_proposed_changes: what the plan reads. -#}
{% macro sync_model(crm, object_type) -%}
select
    object_type,
    record_id,
    record_label,
    property,
    value_type,
    field,
    crm_value,
    last_written_value,
    desired_value,
    operation,
    answer_id,
    reason,
    confidence,
    evidence,
    evidence_count,
    is_stale,
    is_suppressed,
    field_class,
    risk,
    segment,
    subject_id
from {{ ref('int_proposed_changes') }}
where
    crm = '{{ crm }}'
    and object_type = '{{ object_type }}'
{%- endmacro %}
