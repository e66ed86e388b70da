"""An operation made ready to be asked: the bytes every record shares, the hash they are paid under, and the check."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from enrich.agents.protocol import AgentRequest, SpeaksByRules
from enrich.calls import InParts, InSteps, OneCall

if TYPE_CHECKING:
    import duckdb

    from enrich.agents.protocol import Agent
    from enrich.answer import CheckedAnswer
    from enrich.calls import Dialogue, Part, ReadPart, Toolbox
    from enrich.evidence import Shown
    from enrich.registry import Operation
    from enrich.runner_queue import QueueRow
    from nightdesk.policy.load import Policy


@dataclass(frozen=True, slots=True)
class Task:
    """What the runner has to know of an operation.

    Attributes:
        operation: Name of the operation.
        operation_hash: See `enrich.registry.Operation.operation_hash`.
        question_hash: The same without agent, version and model: what a check of an answer depends on.
        policy_hash: Hash of the whole policy, written beside every answer.
        system_prefix: Prompt and policy, the same bytes for every record.
        output_schema: JSON schema of the answer.
        max_output_tokens: Most tokens an answer may have; 0 when the agent does not count.
        user_message: Context to what a language model is shown of one record; not called for agents that count no
            tokens, because cutting a long document into spans takes time.
        check: (raw text, context, record id) to what may go into the ledger.
        agent: Name of the agent that is asked.
        check_others: `check` for what another agent said before a crash; None where it is the same.
        hear_a_no: (answer without content, context, record id) to the answer with the no that stands in the text.
        parts: Context to the parts of a long document; None where a document is always read in one call.
        check_parts: (what was said of the parts, context, record id) to what may go into the ledger.
        parts_from_chars: Shorter contexts are never cut.
        toolbox: (connection, record) to what may be looked up about it; None for operations without tools.
        check_steps: (raw text, context, record id, what the tools showed) to what may go into the ledger.
    """

    operation: str
    operation_hash: str
    question_hash: str
    policy_hash: str
    system_prefix: str
    output_schema: Mapping[str, Any]
    max_output_tokens: int
    user_message: Callable[[str], str]
    check: Callable[[str, str, str], CheckedAnswer]
    agent: str = ""
    check_others: Callable[[str, str, str], CheckedAnswer] | None = None
    hear_a_no: Callable[[CheckedAnswer, str, str], CheckedAnswer] | None = None
    parts: Callable[[str], Sequence[Part]] | None = None
    check_parts: Callable[[Sequence[ReadPart], str, str], CheckedAnswer] | None = None
    parts_from_chars: int = 0
    toolbox: Callable[[duckdb.DuckDBPyConnection, QueueRow], Toolbox] | None = None
    check_steps: Callable[[str, str, str, Mapping[str, Shown]], CheckedAnswer] | None = None

    def open(self, row: QueueRow, connection: duckdb.DuckDBPyConnection) -> Dialogue:
        """The question about one record, ready to be asked.

        Args:
            row: The record.
            connection: The ledger with the warehouse attached; what a research loop looks things up in.
        """
        request = AgentRequest(
            operation=self.operation,
            record_type=row.record_type,
            record_id=row.record_id,
            input_hash=row.input_hash,
            system_prefix=self.system_prefix,
            user_message="",
            context=row.context,
            output_schema=self.output_schema,
            max_output_tokens=self.max_output_tokens,
        )
        if self.toolbox is not None and self.check_steps is not None:
            check_steps = self.check_steps
            return InSteps(
                replace(request, user_message=self._message(row)),
                self.toolbox(connection, row),
                lambda text, shown: check_steps(text, row.context, row.record_id, shown),
            )
        if self.parts is not None and self.check_parts is not None and len(row.context) > self.parts_from_chars:
            parts, check_parts = self.parts(row.context), self.check_parts
            if len(parts) > 1:
                return InParts(request, parts, lambda read: check_parts(read, row.context, row.record_id))
        return OneCall(
            replace(request, user_message=self._message(row)),
            lambda text: self.check(text, row.context, row.record_id),
            lambda answer: self.unusable(answer, row.context, row.record_id),
        )

    def unusable(self, answer: CheckedAnswer, context: str, record_id: str) -> CheckedAnswer:
        """What is kept of a refusal or a truncated answer: nothing, but a no that the rules hear in the text."""
        return answer if self.hear_a_no is None else self.hear_a_no(answer, context, record_id)

    def _message(self, row: QueueRow) -> str:
        return self.user_message(row.context) if self.max_output_tokens else ""


def of_operation(operation: Operation, policy: Policy, agent: Agent) -> Task:
    """The task of asking `agent` an operation under a policy.

    Raises:
        NightdeskError: The prompt or the operation's data does not fit the policy.
    """
    from enrich.answer import check
    from enrich.answer_parts import check_parts
    from enrich.second_reading import with_a_no

    model = agent.model_for(operation.name)
    by_rules = isinstance(agent, SpeaksByRules) and agent.speaks_by_rules
    most_tokens = agent.reads_at_once(operation.name) if operation.can_be_read_in_parts else 0
    task = Task(
        operation=operation.name,
        operation_hash=operation.operation_hash(policy, agent=agent.name, version=agent.version, model=model),
        question_hash=operation.operation_hash(policy, agent="", version="", model=None),
        policy_hash=policy.hash,
        system_prefix=operation.system_prefix(policy),
        output_schema=operation.output_schema(policy),
        max_output_tokens=agent.max_output_tokens_for(operation.name),
        user_message=lambda context: operation.user_message(context, policy),
        check=lambda text, context, record_id: check(
            operation, text, context, policy, record_id=record_id, by_rules=by_rules
        ),
        agent=agent.name,
        hear_a_no=lambda answer, context, record_id: with_a_no(operation, context, policy, record_id, answer),
        check_others=lambda text, context, record_id: check(operation, text, context, policy, record_id=record_id),
    )
    if operation.spec.tools:
        steps = _check_steps(operation, policy, by_rules=by_rules)
        return replace(task, toolbox=_toolbox(operation, policy), check_steps=steps)
    if not most_tokens:
        return task

    def parts(context: str) -> Sequence[Part]:
        return operation.parts(context, policy, most_tokens)

    def check_read(read: Sequence[ReadPart], context: str, record_id: str) -> CheckedAnswer:
        return check_parts(operation, read, context, policy, record_id=record_id)

    # Half of what fits: span ids and speakers' names lengthen a text when it is shown.
    from_chars = most_tokens * policy.recall.token_estimate_chars // 2
    return replace(task, parts=parts, check_parts=check_read, parts_from_chars=from_chars)


def _toolbox(operation: Operation, policy: Policy) -> Callable[[duckdb.DuckDBPyConnection, QueueRow], Toolbox]:
    from enrich.research.toolbox import open_toolbox

    def opened(connection: duckdb.DuckDBPyConnection, row: QueueRow) -> Toolbox:
        return open_toolbox(connection, operation, row.record_type, row.record_id, policy)

    return opened


def _check_steps(
    operation: Operation, policy: Policy, *, by_rules: bool
) -> Callable[[str, str, str, Mapping[str, Shown]], CheckedAnswer]:
    from enrich.answer import check

    def checked(text: str, context: str, record_id: str, shown: Mapping[str, Shown]) -> CheckedAnswer:
        return check(operation, text, context, policy, record_id=record_id, also_shown=shown, by_rules=by_rules)

    return checked
