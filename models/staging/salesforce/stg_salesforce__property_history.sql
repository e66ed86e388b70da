-- One row per value that a tracked field has had, under HubSpot's names for properties: renamed and cast.
{{ config(materialized='view') }}

with

field_history as (

    select
        object_type,
        record_id as source_record_id,
        lower(regexp_replace(field, '__c$', '')) as field_name,
        old_value,
        new_value,
        changed_at,
        changed_by,
        history_id
    from {{ source('salesforce', 'field_history') }}

),

properties as (

    select
        named.object_type,
        named.field_name,
        named.property
    from (
        values
        ('Opportunity', 'stagename', 'dealstage'),
        ('Opportunity', 'amount', 'amount'),
        ('Opportunity', 'closedate', 'closedate'),
        ('Opportunity', 'closed_at', 'closedate'),
        ('Contact', 'title', 'jobtitle'),
        ('Contact', 'lifecycle_stage', 'lifecyclestage'),
        ('Contact', 'lead_status', 'hs_lead_status'),
        ('Contact', 'hasoptedoutofemail', 'hs_email_optout'),
        ('Lead', 'title', 'jobtitle'),
        ('Lead', 'lifecycle_stage', 'lifecyclestage'),
        ('Lead', 'lead_status', 'hs_lead_status'),
        ('Lead', 'status', 'hs_lead_status'),
        ('Lead', 'hasoptedoutofemail', 'hs_email_optout'),
        ('Account', 'lifecycle_stage', 'lifecyclestage'),
        ('Account', 'type', 'lifecyclestage')
    ) as named (object_type, field_name, property)

),

records as (

    select
        'Opportunity' as object_type,
        id,
        created_date
    from {{ source('salesforce', 'opportunities') }}

    union all by name

    select
        'Contact' as object_type,
        id,
        created_date
    from {{ source('salesforce', 'contacts') }}

    union all by name

    select
        'Lead' as object_type,
        id,
        created_date
    from {{ source('salesforce', 'leads') }}

    union all by name

    select
        'Account' as object_type,
        id,
        created_date
    from {{ source('salesforce', 'accounts') }}

),

changes as (

    select
        field_history.object_type,
        field_history.source_record_id,
        field_history.field_name,
        properties.property,
        field_history.old_value,
        field_history.new_value,
        field_history.changed_at,
        field_history.changed_by,
        field_history.history_id
    from field_history
    inner join properties
        on
            field_history.object_type = properties.object_type
            and field_history.field_name = properties.field_name

),

-- What a field held before its first change, it held from the day the record was made.
first_changes as (

    select * from changes
    qualify
        row_number() over (
            partition by object_type, source_record_id, field_name
            order by changed_at asc, history_id asc
        ) = 1

),

timeline as (

    select
        object_type,
        source_record_id,
        field_name,
        property,
        new_value as property_value,
        changed_by,
        changed_at,
        history_id
    from changes

    union all by name

    select
        first_changes.object_type,
        first_changes.source_record_id,
        first_changes.field_name,
        first_changes.property,
        first_changes.old_value as property_value,
        cast(null as varchar) as changed_by,
        records.created_date as changed_at,
        '' as history_id
    from first_changes
    inner join records
        on
            first_changes.object_type = records.object_type
            and first_changes.source_record_id = records.id
    where
        {{ clean('first_changes.old_value') }} is not null
        and records.created_date < first_changes.changed_at

),

-- A snapshot repeats what did not change, and what changed is told by two histories.
steps as (

    select * from timeline
    where {{ clean('property_value') }} is not null
    qualify
        property_value is distinct from lag(property_value) over (
            partition by object_type, source_record_id, field_name
            order by changed_at asc, history_id asc
        )

),

final as (

    select
        -- ids
        case object_type
            when 'Opportunity' then 'deals'
            when 'Account' then 'companies'
            else 'contacts'
        end as object_type,
        {{ salesforce_object_id('object_type', 'source_record_id') }} as record_id,
        property,

        -- text
        property_value,
        cast(null as varchar) as source_type,
        cast(null as varchar) as source_id,
        max(changed_by) as updated_by_user_id,

        -- timestamps
        changed_at
    from steps
    group by all

)

select * from final
