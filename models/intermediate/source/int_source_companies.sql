-- One row per company record of every CRM, archived ones included.
{{ config(materialized='view') }}

{{ source_union('companies', ['hubspot', 'salesforce']) }}
