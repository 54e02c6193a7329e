"""The commands for one run. They import torch only when they run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from limbeck.cli.options import AsJson, ConfigPath, Preset, RunPath, Sets
from limbeck.system.terminal import make_printable, print_json


def doctor(
    config: Annotated[
        Path | None, typer.Argument(metavar="CONFIG", help="Also send this config's teacher one small, paid request.")
    ] = None,
    sets: Sets = None,
    as_json: AsJson = False,
) -> None:
    """Check this machine and, if given, a config's teacher."""
    from limbeck.cli.doctor import examine, render

    report = examine(config, sets or [])
    if as_json:
        print_json(report)
    else:
        render(report)
    raise typer.Exit(0 if report["ok"] else 4 if not report["teacher"].get("ok", True) else 2)


def plan(
    config: ConfigPath,
    sets: Sets = None,
    preset: Preset = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Folder of the run; runs/NAME by default.")] = None,
    ledger: Annotated[Path | None, typer.Option("--ledger", metavar="RUN", help="Learn from this run or ledger file.")] = None,
    probe: Annotated[
        int | None,
        typer.Option("--probe", metavar="N", min=1, help="Send N paid requests first; the run reuses the replies."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Estimate a run's requests, tokens, cost, time and quotas."""
    from limbeck.config.config import load_config
    from limbeck.reports.plan import print_plan, print_probe
    from limbeck.runner.plan import plan as make_plan

    settings = load_config(config, sets or [], preset=preset)
    if probe is not None:
        teacher = make_printable(settings.teacher.model)
        print(f"probe: sending up to {probe} paid requests to the teacher {teacher}", file=sys.stderr)
    made = make_plan(settings, out=out, ledger=ledger, probe=probe)
    if as_json:
        print_json({**made.to_json(), "probe": made.probe})
        return
    if made.probe is not None:
        print_probe(made.probe)
    print_plan(made)


def run(
    config: ConfigPath,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Run folder; runs/NAME by default.")] = None,
    sets: Sets = None,
    preset: Preset = None,
    as_json: AsJson = False,
) -> None:
    """Run a config, or resume it in its run folder."""
    from limbeck.cli.progress import ConsoleProgress
    from limbeck.config.config import load_config
    from limbeck.reports.terminal import print_metrics
    from limbeck.runner.run import run as run_config

    settings = load_config(config, sets or [], preset=preset)
    with ConsoleProgress(settings) as progress:
        result = run_config(settings, out, progress=progress)
    if as_json:
        print_json(
            {
                "folder": str(result.folder),
                "student": str(result.student) if result.student else None,
                "metrics": result.metrics and result.metrics.to_json(),
                "diversity": result.diversity,
            }
        )
    elif result.metrics is not None:
        print_metrics(result.metrics.values)
        print(f"student: {result.student}   all files: {result.folder}")
    if result.ended_by is not None:
        raise result.ended_by


def status(run: RunPath, as_json: AsJson = False) -> None:
    """Show a run's progress, its spend against caps, and its domains."""
    from limbeck.reports.terminal import print_status
    from limbeck.run_folder.status import read_status

    found = read_status(run)
    if as_json:
        print_json(found.to_json())
    else:
        print_status(found)


def ledger(
    run: RunPath,
    state: Annotated[
        str | None, typer.Option(help="List requests in this state: intent, done, failed, unknown or all.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show a run's teacher requests by purpose, stage and domain."""
    from limbeck.errors import ConfigError
    from limbeck.reports.terminal import print_ledger
    from limbeck.run_folder.folder import find_ledger
    from limbeck.teacher.client.ledger import Ledger

    if state not in (None, "all", "intent", "done", "failed", "unknown"):
        raise ConfigError(f"--state {state}: expected intent, done, failed, unknown or all")
    book = Ledger(find_ledger(run), is_read_only=True)
    try:
        rows: list[dict[str, Any]] = (
            book.summarize() if state is None else list(book.list_requests(() if state == "all" else (state,)))
        )
    finally:
        book.close()
    if as_json:
        print_json(rows)
    else:
        print_ledger(rows, is_summary=state is None)
