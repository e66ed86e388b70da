-- One row per record that was archived or deleted in its CRM.
{{ config(materialized='view') }}

{{ source_union('deletions', ['hubspot', 'salesforce']) }}
