-- One row per fact in force: whether a later remark replaced it, and what it is worth on the day of the build.
with

numbers as (

    select * from {{ ref('stg_policy__numbers') }}

),

predicates as (

    select
        predicate,
        cardinality,
        speaker,
        subject
    from {{ ref('stg_policy__predicates') }}

),

signal_rules as (

    select * from {{ ref('stg_policy__signals') }}

),

resolved as (

    select
        facts.*,
        coalesce(predicates.cardinality = 'single', false) as is_single_valued,
        predicates.speaker,
        -- What one person says of themselves replaces only what they said before.
        case
            when predicates.subject = 'person'
                then coalesce(facts.contact_id, facts.author, facts.document_id)
            else coalesce(facts.account_id, facts.contact_id, facts.document_id)
        end as subject_id,
        greatest(date_diff('day', facts.valid_date, {{ as_of() }}), 0) as age_days
    from {{ ref('int_facts_resolved') }} as facts
    left join predicates
        on facts.predicate = predicates.predicate
    where facts.is_in_force

),

valued as (

    select
        resolved.fact_id,
        min_by(signal_rules.strength, signal_rules.position) as strength,
        min_by(signal_rules.points, signal_rules.position) as points
    from resolved
    inner join signal_rules
        on
            resolved.predicate = signal_rules.predicate
            and (
                signal_rules.fact_value is null
                or resolved.fact_value = signal_rules.fact_value
            )
    -- Words count only from the side whose words are asked for; a remark that denies a thing does not signal it.
    where
        resolved.polarity = 'affirmed'
        and coalesce(resolved.speaker in ('both', resolved.author_side), false)
    group by resolved.fact_id

),

decayed as (

    select
        resolved.*,
        valued.strength,
        coalesce(valued.points, 0) as base_points,
        coalesce({{ decay_share('resolved.age_days', 'numbers') }}, 0) as decay_share,
        case
            when resolved.is_trusted then cast(1 as decimal(9, 4))
            else coalesce(numbers.untrusted_share, 0)
        end as trust_share,
        numbers.document_max_points,
        numbers.untrusted_max_points
    from resolved
    left join valued
        on resolved.fact_id = valued.fact_id
    cross join numbers

),

pointed as (

    select
        *,
        cast(base_points * decay_share * trust_share as decimal(18, 6))
            as decayed_points
    from decayed

),

-- A later remark replaces an earlier one of the same subject. A stranger's words replace only strangers' words.
superseded as (

    select
        *,
        case
            when is_single_valued
                then lead(fact_id) over (
                    partition by subject_id, predicate, is_trusted
                    order by
                        occurred_at asc, document_id asc, span_start asc, fact_id asc
                )
        end as superseded_by,
        case
            when is_single_valued
                then coalesce(
                    lag(decayed_points) over (
                        partition by subject_id, predicate, is_trusted
                        order by
                            occurred_at asc,
                            document_id asc,
                            span_start asc,
                            fact_id asc
                    ),
                    0
                )
            else 0
        end as replaced_points
    from pointed

),

-- How far a fact moves the sum: its own points, less those of the remark it replaced. All moves together give the
-- points of the facts that are current, and whatever one document moves can be held to the policy's cap.
moved as (

    select
        *,
        decayed_points - replaced_points as moved_points,
        sum(
            case when is_trusted then 0 else decayed_points - replaced_points end
        ) over (partition by document_id) as untrusted_points,
        sum(
            case when is_trusted then decayed_points - replaced_points else 0 end
        ) over (partition by document_id) as trusted_points
    from superseded

),

held_untrusted as (

    select
        *,
        case
            when is_trusted or untrusted_points = 0 then cast(1 as double)
            else cast(
                {{ clamp(
                    'untrusted_points', '-untrusted_max_points', 'untrusted_max_points'
                ) }} as double
            ) / cast(untrusted_points as double)
        end as untrusted_cap_share,
        trusted_points
        + {{ clamp(
            'untrusted_points', '-untrusted_max_points', 'untrusted_max_points'
        ) }} as document_points
    from moved

),

final as (

    select
        -- ids
        fact_id,
        answer_id,
        document_id,
        account_id,
        contact_id,
        superseded_by,

        -- text
        predicate,
        fact_value,
        polarity,
        author_side,
        author,
        quote,
        document_type,
        source_record_id,
        strength,

        -- numerics
        span_start,
        span_end,
        base_points,
        age_days,
        cast(decay_share as decimal(9, 6)) as decay_share,
        cast(trust_share as decimal(9, 4)) as trust_share,
        cast(decayed_points as decimal(18, 4)) as decayed_points,
        cast(
            moved_points
            * untrusted_cap_share
            * case
                when document_points = 0 then 1
                else cast(
                    {{ clamp(
                        'document_points', '-document_max_points', 'document_max_points'
                    ) }} as double
                ) / cast(document_points as double)
            end as decimal(18, 4)
        ) as counted_points,

        -- booleans
        superseded_by is null as is_current,
        is_trusted,

        -- timestamps
        fact_date,
        valid_date,
        occurred_at
    from held_untrusted

)

select * from final
