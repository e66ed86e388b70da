-- One row per Salesforce opportunity, deleted ones included: renamed and cast, its amount in the corporate currency too.
{{ config(materialized='view') }}

with

corporate as (

    select max(currency_code) as currency_code
    from {{ ref('stg_salesforce__currencies') }}
    where is_corporate

),

opportunities as (

    select
        opportunities.*,
        -- Where an org has one currency, its records have no field for one.
        coalesce(
            upper({{ clean('opportunities.currency_iso_code') }}),
            corporate.currency_code
        ) as currency_code,
        corporate.currency_code as corporate_currency_code,
        coalesce(
            {{ clean('opportunities.deal_type') }}, {{ clean('opportunities.type') }}
        ) as type_of_deal,
        regexp_replace(
            lower(
                coalesce(
                    {{ clean('opportunities.deal_type') }},
                    {{ clean('opportunities.type') }}
                )
            ),
            '[^a-z]',
            '',
            'g'
        ) as deal_type_word
    from {{ source('salesforce', 'opportunities') }} as opportunities
    cross join corporate

),

currency_rates as (

    select
        currency_code,
        conversion_rate
    from {{ ref('stg_salesforce__currencies') }}

),

dated_rates as (

    select
        currency_code,
        valid_from_date,
        valid_to_date,
        conversion_rate
    from {{ ref('stg_salesforce__dated_conversion_rates') }}

),

final as (

    select
        -- ids
        {{ salesforce_id('deal', 'opportunities.id') }} as deal_id,
        opportunities.id as source_record_id,
        'Opportunity' as source_object_type,
        {{ salesforce_owner('opportunities.owner_id') }} as owner_id,
        'salesforce' as pipeline_id,
        {{ clean('opportunities.stage_name') }} as stage_id,

        -- text
        {{ clean('opportunities.name') }} as deal_name,
        case
            when opportunities.deal_type_word like '%renewal%' then 'renewal'
            when
                opportunities.deal_type_word like 'existing%'
                or opportunities.deal_type_word in (
                    'upsell', 'crosssell', 'expansion', 'upgrade', 'addon'
                )
                then 'existingbusiness'
            when
                opportunities.deal_type_word in (
                    'new',
                    'newbusiness',
                    'newcustomer',
                    'newlogo',
                    'netnew',
                    'newbusinessopportunity'
                )
                then 'newbusiness'
            else opportunities.type_of_deal
        end as deal_type,
        {{ clean('opportunities.closed_lost_reason') }} as closed_lost_reason,
        opportunities.currency_code,
        opportunities.corporate_currency_code,

        -- numerics
        cast(opportunities.amount as decimal(18, 2)) as amount,
        -- A rate says how many units of the currency one of the corporate currency buys; one dated for the day the
        -- deal closes comes first.
        cast(
            opportunities.amount
            / nullif(
                coalesce(
                    dated_rates.conversion_rate, currency_rates.conversion_rate
                ),
                0
            ) as decimal(18, 2)
        ) as corporate_amount,

        -- booleans
        coalesce(opportunities.is_closed, false) as is_closed,
        coalesce(opportunities.is_won, false) as is_won,
        coalesce(opportunities.is_deleted, false) as is_archived,

        -- timestamps
        -- The moment, where the org keeps one and it is of the day that Salesforce says.
        case
            when
                {{ utc_date('opportunities.closed_at') }}
                = opportunities.close_date
                then opportunities.closed_at
            else timezone('UTC', cast(opportunities.close_date as timestamp))
        end as closed_at,
        opportunities.created_date as created_at,
        coalesce(
            opportunities.last_modified_date, opportunities.system_modstamp
        ) as updated_at
    from opportunities
    left join currency_rates
        on opportunities.currency_code = currency_rates.currency_code
    left join dated_rates
        on
            opportunities.currency_code = dated_rates.currency_code
            and opportunities.close_date >= dated_rates.valid_from_date
            and opportunities.close_date < dated_rates.valid_to_date

)

select * from final
