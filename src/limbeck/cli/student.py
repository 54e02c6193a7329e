"""The commands that evaluate, compare and use students. They import torch only when they run."""

from __future__ import annotations

import enum
import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from limbeck.cli.options import AsJson, ConfigPath, Sets
from limbeck.errors import ConfigError
from limbeck.progress import Progress
from limbeck.system.terminal import make_printable, print_json

MAX_DIGITS = 20  # Python refuses to convert very long numbers


class ConsoleNotes(Progress):
    """Prints a comparison's notes on stderr."""

    def note(self, text: str) -> None:
        """Print a line."""
        print(make_printable(text), file=sys.stderr, flush=True)


class Equal(enum.Enum):
    """What all arms of `compare` have equal."""

    examples = "examples"
    tokens = "tokens"


class Sharing(enum.Enum):
    """Which runs of `compare` share the teacher's replies."""

    all = "all"
    seed = "seed"


def evaluate(
    student: Annotated[str, typer.Argument(metavar="STUDENT", help="Student folder, Hub id or packaged model.")],
    config: Annotated[Path, typer.Option("--config", help="Config with the task and data.test.")],
    sets: Sets = None,
    out: Annotated[Path | None, typer.Option("--out", help="Also write predictions to this JSONL file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Evaluate a student on labelled rows, by domain, head and tail."""
    from limbeck.cli.progress import ConsoleProgress
    from limbeck.config.config import load_config
    from limbeck.reports.terminal import print_metrics
    from limbeck.runner.apply import evaluate as measure
    from limbeck.system.files import write_jsonl

    settings = load_config(config, sets or [])
    with ConsoleProgress(settings) as progress:
        found = measure(student, settings, progress=progress)
    if out is not None:
        write_jsonl(out, found.predictions)
    if as_json:
        print_json(found.metrics.to_json())
    else:
        print_metrics(found.metrics.values)


def compare(
    config: ConfigPath,
    presets: Annotated[str, typer.Option("--presets", metavar="A,B,...", help="Presets to compare, comma-separated.")],
    seeds: Annotated[str, typer.Option("--seeds", metavar="1,2,...", help="Seeds of each arm; use at least two.")],
    jobs: Annotated[int, typer.Option("--jobs", metavar="N", help="Parallel runs.")] = 1,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Folder of the runs; runs/NAME-compare by default.")
    ] = None,
    equal: Annotated[
        list[Equal] | None,
        typer.Option("--equal", metavar="WHAT", help="Equal for all arms: examples (default) or tokens; repeatable."),
    ] = None,
    share: Annotated[Sharing, typer.Option("--share", help="Share replies among all runs, or per seed.")] = Sharing.all,
    all_labels: Annotated[
        bool | None, typer.Option("--all-labels/--no-all-labels", help="Also train a student on all real labels.")
    ] = None,
    teacher: Annotated[
        bool | None,
        typer.Option("--teacher/--no-teacher", help="Also measure the teacher, on dev rows if there are any."),
    ] = None,
    sets: Sets = None,
    as_json: AsJson = False,
) -> None:
    """Compare presets over seeds at equal budget, with paired tests."""
    from limbeck.comparison.compare import compare as run_comparison
    from limbeck.reports.comparison import print_comparison

    result = run_comparison(
        config,
        parse_list(presets),
        parse_seeds(seeds),
        out=out,
        sets=tuple(sets or ()),
        equal=tuple(dict.fromkeys(each.value for each in equal)) if equal else ("examples",),
        share=share.value,
        jobs=jobs,
        all_labels=all_labels,
        teacher=teacher,
        progress=ConsoleNotes(),
    )
    if as_json:
        print_json(result.to_json())
    else:
        print_comparison(result.values)
    raise typer.Exit(result.exit_code)


def parse_list(text: str) -> tuple[str, ...]:
    """The parts of ``a,b,c``."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def parse_seeds(text: str) -> tuple[int, ...]:
    """The seeds of ``1,2,3``.

    Raises:
        ConfigError: a part is not a whole number.
    """
    parts = parse_list(text)
    wrong = next((part for part in parts if not (part.isascii() and part.isdigit() and len(part) <= MAX_DIGITS)), None)
    if wrong is not None:
        raise ConfigError(f"--seeds {text!r:.80}: {wrong!r:.80} is not a seed; expected different whole numbers, such as 1,2,3")
    return tuple(map(int, parts))


def predict(
    student: Annotated[Path, typer.Argument(metavar="STUDENT", help="Folder of a student trained by limbeck.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Rows without answers, e.g. a JSONL file.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="JSONL file: each row plus prediction and text.")],
    config: Annotated[Path | None, typer.Option("--config", help="Config with column names and evaluation settings.")] = None,
    sets: Sets = None,
) -> None:
    """Write a student's answers to unlabelled rows."""
    from limbeck.cli.progress import ConsoleProgress
    from limbeck.config.config import load_config
    from limbeck.runner.apply import predict as answer
    from limbeck.system.files import write_text

    if out.resolve() == file.resolve():
        raise ConfigError(f"--out {out}: this file contains the rows to answer; choose another one")
    settings = load_config(config, sets or [])
    with ConsoleProgress(settings) as progress:
        rows = answer(student, file, settings, progress=progress)
    write_text(out, "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows))  # columns in the user's order
    print(f"{out}: {len(rows)} rows")
