"""Converts the published downloads of the BalDistill paper's five data sets to limbeck's JSON Lines.

See `docs/datasets.md` for where to get them. This script downloads only MATH (with `datasets`), and only if no folder is given.

    python examples/paper_data.py reuters DOWNLOADS/reuters DATA       -> DATA/reuters, DATA/r52
    python examples/paper_data.py unifiedqa DOWNLOADS/unifiedqa DATA   -> DATA/mcqa, DATA/absqa
    python examples/paper_data.py math [FOLDER] DATA                   -> DATA/math
"""

from __future__ import annotations

import json
import random
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from limbeck.data.longtail import compute_zipf_sizes
from limbeck.data.readers import read_rows

Row = dict[str, Any]
SEED = 13
# Rows of each multiple-choice set in the paper's pool, as far as its released sample and OLTQA's sizes reveal them.
MULTIPLE_CHOICE = {
    "race_string": 4600, "winogrande_xl": 2634, "social_iqa": 2077, "commonsenseqa": 1034, "qasc": 653, "openbookqa": 580,
    "physical_iqa": 494, "arc_easy": 395, "mctest_corrected_the_separator": 342, "arc_hard": 317,
}  # fmt: skip
ABSTRACTIVE = ("narrativeqa_dev", "natural_questions_with_dpr_para", "drop", "qaconv", "tweetqa")
ABSTRACTIVE_SIZE = 10_000  # drawn from all five sets together, for each of training and test
SUBJECTS = ("algebra", "counting_and_probability", "geometry", "intermediate_algebra", "number_theory", "prealgebra",
            "precalculus")  # fmt: skip
OPTION = re.compile(r"\(([A-Z])\)\s*(.*?)(?=\s*\([A-Z]\)\s|$)", re.DOTALL)


def read_reuters(folder: Path) -> dict[str, list[Row]]:
    """``train`` and ``test`` rows of NLTK's Reuters corpus, one row per document and topic."""
    splits: dict[str, list[Row]] = {"training": [], "test": []}
    for line in (folder / "cats.txt").read_text("latin-1").splitlines():
        name, *topics = line.split()
        split, _, number = name.partition("/")
        text = " ".join((folder / name).read_text("latin-1").split())
        splits[split] += [
            {"id": f"reuters-{number}-{topic}", "domain": topic, "question": text, "answer": topic, "answer_type": "label",
             "meta": {"topics": topics}}
            for topic in topics
        ]  # fmt: skip
    return {"train": splits["training"], "test": splits["test"]}


def choose_r52(splits: dict[str, list[Row]]) -> dict[str, list[Row]]:
    """R52: the single-topic documents, limited to topics that are then still in both splits."""
    single = {name: [row for row in rows if len(row["meta"]["topics"]) == 1] for name, rows in splits.items()}
    both = {row["domain"] for row in single["train"]} & {row["domain"] for row in single["test"]}
    return {name: [row for row in rows if row["domain"] in both] for name, rows in single.items()}


def read_unifiedqa(file: Path, domain: str) -> Iterator[Row]:
    r"""Rows of a UnifiedQA TSV: ``question \n options \n passage``, a tab, the answer; parts may be missing.

    Answers of multiple-choice questions become letters. Rows whose answer matches no option or several are left out, and so
    are repeated questions (NarrativeQA has two answers to each).
    """
    seen: set[str] = set()
    for number, line in enumerate(file.read_text("utf-8").split("\n"), start=1):
        asked, tab, answer = line.partition("\t")
        question, *rest = (part.strip() for part in asked.split("\\n"))
        options = next((part for part in rest if part.startswith("(A)")), "")
        passage = " ".join(part for part in rest if part and part != options)
        parts = {"Passage": passage, "Question": question, "Choice": options}
        text = "\n".join(f"{name}: {part}" for name, part in parts.items() if part)
        if options:
            letters = [letter for letter, option in OPTION.findall(options) if option.strip() == answer.strip()]
            answer = letters[0] if len(letters) == 1 else ""
        if tab and answer.strip() and text not in seen:
            seen.add(text)
            yield {"id": f"{domain}-{number}", "domain": domain, "question": text, "answer": answer.strip(),
                   "answer_type": "choice" if options else "text"}  # fmt: skip


