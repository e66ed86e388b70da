-- A score is out of 100: its weights add up, and no level earns more than its component is worth.
select
    operation,
    'weights' as what,
    sum(weight) as total
from {{ ref('stg_policy__weights') }}
group by operation
having sum(weight) <> 100

union all

select
    operation,
    component || ' ' || level as what,
    share as total
from {{ ref('stg_policy__levels') }}
where share not between 0 and 1
