"""Arguments and options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ConfigPath = Annotated[Path, typer.Argument(metavar="CONFIG", help="YAML config.")]
RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="Run folder.")]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a config key, e.g. budget.max_examples=100."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
Preset = Annotated[str | None, typer.Option(help="Method settings by name, such as baldistill-a.")]
