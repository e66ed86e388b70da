-- One row per live record that is confirmed to be one with another record: its cluster, and the record that stands for
-- it. A cluster that would hold a rejected pair, or more records than the policy allows, is taken apart: first only what
-- people confirmed holds it together, and where that is not enough, nothing does.
with recursive

crm_merges as (

    select
        merged_record_id,
        surviving_record_id
    from {{ ref('int_identity_merges') }}

),

records as (

    select
        record_id,
        'contacts' as object_type,
        source,
        source_object_type,
        created_at
    from {{ ref('int_identity_people') }}
    where is_live

    union all

    select
        record_id,
        'companies' as object_type,
        source,
        source_object_type,
        created_at
    from {{ ref('int_identity_accounts') }}
    where is_live

),

limits as (

    select coalesce(most_in_one_cluster, 12) as most_in_one_cluster
    from {{ ref('stg_policy__numbers') }}

),

standing_order as (

    select
        item as source_and_type,
        parameter as standing_rank
    from {{ ref('stg_policy__lists') }}
    where list_name = 'identity_standing'

),

links as (

    select
        coalesce(left_merges.surviving_record_id, links.left_record_id) as one,
        coalesce(right_merges.surviving_record_id, links.right_record_id) as other,
        links.status,
        links.is_decided_by_a_person
    from {{ ref('int_identity_links') }} as links
    left join crm_merges as left_merges
        on links.left_record_id = left_merges.merged_record_id
    left join crm_merges as right_merges
        on links.right_record_id = right_merges.merged_record_id
    where
        links.status in ('confirmed', 'rejected')
        and links.kind in ('same_person', 'same_account')

),

-- Who was told apart once stays apart, whatever else says they are one. What a CRM merged itself is no pair any more.
apart as (

    select
        one,
        other
    from links
    where status = 'rejected' and one <> other

    union

    select
        other as one,
        one as other
    from links
    where status = 'rejected' and one <> other

),

joined as (

    select
        links.one,
        links.other,
        bool_or(links.is_decided_by_a_person) as is_decided_by_a_person
    from links
    inner join records as one_records
        on links.one = one_records.record_id
    inner join records as other_records
        on links.other = other_records.record_id
    left join apart
        on links.one = apart.one and links.other = apart.other
    where
        links.status = 'confirmed'
        and one_records.source <> other_records.source
        and apart.one is null
    group by links.one, links.other

),

both_ways as (

    select
        one,
        other,
        is_decided_by_a_person
    from joined

    union

    select
        other as one,
        one as other,
        is_decided_by_a_person
    from joined

),

-- A record with more links than a cluster may have members cannot be in a good one; it is left out before closing.
overlinked as (

    select both_ways.one
    from both_ways
    cross join limits
    group by both_ways.one, limits.most_in_one_cluster
    having count(*) >= limits.most_in_one_cluster

),

edges as (

    select both_ways.*
    from both_ways
    left join overlinked as from_overlinked
        on both_ways.one = from_overlinked.one
    left join overlinked as to_overlinked
        on both_ways.other = to_overlinked.one
    where from_overlinked.one is null and to_overlinked.one is null

),

reached as (

    select distinct
        one as record_id,
        one as reached_id
    from edges

    union

    select
        reached.record_id,
        edges.other as reached_id
    from reached
    inner join edges
        on reached.reached_id = edges.one

),

clusters as (

    select
        record_id,
        min(reached_id) as cluster_id,
        count(*) as record_count
    from reached
    group by record_id

),

broken as (

    select clusters.cluster_id
    from clusters
    cross join limits
    where clusters.record_count > limits.most_in_one_cluster

    union

    select one_clusters.cluster_id
    from apart
    inner join clusters as one_clusters
        on apart.one = one_clusters.record_id
    inner join clusters as other_clusters
        on
            apart.other = other_clusters.record_id
            and one_clusters.cluster_id = other_clusters.cluster_id

),

-- What is left of a broken cluster: the links that a person confirmed.
kept_edges as (

    select
        edges.one,
        edges.other
    from edges
    inner join clusters
        on edges.one = clusters.record_id
    inner join broken
        on clusters.cluster_id = broken.cluster_id
    where edges.is_decided_by_a_person

),

kept_reached as (

    select distinct
        one as record_id,
        one as reached_id
    from kept_edges

    union

    select
        kept_reached.record_id,
        kept_edges.other as reached_id
    from kept_reached
    inner join kept_edges
        on kept_reached.reached_id = kept_edges.one

),

kept_clusters as (

    select
        record_id,
        min(reached_id) as cluster_id,
        count(*) as record_count
    from kept_reached
    group by record_id

),

still_broken as (

    select kept_clusters.cluster_id
    from kept_clusters
    cross join limits
    where kept_clusters.record_count > limits.most_in_one_cluster

    union

    select one_clusters.cluster_id
    from apart
    inner join kept_clusters as one_clusters
        on apart.one = one_clusters.record_id
    inner join kept_clusters as other_clusters
        on
            apart.other = other_clusters.record_id
            and one_clusters.cluster_id = other_clusters.cluster_id

),

settled as (

    select
        clusters.record_id,
        clusters.cluster_id
    from clusters
    left join broken
        on clusters.cluster_id = broken.cluster_id
    where broken.cluster_id is null

    union all

    select
        kept_clusters.record_id,
        kept_clusters.cluster_id
    from kept_clusters
    left join still_broken
        on kept_clusters.cluster_id = still_broken.cluster_id
    where still_broken.cluster_id is null

),

stands as (

    select
        settled.cluster_id,
        min_by(
            settled.record_id,
            row(
                coalesce(standing_order.standing_rank, '999'),
                coalesce(records.created_at, timestamptz '9999-01-01 00:00:00+00'),
                settled.record_id
            )
        ) as standing_record_id
    from settled
    inner join records
        on settled.record_id = records.record_id
    left join standing_order
        on
            records.source || '.' || records.source_object_type
            = standing_order.source_and_type
    -- An address stands for nobody: it is not a record.
    where records.source <> 'address'
    group by settled.cluster_id

),

final as (

    select
        settled.record_id,
        records.object_type,
        records.source,
        settled.cluster_id,
        stands.standing_record_id
    from settled
    inner join records
        on settled.record_id = records.record_id
    inner join stands
        on settled.cluster_id = stands.cluster_id

)

select * from final
