-- One row per inbound email: its text and whether a machine sent it, as the classifier of replies reads it. Mail of lists
-- is read as anybody's, so that no opt-out in it is missed.
{{ config(meta={'nightdesk': {'role': 'queue', 'operation': 'reply_class'}}) }}

with

documents as (

    select * from {{ ref('documents') }}
    where document_type = 'email' and direction = 'inbound'

),

numbers as (

    select token_estimate_chars from {{ ref('stg_policy__numbers') }}

),

contexts as (

    select
        document_id as record_id,
        {{ document_header('documents', [
            field_line(
                'document.is_machine',
                'documents.is_machine_reply and not documents.is_list_mail'
            ),
            field_line('document.auto_submitted', 'documents.auto_submitted'),
        ]) }} || chr(10) || chr(10) || coalesce(body, '') as context,
        cast(null as varchar) as gate,
        cast(null as varchar) as gate_reason,
        case
            when coalesce(trim(subject), '') = '' and coalesce(trim(body), '') = ''
                then 'text'
        end as missing,
        coalesce(epoch(occurred_at), 0) as priority
    from documents

),

final as (

    {{ queue_columns('reply_class', 'email', 'contexts', 'numbers') }}

)

select * from final
