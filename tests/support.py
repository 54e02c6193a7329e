"""Helpers that tests share, other than fixtures: chat templates, a byte tokenizer, small examples and rows."""

from __future__ import annotations

import dataclasses
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.zygote import call
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import BertConfig, PreTrainedTokenizerFast

from limbeck.data.example import Example, make_example_id
from limbeck.data.overlap import DuplicateGuard, LeakGuard
from limbeck.data.task import Task
from limbeck.errors import ConfigError
from limbeck.packaged import find_packaged
from limbeck.progress import Progress
from limbeck.student.tables import SCORES, ComputeScore
from limbeck.teacher.client.teacher import Teacher
from limbeck.teacher.purposes.until_kept import AskScope
from limbeck.teacher.request import Backend
from limbeck.teacher.tables import BACKENDS

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("LIMBECK_DATA") or ROOT.parent / "shared" / "data")
"""Real data sets, which are not part of the repository; tests that need them are skipped without them."""

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
CHAT_TEMPLATES: dict[str, tuple[str | None, str]] = {
    "chatml": (CHATML, "<|im_end|>"),
    "llama3": (
        "{{ '<s>' }}{% for message in messages %}<|start_header_id|>{{ message['role'] }}<|end_header_id|>\n\n"
        "{{ message['content'] | trim }}<|eot_id|>{% endfor %}"
        "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}",
        "<|eot_id|>",
    ),
    "gemma": (
        "{{ '<s>' }}{% for message in messages %}<start_of_turn>"
        "{{ 'model' if message['role'] == 'assistant' else message['role'] }}\n{{ message['content'] }}<end_of_turn>\n"
        "{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}",
        "<end_of_turn>",
    ),
    "mistral": (
        "{{ '<s>' }}{% for message in messages %}{% if message['role'] == 'user' %}[INST] {{ message['content'] }} [/INST]"
        "{% else %} {{ message['content'] }}</s>{% endif %}{% endfor %}",
        "</s>",
    ),
    "none": (None, "</s>"),
}
SPECIAL = (
    "<s>",
    "</s>",
    "<|im_start|>",
    "<|im_end|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eot_id|>",
    "<start_of_turn>",
    "<end_of_turn>",
    "<pad>",
)


def make_tokenizer(template: str = "chatml") -> PreTrainedTokenizerFast:
    """A byte tokenizer with a chat template of the given family."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE(vocab={char: place for place, char in enumerate(alphabet)}, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens(list(SPECIAL))
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, bos_token="<s>", eos_token="</s>", pad_token="</s>", clean_up_tokenization_spaces=False
    )
    tokenizer.chat_template = CHAT_TEMPLATES[template][0]
    return tokenizer


def make_padding_tokenizer() -> PreTrainedTokenizerFast:
    """The byte tokenizer without a chat template, and with its own padding token."""
    tokenizer = make_tokenizer("none")
    tokenizer.add_special_tokens({"pad_token": "<pad>"})
    return tokenizer


def make_example(question: str, answer: str = "1", domain: str = "d", **changes: Any) -> Example:  # noqa: ANN401
    """A number example with a single field."""
    fields = {"question": question}
    example = Example(make_example_id(domain, fields), domain, fields, question, answer, "number")
    return example.but(**changes)


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    """A JSONL file of rows."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def make_sums(counts: dict[str, int], start: int = 0) -> list[dict[str, Any]]:
    """Rows of one-step sums, as many in each domain as `counts` says, all different."""
    rows = []
    for place, (domain, count) in enumerate(counts.items()):
        for index in range(count):
            a, b = start + 100 * place + index, 7 * index + place
            rows.append({"domain": domain, "question": f"Calculate {a} + {b}.", "answer": str(a + b)})
    return rows


def script_rows() -> list[dict[str, str]]:
    """A script that solves every sum of `make_sums` if the prompt shows its answer, and can invent one new sum."""
    solved = [
        {"match": f"The correct answer is {value}.", "text": f"One adds them up.\nThe answer is: {value}"}
        for value in range(1000)
    ]
    invented = "Question: Calculate 70001 + 1.\nRationale: One more than 70001.\nThe answer is: 70002"
    return [*solved, {"match": "You write new exercises", "text": invented}]


