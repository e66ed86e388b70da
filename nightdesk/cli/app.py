"""The commands put together, and the one place where errors are shown."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import NoReturn

import typer

from nightdesk.cli import autonomy, erase, export, identity, night, policy, review, sandbox, write_back
from nightdesk.errors import NightdeskError

app = typer.Typer(
    name="nightdesk",
    help="The night desk of your CRM: load, curate, enrich, plan, apply, roll back. Dry-run unless told otherwise.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
night.register(app)
write_back.register(app)
review.register(app)
erase.register(app)
export.register(app)
policy.register(app)
autonomy.register(app)
identity.register(app)
app.add_typer(sandbox.app, name="sandbox")


def run() -> None:
    """Run a command; every failure ends in one message and a non-zero exit code."""
    from nightdesk import logs

    code: object = 0
    try:
        code = app(standalone_mode=False)
    except NightdeskError as error:
        _show(error)
        sys.exit(error.exit_code)
    except typer.Abort:
        print("Stopped.", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("Stopped. What was loaded and answered is kept; run the command again to go on.", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        # The reader (`| head`) has gone; Python would complain once more while closing the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:
        # click's own usage errors know how to show themselves.
        if hasattr(error, "show") and hasattr(error, "exit_code"):
            error.show()  # pyright: ignore
            sys.exit(error.exit_code)  # pyright: ignore
        if _is_disk_full(error):
            _show(
                NightdeskError(
                    "The disk is full",
                    where=" ".join(str(error).split())[:300],
                    todo="Free some space and run the command again; what was loaded and answered is kept.",
                )
            )
            sys.exit(1)
        _unexpected(error, logs.to_file(Path("target") / "logs"))
    sys.exit(code if isinstance(code, int) else 0)


def _is_disk_full(error: BaseException | None) -> bool:
    """Whether this error, or what it came from, is the disk's: dlt, dbt and DuckDB each wrap it in their own."""
    while error is not None:
        if getattr(error, "errno", None) == errno.ENOSPC or "No space left on device" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def _show(error: NightdeskError) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True, highlight=False)
    # Not wrapped: a path that is cut in two cannot be copied.
    console.print(Text("Error  ", style="bold red").append(Text(error.what, style="default not bold")), soft_wrap=True)
    if error.where:
        console.print(Text("where  ", style="dim").append(Text(error.where, style="default")), soft_wrap=True)
    if error.todo:
        console.print(Text("do     ", style="dim").append(Text(error.todo, style="default")), soft_wrap=True)


def _unexpected(error: Exception, log_file: Path | None) -> NoReturn:
    """A fault of ours: the traceback goes to the log file, the person gets one message."""
    from nightdesk import logs

    logs.LOGGER.error("unexpected error", exc_info=error)
    message = " ".join(str(error).split())[:400]
    _show(
        NightdeskError(
            f"Something went wrong that Nightdesk has no name for: {type(error).__name__}: {message}",
            where=str(log_file) if log_file else "",
            todo="Nothing is lost: run the command again. If it comes back, report it with the log file's last line.",
        )
    )
    sys.exit(1)
