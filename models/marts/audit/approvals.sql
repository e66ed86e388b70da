-- One row per verdict of a person: on which plan, how many changes, where it was given, and how many of them were written
-- under it.
with

verdicts as (

    select * from {{ ref('stg_ledger__approvals') }}

),

plan_ops as (

    select
        plan_id,
        op_id,
        decision
    from {{ ref('stg_ledger__plan_ops') }}

),

plans as (

    select
        plan_id,
        kind,
        crm,
        created_by
    from {{ ref('stg_ledger__plans') }}

),

written as (

    select
        apply_runs.plan_id,
        op_results.op_id,
        min(op_results.recorded_at) as written_at
    from {{ ref('stg_ledger__op_results') }} as op_results
    inner join {{ ref('stg_ledger__apply_runs') }} as apply_runs
        on op_results.apply_run_id = apply_runs.apply_run_id
    where not apply_runs.dry_run and op_results.result in ('applied', 'altered')
    group by apply_runs.plan_id, op_results.op_id

),

covered as (

    select
        verdicts.approval_id,
        plan_ops.plan_id,
        plan_ops.op_id
    from verdicts
    inner join plan_ops
        on
            verdicts.plan_id = plan_ops.plan_id
            and plan_ops.decision = 'require_approval'
            and (
                verdicts.op_ids is null
                or list_contains(
                    from_json(verdicts.op_ids, '["varchar"]'), plan_ops.op_id
                )
            )

),

counted as (

    select
        covered.approval_id,
        count(*) as operation_count,
        count(written.op_id) as written_count
    from covered
    left join written
        on
            covered.plan_id = written.plan_id
            and covered.op_id = written.op_id
    group by covered.approval_id

),

final as (

    select
        -- ids
        verdicts.approval_id,
        verdicts.plan_id,

        -- text
        plans.crm,
        plans.kind as plan_kind,
        plans.created_by as proposed_by,
        verdicts.verdict,
        verdicts.approver,
        verdicts.role,
        verdicts.via,
        verdicts.note,

        -- numbers
        coalesce(counted.operation_count, 0) as operation_count,
        coalesce(counted.written_count, 0) as written_count,

        -- timestamps
        verdicts.approved_at,
        verdicts.expires_at
    from verdicts
    left join plans
        on verdicts.plan_id = plans.plan_id
    left join counted
        on verdicts.approval_id = counted.approval_id

)

select * from final
