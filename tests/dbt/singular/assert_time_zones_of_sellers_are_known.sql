-- Plausibility: a zone's name that no clock knows was passed over, so this seller's day may begin at the wrong hour.
{{ config(severity='warn', store_failures=true) }}

select
    owner_id,
    time_zone,
    zone_source,
    unknown_time_zone
from {{ ref('int_seller_time_zones') }}
where unknown_time_zone is not null
