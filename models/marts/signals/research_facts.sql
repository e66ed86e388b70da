-- One row per record and remembered fact its research may look up, in the documents that research may read; whether a
-- later remark replaced it. Words of people we don't know are of an unknown side.
with

facts as (

    select * from {{ ref('facts') }}

),

reachable as (

    select
        record_type,
        record_id,
        document_id,
        document_number
    from {{ ref('research_documents') }}

),

speakers as (

    select
        contact_id,
        full_name
    from {{ ref('contacts') }}
    where not is_opted_out

),

final as (

    select
        -- ids
        reachable.record_type,
        reachable.record_id,
        facts.fact_id,
        facts.document_id,
        reachable.document_number,

        -- text
        facts.predicate,
        facts.fact_value,
        facts.polarity,
        case when facts.is_trusted then facts.author_side else 'unknown' end
            as author_side,
        case when facts.author_side = 'theirs' then speakers.full_name end
            as author_name,
        facts.quote,
        facts.document_type,
        facts.strength,

        -- booleans
        facts.is_current,

        -- timestamps
        facts.fact_date,
        facts.valid_date
    from facts
    inner join reachable
        on facts.document_id = reachable.document_id
    left join speakers
        on facts.contact_id = speakers.contact_id
    where
        (
            reachable.record_type = 'account'
            and reachable.record_id = facts.account_id
        )
        or (
            reachable.record_type = 'contact'
            and reachable.record_id = facts.contact_id
        )

)

select * from final
order by record_type asc, record_id asc, fact_id asc
