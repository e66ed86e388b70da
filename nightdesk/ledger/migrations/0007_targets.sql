-- Several CRMs, records that we create, and why a CRM refused.

-- bad_value | no_right | gone | converted | stale | duplicate | locked | schema | automation | other; null unless the
-- CRM refused
alter table op_results add column refusal varchar;

-- what a rule may look at (policies/write_rules.yml): the kind of company or person the record is
alter table plan_ops add column segment varchar;

-- the person or company the operation is about, as our own id (hubspot:contact:12): whoever opts out is left alone in
-- every CRM and on every task or note about them; null in plans made before this existed
alter table plan_ops add column subject_id varchar;
