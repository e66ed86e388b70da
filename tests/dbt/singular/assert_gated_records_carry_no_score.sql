-- What a hard gate answers has no score, not even an old one.
select
    contact_id as record_id,
    lead_gate as gate
from {{ ref('contacts_enriched') }}
where lead_gate is not null and ai_lead_score is not null

union all

select
    account_id as record_id,
    icp_gate as gate
from {{ ref('accounts_enriched') }}
where icp_gate is not null and ai_icp_score is not null
