-- One row per contact with an answer: role, influence, style and moves as judged, and what is known, in sentences.
{{ config(
    meta={'nightdesk': {'role': 'published', 'operation': 'contact_background'}}
) }}

with

{{ published_answers('contact_background', 'contact_id') }},

{{ judgement_columns(['role', 'influence', 'style', 'move']) }},

{{ section_columns(['background'], ['pains', 'moves']) }},

final as (

    select
        published_answers.contact_id,
        judgements.role,
        judgements.influence,
        judgements.style,
        judgements.move,
        sections.background,
        sections.pains,
        sections.moves,
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
    left join sections
        on published_answers.answer_id = sections.answer_id

)

select * from final
