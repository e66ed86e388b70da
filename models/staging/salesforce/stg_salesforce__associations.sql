-- One row per pair of records that Salesforce ties together and kind of tie: renamed and cast, under HubSpot's names for
-- types. Kind 1 is the primary one: the account that a record's own AccountId names.
{{ config(materialized='view') }}

with

tasks as (

    select
        tasks.id,
        tasks.who_id,
        tasks.what_id,
        tasks.account_id,
        kinds.object_type,
        kinds.record_id
    from {{ source('salesforce', 'tasks') }} as tasks
    inner join {{ ref('stg_salesforce__task_kinds') }} as kinds
        on tasks.id = kinds.source_record_id

),

events as (

    select
        id,
        who_id,
        what_id,
        account_id,
        'meetings' as object_type,
        {{ salesforce_id('meeting', 'id') }} as record_id
    from {{ source('salesforce', 'events') }}

),

activities as (

    select * from tasks

    union all by name

    select * from events

),

opportunities as (

    select
        id,
        account_id,
        contact_id
    from {{ source('salesforce', 'opportunities') }}

),

messages as (

    select
        id,
        related_to_id,
        {{ salesforce_id('email', 'id') }} as record_id
    from {{ source('salesforce', 'email_messages') }}

),

notes as (

    select
        id,
        parent_id,
        {{ salesforce_id('note', 'id') }} as record_id
    from {{ source('salesforce', 'notes') }}

),

pairs as (

    -- whom people and deals belong to
    select
        {{ salesforce_id('contact', 'id') }} as from_record_id,
        {{ salesforce_id('company', 'account_id') }} as to_record_id,
        1 as association_type_id,
        cast(null as varchar) as association_label
    from {{ source('salesforce', 'contacts') }}

    union all by name

    select
        {{ salesforce_id('deal', 'id') }} as from_record_id,
        {{ salesforce_id('company', 'account_id') }} as to_record_id,
        1 as association_type_id
    from opportunities

    union all by name

    select
        {{ salesforce_id('deal', 'id') }} as from_record_id,
        {{ salesforce_id('contact', 'contact_id') }} as to_record_id,
        2 as association_type_id
    from opportunities

    union all by name

    select
        {{ salesforce_id('deal', 'opportunity_id') }} as from_record_id,
        {{ salesforce_id('contact', 'contact_id') }} as to_record_id,
        2 as association_type_id,
        {{ clean('role') }} as association_label
    from {{ source('salesforce', 'opportunity_contact_roles') }}
    where not coalesce(is_deleted, false)

    union all by name

    -- whom calls, emails, tasks and meetings concern
    select
        record_id as from_record_id,
        {{ salesforce_reference('who_id') }} as to_record_id,
        2 as association_type_id
    from activities

    union all by name

    select
        record_id as from_record_id,
        {{ salesforce_reference('what_id') }} as to_record_id,
        2 as association_type_id
    from activities

    union all by name

    select
        record_id as from_record_id,
        {{ salesforce_id('company', 'account_id') }} as to_record_id,
        1 as association_type_id
    from activities

    union all by name

    select
        tasks.record_id as from_record_id,
        {{ salesforce_reference('task_relations.relation_id') }} as to_record_id,
        2 as association_type_id
    from {{ source('salesforce', 'task_relations') }} as task_relations
    inner join tasks
        on task_relations.task_id = tasks.id
    where not coalesce(task_relations.is_deleted, false)

    union all by name

    select
        {{ salesforce_id('meeting', 'event_id') }} as from_record_id,
        {{ salesforce_reference('relation_id') }} as to_record_id,
        2 as association_type_id
    from {{ source('salesforce', 'event_relations') }}
    -- Whoever said no, or is not wanted any more, does not attend.
    where
        not coalesce(is_deleted, false)
        and coalesce(status, '') not in ('Declined', 'Uninvited')

    union all by name

    -- whom messages concern
    select
        record_id as from_record_id,
        {{ salesforce_reference('related_to_id') }} as to_record_id,
        2 as association_type_id
    from messages

    union all by name

    select
        {{ salesforce_id('email', 'email_message_id') }} as from_record_id,
        {{ salesforce_reference('relation_id') }} as to_record_id,
        2 as association_type_id
    from {{ source('salesforce', 'email_message_relations') }}
    where not coalesce(is_deleted, false)

    union all by name

    -- A deal's mails and notes are its account's.
    select
        messages.record_id as from_record_id,
        {{ salesforce_id('company', 'opportunities.account_id') }} as to_record_id,
        1 as association_type_id
    from messages
    inner join opportunities
        on messages.related_to_id = opportunities.id

    union all by name

    select
        record_id as from_record_id,
        {{ salesforce_reference('parent_id') }} as to_record_id,
        2 as association_type_id
    from notes

    union all by name

    select
        notes.record_id as from_record_id,
        {{ salesforce_id('company', 'opportunities.account_id') }} as to_record_id,
        1 as association_type_id
    from notes
    inner join opportunities
        on notes.parent_id = opportunities.id

),

final as (

    select
        {{ plural_of_record_id('from_record_id') }} as from_object_type,
        from_record_id,
        {{ plural_of_record_id('to_record_id') }} as to_object_type,
        to_record_id,
        cast(association_type_id as bigint) as association_type_id,
        cast(null as varchar) as association_category,
        max(association_label) as association_label
    from pairs
    where from_record_id is not null and to_record_id is not null
    group by from_record_id, to_record_id, association_type_id

)

select * from final
