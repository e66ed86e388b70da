"""What became of the facts a good brief should cover: planted, read, recalled within the budget, cited."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox.evaluation import results
from sandbox.evaluation.metrics import mean, share
from sandbox.evaluation.reading import rows

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True, slots=True)
class Due:
    """One remark (document and predicate) that the brief of one meeting should rest on, and how far it came."""

    meeting_id: str
    document_id: str
    predicate: str
    is_extracted: bool
    is_shown: bool
    is_cited: bool


@dataclass(frozen=True, slots=True)
class Material:
    """Everything this topic counts."""

    due: Sequence[Due]
    meetings: int
    briefed: int
    sentences: int
    rejected_items: int


def read(connection: duckdb.DuckDBPyConnection) -> Material:
    """Meetings of the truth; facts of answers in force, contexts of the queue, citations of the ledger."""
    due = [
        Due(str(row[0]), str(row[1]), str(row[2]), bool(row[3]), bool(row[4]), bool(row[5]))
        for row in rows(
            connection,
            """
            with wanted as (
                select distinct 'hubspot:meeting:' || meetings.meeting_id as meeting_id, documents.document_id,
                    meetings.predicate
                from truth.truth_meetings as meetings
                inner join warehouse.main.documents as documents
                    on documents.document_id = 'hubspot:' || meetings.document_type || ':' || meetings.document_id
            ),
            extracted as (
                select fact_id, document_id, predicate from warehouse.main.facts
            ),
            steps as (
                select wanted.meeting_id, wanted.document_id, wanted.predicate,
                    extracted.fact_id is not null as is_extracted,
                    coalesce(contains(queue.context, '[' || extracted.fact_id || ']'), false) as is_shown,
                    evidence.evidence_id is not null as is_cited
                from wanted
                left join extracted
                    on wanted.document_id = extracted.document_id and wanted.predicate = extracted.predicate
                left join warehouse.main.queue_meeting_brief as queue on wanted.meeting_id = queue.record_id
                left join warehouse.main.published_meeting_brief as published
                    on wanted.meeting_id = published.meeting_id and not published.is_stale
                left join ledger.evidence as evidence
                    on
                        published.answer_id = evidence.answer_id
                        and evidence.evidence_kind = 'fact'
                        and evidence.evidence_id = extracted.fact_id
            )
            select meeting_id, document_id, predicate, bool_or(is_extracted), bool_or(is_shown), bool_or(is_cited)
            from steps
            group by all
            order by all
            """,
        )
    ]
    numbers = rows(
        connection,
        """
        select
            (select count(distinct meeting_id) from truth.truth_meetings),
            (
                select count(distinct published.meeting_id)
                from warehouse.main.published_meeting_brief as published
                inner join truth.truth_meetings as meetings
                    on published.meeting_id = 'hubspot:meeting:' || meetings.meeting_id
            ),
            (
                select count(*) from ledger.sentences as sentences
                inner join warehouse.main.published_meeting_brief as published
                    on sentences.answer_id = published.answer_id
            ),
            (
                select count(*) from ledger.rejections as rejections
                inner join ledger.attempts as attempts on rejections.attempt_id = attempts.attempt_id
                where attempts.operation = 'meeting_brief'
            )
        """,
    )[0]
    return Material(due, *(int(number) for number in numbers))


def judge(material: Material) -> results.Briefs:
    """Shares of the planted remarks that were read, shown to the agent and cited, in one funnel."""
    due = material.due
    per_meeting: dict[str, list[bool]] = defaultdict(list)
    for remark in due:
        per_meeting[remark.meeting_id].append(remark.is_cited)
    shown = [remark for remark in due if remark.is_shown]
    return results.Briefs(
        meetings=material.meetings,
        briefed=material.briefed,
        planted=len(due),
        extracted=results.rate("read from the document", sum(remark.is_extracted for remark in due), len(due)),
        shown=results.rate("recalled within the token budget", len(shown), len(due)),
        cited=results.rate("cited in the brief", sum(remark.is_cited for remark in due), len(due)),
        cited_of_shown=results.rate("cited, of those recalled", sum(remark.is_cited for remark in shown), len(shown)),
        per_meeting_coverage=mean(share(sum(cited), len(cited)) for cited in per_meeting.values()),
        sentences=material.sentences,
        rejected_items=material.rejected_items,
    )
