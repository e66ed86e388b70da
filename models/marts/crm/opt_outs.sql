-- One row per contact and way in which they said no (policies/suppression.yml). Global: whoever shares the address is
-- out as well, and so is every record that is, or may well be, the same person's. For good: an answer that once heard a
-- no keeps counting until a person lifts it.
with

sources as (

    select
        list_name,
        item
    from {{ ref('stg_policy__lists') }}
    where list_name like 'suppression\_%' escape '\'

),

-- Without a policy every source of the CRM itself counts: unknown consent is a no.
always as (

    select count(*) = 0 as is_without_policy
    from {{ ref('stg_policy__current') }}

),

aliases as (

    select
        record_id,
        stands_for_record_id
    from {{ ref('int_record_aliases') }}
    where object_type = 'contacts'

),

staged_contacts as (

    select
        coalesce(aliases.stands_for_record_id, contacts.contact_id) as contact_id,
        -- Where the no stands, so that whoever doubts it finds it.
        contacts.contact_id as said_on,
        contacts.email,
        contacts.is_email_opted_out,
        contacts.lead_status,
        contacts.updated_at
    from {{ ref('int_source_contacts') }} as contacts
    left join aliases
        on contacts.contact_id = aliases.record_id

),

addresses as (

    select distinct
        addresses.email,
        coalesce(aliases.stands_for_record_id, addresses.contact_id) as contact_id
    from {{ ref('int_contact_addresses') }} as addresses
    left join aliases
        on addresses.contact_id = aliases.record_id

),

documents as (

    select
        document_id,
        author_email,
        contact_id,
        occurred_at
    from {{ ref('documents') }}

),

from_contacts as (

    select
        staged_contacts.contact_id,
        staged_contacts.email,
        'contact_property' as source,
        case split_part(staged_contacts.said_on, ':', 1)
            when 'hubspot' then 'hs_email_optout = true'
            when 'salesforce' then 'HasOptedOutOfEmail = true'
            else 'opted out'
        end as evidence,
        staged_contacts.said_on as evidence_id,
        staged_contacts.updated_at as opted_out_at
    from staged_contacts
    cross join always
    where
        staged_contacts.is_email_opted_out
        and (
            always.is_without_policy
            or exists (
                select 1
                from sources
                where sources.list_name = 'suppression_contact_property'
            )
        )

),

from_lead_status as (

    select
        staged_contacts.contact_id,
        staged_contacts.email,
        'lead_status' as source,
        if(
            split_part(staged_contacts.said_on, ':', 1) = 'hubspot',
            'hs_lead_status = ',
            'lead status = '
        )
        || staged_contacts.lead_status as evidence,
        staged_contacts.said_on as evidence_id,
        staged_contacts.updated_at as opted_out_at
    from staged_contacts
    inner join sources
        on
            sources.list_name = 'suppression_lead_status'
            and staged_contacts.lead_status = sources.item

),

from_subscriptions as (

    select
        cast(null as varchar) as contact_id,
        unsubscribes.email,
        'subscription_status' as source,
        'unsubscribed from all email'
        || coalesce(' (' || unsubscribes.unsubscribe_source || ')', '') as evidence,
        unsubscribes.email as evidence_id,
        unsubscribes.changed_at as opted_out_at
    from {{ ref('int_source_unsubscribes') }} as unsubscribes
    cross join always
    where
        unsubscribes.is_unsubscribed
        and (
            always.is_without_policy
            or exists (
                select 1
                from sources
                where sources.list_name = 'suppression_subscription_status'
            )
        )

),

classed_replies as (

    select
        published.document_id,
        published.answer_id
    from {{ ref('published_reply_class') }} as published

    union

    select
        record_id as document_id,
        answer_id
    from {{ ref('stg_ledger__answers') }}
    where operation = 'reply_class'

),

from_replies as (

    select
        documents.contact_id,
        documents.author_email as email,
        'reply_class' as source,
        judgements.level
        || coalesce(': "' || min(evidence.quote) || '"', '') as evidence,
        documents.document_id as evidence_id,
        documents.occurred_at as opted_out_at
    from classed_replies
    inner join {{ ref('stg_ledger__judgements') }} as judgements
        on
            classed_replies.answer_id = judgements.answer_id
            and judgements.component = 'reply_class'
    inner join sources
        on
            sources.list_name = 'suppression_reply_class'
            and judgements.level = sources.item
    inner join documents
        on classed_replies.document_id = documents.document_id
    left join {{ ref('stg_ledger__evidence') }} as evidence
        on
            judgements.answer_id = evidence.answer_id
            and evidence.item_kind = 'judgement'
            and judgements.component = evidence.item_key
    group by
        documents.contact_id,
        documents.author_email,
        judgements.level,
        documents.document_id,
        documents.occurred_at

),

