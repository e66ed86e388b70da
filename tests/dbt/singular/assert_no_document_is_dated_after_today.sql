-- Plausibility: what was said cannot have been said tomorrow. Warns, because a clock in the CRM may be wrong.
{{ config(severity='warn', store_failures=true) }}

select
    document_id,
    document_date
from {{ ref('documents') }}
where document_date > {{ as_of() }}
