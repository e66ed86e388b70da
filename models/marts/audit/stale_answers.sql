-- One row per answer that is shown although its question has changed since: what changed, in facts and in words.
with

published as (

    select
        operation,
        record_id,
        answer_id,
        answered_at
    from {{ ref('int_published') }}
    where is_stale

),

outdated as (

    select
        operation,
        record_id,
        count(*) as fact_count
    from {{ ref('memory_dependants') }}
    group by operation, record_id

),

-- Null for answers of the time before there was a log.
shown_then as (

    select
        operation,
        answer_id,
        fact_id
    from {{ ref('recall_history') }}
    where decision = 'included'

),

logged_answers as (

    select distinct
        operation,
        answer_id
    from {{ ref('recall_history') }}

),

shown_now as (

    select
        operation,
        record_id,
        fact_id
    from {{ ref('recall_log') }}
    where decision = 'included'

),

dropped as (

    select
        published.operation,
        published.record_id,
        count(*) as fact_count
    from published
    inner join shown_then
        on
            published.operation = shown_then.operation
            and published.answer_id = shown_then.answer_id
    left join shown_now
        on
            published.operation = shown_now.operation
            and published.record_id = shown_now.record_id
            and shown_then.fact_id = shown_now.fact_id
    where shown_now.fact_id is null
    group by published.operation, published.record_id

),

added as (

    select
        published.operation,
        published.record_id,
        count(*) as fact_count
    from published
    inner join logged_answers
        on
            published.operation = logged_answers.operation
            and published.answer_id = logged_answers.answer_id
    inner join shown_now
        on
            published.operation = shown_now.operation
            and published.record_id = shown_now.record_id
    left join shown_then
        on
            published.operation = shown_then.operation
            and published.answer_id = shown_then.answer_id
            and shown_now.fact_id = shown_then.fact_id
    where shown_then.fact_id is null
    group by published.operation, published.record_id

),

counted as (

    select
        published.operation,
        published.record_id,
        published.answer_id,
        coalesce(outdated.fact_count, 0) as outdated_fact_count,
        case
            when logged_answers.answer_id is not null
                then coalesce(dropped.fact_count, 0)
        end as dropped_fact_count,
        case
            when logged_answers.answer_id is not null
                then coalesce(added.fact_count, 0)
        end as added_fact_count,
        published.answered_at
    from published
    left join logged_answers
        on
            published.operation = logged_answers.operation
            and published.answer_id = logged_answers.answer_id
    left join outdated
        on
            published.operation = outdated.operation
            and published.record_id = outdated.record_id
    left join dropped
        on
            published.operation = dropped.operation
            and published.record_id = dropped.record_id
    left join added
        on
            published.operation = added.operation
            and published.record_id = added.record_id

),

final as (

    select
        operation,
        record_id,
        answer_id,
        case
            when outdated_fact_count > 0
                then 'Facts it cites were replaced or taken back'
            when dropped_fact_count > 0 and added_fact_count > 0
                then 'It was shown other facts'
            when dropped_fact_count > 0 then 'It was shown facts that no longer count'
            when added_fact_count > 0 then 'New facts are known'
            else 'The record, the prompt, the policy or the agent changed'
        end as reason,
        outdated_fact_count,
        dropped_fact_count,
        added_fact_count,
        answered_at
    from counted

)

select * from final
