-- One row per meeting with an answer: the brief as Markdown, made of sentences that passed the evidence check.
with

sections as (

    select
        section_name,
        section_title,
        section_position
    from {{ ref('brief_sections') }}

),

published as (

    select * from {{ ref('published_meeting_brief') }}

),

written_sections as (

    select
        sentences.answer_id,
        sections.section_position,
        '## ' || sections.section_title || chr(10)
        || string_agg('- ' || sentences.body, chr(10) order by sentences.position asc)
            as section_text,
        count(*) as sentence_count
    from {{ ref('stg_ledger__sentences') }} as sentences
    inner join sections
        on sentences.section = sections.section_name
    group by
        sentences.answer_id, sections.section_position, sections.section_title

),

briefs as (

    select
        answer_id,
        string_agg(section_text, chr(10) || chr(10) order by section_position asc)
            as brief,
        cast(sum(sentence_count) as bigint) as sentence_count
    from written_sections
    group by answer_id

),

final as (

    select
        -- ids
        published.meeting_id,
        meetings.account_id,
        meetings.owner_id,
        published.answer_id,
        published.run_id,

        -- text
        meetings.title,
        meetings.seller_time_zone,
        briefs.brief,
        evidence.evidence_text,

        -- numerics
        briefs.sentence_count,
        published.confidence,
        coalesce(evidence.citation_count, 0) as evidence_count,

        -- booleans
        published.is_stale,

        -- timestamps
        meetings.started_at,
        meetings.meeting_date,
        published.answered_at
    from published
    inner join briefs
        on published.answer_id = briefs.answer_id
    inner join {{ ref('meeting_signals') }} as meetings
        on published.meeting_id = meetings.meeting_id
    left join {{ ref('int_evidence_texts') }} as evidence
        on
            evidence.operation = 'meeting_brief'
            and published.meeting_id = evidence.record_id

)

select * from final
