-- One row per CRM property of a record whose value differs from what is published: old value, new value, and why. A
-- value that is published no longer is left alone: nothing is ever cleared here. A record goes to the CRM it came from,
-- and to every CRM that `crm_links` knows it in; of those no load tells what they hold, so the plan asks them.
with

desired_values as (

    select * from {{ ref('int_desired_values') }}

),

crm_links as (

    select * from {{ ref('int_crm_links') }}

),

field_map as (

    select * from {{ ref('stg_policy__field_map') }}

),

published as (

    select * from {{ ref('int_published') }}

),

evidence as (

    select * from {{ ref('int_evidence_texts') }}

),

crm_values as (

    select
        crm,
        object_type,
        source_record_id,
        property,
        crm_value
    from {{ ref('int_source_namespaced_values') }}

),

-- Of these a load tells what they hold.
loaded_crms as (

    select distinct {{ source_of('contact_id') }} as crm
    from {{ ref('int_source_contacts') }}

    union

    select 'hubspot' as crm

),

last_written as (

    select * from {{ ref('int_last_written') }}

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

targets as (

    select
        desired_values.*,
        {{ source_of('record_id') }} as crm,
        {{ crm_object_type('record_id') }} as target_type,
        desired_values.source_record_id as target_id
    from desired_values

    union all

    select
        desired_values.*,
        crm_links.crm,
        crm_links.object_type as target_type,
        crm_links.crm_record_id as target_id
    from desired_values
    inner join crm_links
        on desired_values.record_id = crm_links.record_id

),

compared as (

    select
        wanted.crm,
        wanted.target_type as object_type,
        wanted.target_id as record_id,
        wanted.subject_id,
        wanted.segment,
        wanted.record_label,
        field_map.property,
        field_map.value_type,
        wanted.field,
        {{ canonical_value('crm_values.crm_value', 'field_map.value_type') }}
            as crm_value,
        last_written.last_written_value,
        -- What is there as far as is known without asking.
        case
            when loaded_crms.crm is not null
                then
                    {{ canonical_value(
                        'crm_values.crm_value', 'field_map.value_type'
                    ) }}
            else last_written.last_written_value
        end as known_value,
        case
            when field_map.value_type = 'text' and numbers.max_text_chars is not null
                then left(wanted.desired_value, numbers.max_text_chars)
            else wanted.desired_value
        end as desired_value,
        wanted.operation,
        published.answer_id,
        wanted.reason,
        published.confidence,
        coalesce(evidence.evidence_json, '[]') as evidence,
        coalesce(evidence.citation_count, 0) as evidence_count,
        published.is_stale,
        wanted.is_suppressed,
        field_map.field_class,
        field_map.risk,
        field_map.min_change
    from targets as wanted
    inner join field_map
        on
            wanted.crm = field_map.crm
            and wanted.target_type = field_map.object_type
            and wanted.field = field_map.field
    inner join published
        on
            wanted.operation = published.operation
            and wanted.evidence_record_id = published.record_id
    left join evidence
        on
            wanted.operation = evidence.operation
            and wanted.evidence_record_id = evidence.record_id
    left join loaded_crms
        on wanted.crm = loaded_crms.crm
    left join crm_values
        on
            wanted.crm = crm_values.crm
            and wanted.target_type = crm_values.object_type
            and wanted.target_id = crm_values.source_record_id
            and field_map.property = crm_values.property
    left join last_written
        on
            wanted.crm = last_written.crm
            and wanted.target_type = last_written.object_type
            and wanted.target_id = last_written.source_record_id
            and field_map.property = last_written.property
    cross join numbers

),

differing as (

    select *
    from compared
    where desired_value is distinct from known_value

),

measured as (

    select
        *,
        abs(
            try_cast(desired_value as decimal(38, 6))
            - try_cast(known_value as decimal(38, 6))
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
            where tiers.min_score <= try_cast(differing.known_value as decimal(38, 6))
        ) as crm_tier
    from differing

),

final as (

    select
        crm,
        object_type,
        record_id,
        subject_id,
        segment,
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
