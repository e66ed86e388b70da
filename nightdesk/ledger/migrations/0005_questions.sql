-- Which question each operation asks now: prompt, schema, policy, agent and model as one hash. An answer to another
-- question is stale even where the record has not changed. One row whenever it changed; the newest is in force.
create table questions (
    operation varchar not null,
    operation_hash varchar not null,
    agent varchar not null,
    model varchar,
    run_id varchar not null,
    asked_since timestamptz not null
);
insert into questions
select operation, operation_hash, agent, model, run_id, answered_at
from answers
qualify row_number() over (partition by operation order by answered_at desc, answer_id) = 1;
