-- Every contact, account, document and inbound email is in its queue: what is left out is counted nowhere.
with

expected as (

    select
        'lead_quality' as operation,
        contact_id as record_id
    from {{ ref('contacts') }}

    union all

    select
        'icp_fit' as operation,
        account_id as record_id
    from {{ ref('accounts') }}

    union all

    select
        'extract_facts' as operation,
        document_id as record_id
    from {{ ref('documents') }}

    union all

    select
        'reply_class' as operation,
        document_id as record_id
    from {{ ref('documents') }}
    where document_type = 'email' and direction = 'inbound'

),

queued as (
    {% for operation in ['lead_quality', 'icp_fit', 'extract_facts', 'reply_class'] %}
    select
        operation,
        record_id
    from {{ ref('queue_' ~ operation) }}
    {% if not loop.last %}
    union all
    {% endif -%}
    {% endfor %}
)

select
    expected.operation as expected_operation,
    expected.record_id as expected_record_id,
    queued.operation as queued_operation,
    queued.record_id as queued_record_id
from expected
full outer join queued
    on
        expected.operation = queued.operation
        and expected.record_id = queued.record_id
where expected.record_id is null or queued.record_id is null
