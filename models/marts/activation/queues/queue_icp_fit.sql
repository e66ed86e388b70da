-- One row per account: firmographics and what its people said, as the judge of fit reads it; gated ones say why.
{{ config(meta={'nightdesk': {'role': 'queue', 'operation': 'icp_fit'}}) }}

with

accounts as (

    select * from {{ ref('accounts') }}

),

gates as (

    select * from {{ ref('account_gates') }}
    where operation = 'icp_fit'

),

signals as (

    select
        account_id,
        engagement_points
    from {{ ref('account_signals') }}

),

numbers as (

    select token_estimate_chars from {{ ref('stg_policy__numbers') }}

),

{{ packed_facts('icp_fit') }},

contexts as (

    select
        accounts.account_id as record_id,
        {{ context_of([
            field_line('account.name', 'accounts.account_name'),
            field_line('account.industry', 'accounts.industry'),
            field_line('account.employees', 'accounts.employee_count'),
            field_line('account.country', 'accounts.country'),
            field_line('account.description', 'accounts.description'),
            field_line('account.revenue', canonical_number('accounts.annual_revenue')),
            'packed_facts.fact_lines',
        ]) }} as context,
        gates.gate,
        gates.gate_reason,
        case
            when
                accounts.industry is null
                and accounts.employee_count is null
                and accounts.country is null
                and accounts.description is null
                and accounts.annual_revenue is null
                and packed_facts.fact_lines is null
                then 'industry, employees, country'
        end as missing,
        coalesce(signals.engagement_points, 0) * 100 as priority
    from accounts
    left join gates
        on accounts.account_id = gates.account_id
    left join signals
        on accounts.account_id = signals.account_id
    left join packed_facts
        on accounts.account_id = packed_facts.record_id

),

final as (

    {{ queue_columns('icp_fit', 'account', 'contexts', 'numbers') }}

)

select * from final
