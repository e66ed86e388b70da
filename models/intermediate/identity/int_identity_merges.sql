-- One row per record that its CRM merged away or converted: the live record that now stands for it, over any number of
-- steps.
with recursive

merge_pairs as (

    select
        object_type,
        merged_record_id,
        surviving_record_id,
        reason
    from {{ ref('int_source_merges') }}

),

chains as (

    select
        object_type,
        merged_record_id,
        surviving_record_id,
        reason,
        1 as merge_count
    from merge_pairs

    union all

    select
        chains.object_type,
        chains.merged_record_id,
        merge_pairs.surviving_record_id,
        chains.reason,
        chains.merge_count + 1 as merge_count
    from chains
    inner join merge_pairs
        on chains.surviving_record_id = merge_pairs.merged_record_id
    -- A circle of merges cannot happen in a CRM; were it to, the build must still end.
    where chains.merge_count < 50

),

final as (

    select
        object_type,
        merged_record_id,
        surviving_record_id,
        reason,
        merge_count
    from chains
    where merged_record_id <> surviving_record_id
    qualify
        row_number() over (
            partition by merged_record_id
            order by merge_count desc, surviving_record_id asc
        ) = 1

)

select * from final
