-- Always one row: the policy's lists about identity as arrays and maps, for the models that normalise names and addresses.
with

lists as (

    select
        list_name,
        item,
        parameter
    from {{ ref('stg_policy__lists') }}
    where list_name like 'identity\_%' escape '\' or list_name = 'freemail_domains'

),

countries as (

    select
        {{ compared_words('item') }} as alias,
        min({{ compared_words('parameter') }}) as country
    from lists
    where list_name = 'identity_countries'
    group by {{ compared_words('item') }}

),

nicknames as (

    select
        {{ compared_words('item') }} as nickname,
        -- Two nicknames may be one word once they are compared: Jo and Joe.
        string_agg({{ compared_words('parameter') }}, ' ' order by item) as names
    from lists
    where list_name = 'identity_nicknames'
    group by {{ compared_words('item') }}

),

known_countries as (

    select map(list(alias order by alias), list(country order by alias)) as by_alias
    from countries

),

known_nicknames as (

    select
        map(list(nickname order by nickname), list(names order by nickname))
            as by_nickname
    from nicknames

),

final as (

    select
        coalesce(
            list(item order by item) filter (list_name = 'identity_role_mailboxes'), []
        ) as role_mailboxes,
        coalesce(
            list(item order by item) filter (
                list_name in ('identity_shared_domains', 'freemail_domains')
            ),
            []
        ) as shared_domains,
        coalesce(
            list(item order by item) filter (
                list_name = 'identity_two_part_suffixes'
            ),
            []
        ) as two_part_suffixes,
        coalesce(
            list(item order by item) filter (list_name = 'identity_legal_forms'), []
        ) as legal_forms,
        (select known_countries.by_alias from known_countries) as countries,
        (select known_nicknames.by_nickname from known_nicknames) as nicknames
    from lists

)

select * from final
