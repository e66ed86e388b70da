-- One row per currency that the org knows: renamed and cast.
{{ config(materialized='view') }}

select
    upper({{ clean('iso_code') }}) as currency_code,
    conversion_rate,
    decimal_places,
    coalesce(is_corporate, false) as is_corporate,
    coalesce(is_active, false) as is_active
from {{ source('salesforce', 'currencies') }}
