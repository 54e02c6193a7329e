"""The commands that measure, compare and use students. Whatever needs torch is imported inside them."""

from __future__ import annotations

import enum
import sys
from pathlib import Path
from typing import Annotated

import typer

from limbeck.cli.options import AsJson, ConfigPath, Sets
from limbeck.system.terminal import make_printable, print_json


class Equal(enum.Enum):
    """What `compare` holds equal."""

    examples = "examples"
    tokens = "tokens"


class Share(enum.Enum):
    """Which runs of `compare` share the teacher's replies."""

    all = "all"
    seed = "seed"


def evaluate(
    student: Annotated[str, typer.Argument(metavar="STUDENT", help="Student folder, Hub id or packaged model.")],
    config: Annotated[Path, typer.Option("--config", help="YAML config with the task and data.test.")],
    sets: Sets = None,
    out: Annotated[Path | None, typer.Option("--out", help="Also write the predictions to this JSONL file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure a student by domain, head and tail, with confidence intervals, on any labelled file."""
    from limbeck.config.config import load_config
    from limbeck.errors import ConfigError
    from limbeck.reports.terminal import ConsoleProgress, print_metrics

    settings = load_config(config, sets or [])
    if settings.data.test is None:
        raise ConfigError("data.test is not set: add it to the config, or pass --set data.test=FILE")
    with ConsoleProgress(settings) as progress:
        progress.note("loading torch and the student")
        from limbeck.runner.apply import measure_file
        from limbeck.student.model import quiet_libraries

        quiet_libraries()
        metrics, predictions = measure_file(
            student, settings, lambda done, total: progress.step(None, "measuring", done, total)
        )
    if out is not None:
        from limbeck.system.files import write_jsonl

        write_jsonl(out, predictions)
    if as_json:
        print_json(metrics)
    else:
        print_metrics(metrics)


def compare(
    config: ConfigPath,
    presets: Annotated[
        str, typer.Option("--presets", metavar="A,B,...", help="Presets to compare, such as random-cot,baldistill-a.")
    ],
    seeds: Annotated[str, typer.Option("--seeds", metavar="1,2,...", help="Seeds of each; two at least, better five.")],
    jobs: Annotated[int, typer.Option("--jobs", metavar="N", min=1, help="Runs at once.")] = 1,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Folder of the runs; default runs/NAME-compare.")
    ] = None,
    equal: Annotated[
        list[Equal] | None, typer.Option("--equal", help="What is equal for all arms: examples (default), tokens, or both.")
    ] = None,
    share: Annotated[Share, typer.Option("--share", help="Share replies among all runs, or those of one seed.")] = Share.all,
    all_labels: Annotated[
        bool | None, typer.Option("--all-labels/--no-all-labels", help="Beside them a student trained on all real labels.")
    ] = None,
    teacher: Annotated[
        bool | None,
        typer.Option("--teacher/--no-teacher", help="Beside them the teacher's own accuracy, on dev rows if there are any."),
    ] = None,
    sets: Sets = None,
    as_json: AsJson = False,
) -> None:
    """Compare presets over seeds on the same data, student and budget: one table, paired tests, replies shared."""
    from limbeck.comparison.compare import Comparison, compare, parse_list, parse_seeds
    from limbeck.reports.comparison import print_comparison

    chosen = tuple(dict.fromkeys(each.value for each in equal)) if equal else ("examples",)
    wanted = Comparison(
        config,
        parse_list(presets, "--presets"),
        parse_seeds(seeds),
        tuple(sets or ()),
        chosen,
        share.value,
        jobs,
        all_labels,
        teacher,
    )
    facts, exit_code = compare(wanted, out, lambda text: print(make_printable(text), file=sys.stderr, flush=True))
    if as_json:
        print_json(facts)
    else:
        print_comparison(facts)
    raise typer.Exit(exit_code)


def predict(
    student: Annotated[Path, typer.Argument(metavar="STUDENT", help="Folder of a student that limbeck trained.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSONL rows without answers.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="JSONL to write: each row with prediction and text.")],
    config: Annotated[Path | None, typer.Option("--config", help="For column names and evaluation settings.")] = None,
    sets: Sets = None,
) -> None:
    """Write a student's answers for unlabelled rows."""
    from limbeck.config.config import load_config
    from limbeck.reports.terminal import ConsoleProgress
    from limbeck.system.files import write_jsonl

    settings = load_config(config, sets or [])
    with ConsoleProgress(settings) as progress:
        progress.note("loading torch and the student")
        from limbeck.runner.apply import predict_file
        from limbeck.student.model import quiet_libraries

        quiet_libraries()
        rows = predict_file(student, file, settings, lambda done, total: progress.step(None, "predicting", done, total))
    write_jsonl(out, rows)
    print(f"{out}: {len(rows)} rows")
