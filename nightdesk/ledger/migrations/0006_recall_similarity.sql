-- How near a fact's words are to what an operation asks, where the policy switches that on. Computed once per fact, text
-- and query, never changed: what is shown to an agent must not move by itself. No primary key: rows are appended in bulk.
create table recall_similarity (
    operation varchar not null,
    query_hash varchar not null,           -- query text, model files and predicates' texts as one hash
    fact_id varchar not null,
    text_id varchar not null,              -- fingerprint of fact id and quote: the same place may hold other words later
    similarity decimal(5, 4) check (similarity between 0 and 1), -- null: the model knows none of the words
    computed_at timestamptz not null
);
-- Which query each operation compares with. One row whenever it changed; the newest is in force.
create table recall_queries (
    operation varchar not null,
    query_hash varchar not null,
    model_hash varchar not null,           -- sha256 over the model's files
    asked_since timestamptz not null
);
