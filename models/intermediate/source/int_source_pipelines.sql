-- One row per pipeline and object type of every CRM.
{{ config(materialized='view') }}

{{ source_union('pipelines', ['hubspot', 'salesforce']) }}
