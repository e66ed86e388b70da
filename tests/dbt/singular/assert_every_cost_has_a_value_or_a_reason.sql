-- What values cost and what no value rests on add up to all calls, tokens and dollars of the ledger.
with

spent as (

    select
        cast(count(*) as double) as calls,
        cast(sum(input_tokens) as double)
        + cast(sum(cache_read_tokens) as double)
        + cast(sum(cache_write_tokens) as double)
        + cast(sum(output_tokens) as double) as tokens,
        cast(sum(cost_usd) as double) as usd
    from {{ ref('stg_ledger__attempts') }}

),

attributed as (

    select
        sum(call_share) as calls,
        sum(token_share) as tokens,
        sum(cost_usd) as usd
    from {{ ref('ai_cost_by_value') }}

),

unattributed as (

    select
        cast(sum(call_count) as double) as calls,
        cast(sum(token_count) as double) as tokens,
        cast(sum(cost_usd) as double) as usd
    from {{ ref('ai_cost_unattributed') }}

),

compared as (

    select
        coalesce(spent.calls, 0)
        - coalesce(attributed.calls, 0)
        - coalesce(unattributed.calls, 0) as calls_off,
        coalesce(spent.tokens, 0)
        - coalesce(attributed.tokens, 0)
        - coalesce(unattributed.tokens, 0) as tokens_off,
        coalesce(spent.usd, 0)
        - coalesce(attributed.usd, 0)
        - coalesce(unattributed.usd, 0) as usd_off
    from spent
    cross join attributed
    cross join unattributed

)

-- Shares are floats: what is off by less than a millionth is nothing.
select * from compared
where abs(calls_off) > 0.001 or abs(tokens_off) > 0.5 or abs(usd_off) > 0.000001
