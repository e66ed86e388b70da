-- One row per pair of records that are, may be or are not the same, or are related: what holds about it now. A person's
-- word comes before a rule, a rule before weights.
with

keys as (

    select
        link_id,
        object_type,
        kind,
        rule,
        left_record_id,
        right_record_id
    from {{ ref('int_identity_keys') }}

),

weighed as (

    select
        link_id,
        object_type,
        kind,
        left_record_id,
        right_record_id,
        match_weight,
        match_probability,
        weights,
        suggested_at
    from {{ ref('stg_ledger__identity_links') }}
    qualify
        row_number() over (
            partition by link_id order by suggested_at desc, identity_run_id desc
        ) = 1
        and not is_withdrawn

),

reviews as (

    select
        link_id,
        object_type,
        kind,
        left_record_id,
        right_record_id,
        decision,
        reason,
        reviewed_by,
        reviewed_at,
        inputs_hash
    from {{ ref('stg_ledger__identity_reviews') }}
    qualify row_number() over (partition by link_id order by sequence desc) = 1

),

pairs as (

    select
        link_id,
        object_type,
        left_record_id,
        right_record_id
    from keys

    union

    select
        link_id,
        object_type,
        left_record_id,
        right_record_id
    from weighed

    union

    select
        link_id,
        object_type,
        left_record_id,
        right_record_id
    from reviews

),

inputs as (

    select
        record_id,
        inputs_hash
    from {{ ref('int_identity_people') }}

    union all

    select
        record_id,
        inputs_hash
    from {{ ref('int_identity_accounts') }}

),

thresholds as (

    select identity_suggest_from
    from {{ ref('stg_policy__numbers') }}

),

final as (

    select
        -- ids
        pairs.link_id,
        pairs.object_type,
        coalesce(reviews.kind, keys.kind, weighed.kind) as kind,
        pairs.left_record_id,
        pairs.right_record_id,

        -- what holds
        case
            when reviews.decision is not null then reviews.decision
            when keys.link_id is not null then 'confirmed'
            else 'suggested'
        end as status,
        keys.rule,
        weighed.match_weight,
        weighed.match_probability,
        weighed.weights,
        case
            when reviews.decision is not null then reviews.reviewed_by
            when keys.link_id is not null then 'rule:' || keys.rule
        end as decided_by,
        reviews.reason,

        -- booleans
        reviews.decision is not null as is_decided_by_a_person,
        keys.link_id is not null
        or coalesce(
            weighed.match_probability >= thresholds.identity_suggest_from, false
        ) as is_likely,
        coalesce(
            reviews.inputs_hash <> {{ pair_inputs(
                'pairs.left_record_id', 'left_inputs.inputs_hash',
                'pairs.right_record_id', 'right_inputs.inputs_hash'
            ) }},
            false
        ) as has_changed_since,

        -- timestamps
        weighed.suggested_at,
        reviews.reviewed_at as decided_at
    from pairs
    cross join thresholds
    left join keys
        on pairs.link_id = keys.link_id
    left join weighed
        on pairs.link_id = weighed.link_id
    left join reviews
        on pairs.link_id = reviews.link_id
    left join inputs as left_inputs
        on pairs.left_record_id = left_inputs.record_id
    left join inputs as right_inputs
        on pairs.right_record_id = right_inputs.record_id

)

select * from final