class Zygote:
    """The process of `tests.zygote`, which runs `limbeck` commands in forks of itself, so that none has to load torch again.

    Attributes:
        python: a program to use as `sys.executable`: it runs ``-P -m limbeck …`` in a fork, everything else in a real Python.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._socket = folder, str(folder / "socket")
        for name in ("out", "err"):
            (folder / name).touch()
        self._environment = {name: value for name, value in os.environ.items() if "KEY" not in name}
        self._environment |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        command = [sys.executable, "-m", "tests.zygote", "serve", self._socket]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=self._environment
        )
        self.python = folder / "python"
        caller = shlex.join([sys.executable, "-SE", str(ROOT / "tests" / "zygote.py"), self._socket])
        self.python.write_text(
            f'#!/bin/sh\nif [ "$1 $2 $3" = "-P -m limbeck" ]; then shift 3; exec {caller} "$@"; fi\n'
            f'exec {shlex.quote(sys.executable)} "$@"\n'
        )
        self.python.chmod(0o755)
        assert self._process.stdout is not None
        self._process.stdout.readline()

    def run(self, *args: object, cwd: Path | None = None, env: Mapping[str, str] | None = None, **how: Any) -> int:  # noqa: ANN401
        """Run a command and return its exit code, negative for a signal; for ``events`` and ``kill`` see `tests.zygote`."""
        command = {
            "args": [str(arg) for arg in args],
            "cwd": str(cwd or self._folder),
            "env": {**self._environment, **(env or {})},
            **how,
        }
        out, err = self._folder / "out", self._folder / "err"
        with Path(os.devnull).open() as nothing, out.open("w") as said, err.open("w") as errors:
            return call(self._socket, command, [file.fileno() for file in (nothing, said, errors)])

    def complete(self, *args: object, cwd: Path, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[bytes]:
        """Run a command and return its output."""
        code = self.run(*args, cwd=cwd, env=env)
        return subprocess.CompletedProcess(args, code, *((self._folder / name).read_bytes() for name in ("out", "err")))

    def read_error(self) -> str:
        """What the last command wrote to stderr."""
        return (self._folder / "err").read_text("utf-8", "replace")

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def make_bert_config(pad: int, size: int, **changes: object) -> BertConfig:
    """A two-layer BERT without dropout."""
    return BertConfig(
        vocab_size=size,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=96,
        pad_token_id=pad,
        initializer_range=0.4,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        **changes,
    )


def has_packaged(name: str) -> bool:
    """Whether the wheel of a packaged model is installed."""
    try:
        find_packaged(name)
    except ConfigError:
        return False
    return True


needs_minilm = pytest.mark.skipif(not has_packaged("minilm-l6"), reason="the wheel of the sentence encoder is not installed")


class Heard(Progress):
    """Remembers the notes of a run."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def replace_score(monkeypatch: pytest.MonkeyPatch, name: str, compute: ComputeScore) -> None:
    """Replace the function of a score during a test."""
    monkeypatch.setitem(SCORES._own, name, dataclasses.replace(SCORES[name], source=compute))


def replace_backend(monkeypatch: pytest.MonkeyPatch, backend: Backend, name: str = "scripted") -> None:
    """Register a backend under a name during a test."""
    monkeypatch.setitem(BACKENDS._own, name, dataclasses.replace(BACKENDS[name], source=lambda settings, task: backend))


def make_scope(
    teacher: Teacher,
    task: Task,
    *,
    stage: int = 0,
    seed: int = 1,
    max_attempts: int = 3,
    duplicates: DuplicateGuard | None = None,
    leaks: LeakGuard | None = None,
    **changes: Any,  # noqa: ANN401
) -> AskScope:
    """The scope for a call of `annotate`, `synthesize` or `generate`, without known examples or held-out rows."""
    duplicates = DuplicateGuard() if duplicates is None else duplicates
    leaks = LeakGuard([], []) if leaks is None else leaks
    return AskScope(teacher, task, stage, seed, max_attempts, duplicates, leaks, **changes)
