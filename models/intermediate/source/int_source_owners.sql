-- One row per seller of ours in every CRM, archived ones included.
{{ config(materialized='view') }}

{{ source_union('owners', ['hubspot', 'salesforce']) }}
