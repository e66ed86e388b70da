-- One row per CRM, kind of record and rule that speaks for one whose CRM holds no word. Of the policy in force.
{{ config(materialized='view') }}

select
    split_part(list_name, ':', 2) as crm,
    split_part(list_name, ':', 3) as source_object_type,
    split_part(item, ':', 2) as lifecycle_rule,
    cast(split_part(item, ':', 1) as integer) as rule_position,
    parameter as lifecycle_stage
from {{ ref('stg_policy__lists') }}
where list_name like 'lifecycle\_rule:%' escape '\'
