-- One row per live contact: what the CRM knows and, next to it, what was found out; gated ones carry no score.
with

replies as (

    select
        documents.contact_id,
        published.reply_class,
        published.document_id,
        published.run_id,
        published.answered_at,
        published.is_stale,
        documents.document_date
    from {{ ref('published_reply_class') }} as published
    inner join {{ ref('documents') }} as documents
        on published.document_id = documents.document_id
    where
        documents.contact_id is not null
        and published.reply_class is not null
        -- A stranger's mail is not this person's reply; a machine's answer to a mail of ours is.
        and not documents.is_list_mail
        and (documents.author_is_known_contact or documents.is_machine_reply)
    qualify
        row_number() over (
            partition by documents.contact_id
            order by documents.occurred_at desc, documents.document_id asc
        ) = 1

),

final as (

    select
        -- ids
        contacts.contact_id,
        contacts.source_record_id,
        contacts.account_id,
        contacts.owner_id,

        -- text
        contacts.full_name,
        contacts.email,
        contacts.job_title,
        contacts.country,
        contacts.lifecycle_stage,
        contacts.lead_status,

        -- booleans
        contacts.is_opted_out,

        -- lead quality
        lead_scores.score as ai_lead_score,
        lead_scores.tier as ai_lead_tier,
        lead_scores.reason as ai_lead_reason,
        lead_scores.evidence_text as ai_lead_evidence,
        answered.as_of as ai_lead_answered_date,
        lead_scores.confidence as ai_lead_confidence,
        lead_scores.run_id as ai_lead_quality_run_id,
        lead_scores.answered_at as ai_lead_quality_answered_at,
        lead_scores.is_stale as ai_lead_quality_is_stale,
        gates.gate as lead_gate,
        gates.gate_reason as lead_gate_reason,

        -- reply class
        replies.reply_class as ai_reply_class,
        replies.document_id as ai_reply_document_id,
        replies.document_date as ai_reply_date,
        replies.run_id as ai_reply_class_run_id,
        replies.answered_at as ai_reply_class_answered_at,
        replies.is_stale as ai_reply_class_is_stale,

        -- contact background: what is not known is not shown
        nullif(research.role, 'unknown') as ai_contact_role,
        nullif(research.influence, 'unknown') as ai_contact_influence,
        nullif(research.style, 'unknown') as ai_contact_style,
        nullif(
            concat_ws(chr(10), research.background, research.pains, research.moves), ''
        ) as ai_contact_background,
        research_evidence.evidence_text as ai_contact_background_evidence,
        researched.as_of as ai_contact_researched_date,
        research.run_id as ai_contact_background_run_id,
        research.answered_at as ai_contact_background_answered_at,
        research.is_stale as ai_contact_background_is_stale
    from {{ ref('contacts') }} as contacts
    left join {{ ref('lead_scores') }} as lead_scores
        on contacts.contact_id = lead_scores.contact_id
    left join {{ ref('stg_ledger__runs') }} as answered
        on lead_scores.run_id = answered.run_id
    left join {{ ref('contact_gates') }} as gates
        on
            gates.operation = 'lead_quality'
            and contacts.contact_id = gates.contact_id
    left join replies
        on contacts.contact_id = replies.contact_id
    left join {{ ref('published_contact_background') }} as research
        on contacts.contact_id = research.contact_id
    left join {{ ref('stg_ledger__runs') }} as researched
        on research.run_id = researched.run_id
    left join {{ ref('int_evidence_texts') }} as research_evidence
        on
            research_evidence.operation = 'contact_background'
            and research.contact_id = research_evidence.record_id

)

select * from final
