-- One row per live note. The text is in documents.
with

notes as (

    select
        note_id,
        source_record_id,
        owner_id,
        occurred_at,
        updated_at
    from {{ ref('stg_hubspot__notes') }}
    where not is_archived

),

deletions as (

    select record_id from {{ ref('stg_hubspot__deletions') }}

),

final as (

    select
        notes.note_id,
        notes.source_record_id,
        notes.owner_id,
        notes.occurred_at,
        notes.updated_at
    from notes
    left join deletions
        on notes.note_id = deletions.record_id
    where deletions.record_id is null

)

select * from final
