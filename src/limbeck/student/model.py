"""Loads students by name (a Hub id, a folder or a packaged model); saves adapters or whole models, always as safetensors."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    dynamic_module_utils,
    modeling_gguf_pytorch_utils,
)
from transformers.utils import logging as transformers_logging

from limbeck.data.task import Task
from limbeck.errors import ConfigError
from limbeck.packaged import find_packaged
from limbeck.student.chat_template import fix_date
from limbeck.student.settings import StudentSettings
from limbeck.student.tables import KINDS
from limbeck.system.files import lock, write_folder

# Refuse models that bring their own Python code; by default transformers asks in the terminal whether to run it.
dynamic_module_utils.TIME_OUT_REMOTE_CODE = 0
CARD = "student.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
_NO_LIMIT = 10**6  # transformers uses a very large number for "unknown"
SPARE_PLACES = 2  # some encoders count positions from after the padding id


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Silence progress bars and deprecation warnings of the training libraries within this context."""
    verbosity, has_bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=FutureWarning, module=r"(transformers|trl|peft)\.")
            yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if has_bars:
            transformers_logging.enable_progress_bar()


@dataclass
class Student:
    """A small model with its tokenizer, ready to score, generate or train.

    Attributes:
        model: in evaluation mode, on its device.
        tokenizer: pads with a padding token or the end token, so mask by attention mask, never by id.
        settings: the settings it was loaded with.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    settings: StudentSettings

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return self.model.device

    @property
    def is_exact(self) -> bool:
        """Whether cached decoding gives the same likelihoods as a full pass (float32 and float64, not half precision)."""
        return self.model.dtype in (torch.float32, torch.float64)


def find_cache() -> Path:
    """Return the folder that caches converted weights: ``$LIMBECK_CACHE``, or ``limbeck`` in the user's cache folder."""
    default = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "limbeck"
    return Path(os.environ.get("LIMBECK_CACHE", default))


def resolve_model(name: str) -> str:
    """Return the folder or Hub id for `from_pretrained`; a packaged GGUF model is de-quantised into the cache once.

    Raises:
        ConfigError: the packaged model is unknown or not installed.
    """
    if not name.startswith("packaged:"):
        return name
    gguf = find_packaged(name.removeprefix("packaged:"))
    if gguf.is_dir():
        return str(gguf)
    folder = find_cache() / f"{gguf.stem}-{gguf.stat().st_size}"
    with lock(folder.with_suffix(".lock")):
        if not folder.exists():
            write_folder(folder, lambda temporary: _dequantize(gguf, temporary))
    return str(folder)


def _dequantize(gguf: Path, folder: Path) -> None:
    # transformers draws this one bar with plain tqdm, which nothing can silence; its own kind obeys `quiet_libraries`.
    modeling_gguf_pytorch_utils.tqdm = transformers_logging.tqdm
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    # The weights are plain float32 now, but the model is still marked as quantized and would refuse to be saved.
    model.hf_quantizer = None
    model.config.quantization_config = None
    del model.config.quantization_config
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def choose_device() -> torch.device:
    """Return the device named by ``$LIMBECK_DEVICE``; without it the GPU (CUDA or MPS) if there is one, else the CPU.

    Raises:
        ConfigError: ``$LIMBECK_DEVICE`` names a device that torch does not find here.
    """
    found = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    usable = [name for name, is_there in found.items() if is_there]
    name = os.environ.get("LIMBECK_DEVICE") or usable[0]
    if name not in usable:
        raise ConfigError(f"LIMBECK_DEVICE={name!r} can't be used; torch finds here: {', '.join(usable)}")
    return torch.device(name)


