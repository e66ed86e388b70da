-- One row per seller: the time zone in which their day begins and ends. The CRM's, else their calendar's, else the
-- company's (policies/delivery.yml); a name that no clock knows is passed over and shown.
with

owners as (

    select
        owner_id,
        email,
        {{ clean('time_zone') }} as time_zone
    from {{ ref('int_source_owners') }}

),

calendars as (

    select
        owner_email,
        -- Of several calendars of one seller the first by name speaks.
        min_by(time_zone, calendar_name) as time_zone
    from {{ ref('stg_calendar__calendars') }}
    where owner_email is not null and time_zone is not null
    group by owner_email

),

company as (

    select coalesce(company_time_zone, 'UTC') as time_zone
    from {{ ref('stg_policy__delivery') }}

),

known_zones as (

    select
        lower(name) as zone_key,
        min(name) as time_zone
    from pg_timezone_names()
    group by lower(name)

),

final as (

    select
        owners.owner_id,
        coalesce(
            crm_zones.time_zone,
            calendar_zones.time_zone,
            company_zones.time_zone,
            'UTC'
        ) as time_zone,
        case
            when crm_zones.time_zone is not null then 'crm'
            when calendar_zones.time_zone is not null then 'calendar'
            else 'policy'
        end as zone_source,
        case
            when
                owners.time_zone is not null and crm_zones.time_zone is null
                then owners.time_zone
            when
                calendars.time_zone is not null and calendar_zones.time_zone is null
                then calendars.time_zone
            when company_zones.time_zone is null then company.time_zone
        end as unknown_time_zone
    from owners
    cross join company
    left join calendars
        on owners.email = calendars.owner_email
    left join known_zones as crm_zones
        on lower(owners.time_zone) = crm_zones.zone_key
    left join known_zones as calendar_zones
        on lower(calendars.time_zone) = calendar_zones.zone_key
    left join known_zones as company_zones
        on lower(company.time_zone) = company_zones.zone_key

)

select * from final
