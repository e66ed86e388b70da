"""The part of a CRM's daily quota that is ours: what is left of it belongs to people and to other tools."""

from __future__ import annotations

from dataclasses import dataclass

from reverse_etl.crms.protocol import CrmUnavailable


@dataclass(slots=True)
class DailyQuota:
    """Counts requests of a day as the CRM reports them, and ours since its last report.

    Args:
        share_for_people: Part of the quota (0 to 1) that Nightdesk never uses, whoever used the rest.
        limit: Requests a day; None until the CRM has said.
    """

    share_for_people: float
    limit: int | None = None
    used: int = 0
    _since_report: int = 0

    def seen(self, used: int, limit: int) -> None:
        """Take over what an answer's headers say: requests used today by everybody, and how many there are."""
        self.used, self.limit, self._since_report = used, limit, 0

    def take(self, where: str) -> None:
        """Count one more request.

        Raises:
            CrmUnavailable: It would touch the share that is left for people; nothing was sent.
        """
        ours = None if self.limit is None else int(self.limit * (1 - self.share_for_people))
        if ours is not None and self.used + self._since_report >= ours:
            raise CrmUnavailable(
                f"{self.used + self._since_report:,} of the CRM's {self.limit:,} requests of today are used, the rest "
                "is left for people",
                where=where,
                todo="Run the same command again when the quota is reset: it resumes where it stopped. "
                "`quota.share_for_people` in policies/guards.yml sets the share.",
            )
        self._since_report += 1