def draw(rows: Iterable[Row], size: int, place: str) -> list[Row]:
    """At most `size` rows, drawn by seed without replacement."""
    found = list(rows)
    random.Random(f"{SEED}/{place}").shuffle(found)
    return found[:size]


def read_multiple_choice(folder: Path) -> dict[str, list[Row]]:
    """The ten sets: as many training rows as the paper's pool has, and all dev rows as test."""
    train = [
        row
        for name, size in MULTIPLE_CHOICE.items()
        for row in draw(read_unifiedqa(folder / name / "train.tsv", name), size, name)
    ]
    test = [row for name in MULTIPLE_CHOICE for row in read_unifiedqa(folder / name / "dev.tsv", name)]
    return {"train": train, "test": test}


def read_abstractive(folder: Path) -> dict[str, list[Row]]:
    """10,000 rows from the training files of the five sets, and 10,000 from their dev files as test."""
    splits = {}
    for split, file in (("train", "train.tsv"), ("test", "dev.tsv")):
        rows = [row for name in ABSTRACTIVE for row in read_unifiedqa(folder / name / file, name)]
        splits[split] = draw(rows, ABSTRACTIVE_SIZE, f"absqa/{split}")
    return splits


def read_math(source: str) -> dict[str, list[Row]]:
    """MATH: training rows in sizes that fall with rank^-1.1 (the paper drew its sizes, which differ a little), all test rows.

    Args:
        source: the data set's Hub id, or a folder with ``SUBJECT/train.jsonl`` and ``SUBJECT/test.jsonl``.
    """
    splits: dict[str, list[Row]] = {"train": [], "test": []}
    for split, rows in splits.items():
        for subject in SUBJECTS:
            place = f"{source}/{subject}/{split}.jsonl" if Path(source).is_dir() else f"{source}/{subject}:{split}"
            rows += [
                {"domain": row["type"], "question": row["problem"], "answer": row["solution"], "answer_type": "math",
                 "rationale": row["solution"], "meta": {"level": row["level"]}}
                for _, row in read_rows(place, split)
            ]  # fmt: skip
    available = Counter(row["domain"] for row in splits["train"])
    ranked = sorted(available, key=lambda domain: (-available[domain], domain))
    sizes = compute_zipf_sizes([available[domain] for domain in ranked], 1.1)
    chosen = [
        draw((row for row in splits["train"] if row["domain"] == domain), size, domain)
        for domain, size in zip(ranked, sizes, strict=True)
    ]
    return {"train": [row for rows in chosen for row in rows], "test": splits["test"]}


def write(folder: Path, splits: dict[str, list[Row]]) -> None:
    """Write ``train.jsonl`` and ``test.jsonl``, and print the sizes of the training domains to compare with the paper's."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in splits.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    counts = Counter(row["domain"] for row in splits["train"]).most_common()
    print(f"{folder}: {len(splits['train']):,} train, {len(splits['test']):,} test, {len(counts)} domains: "
          + ", ".join(f"{name} {count:,}" for name, count in counts))  # fmt: skip


def main(arguments: Sequence[str]) -> None:
    """Convert the data set that the first argument names."""
    if len(arguments) < 2 or arguments[0] not in ("reuters", "unifiedqa", "math"):
        sys.exit(str(__doc__))
    what, source, out = arguments[0], arguments[1], Path(arguments[-1])
    if what == "reuters":
        splits = read_reuters(Path(source))
        write(out / "reuters", splits)
        write(out / "r52", choose_r52(splits))
    elif what == "unifiedqa":
        write(out / "mcqa", read_multiple_choice(Path(source)))
        write(out / "absqa", read_abstractive(Path(source)))
    else:
        write(out / "math", read_math(source if len(arguments) > 2 else "EleutherAI/hendrycks_math"))


if __name__ == "__main__":
    main(sys.argv[1:])
