"""The command line. Only this file turns errors into exit codes; whatever needs torch is imported inside a command."""

from __future__ import annotations

import enum
import json
import os
import re
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from limbeck.errors import LimbeckError

app = typer.Typer(
    help="Distil a large language model into a small one under a fixed teacher budget, without losing the tail.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

ConfigPath = Annotated[Path, typer.Argument(metavar="CONFIG", help="YAML config.")]
RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="Run folder.")]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a config key, e.g. budget.max_examples=100."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


class Equal(enum.Enum):
    """What `compare` holds equal."""

    examples = "examples"
    tokens = "tokens"


class Share(enum.Enum):
    """Which runs of `compare` share the teacher's replies."""

    all = "all"
    seed = "seed"


def main() -> None:
    """Entry point: an error that carries a message is one line on stderr and its exit code; a bug is a traceback."""
    os.environ.setdefault("TQDM_DISABLE", "1")  # the libraries' bars; a command has a progress of its own
    try:
        app()
    except LimbeckError as error:
        message = " ".join(str(error).split())
        print(f"limbeck: error: {_printable(message)}", file=sys.stderr)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def _printable(text: str) -> str:
    """Text without control characters, which could rewrite a terminal; model and user text ends up in messages."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def _share(what: str) -> Any:  # noqa: ANN401 (typer names no type for its options)
    return typer.Option(min=0, max=1, metavar="SHARE", help=f"Share of requests that get {what}.")


@app.command()
def doctor(
    config: Annotated[Path | None, typer.Argument(metavar="[CONFIG]", help="Also check this config's teacher.")] = None,
    sets: Sets = None,
    as_json: AsJson = False,
) -> None:
    """Check versions, devices, packaged models, disk, and the teacher of a config."""
    from limbeck.doctor import examine, render

    report = examine(config, sets or [])
    if as_json:
        _print_json(report)
    else:
        render(report)
    raise typer.Exit(0 if report["ok"] else 4 if not report["teacher"].get("ok", True) else 2)


@app.command()
def longtail(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="Rows with a column of domains, or tutor:quickstart.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for train, dev and test JSONL.")],
    exponent: Annotated[float, typer.Option(min=0.0, help="Zipf exponent of the training sizes.")] = 1.1,
    seed: Annotated[int, typer.Option(help="Seed of the splits.")] = 13,
    dev_per_domain: Annotated[int, typer.Option(min=0, help="Dev rows of each domain.")] = 10,
    test_per_domain: Annotated[int, typer.Option(min=1, help="Test rows of each domain.")] = 20,
    domain_column: Annotated[str, typer.Option(help="Column of the domain.")] = "domain",
    question_columns: Annotated[str, typer.Option(help="Columns of the question, joined by commas.")] = "question",
    drop_small: Annotated[bool, typer.Option("--drop-small", help="Leave out domains that are too small.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make a long-tailed data set: Zipf-sized training domains, balanced dev and test, no leakage."""
    from limbeck.data.longtail import make_longtail
    from limbeck.data.procedural import make_procedural_longtail
    from limbeck.data.readers import read_rows
    from limbeck.storage import write_json, write_jsonl

    if source.startswith("tutor:"):
        made = make_procedural_longtail(
            source.removeprefix("tutor:"), exponent=exponent, seed=seed, dev_per_domain=dev_per_domain,
            test_per_domain=test_per_domain,
        )  # fmt: skip
    else:
        columns = [name.strip() for name in question_columns.split(",")]
        made = make_longtail(
            read_rows(source), domain_column=domain_column, question_columns=columns, exponent=exponent, seed=seed,
            dev_per_domain=dev_per_domain, test_per_domain=test_per_domain, is_small_dropped=drop_small,
        )  # fmt: skip
    for name, split in (("train", made.train), ("dev", made.dev), ("test", made.test)):
        write_jsonl(out / f"{name}.jsonl", split)
    facts = {
        "source": source, "exponent": exponent, "seed": seed, "train": len(made.train), "dev": len(made.dev),
        "test": len(made.test), "domains": [{"rank": rank, "domain": domain, "train": count}
                                            for rank, (domain, count) in enumerate(made.counts.items(), start=1)],
    }  # fmt: skip
    write_json(out / "domains.json", facts)
    if as_json:
        _print_json(facts)
        return
    print(f"{out}: {len(made.train)} train, {len(made.dev)} dev, {len(made.test)} test rows")
    for entry in facts["domains"]:  # type: ignore[attr-defined]
        print(f"  {_printable(entry['domain']):<24} {entry['train']:>6}")


