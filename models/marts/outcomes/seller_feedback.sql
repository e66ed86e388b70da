-- One row per record that a seller gave feedback on and operation whose answer the record showed then: useful or not,
-- why, since when and by whom as far as the CRM says. Nobody's words here are read by an agent.
with

given as (

    select
        object_type,
        source_record_id,
        lower(trim(crm_value)) as feedback,
        updated_at
    from {{ ref('int_source_namespaced_values') }}
    where property = 'nightdesk_feedback' and coalesce(crm_value, '') <> ''

),

reasons as (

    select
        object_type,
        source_record_id,
        crm_value as reason
    from {{ ref('int_source_namespaced_values') }}
    where property = 'nightdesk_feedback_reason' and coalesce(crm_value, '') <> ''

),

history as (

    select
        record_id,
        property_value,
        source_type,
        updated_by_user_id,
        changed_at
    from {{ ref('int_source_property_history') }}
    where property = 'nightdesk_feedback'
    qualify row_number() over (partition by record_id order by changed_at desc) = 1

),

dated as (

    select
        given.object_type,
        given.source_record_id,
        {{ record_id_of('given.object_type', 'given.source_record_id') }} as record_id,
        given.feedback,
        reasons.reason,
        history.changed_at as given_at,
        history.updated_by_user_id as given_by,
        history.source_type as given_through,
        coalesce(history.changed_at, given.updated_at) as known_since
    from given
    left join reasons
        on
            given.object_type = reasons.object_type
            and given.source_record_id = reasons.source_record_id
    left join history
        on
            {{ record_id_of('given.object_type', 'given.source_record_id') }}
            = history.record_id
            -- an older entry says nothing about today's value
            and given.feedback = lower(trim(history.property_value))

),

writes as (

    select
        plan_ops.object_type,
        plan_ops.record_id as source_record_id,
        plan_ops.property,
        plan_ops.operation,
        plan_ops.answer_id,
        op_results.crm_after,
        op_results.recorded_at
    from {{ ref('stg_ledger__op_results') }} as op_results
    inner join {{ ref('stg_ledger__apply_runs') }} as apply_runs
        on op_results.apply_run_id = apply_runs.apply_run_id
    inner join {{ ref('stg_ledger__plan_ops') }} as plan_ops
        on
            apply_runs.plan_id = plan_ops.plan_id
            and op_results.op_id = plan_ops.op_id
    where
        plan_ops.crm = 'hubspot'
        and plan_ops.operation <> 'review'
        and not apply_runs.dry_run
        and op_results.result in ('applied', 'altered')

),

last_writes as (

    select
        dated.record_id,
        writes.operation,
        writes.answer_id,
        writes.crm_after,
        writes.recorded_at
    from dated
    inner join writes
        on
            dated.object_type = writes.object_type
            and dated.source_record_id = writes.source_record_id
            and dated.known_since >= writes.recorded_at
    qualify
        row_number() over (
            partition by dated.record_id, writes.property
            order by writes.recorded_at desc
        ) = 1

),

shown as (

    select
        record_id,
        operation,
        max_by(answer_id, recorded_at) as answer_id,
        max(recorded_at) as applied_at
    from last_writes
    -- what was rolled back or cleared before was not shown any more
    where coalesce(crm_after, '') <> ''
    group by record_id, operation

),

final as (

    select
        -- ids
        dated.record_id,
        coalesce(shown.operation, 'none') as operation,
        shown.answer_id,
        dated.given_by,

        -- text
        dated.object_type,
        dated.feedback,
        dated.reason,
        dated.given_through,

        -- numbers
        count(shown.operation) over (partition by dated.record_id) as operations_shown,

        -- booleans
        case dated.feedback when 'useful' then true when 'not_useful' then false end
            as is_useful,

        -- timestamps
        dated.given_at,
        dated.known_since,
        shown.applied_at
    from dated
    left join shown
        on dated.record_id = shown.record_id

)

select * from final
