-- A hostile mail can never do more than the policy allows one document.
select
    facts.document_id,
    sum(facts.counted_points) as counted_points
from {{ ref('facts') }} as facts
cross join {{ ref('stg_policy__numbers') }} as numbers
group by facts.document_id, numbers.document_max_points
-- Points are rounded to four digits, each fact by itself.
having abs(sum(facts.counted_points)) > numbers.document_max_points + 0.01