from_facts as (

    select
        facts.contact_id,
        -- An email speaks for its sender, whichever account it was filed under.
        case when facts.document_type = 'email' then documents.author_email end
            as email,
        'fact' as source,
        '"' || facts.quote || '"' as evidence,
        facts.document_id as evidence_id,
        facts.occurred_at as opted_out_at
    from {{ ref('int_facts_resolved') }} as facts
    inner join sources
        on
            sources.list_name = 'suppression_fact'
            and facts.predicate = sources.item
    inner join documents
        on facts.document_id = documents.document_id
    where facts.author_side = 'theirs' and facts.polarity = 'affirmed'

),

from_ledger as (

    select
        suppression.contact_id,
        cast(null as varchar) as email,
        suppression.source,
        coalesce('"' || suppression.quote || '"', 'recorded earlier') as evidence,
        suppression.evidence_id,
        suppression.suppressed_at as opted_out_at
    from {{ ref('stg_ledger__suppression') }} as suppression

),

said_no as (

    select * from from_contacts

    union all by name

    select * from from_lead_status

    union all by name

    select * from from_subscriptions

    union all by name

    select * from from_replies

    union all by name

    select * from from_facts

    union all by name

    select * from from_ledger

),

-- The address of a no, and the addresses of the contact who said it: all who share one are meant.
meant as (

    select
        said_no.source,
        said_no.evidence,
        said_no.evidence_id,
        said_no.opted_out_at,
        said_no.email,
        coalesce(aliases.stands_for_record_id, said_no.contact_id) as contact_id
    from said_no
    left join aliases
        on said_no.contact_id = aliases.record_id

),

directly_reached as (

    select
        source,
        evidence,
        evidence_id,
        opted_out_at,
        contact_id
    from meant
    where contact_id is not null

    union all

    select
        meant.source,
        meant.evidence,
        meant.evidence_id,
        meant.opted_out_at,
        addresses.contact_id
    from meant
    inner join addresses
        on meant.email = addresses.email

    union all

    select
        meant.source,
        meant.evidence,
        meant.evidence_id,
        meant.opted_out_at,
        shared.contact_id
    from meant
    inner join addresses as own
        on meant.contact_id = own.contact_id
    inner join addresses as shared
        on own.email = shared.email

),

-- A no may also have come from an address that no record has.
speakers as (

    select
        source,
        evidence,
        evidence_id,
        opted_out_at,
        contact_id as record_id
    from directly_reached

    union all

    select
        meant.source,
        meant.evidence,
        meant.evidence_id,
        meant.opted_out_at,
        unknown_addresses.record_id
    from meant
    inner join {{ ref('int_identity_people') }} as unknown_addresses
        on
            meant.email = unknown_addresses.email
            and unknown_addresses.record_kind = 'address'

),

-- Unknown consent counts as no: a link that is only suggested carries it too (policies/identity.yml: caution_from).
reached_by_links as (

    select
        'linked_person' as source,
        format(
            '{} (same person by link {}, {})',
            speakers.evidence,
            reach.link_id,
            if(
                reach.link_status = 'confirmed',
                'confirmed',
                format('suggested at {:.0f} %', 100 * reach.match_probability)
            )
        ) as evidence,
        speakers.evidence_id,
        speakers.opted_out_at,
        reach.reached_record_id as contact_id
    from speakers
    inner join {{ ref('int_identity_reach') }} as reach
        on speakers.record_id = reach.record_id
    left join directly_reached
        on reach.reached_record_id = directly_reached.contact_id
    where directly_reached.contact_id is null

),

reached as (

    select * from directly_reached

    union all by name

    select * from reached_by_links

),

-- A record and those it stands for are one person.
records_of_person as (

    select
        stands_for_record_id as contact_id,
        record_id
    from aliases

    union

    select
        contact_id,
        contact_id as record_id
    from reached

),

lifted as (

    select item as contact_id
    from sources
    where list_name = 'suppression_lifted'

),

final as (

    select
        contacts.contact_id,
        reached.source,
        min_by(
            reached.evidence,
            row(reached.opted_out_at, reached.evidence_id, reached.evidence)
        ) as evidence,
        min_by(
            reached.evidence_id,
            row(reached.opted_out_at, reached.evidence_id, reached.evidence)
        ) as evidence_id,
        min(reached.opted_out_at) as opted_out_at
    from reached
    inner join records_of_person
        on reached.contact_id = records_of_person.contact_id
    inner join {{ ref('int_contacts') }} as contacts
        on records_of_person.record_id = contacts.contact_id
    left join lifted
        on lifted.contact_id in (contacts.contact_id, contacts.source_record_id)
    where lifted.contact_id is null
    group by contacts.contact_id, reached.source

)

select * from final
