-- One row per number of business days from today: the day that is. 0 is today itself, whatever day it is; weekends and
-- the holidays of policies/delivery.yml are skipped.
with

days as (

    select cast({{ as_of() }} + cast(steps.range as integer) as date) as day
    from range(1, 120) as steps

),

holidays as (

    select try_cast(item as date) as day
    from {{ ref('stg_policy__lists') }}
    where list_name = 'delivery_holidays'

),

working_days as (

    select
        row_number() over (order by days.day asc) as business_days_ahead,
        days.day as due_date
    from days
    left join holidays
        on days.day = holidays.day
    where holidays.day is null and isodow(days.day) < 6

),

final as (

    select
        0 as business_days_ahead,
        {{ as_of() }} as due_date

    union all

    select
        business_days_ahead,
        due_date
    from working_days

)

select * from final
