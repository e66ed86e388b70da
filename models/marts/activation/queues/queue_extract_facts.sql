-- One row per document: its text as the fact extractor reads it, machine replies included.
{{ config(meta={'nightdesk': {'role': 'queue', 'operation': 'extract_facts'}}) }}

with

documents as (

    select * from {{ ref('documents') }}
    -- What goes to a whole list was not said to us.
    where not is_list_mail

),

numbers as (

    select token_estimate_chars from {{ ref('stg_policy__numbers') }}

),

contexts as (

    select
        document_id as record_id,
        {{ document_header('documents') }} || chr(10) || chr(10) || body as context,
        cast(null as varchar) as gate,
        cast(null as varchar) as gate_reason,
        case when coalesce(trim(body), '') = '' then 'text' end as missing,
        coalesce(epoch(occurred_at), 0) as priority
    from documents

),

final as (

    {{ queue_columns('extract_facts', 'document', 'contexts', 'numbers') }}

)

select * from final
