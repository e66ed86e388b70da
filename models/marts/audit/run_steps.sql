-- One row per run and step: when it started and ended, how, and its numbers.
with

events as (

    select * from {{ ref('stg_ledger__run_events') }}

),

final as (

    select
        events.run_id,
        events.step,
        runs.command,
        runs.as_of as night_date,
        min(events.occurred_at) filter (where events.event = 'started') as started_at,
        max(events.occurred_at) filter (where events.event <> 'started') as ended_at,
        coalesce(
            max_by(
                events.event, row(events.occurred_at, events.sequence)
            ),
            'started'
        ) as last_event,
        max_by(
            cast(events.numbers as varchar), row(events.occurred_at, events.sequence)
        ) as numbers,
        max_by(events.message, row(events.occurred_at, events.sequence)) as message
    from events
    left join {{ ref('stg_ledger__runs') }} as runs
        on events.run_id = runs.run_id
    group by events.run_id, events.step, runs.command, runs.as_of

)

select * from final
