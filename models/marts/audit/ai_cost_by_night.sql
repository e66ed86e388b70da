-- One row per night, operation, agent and model: calls, tokens and money.
select
    night_date,
    operation,
    agent,
    coalesce(model, 'none') as model,
    count(*) as call_count,
    count(*) filter (where status = 'ok') as ok_count,
    count(*) filter (where status <> 'ok') as failed_count,
    cast(sum(input_tokens) as bigint) as input_tokens,
    cast(sum(cache_read_tokens) as bigint) as cache_read_tokens,
    cast(sum(cache_write_tokens) as bigint) as cache_write_tokens,
    cast(sum(output_tokens) as bigint) as output_tokens,
    cast(sum(cost_usd) as decimal(18, 8)) as cost_usd,
    -- Charts cannot draw decimals.
    cast(sum(cost_usd) as double) as cost_usd_float
from {{ ref('ai_calls') }}
group by night_date, operation, agent, coalesce(model, 'none')
