-- One row per HubSpot record and record of a connected Salesforce that HubSpot's own integration keeps the id of.
{{ config(materialized='view') }}

select
    {{ record_id('contact', 'id') }} as record_id,
    'salesforce' as crm,
    'Contact' as object_type,
    {{ clean('salesforcecontactid') }} as crm_record_id
from {{ source('hubspot', 'contacts') }}
where {{ clean('salesforcecontactid') }} is not null

union all

select
    {{ record_id('contact', 'id') }} as record_id,
    'salesforce' as crm,
    'Lead' as object_type,
    {{ clean('salesforceleadid') }} as crm_record_id
from {{ source('hubspot', 'contacts') }}
where {{ clean('salesforceleadid') }} is not null

union all

select
    {{ record_id('company', 'id') }} as record_id,
    'salesforce' as crm,
    'Account' as object_type,
    {{ clean('salesforceaccountid') }} as crm_record_id
from {{ source('hubspot', 'companies') }}
where {{ clean('salesforceaccountid') }} is not null