def has_bfloat16(device: torch.device) -> bool:
    """Return whether the device multiplies bfloat16 matrices in hardware."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        flags = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
        return bool(flags.get("avx512_bf16") or flags.get("amx_bf16"))
    return False


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """Return the dtype of a setting; ``auto`` is bfloat16 on a CUDA GPU that supports it, else float32."""
    if name == "auto":
        return torch.bfloat16 if device.type == "cuda" and has_bfloat16(device) else torch.float32
    return {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.bfloat16}[name]


def load_tokenizer(settings: StudentSettings, folder: Path | None = None) -> PreTrainedTokenizerBase:
    """Load the tokenizer of the settings' model, or the one saved in `folder`; it always has a padding token.

    The date of its chat template is fixed, so that a saved student is served with the prompts that it was trained on.

    Raises:
        ConfigError: the tokenizer can't be found or read.
    """
    source = str(folder) if folder else resolve_model(settings.model)
    with explain_loading(source):
        tokenizer = AutoTokenizer.from_pretrained(source)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    if isinstance(tokenizer.chat_template, str):
        tokenizer.chat_template = fix_date(tokenizer.chat_template)
    if not KINDS[settings.kind].writes_text and tokenizer.model_max_length > _NO_LIMIT:
        with explain_loading(source):
            places = getattr(AutoConfig.from_pretrained(source), "max_position_embeddings", None)
        if places is not None:
            tokenizer.model_max_length = places - SPARE_PLACES
    return tokenizer


@contextmanager
def explain_loading(source: str) -> Iterator[None]:
    """Turn loading errors into one-line `ConfigError`s; the libraries pass on any `Exception` that their parsers raise."""
    try:
        yield
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(f"student {source!r} can't be loaded: {_first_line(error):.500}") from error


def _check_adapter(folder: Path) -> None:
    """Refuse an adapter without safetensors weights: PEFT would load a pickled file instead."""
    if (folder / "adapter_config.json").exists() and not (folder / ADAPTER_WEIGHTS).exists():
        raise ConfigError(
            f"student {str(folder)!r} can't be loaded: its adapter has no {ADAPTER_WEIGHTS}, and pickled weights are refused"
        )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def load_student(
    settings: StudentSettings,
    folder: Path | None = None,
    *,
    labels: Sequence[str] = (),
    seed: int = 0,
    quantization: Any = None,  # noqa: ANN401 (a BitsAndBytesConfig)
) -> Student:
    """Load the untouched student of the settings, or the one saved in `folder` (an adapter is merged into its base).

    Args:
        settings: name, kind and dtype.
        folder: folder of a trained student.
        labels: the task's labels, which are the classes of a classifier.
        seed: seeds the initial weights of an untouched classifier's head.
        quantization: quantization configuration, for QLoRA.

    Raises:
        ConfigError: the model can't be found or read, or a classifier has fewer than two labels; the message names it.
    """
    device = choose_device()
    is_adapter = folder is not None and (folder / "adapter_config.json").exists()
    source = resolve_model(settings.model) if folder is None or is_adapter else str(folder)
    tokenizer = load_tokenizer(settings, folder)
    if is_adapter and folder is not None and not labels and (card := read_card(folder)) is not None:
        labels = tuple(card[1].labels)
    head = _describe_head(settings, labels, tokenizer) if folder is None or is_adapter else {}
    for place in {Path(source), folder or Path(source)}:
        _check_adapter(place)
    with explain_loading(source), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = KINDS[settings.kind].parts.model_class.from_pretrained(
            source,
            dtype=choose_dtype(settings.dtype, device),
            use_safetensors=True,
            quantization_config=quantization,
            **head,
        )
    if is_adapter:
        from peft import PeftModel

        with explain_loading(str(folder)):
            model = PeftModel.from_pretrained(model, str(folder)).merge_and_unload()
    if quantization is None:
        model = model.to(device)
    return Student(model.eval(), tokenizer, settings)


def _describe_head(settings: StudentSettings, labels: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    if KINDS[settings.kind].writes_text:
        return {}
    if len(labels) < 2:
        raise ConfigError(
            f"student.kind: classifier needs a task with at least two labels, {len(labels)} found; set task.answer: label and "
            "task.labels, or choose another student.kind"
        )
    return {
        "num_labels": len(labels),
        "id2label": dict(enumerate(labels)),
        "label2id": {label: place for place, label in enumerate(labels)},
        "pad_token_id": tokenizer.pad_token_id,
    }


def save_student(student: Student, folder: Path, task: Task, *, has_rationale: bool) -> None:
    """Save weights (only the adapter, if there is one), tokenizer and card; the folder appears complete or not at all.

    The card (``student.json``) stores the student settings, the task and `has_rationale` for `limbeck eval` and `predict`. It
    names the base model as the settings do, never by its cache path.
    """
    card = {
        "student": student.settings.model_dump(mode="json"),
        "task": task.model_dump(mode="json"),
        "has_rationale": has_rationale,
    }

    def write(temporary: Path) -> None:
        student.model.save_pretrained(temporary)
        student.tokenizer.save_pretrained(temporary)
        adapter = temporary / "adapter_config.json"
        if adapter.exists():
            # PEFT records the base model's path on this machine; a moved folder must not depend on it.
            config = json.loads(adapter.read_text("utf-8"))
            config["base_model_name_or_path"] = student.settings.model
            adapter.write_text(json.dumps(config, indent=2), "utf-8")
        (temporary / CARD).write_text(json.dumps(card, indent=2, ensure_ascii=False), "utf-8")

    write_folder(folder, write)


def read_card(folder: Path) -> tuple[StudentSettings, Task, bool] | None:
    """Read ``(student settings, task, has_rationale)`` from a folder written by `save_student`; None without a card.

    Raises:
        ConfigError: the card is invalid.
    """
    path = folder / CARD
    if not path.exists():
        return None
    try:
        card = json.loads(path.read_text("utf-8"))
        return StudentSettings(**card["student"]), Task(**card["task"]), bool(card["has_rationale"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} is not a valid student card: {_first_line(error)}") from error
