-- One row per transcript from files: the call it is of, whose call that is, and its words as lines in which our people and
-- theirs carry their company. A company is written only where it is known: guests may call themselves what they like.
with

transcripts as (

    select
        call_id as transcript_id,
        owner_email,
        duration_ms,
        body
    from {{ ref('stg_transcripts__calls') }}

),

attachments as (

    select * from {{ ref('int_call_speakers_calls') }}

),

speakers as (

    select * from {{ ref('int_call_speakers') }}

),

accounts as (

    select
        account_id,
        account_name
    from {{ ref('accounts') }}

),

meetings as (

    select
        meeting_id,
        owner_id,
        account_id,
        deal_id
    from {{ ref('meetings') }}

),

company as (

    select
        {{ clean('max(setting_rows.setting_value)') }} as own_company
    from {{ source('ledger', 'policy_settings') }} as setting_rows
    inner join {{ ref('stg_policy__current') }} as policy_in_force
        on setting_rows.policy_hash = policy_in_force.policy_hash
    where setting_rows.policy = 'icp' and setting_rows.setting = 'company'

),

speaker_companies as (

    select
        speakers.transcript_id,
        speakers.speaker_name,
        left(
            trim(
                regexp_replace(
                    case
                        when speakers.side = 'ours' then company.own_company
                        -- Nobody becomes one of ours by what they call themselves.
                        when
                            {{ plain_name('speakers.company') }}
                            = {{ plain_name('company.own_company') }}
                            and speakers.side = 'unknown'
                            then null
                        when speakers.side = 'theirs'
                            then
                                coalesce(
                                    accounts.account_name,
                                    case
                                        when
                                            {{ plain_name('speakers.company') }}
                                            is distinct from
                                            {{ plain_name('company.own_company') }}
                                            then speakers.company
                                    end,
                                    nullif(split_part(speakers.email, '@', 2), ''),
                                    'guest'
                                )
                        else speakers.company
                    end,
                    '[()\s]+',
                    ' ',
                    'g'
                )
            ),
            120
        ) as shown_company
    from speakers
    cross join company
    left join accounts
        on speakers.account_id = accounts.account_id

),

turns as (

    select
        transcript_id,
        unnest(string_split(body, chr(10))) as line,
        generate_subscripts(string_split(body, chr(10)), 1) as turn_number
    from transcripts

),

-- Sources write names without brackets and colons, and each turn on one line: what stands before the words is certain.
headed as (

    select
        *,
        regexp_extract(line, '^\[[0-9:]+\] [^:(]+?(?: \([^)]*\))?: ') as head
    from turns

),

-- Taken apart at fixed marks: patterns are slow on as many lines as a year of calls has.
named as (

    select
        transcript_id,
        turn_number,
        left(head, strpos(head, '] ') + 1) as stamp,
        substr(
            head,
            strpos(head, '] ') + 2,
            case
                when contains(head, ' (') then strpos(head, ' (')
                else length(head) - 1
            end - strpos(head, '] ') - 2
        ) as speaker_name,
        substr(line, length(head) + 1) as said
    from headed

),

lines as (

    select
        named.transcript_id,
        named.turn_number,
        named.stamp || named.speaker_name
        || coalesce(' (' || nullif(speaker_companies.shown_company, '') || ')', '')
        || ': ' || named.said as line
    from named
    left join speaker_companies
        on
            named.transcript_id = speaker_companies.transcript_id
            and named.speaker_name = speaker_companies.speaker_name

),

bodies as (

    select
        transcript_id,
        string_agg(line, chr(10) order by turn_number asc) as body,
        count(*) as turn_count
    from lines
    group by transcript_id

),

-- Whose call it is: the one seller of ours who is known to have been there.
sellers as (

    select
        speakers.transcript_id,
        coalesce(
            max(speakers.owner_id) filter (
                where speakers.email = transcripts.owner_email
            ),
            case
                when count(distinct speakers.owner_id) = 1
                    then max(speakers.owner_id)
            end
        ) as owner_id
    from speakers
    inner join transcripts
        on speakers.transcript_id = transcripts.transcript_id
    group by speakers.transcript_id

),

customers as (

    select
        transcript_id,
        case when count(distinct account_id) = 1 then max(account_id) end
            as account_id
    from speakers
    where side = 'theirs'
    group by transcript_id

),

final as (

    select
        -- ids
        transcripts.transcript_id,
        coalesce(attachments.crm_call_id, transcripts.transcript_id) as call_id,
        attachments.meeting_id,
        coalesce(sellers.owner_id, meetings.owner_id) as owner_id,
        coalesce(meetings.account_id, customers.account_id) as account_id,
        meetings.deal_id,

        -- text
        attachments.how_matched,
        bodies.body,

        -- numerics
        transcripts.duration_ms,
        coalesce(bodies.turn_count, 0) as turn_count,

        -- booleans
        attachments.crm_call_id is not null as is_in_crm
    from transcripts
    inner join attachments
        on transcripts.transcript_id = attachments.transcript_id
    left join bodies
        on transcripts.transcript_id = bodies.transcript_id
    left join sellers
        on transcripts.transcript_id = sellers.transcript_id
    left join customers
        on transcripts.transcript_id = customers.transcript_id
    left join meetings
        on attachments.meeting_id = meetings.meeting_id

)

select * from final