@app.command()
def plan(
    config: ConfigPath,
    sets: Sets = None,
    preset: Annotated[str | None, typer.Option(help="Method settings by name, such as baldistill-a.")] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Run folder to come; default runs/NAME.")] = None,
    ledger: Annotated[
        Path | None, typer.Option("--ledger", metavar="RUN", help="Learn reply lengths from this run or ledger.sqlite.")
    ] = None,
    probe: Annotated[
        int | None,
        typer.Option("--probe", metavar="N", min=1, help="Really ask N requests first; they are paid, and kept for the run."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show before spending: quotas by domain and stage, teacher calls, tokens, money and time as low, likely and high."""
    from limbeck.config import load_config
    from limbeck.plan_tables import print_plan, print_probe
    from limbeck.probe import plan_with_ledger

    settings = load_config(config, sets or [], preset=preset)
    if probe is not None:
        print(f"probe: up to {probe} real requests to the teacher {_printable(settings.teacher.model)}, paid", file=sys.stderr)
    made = plan_with_ledger(settings, out or Path("runs") / settings.name, ledger=ledger, probe=probe)
    if probe is not None and not as_json:
        print_probe(made["probe"])
    if as_json:
        _print_json(made)
    else:
        print_plan(made)


@app.command()
def run(
    config: ConfigPath,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Run folder; default runs/NAME.")] = None,
    sets: Sets = None,
    preset: Annotated[str | None, typer.Option(help="Method settings by name, such as baldistill-a.")] = None,
    as_json: AsJson = False,
) -> None:
    """Run a config, or go on where the same config stopped in that folder."""
    from limbeck.config import load_config
    from limbeck.console import ConsoleProgress, print_metrics
    from limbeck.run_data import prepare

    settings = load_config(config, sets or [], preset=preset)
    out = out or Path("runs") / settings.name
    data = prepare(settings, out)  # before torch is loaded, so that bad input is said at once
    with ConsoleProgress(settings) as progress:
        progress.note("loading torch and the student")
        from limbeck.run import run as run_config
        from limbeck.student.model import quiet_libraries

        quiet_libraries()
        result = run_config(settings, out, progress, data)
    if as_json:
        _print_json({"folder": str(result.folder), "student": str(result.student) if result.student else None,
                     "metrics": result.metrics, "diversity": result.diversity})  # fmt: skip
    elif result.metrics is not None:
        print_metrics(dict(result.metrics))
        print(f"student: {result.student}   all files: {result.folder}")
    if result.ended_by is not None:
        raise result.ended_by


@app.command()
def status(run: RunPath, as_json: AsJson = False) -> None:
    """Show what a run is doing, its spend against each cap, and its domains."""
    from limbeck.console import print_status
    from limbeck.status import read_status

    facts = read_status(run)
    if as_json:
        _print_json(facts)
    else:
        print_status(facts)


@app.command()
def ledger(
    run: RunPath,
    state: Annotated[
        str | None, typer.Option(help="List single requests in this state: intent, done, failed, unknown, all.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show where each teacher request went: by purpose, stage and domain."""
    from limbeck.console import print_ledger
    from limbeck.errors import ConfigError
    from limbeck.teacher.ledger import Ledger

    if state not in (None, "all", "intent", "done", "failed", "unknown"):
        raise ConfigError(f"--state {state}: known are intent, done, failed, unknown and all")
    book = Ledger(run / "ledger.sqlite", is_read_only=True)
    try:
        rows: list[dict[str, Any]] = (
            book.summarize() if state is None else list(book.list_requests(() if state == "all" else (state,)))
        )
    finally:
        book.close()
    if as_json:
        _print_json(rows)
    else:
        print_ledger(rows, is_summary=state is None)


@app.command("eval")
def evaluate(
    student: Annotated[str, typer.Argument(metavar="STUDENT", help="Student folder, Hub id or packaged model.")],
    config: Annotated[Path, typer.Option("--config", help="YAML config with the task and data.test.")],
    sets: Sets = None,
    out: Annotated[Path | None, typer.Option("--out", help="Also write the predictions to this JSONL file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure a student by domain, head and tail, with confidence intervals, on any labelled file."""
    from limbeck.config import load_config
    from limbeck.console import ConsoleProgress, print_metrics
    from limbeck.errors import ConfigError

    settings = load_config(config, sets or [])
    if settings.data.test is None:
        raise ConfigError("data.test is not set: add it to the config, or pass --set data.test=FILE")
    with ConsoleProgress(settings) as progress:
        progress.note("loading torch and the student")
        from limbeck.evaluation.measure import measure_file
        from limbeck.student.model import quiet_libraries

        quiet_libraries()
        metrics, predictions = measure_file(
            student, settings, lambda done, total: progress.step(None, "measuring", done, total)
        )
    if out is not None:
        from limbeck.storage import write_jsonl

        write_jsonl(out, predictions)
    if as_json:
        _print_json(metrics)
    else:
        print_metrics(metrics)


@app.command()
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
        bool | None, typer.Option("--teacher/--no-teacher", help="Beside them the teacher's own accuracy on the test rows.")
    ] = None,
    sets: Sets = None,
    as_json: AsJson = False,
) -> None:
    """Compare presets over seeds on the same data, student and budget: one table, paired tests, replies shared."""
    from limbeck.compare import Comparison, compare, parse_list, parse_seeds
    from limbeck.compare_tables import print_comparison

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
    facts, exit_code = compare(wanted, out, lambda text: print(_printable(text), file=sys.stderr, flush=True))
    if as_json:
        _print_json(facts)
    else:
        print_comparison(facts)
    raise typer.Exit(exit_code)


@app.command()
def predict(
    student: Annotated[Path, typer.Argument(metavar="STUDENT", help="Folder of a student that limbeck trained.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSONL rows without answers.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="JSONL to write: each row with prediction and text.")],
    config: Annotated[Path | None, typer.Option("--config", help="For column names and evaluation settings.")] = None,
    sets: Sets = None,
) -> None:
    """Write a student's answers for unlabelled rows."""
    from limbeck.config import load_config
    from limbeck.console import ConsoleProgress
    from limbeck.storage import write_jsonl

    settings = load_config(config, sets or [])
    with ConsoleProgress(settings) as progress:
        progress.note("loading torch and the student")
        from limbeck.evaluation.measure import predict_file
        from limbeck.student.model import quiet_libraries

        quiet_libraries()
        rows = predict_file(student, file, settings, lambda done, total: progress.step(None, "predicting", done, total))
    write_jsonl(out, rows)
    print(f"{out}: {len(rows)} rows")


@app.command("fake-teacher")
def fake_teacher(
    context: typer.Context,  # carries the flags by name, as they stand below
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on this machine; 0 takes any that is free.")] = 0,
    replies: Annotated[Path | None, typer.Option(metavar="FILE", help="JSONL rows {match, text} of what it says.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of all that is drawn.")] = 0,
    model: Annotated[str, typer.Option(help="Name under which it answers.")] = "fake-teacher",
    latency_ms: Annotated[float, typer.Option(min=0, help="Time before each reply.")] = 0,
    latency_spread_ms: Annotated[float, typer.Option(min=0, help="Of this, each reply takes a drawn share more.")] = 0,
    throttle: Annotated[float, _share("429")] = 0,
    retry_after_s: Annotated[float | None, typer.Option(min=0, help="What a 429 asks to wait.")] = None,
    fail: Annotated[float, _share("500")] = 0,
    drop: Annotated[float, _share("a dropped connection and no reply")] = 0,
    cut: Annotated[float, _share("half of the reply's JSON")] = 0,
    stall: Annotated[float, _share("a reply that trickles for --stall-s")] = 0,
    stall_s: Annotated[float, typer.Option(min=0, help="How long a trickling reply takes.")] = 600,
    truncate: Annotated[float, _share("half of the text (length)")] = 0,
    refuse: Annotated[float, _share("a refusal")] = 0,
    empty: Annotated[float, _share("an empty text")] = 0,
    filter: Annotated[float, _share("no text (content_filter)")] = 0,
    malformed: Annotated[float, _share("a text in no form")] = 0,
    language: Annotated[float, _share("a text in another script")] = 0,
    model_change_after: Annotated[int | None, typer.Option(min=0, help="Replies before its name changes.")] = None,
    capacity: Annotated[int | None, typer.Option(min=1, help="More requests than this at once get 429.")] = None,
    outage: Annotated[tuple[int, float] | None, typer.Option(metavar="N S", help="After N requests 503 for S seconds.")] = None,
    reasoning_tokens: Annotated[int, typer.Option(min=0, help="Reasoning tokens it counts in a reply.")] = 0,
    cached_tokens: Annotated[int, typer.Option(min=0, help="Cached tokens it counts in a prompt.")] = 0,
    idempotent: Annotated[bool, typer.Option("--idempotent", help="Replay replies by Idempotency-Key, unpaid.")] = False,
    as_json: AsJson = False,
) -> None:
    """Serve a fake teacher on this machine that fails as told, to try a run: its replies are worth nothing for training."""
    from limbeck.teacher.fake_replies import read_replies
    from limbeck.teacher.fake_server import serve
    from limbeck.teacher.fake_teacher import WARNING, FakeTeacher, read_settings

    settings = read_settings({name: context.params[name] for name in set(context.params) - {"port", "replies", "as_json"}})
    server = FakeTeacher(settings, read_replies(replies) if replies else ())

    def show(url: str, port: int) -> None:
        line = json.dumps({"url": url, "port": port, "note": WARNING})
        print(line if as_json else f"fake teacher: teacher.base_url={url} (port {port}); {WARNING}", flush=True)

    counts = serve(server, port, show)
    if as_json:
        print(json.dumps(counts))
    else:
        kinds = ", ".join(f"{name} {count}" for name, count in counts["outcomes"].items())
        tokens = f"{counts['prompt_tokens']} + {counts['completion_tokens']} tokens"
        print(
            f"{counts['requests']} requests ({kinds or 'none'}), {counts['served']} replies served, at most "
            f"{counts['most_at_once']} at once, {tokens}"
        )


def _print_json(value: object) -> None:
    text = json.dumps(value, indent=2, ensure_ascii=False)
    # JSON leaves DEL and the control characters from 128 on as they are, and a terminal obeys them.
    print(re.sub("[\x7f-\x9f]", lambda found: f"\\u{ord(found[0]):04x}", text))
