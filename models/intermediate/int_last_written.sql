-- One row per CRM property of a record that we have written: the value it had after our last write.
select
    plan_ops.crm,
    plan_ops.object_type,
    plan_ops.record_id as source_record_id,
    plan_ops.property,
    case op_results.result
        when 'altered' then op_results.crm_after
        else plan_ops.desired_value
    end as last_written_value,
    op_results.recorded_at as last_written_at
from {{ ref('stg_ledger__op_results') }} as op_results
inner join {{ ref('stg_ledger__apply_runs') }} as apply_runs
    on op_results.apply_run_id = apply_runs.apply_run_id
inner join {{ ref('stg_ledger__plan_ops') }} as plan_ops
    on
        apply_runs.plan_id = plan_ops.plan_id
        and op_results.op_id = plan_ops.op_id
where
    not apply_runs.dry_run
    and op_results.result in ('applied', 'already_there', 'altered')
qualify
    row_number() over (
        partition by
            plan_ops.crm,
            plan_ops.object_type,
            plan_ops.record_id,
            plan_ops.property
        -- applies follow one another by their fencing tokens; a clock can be set back
        order by apply_runs.fencing_token desc, op_results.recorded_at desc
    ) = 1
