-- One row per run, operation and outcome: how many records ended so. The outcomes of one operation add up to its queue.
with

outcomes as (

    select
        run_id,
        operation,
        outcome,
        count(*) as record_count,
        max(recorded_at) as recorded_at
    from {{ ref('stg_ledger__outcomes') }}
    group by run_id, operation, outcome

),

final as (

    select
        outcomes.run_id,
        outcomes.operation,
        outcomes.outcome,
        outcomes.record_count,
        cast(
            sum(outcomes.record_count) over (
                partition by outcomes.run_id, outcomes.operation
            ) as bigint
        ) as selected_count,
        cast(
            outcomes.record_count / sum(outcomes.record_count) over (
                partition by outcomes.run_id, outcomes.operation
            ) as double
        ) as record_share,
        runs.as_of as night_date,
        outcomes.recorded_at
    from outcomes
    left join {{ ref('stg_ledger__runs') }} as runs
        on outcomes.run_id = runs.run_id

)

select * from final
