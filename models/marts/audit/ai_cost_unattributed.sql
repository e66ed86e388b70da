-- One row per operation and reason: what was paid for questions that no shown or planned value rests on.
with

questions as (

    select questions.*
    from {{ ref('ai_cost_by_question') }} as questions
    left join {{ ref('ai_value_questions') }} as links
        on questions.question_id = links.question_id
    where links.question_id is null

),

final as (

    select
        operation,
        case
            when outcome <> 'enriched' then outcome
            when operation = 'extract_facts' then 'no_fact_is_cited'
            else 'no_value_is_shown'
        end as reason,
        count(*) as question_count,
        cast(sum(call_count) as bigint) as call_count,
        cast(sum(token_count) as bigint) as token_count,
        cast(sum(cost_usd) as decimal(18, 8)) as cost_usd
    from questions
    group by all

)

select * from final
