-- One row per HubSpot contact and property that should change: only what differs from the CRM.
{{ sync_model('hubspot', 'contacts') }}
