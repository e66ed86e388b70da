-- One row per account that was a customer, let its renewal go, and is not a customer now.
with

accounts as (

    select
        account_id,
        lifecycle_stage
    from {{ ref('accounts') }}

),

lost_renewals as (

    select
        account_id,
        deal_id,
        closed_date,
        closed_lost_reason,
        amount
    from {{ ref('deals') }}
    where
        deal_type = 'renewal'
        and is_closed
        and not is_won
        and closed_date <= {{ as_of() }}
    qualify
        row_number() over (
            partition by account_id
            order by closed_date desc, deal_id asc
        ) = 1

),

former_customers as (

    select distinct record_id as account_id
    from {{ ref('int_source_property_history') }}
    where
        object_type = 'companies'
        and property = 'lifecyclestage'
        and property_value = 'customer'

),

final as (

    select
        accounts.account_id,
        lost_renewals.deal_id,
        lost_renewals.closed_date as churned_on,
        lost_renewals.closed_lost_reason as churn_reason,
        lost_renewals.amount as lost_amount
    from accounts
    inner join lost_renewals
        on accounts.account_id = lost_renewals.account_id
    inner join former_customers
        on accounts.account_id = former_customers.account_id
    where accounts.lifecycle_stage is distinct from 'customer'

)

select * from final
