-- One row per operation and record with an answer to show, whatever the operation.
with

{% set operations = [
    ('icp_fit', 'account_id'),
    ('lead_quality', 'contact_id'),
    ('churn_revisit', 'account_id'),
    ('reply_class', 'document_id'),
    ('meeting_brief', 'meeting_id'),
    ('account_deep_dive', 'account_id'),
    ('contact_background', 'contact_id'),
] -%}

final as (
    {% for operation, record_column in operations %}
    select
        '{{ operation }}' as operation,
        {{ record_column }} as record_id,
        answer_id,
        run_id,
        confidence,
        answered_at,
        is_stale
    from {{ ref('published_' ~ operation) }}
    {% if not loop.last %}
    union all
    {% endif -%}
    {% endfor %}
)

select * from final
