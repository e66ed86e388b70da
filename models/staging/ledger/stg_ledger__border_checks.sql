-- One row per expectation and time it was looked at, at either border.
select
    check_id,
    run_id,
    border,
    dataset,
    plan_id,
    suite,
    table_name,
    expectation,
    meaning,
    severity,
    success,
    is_repeated,
    failures,
    checked_at
from {{ source('ledger', 'border_checks') }}
