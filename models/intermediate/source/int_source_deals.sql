-- One row per deal or opportunity of every CRM, archived ones included.
{{ config(materialized='view') }}

{{ source_union('deals', ['hubspot', 'salesforce']) }}
