-- One row per question an agent was asked: all its calls together, retries and parts of long documents included.
with

calls as (

    select
        operation,
        input_hash,
        max(agent) as agent,
        max(model) as model,
        count(*) as call_count,
        sum(input_tokens + cache_read_tokens + cache_write_tokens) as read_tokens,
        sum(output_tokens) as written_tokens,
        sum(cost_usd) as cost_usd,
        min(requested_at) as first_asked_at
    from {{ ref('stg_ledger__attempts') }}
    group by operation, input_hash

),

answers as (

    select
        operation,
        input_hash,
        count(*) as answer_count,
        -- Two records with the same context share a question, and then its outcome.
        max(outcome) as outcome
    from {{ ref('stg_ledger__answers') }}
    group by operation, input_hash

),

final as (

    select
        -- ids
        calls.operation || ':' || calls.input_hash as question_id,
        calls.input_hash,

        -- text
        calls.operation,
        calls.agent,
        coalesce(calls.model, 'none') as model,
        coalesce(answers.outcome, 'no_answer') as outcome,

        -- numerics
        calls.call_count,
        coalesce(answers.answer_count, 0) as answer_count,
        cast(calls.read_tokens as bigint) as read_tokens,
        cast(calls.written_tokens as bigint) as written_tokens,
        cast(calls.read_tokens + calls.written_tokens as bigint) as token_count,
        cast(calls.cost_usd as decimal(18, 8)) as cost_usd,

        -- timestamps
        calls.first_asked_at
    from calls
    left join answers
        on
            calls.operation = answers.operation
            and calls.input_hash = answers.input_hash

)

select * from final
