-- A question may take several calls (the parts of a long document, the steps of a research loop). Each is a row of
-- `attempts` under the question's input hash; `call_hash` names the one call, null where it is the only one.
alter table attempts add column call_hash varchar;
