"""Shared fixtures: a tiny random student with a byte tokenizer, and a small project with a scripted teacher."""

from __future__ import annotations

import gc
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, settings
from tests.support import Zygote, make_bert_config, make_padding_tokenizer, make_sums, make_tokenizer, script_rows, write_rows
from transformers import BertModel, LlamaConfig, LlamaForCausalLM, T5Config, T5ForConditionalGeneration
from transformers.utils import logging as transformers_logging

from limbeck.errors import ConfigError
from limbeck.packaged import find_packaged
from limbeck.student.model import Student, load_student
from limbeck.student.settings import StudentSettings

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ["LIMBECK_DEVICE"] = "cpu"  # the references in the tests compute on the CPU
transformers_logging.disable_progress_bar()
torch.set_num_threads(1)  # tests run in as many processes as there are processors
# Properties are not about time, and a busy machine makes any example slow.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


def pytest_collection_finish() -> None:
    """Freeze everything loaded so far: each training run collects garbage, and would scan all of it again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random two-layer Llama and its byte tokenizer."""
    folder = tmp_path_factory.mktemp("tiny")
    tokenizer = make_tokenizer()
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        initializer_range=0.3,
        tie_word_embeddings=True,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def t5_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random two-layer T5 and a byte tokenizer with its own padding token."""
    folder = tmp_path_factory.mktemp("t5")
    tokenizer = make_padding_tokenizer()
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=len(tokenizer),
        d_model=16,
        d_kv=8,
        d_ff=24,
        num_layers=2,
        num_heads=2,
        dropout_rate=0.0,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        decoder_start_token_id=tokenizer.pad_token_id,
        initializer_factor=3.0,
    )
    T5ForConditionalGeneration(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def bert_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random two-layer BERT without a head."""
    folder = tmp_path_factory.mktemp("bert")
    tokenizer = make_padding_tokenizer()
    torch.manual_seed(0)
    BertModel(make_bert_config(tokenizer.pad_token_id, len(tokenizer))).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Use one thread: on models of this size threads cost more than they save."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def tiny(tiny_folder: Path) -> Student:
    """The tiny student in float64."""
    return load_student(StudentSettings(model=str(tiny_folder), dtype="float64"))


@pytest.fixture(scope="session")
def packaged_model() -> Path:
    """The packaged SmolLM2's GGUF file; tests that need it are skipped if its wheel is not installed."""
    try:
        return find_packaged("smollm2-135m-instruct")
    except ConfigError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def smollm2(packaged_model: Path) -> Student:
    """The packaged SmolLM2 in float32."""
    return load_student(StudentSettings())


@pytest.fixture(scope="session")
def zygote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zygote]:
    """A warm process that runs commands in forks of itself."""
    found = Zygote(tmp_path_factory.mktemp("zygote"))
    yield found
    found.close()


@pytest.fixture
def project(tmp_path: Path, tiny_folder: Path) -> Callable[..., Path]:
    """Makes a config over small sums, the tiny student and a scripted teacher; returns the config's path."""

    def make(counts: dict[str, int] | None = None, **changes: Any) -> Path:  # noqa: ANN401
        counts = counts or {"big": 12, "mid": 6, "small": 2}
        write_rows(tmp_path / "train.jsonl", make_sums(counts))
        write_rows(tmp_path / "test.jsonl", make_sums(dict.fromkeys(counts, 3), start=5000))
        write_rows(tmp_path / "script.jsonl", script_rows())
        config: dict[str, Any] = {
            "name": "small",
            "seed": 5,
            "data": {"train": "train.jsonl", "test": "test.jsonl"},
            "task": {"answer": "number"},
            "teacher": {"backend": "scripted", "model": "script", "path": "script.jsonl"},
            "budget": {"max_examples": 9},
            "student": {"model": str(tiny_folder)},
            "training": {"epochs": 0.2, "batch_size": 8, "lora": {"rank": 2, "alpha": 4}},
            "method": {"stages": 3, "quota": "uniform", "score_max_new_tokens": 8},
            "evaluation": {"max_new_tokens": 8},
        }
        for dotted, value in changes.items():
            *parents, last = dotted.split("__")
            place = config
            for parent in parents:
                place = place.setdefault(parent, {})
            place[last] = value
        path = tmp_path / "config.json"  # JSON is YAML
        path.write_text(json.dumps(config), "utf-8")
        return path

    return make


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one MiB; skipped if this process may not mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("mounting a small file system needs root")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)
