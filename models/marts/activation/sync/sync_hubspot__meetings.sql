-- One row per HubSpot meeting and property that should change: only what differs from the CRM.
{{ sync_model('hubspot', 'meetings') }}
