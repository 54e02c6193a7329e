"""The command line. Only this file turns errors into exit codes; commands import torch only when they run."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from typing import Annotated

import typer

from limbeck import __version__
from limbeck.cli.data import longtail
from limbeck.cli.run import doctor, ledger, plan, run, status
from limbeck.cli.student import compare, evaluate, predict
from limbeck.cli.teacher import fake_teacher
from limbeck.errors import LimbeckError
from limbeck.system.interrupts import interruptible
from limbeck.system.terminal import make_printable

# In the order of `limbeck --help`.
COMMANDS: Mapping[str, Callable[..., None]] = {
    "doctor": doctor,
    "longtail": longtail,
    "plan": plan,
    "run": run,
    "status": status,
    "ledger": ledger,
    "eval": evaluate,
    "compare": compare,
    "predict": predict,
    "fake-teacher": fake_teacher,
}

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for name, command in COMMANDS.items():
    app.command(name)(command)


def _show_version(is_wanted: bool) -> None:
    if is_wanted:
        print(f"limbeck {__version__}")
        raise typer.Exit


@app.callback()
def limbeck(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Distil a large language model into a small one under a fixed teacher budget, without losing the tail."""


def main() -> None:
    """Entry point: prints an expected error as one line on stderr and exits with its code; a bug gives a traceback."""
    os.environ.setdefault("TQDM_DISABLE", "1")  # hide the libraries' bars; commands show their own progress
    try:
        with interruptible():
            app()
    except LimbeckError as error:
        message = " ".join(str(error).split())
        print(f"limbeck: error: {make_printable(message)}", file=sys.stderr)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
