-- One row per contact with an answer: who they are, as judged, before any number.
{{ config(meta={'nightdesk': {'role': 'published', 'operation': 'lead_quality'}}) }}

with

{{ published_answers('lead_quality', 'contact_id') }},

{{ judgement_columns(['persona', 'seniority', 'function']) }},

{{ reason_text() }},

final as (

    select
        published_answers.contact_id,
        judgements.persona,
        judgements.seniority,
        judgements.function,
        reasons.reason,
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
    left join reasons
        on published_answers.answer_id = reasons.answer_id

)

select * from final
