-- One row per fact of an answer with the contact and account it speaks for, whether we know who said it, and whether it
-- is in force: its answer is the one that counts for the document, and its words still stand there.
with

published as (

    select
        answer_id,
        document_id,
        is_stale
    from {{ ref('published_extract_facts') }}

),

documents as (

    select
        document_id,
        document_type,
        source_record_id,
        occurred_at,
        document_date,
        contact_id,
        account_id,
        author_email,
        body
    from {{ ref('documents') }}

),

facts as (

    select
        ledger_facts.fact_id,
        ledger_facts.answer_id,
        ledger_facts.document_id,
        ledger_facts.predicate,
        ledger_facts.fact_value,
        ledger_facts.polarity,
        ledger_facts.fact_date,
        ledger_facts.author_side,
        ledger_facts.author,
        ledger_facts.span_start,
        ledger_facts.span_end,
        ledger_facts.quote,
        documents.document_type,
        documents.source_record_id,
        documents.occurred_at,
        documents.document_date as valid_date,
        documents.contact_id as document_contact_id,
        documents.account_id,
        -- An address is who wrote it; without one, an email's author is its sender, a call's is the name spoken.
        case
            when ledger_facts.author like '%@%' then lower(trim(ledger_facts.author))
            when documents.document_type = 'email' then documents.author_email
        end as author_email,
        case
            when
                documents.document_type <> 'email'
                and ledger_facts.author not like '%@%'
                then lower(
                    trim(
                        regexp_replace(
                            regexp_replace(ledger_facts.author, '\s*\(.*$', ''),
                            '\s+', ' ', 'g'
                        )
                    )
                )
        end as author_name,
        -- Words that were edited away are no evidence, even before the new text has been read.
        published.answer_id is not null
        and (
            not published.is_stale
            or contains(coalesce(documents.body, ''), ledger_facts.quote)
        ) as is_in_force
    from {{ ref('stg_ledger__facts') }} as ledger_facts
    -- Two copies of one document share an answer; its facts count once, for the document they were read in.
    left join published
        on
            ledger_facts.answer_id = published.answer_id
            and ledger_facts.document_id = published.document_id
    inner join documents
        on ledger_facts.document_id = documents.document_id

),

authors_by_address as (

    select
        facts.fact_id,
        min_by(
            addresses.contact_id,
            row(
                case
                    when addresses.contact_id = facts.document_contact_id then 0
                    else 1
                end,
                addresses.contact_id
            )
        ) as contact_id
    from facts
    inner join {{ ref('int_contact_addresses') }} as addresses
        on
            facts.author_email = addresses.email
            and (facts.account_id is null or facts.account_id = addresses.account_id)
    where facts.author_side = 'theirs'
    group by facts.fact_id

),

authors_by_name as (

    select
        facts.fact_id,
        min_by(
            contacts.contact_id,
            row(
                case
                    when contacts.contact_id = facts.document_contact_id then 0
                    else 1
                end,
                contacts.contact_id
            )
        ) as contact_id
    from facts
    inner join {{ ref('int_contacts') }} as contacts
        on
            facts.account_id = contacts.account_id
            and facts.author_name = lower(contacts.full_name)
    where facts.author_side = 'theirs'
    group by facts.fact_id

),

final as (

    select
        -- ids
        facts.fact_id,
        facts.answer_id,
        facts.document_id,
        facts.account_id,
        case
            when facts.author_side = 'ours' then facts.document_contact_id
            else coalesce(authors_by_address.contact_id, authors_by_name.contact_id)
        end as contact_id,

        -- text
        facts.predicate,
        facts.fact_value,
        facts.polarity,
        facts.author_side,
        facts.author,
        facts.quote,
        facts.document_type,
        facts.source_record_id,

        -- numerics
        facts.span_start,
        facts.span_end,

        -- booleans
        facts.author_side = 'ours'
        or authors_by_address.contact_id is not null
        or authors_by_name.contact_id is not null as is_trusted,
        facts.is_in_force,

        -- timestamps
        facts.fact_date,
        facts.valid_date,
        facts.occurred_at
    from facts
    left join authors_by_address
        on facts.fact_id = authors_by_address.fact_id
    left join authors_by_name
        on facts.fact_id = authors_by_name.fact_id

)

select * from final
