-- One row per seller: the people of ours who own records.
select
    owner_id,
    source_record_id,
    email,
    first_name,
    last_name,
    coalesce(nullif(concat_ws(' ', first_name, last_name), ''), email) as full_name,
    team,
    is_archived
from {{ ref('int_source_owners') }}
