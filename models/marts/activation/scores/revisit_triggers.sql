-- One row per churned customer with an answer: whether what they said about money says call them now, later or not.
-- fired: said after leaving that money is there, or money was frozen until a day that has come. waiting: that day is
-- still to come. The remark must be one the agent cited, from somebody we know, and the last word on the matter.
with

published as (

    select * from {{ ref('published_churn_revisit') }}

),

churned_customers as (

    select
        account_id,
        churned_on,
        churn_reason
    from {{ ref('churned_customers') }}

),

cited_facts as (

    select distinct
        answer_id,
        evidence_id as fact_id
    from {{ ref('stg_ledger__evidence') }}
    where
        evidence_kind = 'fact'
        and item_kind = 'judgement'
        and item_key = 'budget'

),

remarks as (

    select
        published.account_id,
        facts.fact_id,
        facts.fact_value,
        facts.fact_date,
        facts.valid_date,
        facts.document_type,
        facts.quote,
        churned_customers.churned_on,
        case
            when
                trigger_values.item is not null
                and facts.valid_date > churned_customers.churned_on
                then 'fired'
            when
                facts.fact_value = 'frozen'
                and facts.fact_date > facts.valid_date
                and facts.fact_date > churned_customers.churned_on
                and facts.fact_date <= {{ as_of() }}
                then 'fired'
            when
                facts.fact_value = 'frozen'
                and facts.fact_date > facts.valid_date
                and facts.fact_date > {{ as_of() }}
                then 'waiting'
        end as state
    from published
    inner join cited_facts
        on published.answer_id = cited_facts.answer_id
    inner join {{ ref('facts') }} as facts
        on
            cited_facts.fact_id = facts.fact_id
            and published.account_id = facts.account_id
    inner join churned_customers
        on published.account_id = churned_customers.account_id
    left join {{ ref('stg_policy__lists') }} as trigger_values
        on
            trigger_values.list_name = 'revisit_trigger_values'
            and facts.fact_value = trigger_values.item
    where
        published.budget not in ('none', 'unknown')
        and facts.predicate = 'budget'
        and facts.polarity = 'affirmed'
        and facts.is_current
        and facts.is_trusted

),

deciding as (

    select *
    from remarks
    where state is not null
    qualify
        row_number() over (
            partition by account_id
            order by
                case state when 'fired' then 0 else 1 end asc,
                valid_date desc,
                fact_id asc
        ) = 1

),

final as (

    select
        -- ids
        published.account_id,
        deciding.fact_id,
        published.answer_id,
        published.run_id,

        -- text
        coalesce(deciding.state, 'none') as state,
        published.budget,
        deciding.fact_value,
        deciding.quote,
        deciding.document_type,
        case
            when deciding.fact_value = 'frozen' and deciding.state = 'fired'
                then
                    'Budget was frozen until '
                    || cast(deciding.fact_date as varchar)
                    || ', that day has passed: "' || deciding.quote || '" ('
                    || cast(deciding.valid_date as varchar)
                    || ' ' || deciding.document_type || ')'
            when deciding.state = 'waiting'
                then
                    'Budget is frozen until ' || cast(deciding.fact_date as varchar)
                    || ': "' || deciding.quote || '" ('
                    || cast(deciding.valid_date as varchar)
                    || ' ' || deciding.document_type || ')'
            when deciding.state = 'fired'
                then
                    'Left on ' || cast(churned_customers.churned_on as varchar)
                    || ', said since that budget is there: "' || deciding.quote || '" ('
                    || cast(deciding.valid_date as varchar)
                    || ' ' || deciding.document_type || ')'
            else published.reason
        end as reason,

        -- numerics
        published.confidence,
        coalesce(evidence.citation_count, 0) as evidence_count,

        -- booleans
        published.is_stale,

        -- timestamps
        deciding.valid_date as said_date,
        deciding.fact_date as budget_opens_date,
        churned_customers.churned_on,
        published.answered_at
    from published
    inner join churned_customers
        on published.account_id = churned_customers.account_id
    left join deciding
        on published.account_id = deciding.account_id
    left join {{ ref('int_evidence_texts') }} as evidence
        on
            evidence.operation = 'churn_revisit'
            and published.account_id = evidence.record_id

)

select * from final
