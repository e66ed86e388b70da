-- Every citation of a remark leads to the document it stands in, and its words are not empty.
select
    operation,
    record_id,
    evidence_id
from {{ ref('answer_citations') }}
where
    evidence_kind in ('fact', 'span')
    and (document_id is null or quote = '')
