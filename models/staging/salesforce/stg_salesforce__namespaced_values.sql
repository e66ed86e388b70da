-- One row per field of ours that the org holds a value in for a record, as Salesforce sends it.
{{ config(materialized='view') }}

select
    'salesforce' as crm,
    case object_type
        when 'Account' then 'companies'
        when 'Contact' then 'contacts'
        when 'Lead' then 'contacts'
        when 'Opportunity' then 'deals'
        when 'Task' then 'tasks'
        when 'Event' then 'meetings'
        when 'Note' then 'notes'
        else object_type
    end as object_type,
    object_id as source_record_id,
    property,
    value as crm_value,
    updated_at
from {{ source('salesforce', 'namespaced_values') }}
