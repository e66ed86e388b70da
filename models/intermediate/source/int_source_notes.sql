-- One row per note of every CRM, archived ones included.
{{ config(materialized='view') }}

{{ source_union('notes', ['hubspot', 'salesforce']) }}
