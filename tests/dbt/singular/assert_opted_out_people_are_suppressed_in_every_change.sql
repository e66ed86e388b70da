-- No change of an opted-out contact may reach a plan unmarked.
select
    changes.record_id,
    changes.property
from {{ ref('sync_hubspot__contacts') }} as changes
inner join {{ ref('contacts') }} as contacts
    on changes.record_id = contacts.source_record_id
where contacts.is_opted_out and not changes.is_suppressed
