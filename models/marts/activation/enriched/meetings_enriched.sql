-- One row per scheduled meeting in the window: who comes, and the brief where there is one.
select
    -- ids
    meetings.meeting_id,
    meetings.source_record_id,
    meetings.account_id,
    meetings.deal_id,
    meetings.owner_id,

    -- text
    meetings.title,
    meetings.attendees,
    meetings.owner_name,

    -- timestamps
    meetings.started_at,
    meetings.meeting_date,
    meetings.last_contact_date,

    -- meeting brief
    meeting_briefs.brief as ai_brief,
    meeting_briefs.evidence_text as ai_brief_evidence,
    meeting_briefs.run_id as ai_meeting_brief_run_id,
    meeting_briefs.answered_at as ai_meeting_brief_answered_at,
    meeting_briefs.is_stale as ai_meeting_brief_is_stale
from {{ ref('meeting_signals') }} as meetings
left join {{ ref('meeting_briefs') }} as meeting_briefs
    on meetings.meeting_id = meeting_briefs.meeting_id
