-- One row per operation and record with citations: all of them as text for a CRM field and as JSON for a plan.
select
    citations.operation,
    citations.record_id,
    string_agg(
        {{ citation_line('citations') }},
        chr(10)
        order by citations.citation_position asc
    ) as evidence_text,
    cast(
        to_json(
            list(
                {
                    'id': citations.evidence_id,
                    'quote': citations.quote,
                    'url': citations.url
                }
                order by citations.citation_position asc
            )
        ) as varchar
    ) as evidence_json,
    count(*) as citation_count
from {{ ref('answer_citations') }} as citations
group by citations.operation, citations.record_id
