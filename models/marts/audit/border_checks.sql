-- One row per expectation and time it was looked at, at either border: what was expected, whether it held, what came of it.
with

checks as (

    select * from {{ ref('stg_ledger__border_checks') }}

),

runs as (

    select
        run_id,
        as_of
    from {{ ref('stg_ledger__runs') }}

),

final as (

    select
        checks.check_id,
        checks.run_id,
        checks.border,
        checks.dataset,
        checks.plan_id,
        checks.suite,
        checks.table_name,
        checks.expectation,
        checks.meaning,
        checks.severity,
        checks.success as is_held,
        checks.is_repeated,
        runs.as_of as night_date,
        checks.checked_at,
        cast(checks.failures as varchar) as failures,
        json_array_length(checks.failures) as failure_count,
        case
            when checks.success then 'held'
            when checks.severity = 'warn' then 'warned'
            else 'stopped'
        end as outcome
    from checks
    left join runs
        on checks.run_id = runs.run_id

)

select * from final
