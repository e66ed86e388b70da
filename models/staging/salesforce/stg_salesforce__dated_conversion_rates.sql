-- One row per currency and stretch of days with a rate of its own: renamed and cast.
{{ config(materialized='view') }}

select
    upper({{ clean('iso_code') }}) as currency_code,
    coalesce(start_date, date '0001-01-01') as valid_from_date,
    coalesce(next_start_date, date '9999-12-31') as valid_to_date,
    conversion_rate
from {{ source('salesforce', 'dated_conversion_rates') }}
