"""Find the bad records of a batch that a CRM refused as a whole, without giving up on the good ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


class WholeBatchRejected(Exception):
    """The CRM refused every record of a request because of some of them."""


def isolate(
    items: Sequence[T],
    key: Callable[[T], str],
    send: Callable[[Sequence[T]], Mapping[str, R]],
    rejected: Callable[[T, WholeBatchRejected], R],
) -> dict[str, R]:
    """Send items, halving whenever the whole batch is refused, until only the refused ones stand alone.

    For k bad items among n it takes at most 2k * ceil(log2 n) + 1 requests.

    Args:
        items: What to send, in order.
        key: The identity of an item, unique within `items`.
        send: Sends a batch; answers per key, or raises `WholeBatchRejected`.
        rejected: The answer for an item that is refused alone.

    Returns:
        One answer per key.
    """
    answers: dict[str, R] = {}
    waiting: list[Sequence[T]] = [items] if items else []
    while waiting:
        batch = waiting.pop(0)
        try:
            answers.update(send(batch))
        except WholeBatchRejected as error:
            if len(batch) == 1:
                answers[key(batch[0])] = rejected(batch[0], error)
            else:
                middle = len(batch) // 2
                waiting[:0] = [batch[:middle], batch[middle:]]
    return answers
