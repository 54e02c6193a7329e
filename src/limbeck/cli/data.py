"""The `longtail` command. It imports heavy modules only when it runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from limbeck.cli.options import AsJson
from limbeck.system.terminal import make_printable, print_json


def longtail(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE", help="File, folder or Hub id with a domain per row, or tutor:quickstart, tutor:study."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Output folder for the JSONL files.")],
    exponent: Annotated[float, typer.Option(min=0.0, help="Zipf exponent of the training set.")] = 1.1,
    seed: Annotated[int, typer.Option(help="Random seed.")] = 13,
    dev_per_domain: Annotated[int, typer.Option(min=0, help="Dev rows per domain.")] = 10,
    test_per_domain: Annotated[int, typer.Option(min=1, help="Test rows per domain.")] = 20,
    domain_column: Annotated[str, typer.Option(help="Domain column.")] = "domain",
    question_columns: Annotated[str, typer.Option(help="Question columns, comma-separated.")] = "question",
    drop_small: Annotated[bool, typer.Option("--drop-small", help="Drop domains with too few rows.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make a long-tailed training set with balanced dev and test sets."""
    from limbeck.data.longtail import make_longtail
    from limbeck.data.procedural.problems import make_procedural_longtail
    from limbeck.data.readers import read_rows
    from limbeck.data.rows import Notes
    from limbeck.system.files import write_json, write_jsonl

    if source.startswith("tutor:"):
        made = make_procedural_longtail(
            source.removeprefix("tutor:"),
            exponent=exponent,
            seed=seed,
            dev_per_domain=dev_per_domain,
            test_per_domain=test_per_domain,
        )
    else:
        columns = [name.strip() for name in question_columns.split(",")]
        notes = Notes()
        made = make_longtail(
            read_rows(source, notes=notes),
            domain_column=domain_column,
            question_columns=columns,
            exponent=exponent,
            seed=seed,
            dev_per_domain=dev_per_domain,
            test_per_domain=test_per_domain,
            is_small_dropped=drop_small,
            notes=notes,
        )
        for note in notes.list_all():
            print(make_printable(note), file=sys.stderr)
    for name, split in (("train", made.train), ("dev", made.dev), ("test", made.test)):
        write_jsonl(out / f"{name}.jsonl", split)
    facts = {
        "source": source,
        "exponent": exponent,
        "seed": seed,
        "train": len(made.train),
        "dev": len(made.dev),
        "test": len(made.test),
        "repeats": made.repeat_count,
        "domains": [
            {"rank": rank, "domain": domain, "train": count}
            for rank, (domain, count) in enumerate(made.counts.items(), start=1)
        ],
    }
    write_json(out / "domains.json", facts)
    if as_json:
        print_json(facts)
        return
    print(f"{out}: {len(made.train)} train, {len(made.dev)} dev, {len(made.test)} test rows")
    if made.repeat_count:
        print(f"{made.repeat_count} row(s) collapsed: their questions repeat earlier ones, except for case, spaces and stops")
    for entry in facts["domains"]:  # type: ignore[attr-defined]
        print(f"  {make_printable(entry['domain']):<24} {entry['train']:>6}")
