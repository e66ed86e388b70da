-- One row per mail domain that is ours: the policy's, and those our sellers write from, unless anybody can have an
-- address there.
with

lists as (

    select
        list_name,
        item as domain
    from {{ ref('stg_policy__lists') }}

),

sellers as (

    select split_part(email, '@', 2) as domain
    from {{ ref('int_source_owners') }}
    where email like '%_@_%'

),

final as (

    select domain
    from lists
    where list_name = 'internal_domains'

    union

    select sellers.domain
    from sellers
    left join lists
        on
            sellers.domain = lists.domain
            and lists.list_name = 'freemail_domains'
    where lists.domain is null

)

select * from final
