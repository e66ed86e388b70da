-- One row per published answer and thing it rests on: the words, when they were said, and where to read them.
with

published as (

    select
        operation,
        record_id,
        answer_id
    from {{ ref('int_published') }}

),

facts as (

    select
        fact_id,
        min(document_id) as document_id
    from {{ ref('stg_ledger__facts') }}
    group by fact_id

),

documents as (

    select
        document_id,
        document_type,
        document_date
    from {{ ref('documents') }}

),

cited as (

    select
        published.operation,
        published.record_id,
        published.answer_id,
        evidence.evidence_kind,
        evidence.evidence_id,
        -- A name or title may hold anything; the words of a document stay as they were said.
        case
            when
                evidence.evidence_kind = 'field'
                and evidence.evidence_id not like 'document.%'
                then {{ plain_field('evidence.quote') }}
            else {{ visible_line('evidence.quote') }}
        end as quote,
        case
            when evidence.evidence_kind = 'fact' then facts.document_id
            when evidence.evidence_kind = 'span'
                then split_part(evidence.evidence_id, '#', 1)
            when evidence.evidence_id like 'document.%:%:%'
                then substr(evidence.evidence_id, length('document.') + 1)
        end as document_id,
        min(evidence.item_kind || ' ' || evidence.item_key || ' ' || evidence.position)
            as first_use
    from published
    inner join {{ ref('stg_ledger__evidence') }} as evidence
        on published.answer_id = evidence.answer_id
    left join facts
        on
            evidence.evidence_kind = 'fact'
            and evidence.evidence_id = facts.fact_id
    group by all

),

final as (

    select
        cited.operation,
        cited.record_id,
        cited.answer_id,
        row_number() over (
            partition by cited.operation, cited.record_id
            order by
                case cited.evidence_kind when 'field' then 1 else 0 end asc,
                -- What a choice rests on stands before what a sentence quotes.
                case when cited.first_use like 'judgement %' then 0 else 1 end asc,
                documents.document_date desc nulls last,
                cited.first_use asc,
                cited.evidence_id asc,
                cited.quote asc
        ) as citation_position,
        cited.evidence_kind,
        cited.evidence_id,
        coalesce(cited.quote, '') as quote,
        documents.document_date as evidence_date,
        coalesce(documents.document_type, cited.evidence_id) as source_type,
        cited.document_id,
        {{ record_url(
            'coalesce(cited.document_id, cited.record_id)', 'delivery'
        ) }} as url
    from cited
    left join documents
        on cited.document_id = documents.document_id
    cross join {{ ref('stg_policy__delivery') }} as delivery

)

select * from final
