-- One row per Tryton party and property that should change: what
-- we have not written there yet; the plan asks the CRM what it holds.
{{ sync_model('tryton', 'party.party') }}
