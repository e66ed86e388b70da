-- One row per operation that is reminded of facts, record it judges, and fact of that record's account or contact: in
-- which place it is shown, or why it is left out. The queues read the included ones, the recall log all.
with recursive

operations as (

    select * from {{ ref('stg_policy__recall_operations') }}

),

records as (

    select
        'account' as record_type,
        account_id as record_id,
        account_id
    from {{ ref('accounts') }}

    union all

    select
        'contact' as record_type,
        contact_id as record_id,
        account_id
    from {{ ref('int_contacts') }}

    union all

    select
        'meeting' as record_type,
        meeting_id as record_id,
        account_id
    from {{ ref('meeting_signals') }}

    union all

    select
        'deal' as record_type,
        deal_id as record_id,
        account_id
    from {{ ref('deals') }}

),

-- Whose facts are looked through for each record.
subjects as (

    select
        operations.operation,
        records.record_id,
        operations.facts_of,
        case operations.facts_of
            when 'account' then records.account_id
            else records.record_id
        end as subject_id,
        operations.shows_strangers,
        operations.half_life_days,
        operations.token_budget
    from operations
    inner join records
        on operations.record_type = records.record_type

),

relevances as (

    select
        operation,
        predicate,
        relevance,
        quota
    from {{ ref('stg_policy__recall') }}

),

numbers as (

    select
        token_estimate_chars,
        semantic_weight
    from {{ ref('stg_policy__numbers') }}

),

-- Nothing while the policy has no weight for it. Four decimals times four: eight hold the share exactly.
similarities as (

    select
        similarity_rows.operation,
        similarity_rows.fact_id,
        similarity_rows.text_id,
        similarity_rows.similarity,
        cast(
            1
            - numbers.semantic_weight
            + numbers.semantic_weight * similarity_rows.similarity as decimal(9, 8)
        ) as similarity_share
    from {{ ref('stg_ledger__recall_similarity') }} as similarity_rows
    inner join {{ ref('stg_ledger__recall_queries') }} as queries
        on
            similarity_rows.operation = queries.operation
            and similarity_rows.query_hash = queries.query_hash
    cross join numbers
    where
        numbers.semantic_weight is not null
        and similarity_rows.similarity is not null

),

lines as (

    select
        fact_id,
        account_id,
        contact_id,
        predicate,
        valid_date,
        trust_share,
        is_current,
        is_trusted,
        {{ fact_text_id('facts') }} as text_id,
        {{ fact_line('facts') }} as fact_line
    from {{ ref('facts') }} as facts

),

facts as (

    select
        lines.*,
        -- The line and its line feed.
        cast(
            ceil(
                (length(lines.fact_line) + 1)
                / coalesce(numbers.token_estimate_chars, 4)
            ) as bigint
        ) as estimated_tokens
    from lines
    cross join numbers

),

-- A fact is one of its account's, and one of its contact's.
owned_facts as (

    select
        'account' as facts_of,
        account_id as subject_id,
        *
    from facts
    where account_id is not null

    union all

    select
        'contact' as facts_of,
        contact_id as subject_id,
        *
    from facts
    where contact_id is not null

),

candidates as (

    select
        subjects.operation,
        subjects.record_id,
        owned_facts.fact_id,
        owned_facts.text_id,
        owned_facts.predicate,
        owned_facts.valid_date,
        relevances.relevance,
        relevances.quota,
        owned_facts.trust_share,
        subjects.half_life_days,
        subjects.token_budget,
        owned_facts.fact_line,
        owned_facts.estimated_tokens,
        case
            when coalesce(relevances.relevance, 0) = 0 then 'not_relevant'
            when not owned_facts.is_current then 'superseded'
            when not (owned_facts.is_trusted or subjects.shows_strangers)
                then 'not_trusted'
        end as left_out_because
    from owned_facts
    inner join subjects
        on
            owned_facts.facts_of = subjects.facts_of
            and owned_facts.subject_id = subjects.subject_id
    left join relevances
        on
            subjects.operation = relevances.operation
            and owned_facts.predicate = relevances.predicate

),

