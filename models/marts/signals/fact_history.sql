-- One row per fact that was ever recorded: from when to when it held, since when we know it, and what ended it.
with

readings as (

    select
        facts.fact_id,
        facts.document_id,
        facts.answer_id,
        facts.predicate,
        facts.fact_value,
        facts.polarity,
        facts.fact_date,
        facts.author_side,
        facts.author,
        facts.quote,
        answers.context_hash,
        answers.answered_at
    from {{ ref('stg_ledger__facts') }} as facts
    inner join {{ ref('stg_ledger__answers') }} as answers
        on facts.answer_id = answers.answer_id

),

-- A fact that several readings found is one fact: known since the first, described by the last.
first_readings as (

    select
        fact_id,
        min(answered_at) as recorded_at
    from readings
    group by fact_id

),

last_readings as (

    select *
    from readings
    qualify
        row_number() over (
            partition by fact_id
            order by answered_at desc, answer_id asc
        ) = 1

),

-- Deleted texts too: when they were written is known as long as the row is there.
texts as (

    select
        email_id as document_id,
        'email' as document_type,
        occurred_at,
        updated_at
    from {{ ref('int_source_emails') }}

    union all

    select
        call_id as document_id,
        'call' as document_type,
        occurred_at,
        updated_at
    from {{ ref('int_source_calls') }}

    union all

    select
        note_id as document_id,
        'note' as document_type,
        occurred_at,
        updated_at
    from {{ ref('int_source_notes') }}

),

deletions as (

    select
        record_id as document_id,
        max(archived_at) as archived_at
    from {{ ref('int_source_deletions') }}
    group by record_id

),

documents as (

    select
        documents.document_id,
        queue.context_hash
    from {{ ref('documents') }} as documents
    left join {{ ref('queue_extract_facts') }} as queue
        on documents.document_id = queue.record_id

),

resolved as (

    select
        fact_id,
        answer_id,
        account_id,
        contact_id,
        is_trusted
    from {{ ref('int_facts_resolved') }}

),

facts_in_force as (

    select
        facts.fact_id,
        facts.answer_id,
        facts.superseded_by,
        facts.is_current,
        facts.trust_share,
        facts.decay_share,
        replacing.valid_date as replaced_on
    from {{ ref('facts') }} as facts
    left join {{ ref('facts') }} as replacing
        on facts.superseded_by = replacing.fact_id

),

-- The first time that the text was read again after the fact had last been found in it.
next_readings as (

    select
        last_readings.fact_id,
        min(answers.answered_at) as answered_at
    from last_readings
    inner join {{ ref('stg_ledger__answers') }} as answers
        on
            answers.operation = 'extract_facts'
            and last_readings.document_id = answers.record_id
            and last_readings.answered_at < answers.answered_at
    group by last_readings.fact_id

),

judged as (

    select
        last_readings.*,
        first_readings.recorded_at,
        texts.document_type,
        texts.occurred_at,
        texts.updated_at,
        deletions.archived_at,
        next_readings.answered_at as read_again_at,
        facts_in_force.superseded_by,
        facts_in_force.replaced_on,
        facts_in_force.trust_share,
        facts_in_force.decay_share,
        case
            when facts_in_force.is_current then 'current'
            when not facts_in_force.is_current then 'superseded'
            else 'retracted'
        end as status,
        case
            when facts_in_force.fact_id is not null then null
            when documents.document_id is null then 'document_deleted'
            when documents.context_hash = last_readings.context_hash
                then 'read_differently'
            -- Other words, or none at all any more.
            else 'document_edited'
        end as retraction_reason
    from last_readings
    inner join first_readings
        on last_readings.fact_id = first_readings.fact_id
    left join facts_in_force
        on last_readings.fact_id = facts_in_force.fact_id
    left join texts
        on last_readings.document_id = texts.document_id
    left join deletions
        on last_readings.document_id = deletions.document_id
    left join documents
        on last_readings.document_id = documents.document_id
    left join next_readings
        on last_readings.fact_id = next_readings.fact_id

),

final as (

    select
        -- ids
        judged.fact_id,
        judged.document_id,
        judged.answer_id,
        resolved.account_id,
        resolved.contact_id,
        judged.superseded_by,

        -- text
        judged.predicate,
        judged.fact_value,
        judged.polarity,
        judged.author_side,
        judged.author,
        judged.quote,
        judged.document_type,
        judged.status,
        judged.retraction_reason,

        -- numerics
        judged.trust_share,
        judged.decay_share,

        -- booleans
        coalesce(resolved.is_trusted, false) as is_trusted,

        -- timestamps
        judged.fact_date,
        {{ utc_date('judged.occurred_at') }} as valid_from,
        case
            when judged.status = 'superseded' then judged.replaced_on
            when judged.retraction_reason = 'document_deleted'
                then {{ utc_date('coalesce(judged.archived_at, judged.updated_at)') }}
            when judged.retraction_reason is not null
                then
                    {{ utc_date('coalesce(judged.read_again_at, judged.updated_at)') }}
        end as valid_to,
        judged.recorded_at
    from judged
    left join resolved
        on
            judged.fact_id = resolved.fact_id
            and judged.answer_id = resolved.answer_id

)

select * from final
