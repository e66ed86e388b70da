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

kinds as (

    select
        record_id as account_id,
        crm,
        source_object_type
    from {{ ref('int_lifecycle_stages') }}
    where object_type = 'companies'

),

history as (

    select
        record_id as account_id,
        lower(property_value) as source_value
    from {{ ref('int_source_property_history') }}
    where object_type = 'companies' and property = 'lifecyclestage'

),

customer_values as (

    select
        crm,
        source_object_type,
        source_value
    from {{ ref('stg_policy__lifecycle_values') }}
    where lifecycle_stage = 'customer'

),

-- Where policy lets deals speak for an account, a won one makes a customer.
deals_speak as (

    select
        crm,
        source_object_type
    from {{ ref('stg_policy__lifecycle_rules') }}
    where lifecycle_rule = 'won_deal' and lifecycle_stage = 'customer'

),

former_customers as (

    select history.account_id
    from history
    inner join kinds
        on history.account_id = kinds.account_id
    inner join customer_values
        on
            kinds.crm = customer_values.crm
            and kinds.source_object_type = customer_values.source_object_type
            and history.source_value = customer_values.source_value

    union

    select account_id
    from history
    where
        source_value = 'customer'
        and not exists (select 1 from {{ ref('stg_policy__current') }})

    union

    select won.account_id
    from {{ ref('deals') }} as won
    inner join lost_renewals
        on won.account_id = lost_renewals.account_id
    inner join kinds
        on won.account_id = kinds.account_id
    inner join deals_speak
        on
            kinds.crm = deals_speak.crm
            and kinds.source_object_type = deals_speak.source_object_type
    where won.is_won and won.closed_date < lost_renewals.closed_date

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
