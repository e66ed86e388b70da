"""The commands put together, and the one place where errors are shown."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import typer

from nightdesk.cli import night, sandbox, write_back
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
app.add_typer(sandbox.app, name="sandbox")


def run() -> None:
    """Run a command; every failure ends in one message and a non-zero exit code."""
    from nightdesk import logs

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
    except OSError as error:
        if error.errno != errno.ENOSPC:
            _unexpected(error, logs.to_file(Path("target") / "logs"))
        _show(
            NightdeskError(
                "The disk is full",
                where=str(error.filename or ""),
                todo="Free some space and run the command again; what was loaded and answered is kept.",
            )
        )
        sys.exit(1)
    except Exception as error:
        # click's own usage errors know how to show themselves.
        if hasattr(error, "show") and hasattr(error, "exit_code"):
            error.show()  # pyright: ignore
            sys.exit(error.exit_code)  # pyright: ignore
        _unexpected(error, logs.to_file(Path("target") / "logs"))
    sys.exit(code if isinstance(code, int) else 0)


def _show(error: NightdeskError) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True, highlight=False)
    console.print(Text("Error  ", style="bold red").append(Text(error.what, style="default not bold")))
    if error.where:
        console.print(Text("where  ", style="dim").append(Text(error.where, style="default")))
    if error.todo:
        console.print(Text("do     ", style="dim").append(Text(error.todo, style="default")))


def _unexpected(error: Exception, log_file: Path | None) -> None:
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
