-- One row per stage of a pipeline of every CRM.
{{ config(materialized='view') }}

{{ source_union('pipeline_stages', ['hubspot', 'salesforce']) }}
