-- One row per note of ours and property that should change: the brief of a scheduled meeting on its account's page, made
-- once and brought up to date in place. Only where policies/delivery.yml switches it on.
with

delivery as (

    select * from {{ ref('stg_policy__delivery') }}
    where has_meeting_brief_notes

),

field_map as (

    select * from {{ ref('stg_policy__field_map') }}
    where crm = 'hubspot' and object_type = 'notes'

),

last_written as (

    select
        source_record_id,
        property,
        last_written_value
    from {{ ref('int_last_written') }}
    where crm = 'hubspot' and object_type = 'notes'

),

owners as (

    select * from {{ ref('owners') }}
    where not is_archived

),

-- The brief is about the account, whoever of its people comes.
briefs as (

    select
        {{ delivery_key(["'note'", "'meeting_brief'", 'briefs.meeting_id']) }}
            as op_key,
        briefs.*,
        evidence.evidence_json
    from {{ ref('meeting_briefs') }} as briefs
    left join {{ ref('int_evidence_texts') }} as evidence
        on
            evidence.operation = 'meeting_brief'
            and briefs.meeting_id = evidence.record_id
    -- The note is filed with the account in HubSpot.
    where briefs.account_id like 'hubspot:%'

),

wanted as (

    select
        briefs.*,
        unnest(
            map_entries(
                cast(
                    to_json(
                        {
                            '@record': 'present',
                            '@companies': split_part(briefs.account_id, ':', 3),
                            'hs_note_body': concat_ws(
                                chr(10) || chr(10),
                                coalesce(briefs.title || chr(10), '')
                                || strftime(
                                    timezone('UTC', briefs.started_at),
                                    '%Y-%m-%d %H:%M UTC'
                                ),
                                briefs.brief,
                                '## Sources' || chr(10) || briefs.evidence_text
                            ),
                            'hs_timestamp': strftime(
                                timezone('UTC', briefs.started_at),
                                '%Y-%m-%dT%H:%M:%SZ'
                            ),
                            'hubspot_owner_id': coalesce(owners.source_record_id, ''),
                            'nightdesk_rule': 'meeting_brief',
                            'nightdesk_state': 'open'
                        }
                    ) as map (varchar, varchar)
                )
            )
        ) as entry
    from briefs
    cross join delivery
    left join owners
        on briefs.owner_id = owners.owner_id

),

final as (

    select
        'notes' as object_type,
        wanted.op_key as record_id,
        coalesce(wanted.title, wanted.meeting_id) as record_label,
        field_map.property,
        field_map.value_type,
        field_map.field,
        cast(null as varchar) as crm_value,
        last_written.last_written_value,
        case
            when field_map.value_type = 'text' and numbers.max_text_chars is not null
                then left(wanted.entry['value'], numbers.max_text_chars)
            else wanted.entry['value']
        end as desired_value,
        'meeting_brief' as operation,
        wanted.answer_id,
        'Brief of the meeting on '
        || cast(
            coalesce(wanted.meeting_date, {{ utc_date('wanted.started_at') }})
            as varchar
        ) as reason,
        wanted.confidence,
        coalesce(wanted.evidence_json, '[]') as evidence,
        wanted.evidence_count,
        wanted.is_stale,
        false as is_suppressed,
        field_map.field_class,
        field_map.risk,
        cast(null as varchar) as segment,
        wanted.account_id as subject_id
    from wanted
    inner join field_map
        on wanted.entry['key'] = field_map.property
    left join last_written
        on
            wanted.op_key = last_written.source_record_id
            and field_map.property = last_written.property
    left join last_written as record_written
        on
            wanted.op_key = record_written.source_record_id
            and record_written.property = '@record'
    cross join {{ ref('stg_policy__numbers') }} as numbers
    where
        wanted.entry['value'] <> ''
        -- A note that was taken back stays away; of one that is there, only the text is brought up to date.
        and (
            last_written.property is null
            or (
                field_map.property = 'hs_note_body'
                and record_written.last_written_value = 'present'
                and last_written.last_written_value
                is distinct from left(wanted.entry['value'], numbers.max_text_chars)
            )
        )

)

select * from final
