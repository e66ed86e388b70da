-- One row per CRM property of a record whose value differs from what is published: old value, new value, and why. A
-- value that is published no longer is left alone: nothing is ever cleared here.
with

desired_values as (

    select * from {{ ref('int_desired_values') }}

),

field_map as (

    select * from {{ ref('stg_policy__field_map') }}
    where crm = 'hubspot'

),

published as (

    select * from {{ ref('int_published') }}

),

evidence as (

    select * from {{ ref('int_evidence_texts') }}

),

crm_values as (

    select
        object_type,
        source_record_id,
        property,
        crm_value
    from {{ ref('stg_hubspot__namespaced_values') }}

),

last_written as (

    select * from {{ ref('int_last_written') }}
    where crm = 'hubspot'

),

numbers as (

    select max_text_chars from {{ ref('stg_policy__numbers') }}

),

tiers as (

    select
        tier,
        min_score
    from {{ ref('stg_policy__tiers') }}

),

compared as (

    select
        desired_values.object_type,
        desired_values.source_record_id as record_id,
        desired_values.record_label,
        field_map.property,
        field_map.value_type,
        desired_values.field,
        {{ canonical_value('crm_values.crm_value', 'field_map.value_type') }}
            as crm_value,
        last_written.last_written_value,
        case
            when field_map.value_type = 'text' and numbers.max_text_chars is not null
                then left(desired_values.desired_value, numbers.max_text_chars)
            else desired_values.desired_value
        end as desired_value,
        desired_values.operation,
        published.answer_id,
        desired_values.reason,
        published.confidence,
        coalesce(evidence.evidence_json, '[]') as evidence,
        coalesce(evidence.citation_count, 0) as evidence_count,
        published.is_stale,
        desired_values.is_suppressed,
        field_map.field_class,
        field_map.risk,
        field_map.min_change
    from desired_values
    inner join field_map
        on
            desired_values.object_type = field_map.object_type
            and desired_values.field = field_map.field
    inner join published
        on
            desired_values.operation = published.operation
            and desired_values.evidence_record_id = published.record_id
    left join evidence
        on
            desired_values.operation = evidence.operation
            and desired_values.evidence_record_id = evidence.record_id
    left join crm_values
        on
            desired_values.object_type = crm_values.object_type
            and desired_values.source_record_id = crm_values.source_record_id
            and field_map.property = crm_values.property
    left join last_written
        on
            desired_values.object_type = last_written.object_type
            and desired_values.source_record_id = last_written.source_record_id
            and field_map.property = last_written.property
    cross join numbers

),

differing as (

    select *
    from compared
    where desired_value is distinct from crm_value

),

measured as (

    select
        *,
        abs(
            try_cast(desired_value as decimal(38, 6))
            - try_cast(crm_value as decimal(38, 6))
        ) as change,
        (
            select max_by(tiers.tier, tiers.min_score)
            from tiers
            where
                tiers.min_score <= try_cast(differing.desired_value as decimal(38, 6))
        ) as desired_tier,
        (
            select max_by(tiers.tier, tiers.min_score)
            from tiers
            where tiers.min_score <= try_cast(differing.crm_value as decimal(38, 6))
        ) as crm_tier
    from differing

),

final as (

    select
        object_type,
        record_id,
        record_label,
        property,
        value_type,
        field,
        crm_value,
        last_written_value,
        desired_value,
        operation,
        answer_id,
        reason,
        confidence,
        evidence,
        evidence_count,
        is_stale,
        is_suppressed,
        field_class,
        risk
    from measured
    -- A score that hardly moved, within its tier, is not worth anybody's look.
    where
        not coalesce(
            value_type = 'number'
            and change < min_change
            and desired_tier is not distinct from crm_tier,
            false
        )

)

select * from final
