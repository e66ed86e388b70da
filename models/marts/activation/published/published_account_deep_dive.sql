-- One row per account with an answer: what research found, made of sentences that passed the evidence check.
{{ config(
    meta={'nightdesk': {'role': 'published', 'operation': 'account_deep_dive'}}
) }}

with

{{ published_answers('account_deep_dive', 'account_id') }},

{{ section_columns(
    ['summary', 'trigger'], ['hypothesis', 'stakeholders', 'unknowns']
) }},

final as (

    select
        published_answers.account_id,
        sections.summary,
        sections.trigger,
        sections.hypothesis,
        sections.stakeholders,
        sections.unknowns,
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
    left join sections
        on published_answers.answer_id = sections.answer_id

)

select * from final
