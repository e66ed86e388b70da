"""What follows from links: who is one with whom by way of others, and what a decision would contradict."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Collection, Iterable

Pair = tuple[str, str]


def reach(start: str, links: Iterable[Pair]) -> set[str]:
    """Every record that `start` is one with, itself included, over any number of links."""
    near: dict[str, set[str]] = defaultdict(set)
    for one, other in links:
        near[one].add(other)
        near[other].add(one)
    found, todo = {start}, deque([start])
    while todo:
        for other in near[todo.popleft()]:
            if other not in found:
                found.add(other)
                todo.append(other)
    return found


def contradicted(links: Collection[Pair], apart: Collection[Pair], new: Pair) -> list[Pair]:
    """Rejected pairs that would be one if `new` were confirmed too; the pair itself is not one of them."""
    together = reach(new[0], [*links, new])
    return sorted(pair for pair in apart if pair[0] in together and pair[1] in together and set(pair) != set(new))


def still_joined(links: Collection[Pair], rejected: Pair) -> list[Pair]:
    """Confirmed links that join the two records of a rejected pair by way of others; none of them can hold any more."""
    others = [pair for pair in links if set(pair) != set(rejected)]
    together = reach(rejected[0], others)
    if rejected[1] not in together:
        return []
    return sorted(pair for pair in others if pair[0] in together)
