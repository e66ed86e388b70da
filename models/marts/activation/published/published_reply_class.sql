-- One row per inbound email with an answer: what kind of reply it is.
{{ config(meta={'nightdesk': {'role': 'published', 'operation': 'reply_class'}}) }}

with

{{ published_answers('reply_class', 'document_id') }},

{{ judgement_columns(['reply_class']) }},

final as (

    select
        published_answers.document_id,
        judgements.reply_class,
        published_answers.answer_id,
        published_answers.run_id,
        published_answers.agent,
        published_answers.model,
        published_answers.confidence,
        published_answers.evidence_count,
        published_answers.dropped_count,
        published_answers.answered_at,
        published_answers.is_stale
    from published_answers
    left join judgements
        on published_answers.answer_id = judgements.answer_id

)

select * from final
