-- One row per customer who left within the policy's days: everything they said that bears on coming back. Asked once a
-- month, or when something new was said.
{{ config(meta={'nightdesk': {'role': 'queue', 'operation': 'churn_revisit'}}) }}

with

numbers as (

    select
        token_estimate_chars,
        churned_within_days
    from {{ ref('stg_policy__numbers') }}

),

churned_customers as (

    select churned.*
    from {{ ref('churned_customers') }} as churned
    cross join numbers
    where
        churned.churned_on between
        {{ as_of() }} - numbers.churned_within_days and {{ as_of() }}

),

accounts as (

    select
        account_id,
        account_name
    from {{ ref('accounts') }}

),

{{ packed_facts('churn_revisit') }},

contexts as (

    select
        churned_customers.account_id as record_id,
        {{ context_of([
            field_line('account.name', 'accounts.account_name'),
            field_line('account.churned_on', 'churned_customers.churned_on'),
            field_line('account.churn_reason', 'churned_customers.churn_reason'),
            field_line('revisit.month', "strftime(" ~ as_of() ~ ", '%Y-%m')"),
            'packed_facts.fact_lines',
        ]) }} as context,
        cast(null as varchar) as gate,
        cast(null as varchar) as gate_reason,
        case when packed_facts.fact_lines is null then 'anything they said' end
            as missing,
        coalesce(churned_customers.lost_amount, 0) as priority
    from churned_customers
    inner join accounts
        on churned_customers.account_id = accounts.account_id
    left join packed_facts
        on churned_customers.account_id = packed_facts.record_id

),

final as (

    {{ queue_columns('churn_revisit', 'account', 'contexts', 'numbers') }}

)

select * from final
