-- One row per question an operation asks today and fact it could be reminded of: shown in which place, or left out why.
with

{% set operations = [
    'icp_fit',
    'lead_quality',
    'churn_revisit',
    'meeting_brief',
] -%}

questions as (
    {% for operation in operations %}
    select
        operation,
        record_type,
        record_id,
        context_hash
    from {{ ref('queue_' ~ operation) }}
    where context_hash is not null
    {% if not loop.last %}
    union all
    {% endif -%}
    {% endfor %}
),

final as (

    select
        questions.operation,
        questions.record_type,
        questions.record_id,
        recall.fact_id,
        questions.context_hash,
        recall.predicate,
        recall.decision,
        case recall.decision
            when 'included' then 'Shown'
            when 'over_quota'
                then 'Enough facts of this kind are more useful, or newer'
            when 'over_budget'
                then 'No room was left in the token budget after more useful facts'
            when 'superseded' then 'A later remark replaced it'
            when 'not_trusted' then 'Nobody we know said it, and this is a judgement'
            when 'not_relevant' then 'Facts of this kind do not bear on the question'
        end as reason,
        recall.position,
        recall.usefulness,
        recall.estimated_tokens,
        recall.valid_date,
        recall.similarity
    from questions
    inner join {{ ref('int_recall') }} as recall
        on
            questions.operation = recall.operation
            and questions.record_id = recall.record_id

)

select * from final
