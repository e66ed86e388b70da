-- One row per thing an agent said that nobody will see: what failed the evidence check, and answers that could not be
-- used at all.
with

attempts as (

    select
        attempt_id,
        run_id,
        operation,
        record_id,
        agent,
        model,
        status,
        stop_reason,
        requested_at
    from {{ ref('stg_ledger__attempts') }}

),

items as (

    select
        attempt_id,
        item_kind,
        item_key,
        position as item_position,
        body,
        reason
    from {{ ref('stg_ledger__rejections') }}

),

-- A refusal and a cut-off answer are not read, so nothing of them stands among the rejections.
unread as (

    select
        attempt_id,
        'answer' as item_kind,
        status as item_key,
        0 as item_position,
        '' as body,
        case status
            when 'refused' then 'The agent refused to answer'
            else 'The answer was cut off'
        end
        || coalesce(': ' || stop_reason, '') as reason
    from attempts
    where status in ('refused', 'truncated')

),

rejected as (

    select * from items

    union all by name

    select * from unread

),

final as (

    select
        rejected.attempt_id,
        rejected.item_kind,
        rejected.item_key,
        rejected.item_position,
        attempts.run_id,
        attempts.operation,
        attempts.record_id,
        attempts.agent,
        coalesce(attempts.model, 'none') as model,
        rejected.body,
        rejected.reason,
        attempts.requested_at
    from rejected
    left join attempts
        on rejected.attempt_id = attempts.attempt_id

)

select * from final
