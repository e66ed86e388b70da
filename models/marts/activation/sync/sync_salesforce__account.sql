-- One row per Salesforce account and property that should change: what
-- we have not written there yet; the plan asks the CRM what it holds.
{{ sync_model('salesforce', 'Account') }}
