-- One row per CRM, kind of record and word the CRM has for how far one is: the stage it means. Of the policy in force.
{{ config(materialized='view') }}

select
    split_part(list_name, ':', 2) as crm,
    split_part(list_name, ':', 3) as source_object_type,
    item as source_value,
    parameter as lifecycle_stage
from {{ ref('stg_policy__lists') }}
where list_name like 'lifecycle\_value:%' escape '\'
