-- One row per recommendation and source it rests on: the words, when they were said, and where to read them.
with

signals as (

    select
        op_key,
        signal,
        evidence_operation,
        evidence_record_id,
        meeting_title,
        signal_date
    from {{ ref('int_recommendation_signals') }}

),

delivery as (

    select * from {{ ref('stg_policy__delivery') }}

),

cited as (

    select
        signals.op_key,
        citations.citation_position as source_position,
        citations.evidence_id,
        citations.quote,
        citations.evidence_date,
        citations.source_type,
        citations.url
    from signals
    inner join {{ ref('answer_citations') }} as citations
        on
            signals.evidence_operation = citations.operation
            and signals.evidence_record_id = citations.record_id
    where citations.evidence_kind <> 'field'

),

facts as (

    select
        signals.op_key,
        1 as source_position,
        facts.fact_id as evidence_id,
        {{ single_line('facts.quote') }} as quote,
        facts.valid_date as evidence_date,
        facts.document_type as source_type,
        {{ record_url('facts.document_id', 'delivery') }} as url
    from signals
    inner join {{ ref('facts') }} as facts
        on
            signals.evidence_operation = 'fact'
            and signals.evidence_record_id = facts.fact_id
    cross join delivery

),

meetings as (

    select
        signals.op_key,
        1 as source_position,
        signals.evidence_record_id as evidence_id,
        coalesce({{ single_line('signals.meeting_title') }}, 'meeting') as quote,
        signals.signal_date as evidence_date,
        'meeting' as source_type,
        {{ record_url('signals.evidence_record_id', 'delivery') }}
            as url
    from signals
    cross join delivery
    where signals.evidence_operation = 'meeting'

),

final as (

    select * from cited

    union all

    select * from facts

    union all

    select * from meetings

)

select * from final
