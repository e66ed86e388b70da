-- One row per live note that somebody wrote; our own are left out. The text is in documents.
with

notes as (

    select
        note_id,
        source_record_id,
        owner_id,
        occurred_at,
        updated_at
    from {{ ref('int_source_notes') }}
    where not is_archived

),

deletions as (

    select record_id from {{ ref('int_gone_records') }}

),

-- What Nightdesk put there itself is nobody's word: it must not come back as evidence.
own_records as (

    select source_record_id
    from {{ ref('int_source_namespaced_values') }}
    where
        object_type = 'notes'
        and {{ is_op_key('property') }}
        and crm_value <> ''

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
    left join own_records
        on notes.source_record_id = own_records.source_record_id
    where deletions.record_id is null and own_records.source_record_id is null

)

select * from final
