-- One row per operation and account that a hard gate answers: the first gate that fits (policies/gates.yml).
with

conditions as (

    select
        account_id,
        gate
    from {{ ref('int_account_conditions') }}

),

final as (

    select
        gates.operation,
        conditions.account_id,
        conditions.gate,
        gates.reason as gate_reason,
        gates.position as gate_position
    from conditions
    inner join {{ ref('stg_policy__gates') }} as gates
        on conditions.gate = gates.gate
    qualify
        row_number() over (
            partition by gates.operation, conditions.account_id
            order by gates.position asc, gates.gate asc
        ) = 1

)

select * from final
