-- One row per record that was merged into another one, and per lead that was converted to a contact: renamed and cast.
{{ config(materialized='view') }}

select
    case object_type
        when 'Account' then 'companies'
        else 'contacts'
    end as object_type,
    {{ salesforce_object_id('object_type', 'merged_id') }} as merged_record_id,
    {{ salesforce_object_id(
        "coalesce(surviving_type, object_type)", 'surviving_id'
    ) }} as surviving_record_id,
    {{ clean('reason') }} as reason
from {{ source('salesforce', 'merges') }}
where
    object_type in ('Account', 'Contact', 'Lead')
    and {{ clean('surviving_id') }} is not null
