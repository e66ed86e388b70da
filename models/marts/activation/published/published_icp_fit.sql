-- One row per account with an answer: how well it fits, as judged, before any number.
{{ config(meta={'nightdesk': {'role': 'published', 'operation': 'icp_fit'}}) }}

with

{{ published_answers('icp_fit', 'account_id') }},

{{ judgement_columns(['industry_fit', 'size_fit', 'region_fit', 'champion']) }},

{{ reason_text() }},

final as (

    select
        published_answers.account_id,
        judgements.industry_fit,
        judgements.size_fit,
        judgements.region_fit,
        judgements.champion,
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
