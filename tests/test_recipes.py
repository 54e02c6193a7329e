"""The recipes of CONTRIBUTING.md work as they are shown: their package is installed, and a config names what it adds."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support import ROOT, write_rows

RECIPES = re.compile(r"^```(?:python|toml)\n# (?P<file>\S+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
SCRIPT = """
import json, sys
from limbeck import Config, load_config, plan, read_run, run
from limbeck.errors import ConfigError

base = json.load(open(sys.argv[1]))
try:
    load_config(base, ["method.selection=lenght"])
except ConfigError as error:
    print(json.dumps(str(error)))
found = []
for name, method in json.loads(sys.argv[2]).items():
    config = load_config({**base, "name": name, "method": method})
    planned = plan(config, out=name)
    result = run(config, name)
    folder = read_run(name)
    found.append({
        "planned": planned.to_json()["stages"],
        "examples": [example.to_json() for example in folder.examples],
        "requests": [row.purpose for row in folder.requests],
        "state": folder.status.state,
        "accuracy": result.metrics.accuracy_micro,
    })
print(json.dumps(found))
print(json.dumps(Config.model_json_schema()))
"""


def install(folder: Path) -> Path:
    """The package of the recipes, installed from a wheel into a folder of its own."""
    files = {match["file"]: match["text"] for match in RECIPES.finditer((ROOT / "CONTRIBUTING.md").read_text("utf-8"))}
    points = tomllib.loads(files.pop("pyproject.toml"))["project"]["entry-points"]
    info = "limbeck_extra-1.dist-info"
    lines = [f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in each.items()) for group, each in points.items()]
    files |= {
        "limbeck_extra/__init__.py": "",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: limbeck-extra\nVersion: 1\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: by-hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "\n".join(lines),
    }
    files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
    wheel = folder / "limbeck_extra-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    target = folder / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(target), str(wheel)]
    subprocess.run(pip, check=True)
    return target


@pytest.mark.slow
def test_a_package_adds_to_the_tables(tmp_path: Path, project: Callable[..., Path]) -> None:
    """An installed package adds a score, a quota, an answer type, a backend and a method; schema and errors know them."""
    config: dict[str, Any] = json.loads(project(task__answer="yes_no", teacher={"backend": "calculator"}).read_text())
    for split in ("train", "test"):
        rows = [
            {"domain": name, "question": f"Is {n} even{' or not' * (n % 3)}?", "answer": "No." if n % 2 else "yes"}
            for place, name in enumerate(("big", "mid", "small"))
            for n in range(place * 100, place * 100 + (16, 4, 1)[place] * (1 if split == "train" else 0) + 3)
        ]
        config["data"][split] = str(
            write_rows(tmp_path / f"{split}.jsonl", [{**row, "question": f"{split} {row['question']}"} for row in rows])
        )
    (tmp_path / "base.json").write_text(json.dumps(config))
    methods = {
        "baldistill": {"stages": 2, "quota": "square_root", "selection": "length", "tail": "none", "annotation": "hinted"},
        "random_rows": {"name": "random_rows"},
    }
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, "base.json", json.dumps(methods)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(install(tmp_path))},
    )
    assert done.returncode == 0, done.stderr
    error, runs, schema = map(json.loads, done.stdout.splitlines())
    assert "method.selection: unknown score 'lenght'; did you mean 'length'? Known: " in error
    balanced, at_random = runs
    # Square roots of 19, 7 and 4: 4.36, 2.65 and 2, of 9.01. Stages of 4 and 5 give 1.94, 1.17, 0.89 and 2.42, 1.47, 1.11.
    assert [{name: share["quota"] for name, share in stage["domains"].items()} for stage in balanced["planned"]] == [
        {"big": 2, "mid": 1, "small": 1},
        {"big": 2, "mid": 2, "small": 1},
    ]
    assert (balanced["state"], at_random["state"]) == ("done", "done")
    assert balanced["requests"] == ["annotate"] * 9
    assert {example["answer"] for example in balanced["examples"]} <= {"yes", "no"}
    assert {example["rationale"] for example in balanced["examples"]} == {"I looked it up."}
    scored = [example["question"] for example in balanced["examples"] if example["stage"] == 1 and example["domain"] == "big"]
    assert all(question.endswith("even or not or not?") for question in scored)
    assert at_random["requests"] == []
    assert len(at_random["examples"]) == 9
    assert at_random["planned"][0]["domains"].keys() <= {"big", "mid", "small"}
    text = json.dumps(schema)
    assert all(f'"{name}"' in text for name in ("length", "square_root", "yes_no", "calculator", "random_rows"))