-- Recency looks at the newest remark that the operation may see of the same record: neither today nor a remark it never
-- sees can change what is shown.
aged as (

    select
        candidates.*,
        date_diff(
            'day',
            candidates.valid_date,
            max(candidates.valid_date) over (
                partition by candidates.operation, candidates.record_id
            )
        ) as days_older
    from candidates
    where candidates.left_out_because is null

),

weighed as (

    select
        aged.*,
        similarities.similarity,
        cast(
            aged.relevance
            * aged.trust_share
            * {{ recency_share('aged.days_older', 'aged.half_life_days') }}
            * coalesce(similarities.similarity_share, cast(1 as decimal(9, 8)))
            as decimal(18, 9)
        ) as usefulness
    from aged
    left join similarities
        on
            aged.operation = similarities.operation
            and aged.fact_id = similarities.fact_id
            and aged.text_id = similarities.text_id

),

rationed as (

    select
        *,
        row_number() over (
            partition by operation, record_id, predicate
            order by usefulness desc, valid_date desc, fact_id asc
        ) <= quota as is_in_quota
    from weighed

),

ranked as (

    select
        *,
        -- Null beyond the quota: no place in the queue for room.
        case
            when is_in_quota
                then row_number() over (
                    partition by operation, record_id, is_in_quota
                    order by usefulness desc, valid_date desc, fact_id asc
                )
        end as rank_of_use
    from rationed

),

-- Greedy: from the most useful on, whatever still fits is taken; what doesn't fit is passed over, and smaller ones after
-- it still have their chance. One step a rank, all records of all operations at once.
to_pack as (

    select
        operation,
        record_id,
        min(token_budget) as token_budget,
        list(estimated_tokens order by rank_of_use asc) as sizes
    from ranked
    where is_in_quota
    group by operation, record_id
    -- Where all fits, there is nothing to choose.
    having sum(estimated_tokens) > min(token_budget)

),

packed as (

    select
        operation,
        record_id,
        token_budget,
        sizes,
        cast(1 as bigint) as rank_of_use,
        sizes[1] <= token_budget as fits,
        case when sizes[1] <= token_budget then sizes[1] else 0 end as tokens_used
    from to_pack

    union all

    select
        operation,
        record_id,
        token_budget,
        sizes,
        rank_of_use + 1 as rank_of_use,
        tokens_used + sizes[rank_of_use + 1] <= token_budget as fits,
        case
            when tokens_used + sizes[rank_of_use + 1] <= token_budget
                then tokens_used + sizes[rank_of_use + 1]
            else tokens_used
        end as tokens_used
    from packed
    where rank_of_use < length(sizes)

),

decided as (

    select
        ranked.operation,
        ranked.record_id,
        ranked.fact_id,
        ranked.predicate,
        ranked.valid_date,
        ranked.usefulness,
        ranked.similarity,
        ranked.estimated_tokens,
        ranked.fact_line,
        case
            when not ranked.is_in_quota then 'over_quota'
            when not packed.fits then 'over_budget'
            else 'included'
        end as decision,
        ranked.rank_of_use
    from ranked
    left join packed
        on
            ranked.operation = packed.operation
            and ranked.record_id = packed.record_id
            and ranked.rank_of_use = packed.rank_of_use

),

final as (

    select
        operation,
        record_id,
        fact_id,
        predicate,
        decision,
        case
            when decision = 'included'
                then row_number() over (
                    partition by operation, record_id, decision
                    order by rank_of_use asc
                )
        end as position,
        usefulness,
        estimated_tokens,
        valid_date,
        fact_line,
        similarity
    from decided

    union all

    select
        operation,
        record_id,
        fact_id,
        predicate,
        left_out_because as decision,
        cast(null as bigint) as position,
        cast(null as decimal(18, 9)) as usefulness,
        estimated_tokens,
        valid_date,
        cast(null as varchar) as fact_line,
        cast(null as decimal(5, 4)) as similarity
    from candidates
    where left_out_because is not null

)

select * from final
