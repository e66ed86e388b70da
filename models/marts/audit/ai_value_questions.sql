-- One row per value that was shown or planned and question it rests on: the one it answers, and those that read the
-- documents whose facts it cites. A question's cost is shared evenly by the values that rest on it.
with

answers as (

    select
        answer_id,
        operation,
        input_hash,
        answered_at
    from {{ ref('stg_ledger__answers') }}

),

shown_now as (

    select
        published.answer_id,
        {{ crm_object_type('desired.record_id') }} as object_type,
        desired.source_record_id as record_id,
        coalesce(field_map.property, desired.field) as property,
        true as is_current
    from {{ ref('int_desired_values') }} as desired
    inner join {{ ref('int_published') }} as published
        on
            desired.operation = published.operation
            and desired.evidence_record_id = published.record_id
    left join {{ ref('stg_policy__field_map') }} as field_map
        on
            {{ source_of('desired.record_id') }} = field_map.crm
            and {{ crm_object_type('desired.record_id') }} = field_map.object_type
            and desired.field = field_map.field
    where {{ crm_object_type('desired.record_id') }} is not null

),

planned as (

    select distinct
        answer_id,
        object_type,
        record_id,
        property,
        false as is_current
    from {{ ref('stg_ledger__plan_ops') }}
    where answer_id is not null

),

shown_and_planned as (

    select * from shown_now

    union all

    select * from planned

),

value_rows as (

    select
        answer_id,
        object_type,
        record_id,
        property,
        bool_or(is_current) as is_current
    from shown_and_planned
    group by answer_id, object_type, record_id, property

),

-- A fact that was read again by a later extractor rests on the later reading.
facts as (

    select
        facts.fact_id,
        answers.operation,
        answers.input_hash
    from {{ ref('stg_ledger__facts') }} as facts
    inner join answers
        on facts.answer_id = answers.answer_id
    qualify
        row_number() over (
            partition by facts.fact_id
            order by answers.answered_at desc, answers.answer_id asc
        ) = 1

),

cited as (

    select distinct
        answer_id,
        evidence_id as fact_id
    from {{ ref('stg_ledger__evidence') }}
    where evidence_kind = 'fact'

),

linked as (

    select
        value_rows.*,
        answers.operation,
        answers.operation || ':' || answers.input_hash as question_id,
        'asked' as role
    from value_rows
    inner join answers
        on value_rows.answer_id = answers.answer_id

    union

    select
        value_rows.*,
        answers.operation,
        facts.operation || ':' || facts.input_hash as question_id,
        'remembered' as role
    from value_rows
    inner join answers
        on value_rows.answer_id = answers.answer_id
    inner join cited
        on value_rows.answer_id = cited.answer_id
    inner join facts
        on cited.fact_id = facts.fact_id

),

final as (

    select
        linked.answer_id,
        linked.object_type,
        linked.record_id,
        linked.property,
        linked.question_id,
        linked.operation,
        linked.role,
        linked.is_current,
        cast(1 as double)
        / count(*) over (partition by linked.question_id) as cost_share
    from linked
    -- An answer that was played into the ledger without a call has cost nothing.
    inner join {{ ref('ai_cost_by_question') }} as questions
        on linked.question_id = questions.question_id

)

select * from final
