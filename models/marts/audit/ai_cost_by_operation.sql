-- One row per operation: what its questions cost, and what the values it filled cost with their memory.
with

questions as (

    select
        operation,
        count(*) as question_count,
        cast(sum(call_count) as bigint) as call_count,
        cast(sum(answer_count) as bigint) as answer_count,
        cast(sum(read_tokens) as bigint) as read_tokens,
        cast(sum(written_tokens) as bigint) as written_tokens,
        cast(sum(cost_usd) as decimal(18, 8)) as cost_usd
    from {{ ref('ai_cost_by_question') }}
    group by operation

),

value_costs as (

    select
        operation,
        count(*) as value_count,
        sum(cost_usd) as value_usd,
        sum(remembered_usd) as remembered_usd
    from {{ ref('ai_cost_by_value') }}
    group by operation

),

unattributed as (

    select
        operation,
        cast(sum(cost_usd) as decimal(18, 8)) as cost_usd
    from {{ ref('ai_cost_unattributed') }}
    group by operation

),

final as (

    select
        -- ids
        questions.operation,

        -- numerics
        questions.question_count,
        questions.call_count,
        questions.answer_count,
        coalesce(value_costs.value_count, 0) as value_count,
        questions.read_tokens,
        questions.written_tokens,
        questions.cost_usd,
        coalesce(unattributed.cost_usd, 0) as unattributed_usd,
        cast(questions.cost_usd as double) / questions.question_count
            as usd_per_question,
        coalesce(value_costs.value_usd, 0) as value_usd,
        coalesce(value_costs.remembered_usd, 0) as remembered_usd,
        value_costs.value_usd / value_costs.value_count as usd_per_value
    from questions
    left join value_costs
        on questions.operation = value_costs.operation
    left join unattributed
        on questions.operation = unattributed.operation

)

select * from final
