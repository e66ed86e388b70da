-- One row per meeting of every source, archived ones included; the same meeting may stand in several.
{{ config(materialized='view') }}

{{ source_union('meetings', ['hubspot', 'salesforce', 'calendar']) }}
