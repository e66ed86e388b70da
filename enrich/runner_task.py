"""An operation made ready to be asked: the bytes every record shares, the hash they are paid under, and the check."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from enrich.agents.protocol import AgentRequest

if TYPE_CHECKING:
    from enrich.agents.protocol import Agent
    from enrich.answer import CheckedAnswer
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

    def request(self, row: QueueRow) -> AgentRequest:
        """The question about one record."""
        return AgentRequest(
            operation=self.operation,
            record_type=row.record_type,
            record_id=row.record_id,
            input_hash=row.input_hash,
            system_prefix=self.system_prefix,
            user_message=self.user_message(row.context) if self.max_output_tokens else "",
            context=row.context,
            output_schema=self.output_schema,
            max_output_tokens=self.max_output_tokens,
        )


def of_operation(operation: Operation, policy: Policy, agent: Agent) -> Task:
    """The task of asking `agent` an operation under a policy.

    Raises:
        NightdeskError: The prompt or the operation's data does not fit the policy.
    """
    from enrich.answer import check

    model = agent.model_for(operation.name)
    return Task(
        operation=operation.name,
        operation_hash=operation.operation_hash(policy, agent=agent.name, version=agent.version, model=model),
        question_hash=operation.operation_hash(policy, agent="", version="", model=None),
        policy_hash=policy.hash,
        system_prefix=operation.system_prefix(policy),
        output_schema=operation.output_schema(policy),
        max_output_tokens=agent.max_output_tokens_for(operation.name),
        user_message=lambda context: operation.user_message(context, policy),
        check=lambda text, context, record_id: check(operation, text, context, policy, record_id=record_id),
    )
