-- One row per call of an agent: what was asked, how it ended, what it cost.
with

attempts as (

    select * from {{ ref('stg_ledger__attempts') }}

),

runs as (

    select
        run_id,
        as_of
    from {{ ref('stg_ledger__runs') }}

),

answers as (

    select
        attempt_id,
        min(answer_id) as answer_id,
        min(outcome) as answer_outcome
    from {{ ref('stg_ledger__answers') }}
    group by attempt_id

),

rejections as (

    select
        attempt_id,
        count(*) as rejection_count
    from {{ ref('stg_ledger__rejections') }}
    group by attempt_id

),

final as (

    select
        -- ids
        attempts.attempt_id,
        attempts.run_id,
        answers.answer_id,
        attempts.record_id,
        attempts.input_hash,
        attempts.call_hash,

        -- text
        attempts.operation,
        attempts.record_type,
        attempts.agent,
        attempts.model,
        attempts.status,
        attempts.stop_reason,
        answers.answer_outcome,
        attempts.error,
        attempts.response_ref,

        -- numerics
        attempts.input_tokens,
        attempts.cache_read_tokens,
        attempts.cache_write_tokens,
        attempts.output_tokens,
        cast(attempts.cost_usd as decimal(18, 8)) as cost_usd,
        coalesce(rejections.rejection_count, 0) as rejection_count,
        date_diff('millisecond', attempts.requested_at, attempts.responded_at)
            as latency_ms,

        -- timestamps
        coalesce(runs.as_of, {{ utc_date('attempts.requested_at') }}) as night_date,
        attempts.requested_at,
        attempts.responded_at
    from attempts
    left join runs
        on attempts.run_id = runs.run_id
    left join answers
        on attempts.attempt_id = answers.attempt_id
    left join rejections
        on attempts.attempt_id = rejections.attempt_id

)

select * from final
