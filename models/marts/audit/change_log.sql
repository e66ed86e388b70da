-- One row per planned change and run that applied it (one without a run while nobody has): old value, new value, who
-- decided, how it ended.
with

plan_ops as (

    select * from {{ ref('stg_ledger__plan_ops') }}

),

plans as (

    select
        plan_id,
        run_id,
        kind,
        created_by,
        created_at
    from {{ ref('stg_ledger__plans') }}

),

results as (

    select
        apply_runs.plan_id,
        op_results.op_id,
        op_results.apply_run_id,
        apply_runs.actor,
        op_results.result,
        op_results.crm_before,
        op_results.crm_after,
        op_results.message,
        op_results.refusal,
        op_results.recorded_at
    from {{ ref('stg_ledger__op_results') }} as op_results
    inner join {{ ref('stg_ledger__apply_runs') }} as apply_runs
        on op_results.apply_run_id = apply_runs.apply_run_id
    where not apply_runs.dry_run

),

-- Who said yes to each change: the latest word of everybody who spoke about it, two people where policy asks for two.
verdicts as (

    select
        plan_ops.plan_id,
        plan_ops.op_id,
        approvals.approver,
        approvals.verdict
    from {{ ref('stg_ledger__approvals') }} as approvals
    inner join plan_ops
        on
            approvals.plan_id = plan_ops.plan_id
            and plan_ops.decision = 'require_approval'
            and (
                approvals.op_ids is null
                or list_contains(
                    from_json(approvals.op_ids, '["varchar"]'), plan_ops.op_id
                )
            )
    qualify
        row_number() over (
            partition by plan_ops.plan_id, plan_ops.op_id, approvals.approver
            order by approvals.approved_at desc, approvals.approval_id asc
        ) = 1

),

approvers as (

    select
        plan_id,
        op_id,
        string_agg(approver, ', ' order by approver) as approver
    from verdicts
    where verdict = 'approved'
    group by plan_id, op_id

),

final as (

    select
        -- ids
        plan_ops.plan_id,
        plan_ops.op_id,
        coalesce(results.apply_run_id, 'not applied') as apply_run_id,
        plans.run_id,
        plan_ops.record_id,
        plan_ops.answer_id,

        -- text
        plans.kind as plan_kind,
        plan_ops.crm,
        plan_ops.object_type,
        plan_ops.record_label,
        plan_ops.property,
        plan_ops.operation,
        plan_ops.before_value,
        plan_ops.desired_value,
        plan_ops.conflict_class,
        plan_ops.reason,
        plan_ops.decision,
        plan_ops.deciding_rule,
        approvers.approver,
        plans.created_by,
        results.actor,
        results.result,
        results.crm_before,
        results.crm_after,
        results.message,
        results.refusal,
        plan_ops.segment,
        plan_ops.subject_id,

        -- numerics
        plan_ops.confidence,
        plan_ops.evidence_count,

        -- timestamps
        plans.created_at as planned_at,
        results.recorded_at as ended_at
    from plan_ops
    inner join plans
        on plan_ops.plan_id = plans.plan_id
    left join results
        on
            plan_ops.plan_id = results.plan_id
            and plan_ops.op_id = results.op_id
    left join approvers
        on
            plan_ops.plan_id = approvers.plan_id
            and plan_ops.op_id = approvers.op_id

)

select * from final
