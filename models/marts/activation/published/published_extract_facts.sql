-- One row per document that has been read: whose facts are in force, and how many were found.
{{ config(meta={'nightdesk': {'role': 'published', 'operation': 'extract_facts'}}) }}

with

{{ published_answers(
    'extract_facts', 'document_id', ['enriched', 'insufficient_data', 'rejected']
) }},

fact_counts as (

    select
        answer_id,
        count(*) as fact_count
    from {{ ref('stg_ledger__facts') }}
    group by answer_id

),

final as (

    select
        published_answers.document_id,
        coalesce(fact_counts.fact_count, 0) as fact_count,
        published_answers.outcome,
        published_answers.answer_id,
        published_answers.run_id,
        published_answers.agent,
        published_answers.model,
        published_answers.dropped_count,
        published_answers.answered_at,
        published_answers.is_stale
    from published_answers
    left join fact_counts
        on published_answers.answer_id = fact_counts.answer_id

)

select * from final
