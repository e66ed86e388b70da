-- One row per HubSpot company and property that should change: only what differs from the CRM.
{{ sync_model('hubspot', 'companies') }}
