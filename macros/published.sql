{#-
  The answer that is shown for each record of a queue: the newest one to the question asked now (prompt, policy, agent)
  about exactly the bytes the queue shows now, else the newest one the record ever got, marked stale. Gated records and those with nothing to judge show none.
  Answers are found by what was asked, not by record: two records with the same bytes share one answer.
-#}
{% macro published_answers(operation, record_column, outcomes=['enriched']) -%}
    queue as (

        select
            record_id,
            context_hash
        from {{ ref('queue_' ~ operation) }}
        where gate is null and missing is null

    ),

    answers as (

        select *
        from {{ ref('stg_ledger__answers') }}
        where
            operation = '{{ operation }}'
            and outcome in ('{{ outcomes | join("', '") }}')

    ),

    question as (

        select operation_hash
        from {{ ref('stg_ledger__questions') }}
        where operation = '{{ operation }}'

    ),

    answers_by_question as (

        select answers.*
        from answers
        inner join question
            on answers.operation_hash = question.operation_hash
        qualify
            row_number() over (
                partition by answers.context_hash
                order by answers.answered_at desc, answers.answer_id asc
            ) = 1

    ),

    answers_by_record as (

        select *
        from answers
        qualify
            row_number() over (
                partition by record_id
                order by answered_at desc, answer_id asc
            ) = 1

    ),

    published_answers as (

        select
            queue.record_id as {{ record_column }},
            coalesce(current_answer.answer_id, earlier_answer.answer_id) as answer_id,
            coalesce(current_answer.run_id, earlier_answer.run_id) as run_id,
            coalesce(current_answer.agent, earlier_answer.agent) as agent,
            coalesce(current_answer.model, earlier_answer.model) as model,
            coalesce(current_answer.outcome, earlier_answer.outcome) as outcome,
            coalesce(current_answer.confidence, earlier_answer.confidence)
                as confidence,
            coalesce(current_answer.evidence_count, earlier_answer.evidence_count)
                as evidence_count,
            coalesce(current_answer.dropped_count, earlier_answer.dropped_count)
                as dropped_count,
            coalesce(current_answer.answered_at, earlier_answer.answered_at)
                as answered_at,
            current_answer.answer_id is null as is_stale
        from queue
        left join answers_by_question as current_answer
            on queue.context_hash = current_answer.context_hash
        left join answers_by_record as earlier_answer
            on queue.record_id = earlier_answer.record_id
        where
            current_answer.answer_id is not null
            or earlier_answer.answer_id is not null

    )
{%- endmacro %}

{#- The level an answer chose for each component, one column each. -#}
{% macro judgement_columns(components) -%}
    judgements as (

        select
            answer_id
            {%- for component in components %},
            max(level) filter (where component = '{{ component }}')
                as {{ component }}
            {%- endfor %}
        from {{ ref('stg_ledger__judgements') }}
        group by answer_id

    )
{%- endmacro %}

{#- The sentences of an answer's reason, in order, as one text. -#}
{% macro reason_text() -%}
    reasons as (

        select
            answer_id,
            string_agg(body, ' ' order by position asc) as reason
        from {{ ref('stg_ledger__sentences') }}
        where section = 'reason'
        group by answer_id

    )
{%- endmacro %}
