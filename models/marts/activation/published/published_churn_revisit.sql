-- One row per churned customer with an answer: what they say about money, as judged.
{{ config(meta={'nightdesk': {'role': 'published', 'operation': 'churn_revisit'}}) }}

with

{{ published_answers('churn_revisit', 'account_id') }},

{{ judgement_columns(['budget']) }},

{{ reason_text() }},

final as (

    select
        published_answers.account_id,
        judgements.budget,
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
