-- One row per record that another one stands for: merged away or converted in its CRM, over any number of steps, or known
-- to be the same person or account as a record of another CRM.
select
    object_type,
    record_id as merged_record_id,
    stands_for_record_id as surviving_record_id,
    reason
from {{ ref('int_record_aliases') }}
