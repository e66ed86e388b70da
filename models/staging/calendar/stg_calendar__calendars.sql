-- One row per calendar that was read: whose it is, and its time zone.
{{ config(materialized='view') }}

select
    name as calendar_name,
    {{ clean('title') }} as title,
    lower({{ clean('owner_email') }}) as owner_email,
    {{ clean('time_zone') }} as time_zone,
    as_of as loaded_date
from {{ source('calendar', 'calendars') }}
