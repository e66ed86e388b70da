-- One row per value that a tracked property has had, under the names that HubSpot gives properties.
{{ config(materialized='view') }}

{{ source_union('property_history', ['hubspot', 'salesforce']) }}
