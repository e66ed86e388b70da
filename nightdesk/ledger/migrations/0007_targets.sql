-- Several CRMs, records that we create, and why a CRM refused.

-- bad_value | no_right | gone | converted | stale | duplicate | locked | schema | automation | other; null unless the
-- CRM refused
alter table op_results add column refusal varchar;

-- what a rule may look at (policies/write_rules.yml): the kind of company or person the record is
alter table plan_ops add column segment varchar;

-- the person or company the operation is about, as our own id (hubspot:contact:12): whoever opts out is left alone in
-- every CRM and on every task or note about them; null in plans made before this existed
alter table plan_ops add column subject_id varchar;

-- A plan may also ask people inside the CRM (kind `review`): DuckDB cannot change a check, so the table is made anew.
alter table plans rename to plans_before_reviews;
create table plans (
    plan_id varchar primary key,
    run_id varchar not null,
    crm varchar not null,
    kind varchar not null check (kind in ('sync', 'rollback', 'review')),
    rolls_back_run_id varchar,
    as_of date not null,
    digest varchar not null,               -- sha256 over every operation in canonical order, mapping, policy and schema
    policy_hash varchar not null,
    mapping_hash varchar not null,
    schema_hash varchar not null,
    operation_count bigint not null,
    guards json not null,                  -- [{"guard", "limit", "measured", "tripped"}]
    created_by varchar not null,
    created_at timestamptz not null,
    expires_at timestamptz not null,
    project_hash varchar                   -- the dbt project's files; null in plans made before this existed
);
insert into plans by name select * from plans_before_reviews;
drop table plans_before_reviews;
