-- One row per answer and field of a record that it was shown in or planned for: its share of every call it rests on.
with

shares as (

    select
        links.answer_id,
        links.object_type,
        links.record_id,
        links.property,
        links.operation,
        links.is_current,
        links.role,
        links.cost_share * questions.call_count as call_share,
        links.cost_share * questions.token_count as token_share,
        links.cost_share * cast(questions.cost_usd as double) as cost_usd
    from {{ ref('ai_value_questions') }} as links
    inner join {{ ref('ai_cost_by_question') }} as questions
        on links.question_id = questions.question_id

),

final as (

    select
        -- ids
        answer_id,
        object_type,
        record_id,

        -- text
        property,
        operation,

        -- numerics
        count(*) as question_count,
        sum(call_share) as call_share,
        sum(token_share) as token_share,
        coalesce(sum(cost_usd) filter (where role = 'asked'), 0) as asked_usd,
        coalesce(sum(cost_usd) filter (where role = 'remembered'), 0) as remembered_usd,
        sum(cost_usd) as cost_usd,

        -- booleans
        bool_or(is_current) as is_current
    from shares
    group by answer_id, object_type, record_id, property, operation

)

select * from final
