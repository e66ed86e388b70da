"""The one error every room raises: what happened, where, and what to do next."""

from __future__ import annotations


class NightdeskError(Exception):
    """Something the person at the terminal can act on.

    Args:
        what: What happened, one sentence.
        where: File, table, record or URL concerned; empty when there is none.
        todo: What to do next, one sentence.
        exit_code: The process exit code (see docs/commands.md); 1 unless a command promises another.
    """

    def __init__(self, what: str, *, where: str = "", todo: str = "", exit_code: int = 1) -> None:
        self.what = what
        self.where = where
        self.todo = todo
        self.exit_code = exit_code
        super().__init__(what if not where else f"{what} ({where})")


def first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one error of several to show: ours if there is one."""
    flat: list[BaseException] = []
    waiting: list[BaseException] = [group]
    while waiting:
        error = waiting.pop()
        if isinstance(error, BaseExceptionGroup):
            waiting.extend(error.exceptions)  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]
        else:
            flat.append(error)
    return next((error for error in flat if isinstance(error, NightdeskError)), flat[0])
