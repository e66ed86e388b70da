-- Fails with the accounts that would have more recommendations open than policies/delivery.yml allows, sellers' own
-- included, unless sellers themselves have that many in hand.
select
    recommendations.account_group_id,
    count(*) filter (where recommendations.is_open) as open_count
from {{ ref('int_recommendations') }} as recommendations
cross join {{ ref('stg_policy__delivery') }} as delivery
group by recommendations.account_group_id, delivery.open_per_account
having
    count(*) filter (where recommendations.is_open) > delivery.open_per_account
    or count(distinct recommendations.account_rank)
    <> count(recommendations.account_rank)
