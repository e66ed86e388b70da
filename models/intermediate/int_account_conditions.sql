-- One row per account and gate whose condition it meets, whichever operations the gate is for.
with

accounts as (

    select * from {{ ref('accounts') }}

),

lists as (

    select
        list_name,
        item
    from {{ ref('stg_policy__lists') }}

),

final as (

    select
        accounts.account_id,
        'customer_or_disqualified' as gate
    from accounts
    inner join lists
        on
            lists.list_name = 'lifecycle_gated'
            and accounts.lifecycle_stage = lists.item

    union all

    select
        accounts.account_id,
        'disqualified_industry' as gate
    from accounts
    inner join lists
        on
            lists.list_name = 'industries_disqualified'
            and accounts.industry = lists.item

    union all

    select
        accounts.account_id,
        'too_small' as gate
    from accounts
    inner join {{ ref('stg_policy__numbers') }} as numbers
        on accounts.employee_count < numbers.employees_minimum

)

select * from final
