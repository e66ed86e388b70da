-- One row per task of every CRM, archived ones included.
{{ config(materialized='view') }}

{{ source_union('tasks', ['hubspot', 'salesforce']) }}
