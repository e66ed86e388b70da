-- One row per answer that is shown and fact it cites that no longer holds: why a value is about to be asked again.
select
    published.operation,
    published.record_id,
    evidence.evidence_id as fact_id,
    published.answer_id,
    history.superseded_by,
    min(evidence.quote) as quote,
    history.status as fact_status,
    history.retraction_reason,
    history.valid_from,
    history.valid_to,
    published.answered_at,
    published.is_stale
from {{ ref('int_published') }} as published
inner join {{ ref('stg_ledger__evidence') }} as evidence
    on
        published.answer_id = evidence.answer_id
        and evidence.evidence_kind = 'fact'
inner join {{ ref('fact_history') }} as history
    on
        evidence.evidence_id = history.fact_id
        and history.status <> 'current'
group by all
