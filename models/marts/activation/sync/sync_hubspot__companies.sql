-- One row per HubSpot company and property that should change: only what differs from the CRM.
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
    risk
from {{ ref('int_proposed_changes') }}
where object_type = 'companies'
