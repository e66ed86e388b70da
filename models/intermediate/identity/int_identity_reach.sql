-- One row per person record or unknown address and another one that an opt-out of the first reaches: over confirmed
-- links, and over suggested ones from the policy's caution threshold on, any number of them. Never between two that
-- somebody told apart.
with recursive

aliases as (

    select
        record_id,
        stands_for_record_id
    from {{ ref('int_record_aliases') }}
    where object_type = 'contacts'

),

thresholds as (

    select coalesce(identity_caution_from, 0.2) as identity_caution_from
    from {{ ref('stg_policy__numbers') }}

),

links as (

    select
        links.link_id,
        links.status,
        links.match_probability,
        coalesce(left_aliases.stands_for_record_id, links.left_record_id) as one,
        coalesce(right_aliases.stands_for_record_id, links.right_record_id) as other
    from {{ ref('int_identity_links') }} as links
    cross join thresholds
    left join aliases as left_aliases
        on links.left_record_id = left_aliases.record_id
    left join aliases as right_aliases
        on links.right_record_id = right_aliases.record_id
    where
        links.kind = 'same_person'
        and (
            links.status <> 'suggested'
            or links.match_probability >= thresholds.identity_caution_from
        )

),

apart as (

    select
        one,
        other
    from links
    where status = 'rejected'

    union

    select
        other as one,
        one as other
    from links
    where status = 'rejected'

),

edges as (

    select
        one,
        other,
        link_id,
        status,
        match_probability
    from links
    where status <> 'rejected' and one <> other

    union all

    select
        other as one,
        one as other,
        link_id,
        status,
        match_probability
    from links
    where status <> 'rejected' and one <> other

),

joined as (

    select
        edges.one,
        edges.other,
        -- The surest link of the two, to be named as evidence.
        min_by(
            struct_pack(
                link_id := edges.link_id,
                status := edges.status,
                match_probability := edges.match_probability
            ),
            row(edges.status, -coalesce(edges.match_probability, 1), edges.link_id)
        ) as surest
    from edges
    left join apart
        on edges.one = apart.one and edges.other = apart.other
    where apart.one is null
    group by edges.one, edges.other

),

reached as (

    select
        one as record_id,
        other as reached_record_id
    from joined

    union

    select
        reached.record_id,
        joined.other as reached_record_id
    from reached
    inner join joined
        on reached.reached_record_id = joined.one

),

-- By way of others, the link that joins the reached record to the rest speaks for the whole way.
ways as (

    select
        reached.record_id,
        reached.reached_record_id,
        coalesce(
            any_value(direct.surest),
            min_by(
                last_steps.surest,
                row(last_steps.surest.status, last_steps.surest.link_id)
            )
        ) as surest,
        any_value(direct.surest) is not null as is_direct
    from reached
    left join joined as direct
        on
            reached.record_id = direct.one
            and reached.reached_record_id = direct.other
    left join joined as last_steps
        on reached.reached_record_id = last_steps.other
    left join apart
        on
            reached.record_id = apart.one
            and reached.reached_record_id = apart.other
    where reached.record_id <> reached.reached_record_id and apart.one is null
    group by reached.record_id, reached.reached_record_id

),

final as (

    select
        record_id,
        reached_record_id,
        surest.link_id,
        surest.status as link_status,
        surest.match_probability,
        is_direct
    from ways

)

select * from final
