-- One row per mail domain that is ours: the policy's, and those our sellers write from.
select item as domain
from {{ ref('stg_policy__lists') }}
where list_name = 'internal_domains'

union

select split_part(email, '@', 2) as domain
from {{ ref('int_source_owners') }}
where email like '%_@_%'
