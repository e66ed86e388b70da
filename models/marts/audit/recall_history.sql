-- One row per question that was asked and fact weighed for it, and one per reason for facts that were only counted.
with

-- Records with the same question share its answer.
answers as (

    select
        operation,
        context_hash,
        max_by(answer_id, row(answered_at, answer_id)) as answer_id
    from {{ ref('stg_ledger__answers') }}
    group by operation, context_hash

),

final as (

    select
        recall_log.operation,
        recall_log.context_hash,
        recall_log.decision,
        recall_log.fact_id,
        recall_log.record_id,
        recall_log.run_id,
        answers.answer_id,
        history.predicate,
        history.status as fact_status,
        recall_log.position,
        recall_log.usefulness,
        recall_log.estimated_tokens,
        recall_log.fact_count,
        recall_log.logged_at
    from {{ ref('stg_ledger__recall_log') }} as recall_log
    left join answers
        on
            recall_log.operation = answers.operation
            and recall_log.context_hash = answers.context_hash
    left join {{ ref('fact_history') }} as history
        on recall_log.fact_id = history.fact_id

)

select * from final
