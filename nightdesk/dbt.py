"""dbt in this process: parse once, build what is asked for, and say plainly what failed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nightdesk.errors import NightdeskError

if TYPE_CHECKING:
    from dbt.cli.main import dbtRunnerResult
    from dbt.contracts.graph.manifest import Manifest

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class BuildReport:
    """Numbers of one build: nodes by status (`success`, `pass`, `warn`, `skipped`) and its seconds."""

    statuses: dict[str, int]
    warnings: list[str]
    seconds: float


class Dbt:
    """One dbt project, driven in-process so that start-up and parsing are paid once.

    Args:
        project: Folder of `dbt_project.yml`.
        data_dir: Folder of the three databases, handed to the profile as NIGHTDESK_DATA_DIR.
        as_of: The day that `as_of()` answers in every model.
    """

    def __init__(self, project: Path, data_dir: Path, as_of: date) -> None:
        self._project = project
        self._as_of = as_of
        self._manifest: Manifest | None = None
        self._target = project / os.environ.get("DBT_TARGET_PATH", "target")
        os.environ["NIGHTDESK_DATA_DIR"] = str(data_dir)
        # dbt opens the files once per command instead of once per model (a third of its time); `_invoke` closes them.
        os.environ["NIGHTDESK_DBT_KEEP_OPEN"] = "true"
        os.environ["DBT_SEND_ANONYMOUS_USAGE_STATS"] = "false"
        # dbt asks a package index whether a newer version exists unless told not to; a night talks to the CRM only.
        os.environ["DBT_VERSION_CHECK"] = "false"

    def manifest(self) -> dict[str, Any]:
        """Parse the project and give the manifest as a dict.

        Raises:
            NightdeskError: The project does not parse; the message carries dbt's own.
        """
        result = self._invoke(self._common("parse"))
        if not result.success:
            raise _cannot("dbt cannot read the project", result.exception)
        self._manifest = result.result  # pyright: ignore[reportAttributeAccessIssue]
        return json.loads((self._target / "manifest.json").read_text(encoding="utf-8"))

    def build(
        self, names: Sequence[str] | None = None, extra: Sequence[str] = (), progress: Progress | None = None
    ) -> BuildReport:
        """Build these models and run these data tests, by name; everything when `names` is None.

        Raises:
            NightdeskError: A model or a test failed. The message names up to five of them and where the compiled
                SQL is.
        """
        arguments = self._common("build")
        if names is not None:
            if not names:
                return BuildReport({}, [], 0.0)
            arguments += ["--select", *names, "--indirect-selection", "empty"]
        arguments += list(extra)
        result = self._invoke(arguments, progress)
        if result.result is None:
            raise _cannot("dbt could not build", result.exception)
        return self._report(result.result, result.exception)

    def run(self, command: Sequence[str]) -> None:
        """Run any other dbt command (`docs generate`, `source freshness`).

        Raises:
            NightdeskError: It failed.
        """
        result = self._invoke([*command, *self._common("")[1:]])
        if not result.success:
            raise _cannot(f"`dbt {' '.join(command)}` failed", result.exception)

    def _invoke(self, arguments: list[str], progress: Progress | None = None) -> dbtRunnerResult:
        from dbt.adapters.duckdb.connections import DuckDBConnectionManager
        from dbt.cli.main import dbtRunner  # 1.4 s: only when dbt is really run

        def on_event(event: Any) -> None:
            if progress is not None and event.info.name == "NodeFinished":
                progress(event.data.node_info.node_name)

        try:
            runner = dbtRunner(manifest=self._manifest, callbacks=[on_event])
            return runner.invoke(arguments)  # pyright: ignore[reportUnknownMemberType]
        finally:
            # The next step of the night opens the same files, and DuckDB gives each to one opener only.
            if DuckDBConnectionManager._ENV is not None:  # pyright: ignore[reportPrivateUsage]
                DuckDBConnectionManager.env().close()

    def _common(self, command: str) -> list[str]:
        return [
            command,
            "--project-dir", str(self._project),
            "--profiles-dir", str(self._project),
            "--vars", json.dumps({"as_of": self._as_of.isoformat()}),
            "--log-level", "none",
            "--log-path", str(self._target / "logs"),
            "--no-use-colors",
        ]  # fmt: skip

    def _report(self, results: Any, exception: BaseException | None) -> BuildReport:
        statuses: dict[str, int] = {}
        failed: list[str] = []
        warnings: list[str] = []
        for item in results.results:
            status = str(item.status)
            statuses[status] = statuses.get(status, 0) + 1
            if status in {"error", "fail", "runtime error"}:
                message = " ".join(str(item.message or "").split())
                failed.append(f"{item.node.name}: {message[:300]}")
            elif status == "warn":
                warnings.append(f"{item.node.name}: {item.message}")
        if failed:
            shown = "\n  ".join(failed[:5])
            more = f"\n  and {len(failed) - 5} more" if len(failed) > 5 else ""
            raise NightdeskError(
                f"dbt stopped: {len(failed)} of {len(results.results)} nodes failed\n  {shown}{more}",
                where=str(self._target / "run_results.json"),
                todo="Mend the first one and run the command again; nothing that was built or paid for is lost.",
            )
        if exception is not None:
            raise _cannot("dbt could not build", exception)
        return BuildReport(statuses, warnings, float(results.elapsed_time))


def _cannot(what: str, exception: BaseException | None) -> NightdeskError:
    detail = " ".join(str(exception).split()) if exception else "it gave no reason; see target/logs/dbt.log"
    todo = "Mend what it names and run the command again."
    if ("lock" in detail.lower() and "duckdb" in detail.lower()) or "Conflicting lock" in detail:
        todo = "Another program holds the file: close it (a notebook, a BI tool, another nightdesk) and try again."
    elif "No space left" in detail:
        todo = "Free some disk space and run the command again; what was answered so far is kept."
    return NightdeskError(f"{what}: {detail[:600]}", todo=todo)
