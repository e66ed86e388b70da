"""`python -m sandbox.evaluation DATA_DIR`: judge a night that is there already, such as the demo's."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nightdesk.errors import NightdeskError


def main(
    data_dir: Annotated[Path, typer.Argument(help="Folder of a finished night on a sample company.")],
    folder: Annotated[Path, typer.Option(help="Where report and history are kept.")] = Path("data/eval"),
) -> None:
    """Judge a finished night against the truth of its sample company; runs nothing."""
    from nightdesk.cli.common import console
    from sandbox.evaluation.report import reuse

    try:
        reuse(console(), data_dir=data_dir, folder=folder)
    except NightdeskError as error:
        typer.echo(f"{error}. {error.todo}", err=True)
        raise typer.Exit(error.exit_code) from None


if __name__ == "__main__":
    typer.run(main)
