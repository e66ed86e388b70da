-- One row per meeting with an answer: the brief's answer; its sentences are put together in meeting_briefs.
{{ config(meta={'nightdesk': {'role': 'published', 'operation': 'meeting_brief'}}) }}

with

{{ published_answers('meeting_brief', 'meeting_id') }},

final as (

    select
        published_answers.meeting_id,
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

)

select * from final
