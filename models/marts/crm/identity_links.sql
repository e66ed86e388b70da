-- One row per pair of records that are, may be or are not one person or account, or are related: what holds, who said
-- so, and why in words.
with

links as (

    select * from {{ ref('int_identity_links') }}

),

clusters as (

    select
        record_id,
        cluster_id
    from {{ ref('int_identity_clusters') }}

),

crm_merges as (

    select
        merged_record_id,
        surviving_record_id
    from {{ ref('int_identity_merges') }}

),

reasons as (

    select
        link_id,
        unnest(
            from_json(
                cast(weights as json),
                '[{"field": "VARCHAR", "says": "VARCHAR", "weight": "DOUBLE"}]'
            )
        ) as reason
    from links
    where weights is not null

),

explained as (

    select
        link_id,
        string_agg(
            reason.says || ' (' || format('{:+.1f}', reason.weight) || ')',
            '; '
            order by abs(reason.weight) desc, reason.field asc
        ) filter (where reason.field <> 'prior') as explanation
    from reasons
    group by link_id

),

final as (

    select
        -- ids
        links.link_id,
        links.object_type,
        links.left_record_id,
        links.right_record_id,

        -- text
        links.kind,
        links.status,
        links.rule,
        case links.rule
            when 'crm_says_so'
                then 'a CRM, or the seed crm_links, names one as the other'
            when 'same_address'
                then 'the same mailbox, which is nobody else''s, and names that agree'
            when 'same_domain'
                then 'the only accounts of their CRMs under this domain'
            when 'same_domain_and_name'
                then 'the only accounts of this name under this domain'
            when 'shares_domain'
                then 'accounts under one domain; it does not say which is which'
            when 'parent_account' then 'one is the parent of the other in the CRM'
            else explained.explanation
        end as explanation,
        links.decided_by,
        links.reason,

        -- numerics
        links.match_weight,
        links.match_probability,

        -- booleans
        links.is_likely,
        links.is_decided_by_a_person,
        links.has_changed_since,
        links.status = 'confirmed'
        and links.kind in ('same_person', 'same_account')
        and coalesce(left_clusters.cluster_id = right_clusters.cluster_id, false)
            as is_in_force,

        -- timestamps
        links.suggested_at,
        links.decided_at
    from links
    left join explained
        on links.link_id = explained.link_id
    left join crm_merges as left_merges
        on links.left_record_id = left_merges.merged_record_id
    left join crm_merges as right_merges
        on links.right_record_id = right_merges.merged_record_id
    left join clusters as left_clusters
        on
            coalesce(left_merges.surviving_record_id, links.left_record_id)
            = left_clusters.record_id
    left join clusters as right_clusters
        on
            coalesce(right_merges.surviving_record_id, links.right_record_id)
            = right_clusters.record_id

)

select * from final
