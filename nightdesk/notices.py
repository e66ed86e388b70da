"""What has to stay on the screen when a command is done, told beside the steps that come and go."""

from __future__ import annotations


class Notice(str):
    """A sentence of a progress report that somebody has to read: every one of them is shown, and stays."""

    __slots__ = ()
