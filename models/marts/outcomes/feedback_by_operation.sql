-- One row per operation whose answers sellers gave feedback on: how many, and which share found them useful.
with

feedback as (

    select * from {{ ref('seller_feedback') }}
    where operation <> 'none' and is_useful is not null

),

final as (

    select
        operation,
        count(*) as feedback_count,
        count(*) filter (where is_useful) as useful_count,
        count(*) filter (where not is_useful) as not_useful_count,
        count(*) filter (where operations_shown = 1) as alone_count,
        count(*) filter (where operations_shown = 1 and is_useful)
            as alone_useful_count,
        count(*) filter (where reason is not null) as reason_count,
        cast(count(*) filter (where is_useful) as double) / count(*) as useful_share,
        cast(count(*) filter (where operations_shown = 1 and is_useful) as double)
        / nullif(count(*) filter (where operations_shown = 1), 0) as alone_useful_share,
        max(known_since) as last_known_at
    from feedback
    group by operation

)

select * from final
